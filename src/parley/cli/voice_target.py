"""Which voice a command converts to: `--to NAME`, `--to ENGINE:MODEL`, or the converter of the configured pipeline.

Laws: a name without a colon is a voice profile; where there is none of that name, it is an engine.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from parley.cli.failures import CommandFailed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from parley.config import Config
    from parley.engines.ports import EngineSpec, VoiceConverter

P = ParamSpec("P")
R = TypeVar("R")

_OPTIONS = (
    click.option("--to", metavar="NAME|ENGINE:MODEL", help="A voice profile, or a converter such as rvc:FOLDER."),
    click.option("--voice", metavar="VOICE", default="", help="One of the converter's own voices (`parley engines`)."),
    click.option(
        "--option", "options", metavar="KEY=VALUE", multiple=True, help="Option of the converter; repeatable."
    ),
)


def target_options(command: Callable[P, R]) -> Callable[P, R]:
    """Adds `--to`, `--voice` and `--option`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class ConversionTarget:
    """A converter that is to be opened, and the voice that is asked of it."""

    engine: EngineSpec
    voice: str

    def __str__(self) -> str:
        named = f"{self.engine.name}:{self.engine.model}" if self.engine.model else self.engine.name
        return f"{named}, voice {self.voice}" if self.voice else named


def target_of(to: str | None, voice: str, options: tuple[str, ...], config: Config) -> ConversionTarget:
    """What `--to`, `--voice` and `--option` name. Raises `CommandFailed`."""
    from parley.engines.ports import VC, EngineSpec

    given = _options(options)
    if to is not None:
        return ConversionTarget(_engine(to, given), voice)
    configured = config.pipelines[config.default_pipeline].engines.get(VC)
    if configured is None:
        raise CommandFailed(
            "No voice to convert to is named.", f"Name one with --to. {_known()} Or set `vc` in parley.toml."
        )
    return ConversionTarget(EngineSpec(configured.name, configured.model, {**configured.options, **given}), voice)


def _engine(to: str, options: Mapping[str, object]) -> EngineSpec:
    from parley.engines import registry
    from parley.engines.ports import VC, EngineSpec
    from parley.engines.vc import profiles

    if ":" in to:
        return EngineSpec.parse(to, options)
    if to in profiles.names():
        return EngineSpec("vocoder", to, dict(options))
    if to in registry.names(VC):
        return EngineSpec(to, "", dict(options))
    raise CommandFailed(f"There is no voice profile and no voice converter {to!r}.", _known(to))


def _known(wanted: str = "") -> str:
    from parley.config.errors import did_you_mean
    from parley.engines import registry
    from parley.engines.ports import VC
    from parley.engines.vc import profiles

    names, engines = profiles.names(), registry.names(VC)
    meant = did_you_mean(wanted, [*names, *engines]) if wanted else ""
    return f"{meant} Profiles: {', '.join(names)}. Converters: {', '.join(engines)}.".strip()


def _options(given: tuple[str, ...]) -> dict[str, object]:
    """`KEY=VALUE`, the value as TOML would read it, else a text. Raises `click.UsageError`."""
    options: dict[str, object] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise click.UsageError(f"--option {text!r} is not KEY=VALUE.")
        options[key.strip()] = _value(value.strip())
    return options


def _value(text: str) -> object:
    try:
        parsed: dict[str, Any] = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if list(parsed) == ["value"] else text


@asynccontextmanager
async def opened(target: ConversionTarget) -> AsyncGenerator[VoiceConverter, None]:
    """The converter, open. Raises `EngineUnavailable`, and `CommandFailed` for a voice that it does not have."""
    from parley.engines import registry
    from parley.engines.ports import VC, VoiceConverter

    engine = registry.create(VC, target.engine)
    assert isinstance(engine, VoiceConverter)
    try:
        await engine.open()
        if engine.resolve_voice(target.voice) is None:
            has = ", ".join(engine.info.voices) or "only its usual one"
            raise CommandFailed(f"{target.engine.name} has no voice {target.voice!r}.", f"It has: {has}.")
        yield engine
    finally:
        await engine.close()
