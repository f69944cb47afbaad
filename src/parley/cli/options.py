"""The configuration flags that commands share, and how the configuration is loaded from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from parley.cli.failures import CommandFailed
from parley.errors import ParleyError

if TYPE_CHECKING:
    from parley.config import Config
    from parley.config.values import PipelineConfig
    from parley.engines.ports import EngineSpec

P = ParamSpec("P")
R = TypeVar("R")

config_option = click.option(
    "--config",
    "config_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Read this file [default: $PARLEY_CONFIG, ./parley.toml, ~/.config/parley/parley.toml].",
)

PIPELINE_OPTIONS = {
    "config_path": config_option,
    "pipeline": click.option(
        "--pipeline", metavar="NAME", help="The pipeline that serves, unless a client's model names another."
    ),
    "stt": click.option(
        "--stt", metavar="ENGINE[:MODEL]", help="Speech recogniser, such as pocketsphinx or whisper:small."
    ),
    "stt_base_url": click.option(
        "--stt-base-url", metavar="URL", help="Endpoint of --stt openai:MODEL, such as http://localhost:8000/v1."
    ),
    "llm": click.option(
        "--llm", metavar="ENGINE[:MODEL]", help="Language model, such as openai:gpt-5-mini, or several in order: a,b."
    ),
    "llm_base_url": click.option(
        "--llm-base-url", metavar="URL", help="Endpoint of the language model, such as http://localhost:11434/v1."
    ),
    "tts": click.option("--tts", metavar="ENGINE[:MODEL]", help="Speech synthesis, such as hibari or espeak."),
    "tts_base_url": click.option(
        "--tts-base-url", metavar="URL", help="Endpoint of --tts openai:MODEL, such as http://localhost:8880/v1."
    ),
    "speech": click.option(
        "--speech",
        metavar="ENGINE[:MODEL]",
        help="A model that hears and speaks, in place of --llm and --tts, such as realtime:gpt-realtime.",
    ),
    "vc": click.option(
        "--vc", metavar="ENGINE[:MODEL]", help="Voice conversion of what is spoken, such as vocoder:NAME."
    ),
    "voice": click.option("--voice", metavar="NAME", help="Voice of the replies: OpenAI's names or the engine's own."),
}
"""Flags of the engines and the pipeline, by the names of their parameters."""

pull_option = click.option(
    "--pull",
    type=click.Choice(["ask", "always", "never"]),
    help="Whether models that the engines need and that are not here are fetched [default: ask, on a terminal].",
)

PIPELINE_FLAGS = ("pull", *(name for name in PIPELINE_OPTIONS if name != "config_path"))
"""Their names, without that of the file."""

_SERVER_OPTIONS = (
    click.option("--host", metavar="ADDRESS", help="Listen on this address [default: 127.0.0.1]."),
    click.option("--port", metavar="PORT", help="Listen on this port, 0 for any free one [default: 8765]."),
    click.option(
        "--api-key", metavar="KEY", help="Ask clients for this key (PARLEY_API_KEY keeps it out of process lists)."
    ),
    click.option("--insecure", is_flag=True, help="Serve a public address without any key."),
)


def configured(command: Callable[P, R]) -> Callable[P, R]:
    """Adds the shared flags; the command takes them as `config_path` and `**flags`."""
    return with_options(command, (*PIPELINE_OPTIONS.values(), *_SERVER_OPTIONS))


def pipeline_configured(command: Callable[P, R]) -> Callable[P, R]:
    """The same without the flags of a public server."""
    return with_options(command, (*PIPELINE_OPTIONS.values(), pull_option))


def with_options(
    command: Callable[P, R], options: Sequence[Callable[[Callable[P, R]], Callable[P, R]]]
) -> Callable[P, R]:
    """Adds options, the first one on top."""
    for option in reversed(options):
        command = option(command)
    return command


def load_config(config_path: Path | None, flags: Mapping[str, object]) -> Config:
    """The effective configuration of this process. Raises `ConfigError`."""
    from parley.config import load

    return load(config_path, flags, os.environ)


@contextmanager
def settings_named(config: Config) -> Iterator[None]:
    """Where an engine of the default pipeline lacks its language or its voice, the error names the flag, the variable or the file's line
    that set it."""
    try:
        yield
    except ParleyError as error:
        from parley.runtime.unsupported import SettingUnsupported, where_set

        if not isinstance(error, SettingUnsupported):
            raise
        raise where_set(error, config, config.default_pipeline) from error


def synthesizer_of(pipeline: PipelineConfig) -> EngineSpec:
    """The pipeline's speech synthesis. Raises `CommandFailed` where it goes without."""
    from parley.engines.ports import TTS

    if TTS not in pipeline.engines:
        raise CommandFailed("No speech synthesis is named.", "Name one with --tts ENGINE, or as `tts` in parley.toml.")
    return pipeline.engines[TTS]


def warn(config: Config) -> None:
    """Print the configuration's warnings on stderr (the server logs them by itself)."""
    for warning in config.warnings:
        click.echo(f"parley: {warning}", err=True)
