"""The checks of `parley doctor` on engines: each is opened once, and says what it is.

Laws: as `checks.py`'s. An engine that stands in for something better is a note with its remedy, as `parley serve` warns of it; engines that
only measure are one line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from parley.cli.checks import Check, engines_of

if TYPE_CHECKING:
    from parley.config import Config
    from parley.config.values import PipelineConfig
    from parley.engines.ports import Engine, EngineInfo, EngineSpec, Stage, Translator, VoiceConverter

OPEN_TIMEOUT_S = 120.0
"""Enough to load weights from a slow disk. A longer download should be watched in `parley serve`."""

MEASURING = "bench"
"""The pipeline for benchmarks, which is always there."""


def check_engines(config: Config) -> Iterator[Check]:
    """Opens and closes every engine, one after the other, translators last; then says what each pipeline translates and converts."""
    from parley.cli.voice_checks import check_converter, check_index
    from parley.engines.ports import MT, VC

    infos: dict[tuple[str, str], EngineInfo] = {}
    translated: list[Check] = []
    converted: list[Check] = []
    measuring: list[str] = []
    refused: list[Check] = []

    def opened(engine: Engine, stage: Stage[Any], pipelines: list[str]) -> None:
        refused.extend(_settings_refused(config, stage, engine, pipelines))
        if stage is VC:
            converted.append(check_converter(pipelines, cast("VoiceConverter", engine)))
        for name in pipelines:
            infos[name, stage.name] = engine.info
            if stage is MT and (name != MEASURING or config.default_pipeline == name):
                translated.extend(_translation(config.pipelines[name], infos, cast("Translator", engine)))

    for stage, spec, pipelines in sorted(engines_of(config), key=lambda one: one[0] is MT):
        chosen = [name for name in pipelines if name != MEASURING or config.default_pipeline == MEASURING]
        named = f"{stage} {_label(spec)} ({', '.join(chosen or pipelines)})"
        check = asyncio.run(_check_engine(stage, spec, named, partial(opened, stage=stage, pipelines=pipelines)))
        if check.ok and not chosen:
            measuring.append(stage.name)
            continue
        yield check
        if stage is VC and (index := check_index(spec)) is not None:
            yield index
    if measuring:
        yield Check(f"pipeline {MEASURING}", True, f"opens, for measuring ({', '.join(measuring)})")
    yield from refused
    yield from translated
    yield from converted


def _settings_refused(config: Config, stage: Stage[Any], engine: Engine, pipelines: list[str]) -> Iterator[Check]:
    """The languages and voices of pipelines that this engine does not have: `parley serve` serves none of these pipelines."""
    from parley.engines.voices.shelf import VoiceShelf
    from parley.engines.voices.store import VoiceStore
    from parley.runtime.unsupported import unsupported, where_set

    own = VoiceShelf(VoiceStore(limit=config.own_voices.limit))
    for name in pipelines:
        spec = config.pipelines[name].engines[stage]
        fault = unsupported(stage, _label(spec), engine, config.pipelines[name], own)
        if fault is not None:
            error = where_set(fault, config, name)
            required = name == config.default_pipeline
            yield Check(f"{fault.setting} ({name})", False, error.message, error.remedy, required)


def _label(spec: EngineSpec) -> str:
    return f"{spec.name}:{spec.model}" if spec.model else spec.name


def _translation(
    pipeline: PipelineConfig, infos: Mapping[tuple[str, str], EngineInfo], translator: Translator
) -> Iterator[Check]:
    from parley.cli.translation_checks import check_translation
    from parley.engines.ports import STT, TTS

    stt, tts = (infos.get((pipeline.name, stage.name)) for stage in (STT, TTS))
    if stt is not None and (tts is not None or TTS not in pipeline.engines):
        yield from check_translation(pipeline.name, pipeline.language, stt, translator, tts)


async def _check_engine(stage: Stage[Any], spec: EngineSpec, name: str, look: Callable[[Engine], None]) -> Check:
    """Whether it opens, and what it wants said then. `look` is called with it while it is open."""
    from parley.engines import registry
    from parley.engines.ports import EngineError

    started = time.monotonic()
    try:
        engine = registry.create(stage, spec)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await engine.open()
            check = _opened(engine, spec, name, time.monotonic() - started)
            look(engine)
        finally:
            await engine.close()
    except EngineError as error:
        return Check(name, False, error.message, error.remedy)
    except ValueError as error:
        return Check(name, False, str(error), "Correct the option in parley.toml.")
    except TimeoutError:
        return Check(name, False, f"not open after {OPEN_TIMEOUT_S:.0f} s", "See what it waits for: parley serve")
    except Exception as error:  # noqa: BLE001 - the engine boundary
        remedy = "This is a fault of the package that brings the engine: update it, or name another engine."
        return Check(name, False, f"{type(error).__name__}: {error}", remedy)
    return check


def _opened(engine: Engine, spec: EngineSpec, name: str, took_s: float) -> Check:
    """An engine that opened."""
    from parley.engines.ports import Makeshift

    seen = f"opens in {took_s:.1f} s"
    if spec.name == "auto":
        seen += f"; {engine.info.summary}"
    stands_in: object = engine
    if isinstance(stands_in, Makeshift) and stands_in.makeshift:
        return Check(name, False, seen, stands_in.notice, required=False)
    return Check(name, True, seen)
