"""Opens every engine of every configured pipeline, before the first session.

Laws:
- Equal engines are one object, opened once, whatever pipelines name them; all open at the same time.
- A pipeline one of whose engines cannot open is not served, and says which, why and how to fix it; the others are.
- An engine that no served pipeline needs is closed again.

Does not know: how an engine is made (`engines.registry`), nor what a session does with it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

from parley.audio import processing
from parley.config.values import PipelineConfig
from parley.engines import registry
from parley.engines.ports import (
    MT,
    SPEECH,
    STT,
    TTS,
    VAD,
    VC,
    Chained,
    Engine,
    EngineError,
    EngineSet,
    EngineSpec,
    EngineUnavailable,
    Guarded,
    Stage,
    Supervised,
)
from parley.engines.voices.shelf import VoiceShelf
from parley.engines.voices.store import VoiceStore
from parley.runtime.engine_caches import Create, EngineCaches
from parley.runtime.engine_results import MAX_RATE, MIN_RATE
from parley.runtime.pipeline import LoadedPipeline
from parley.runtime.unsupported import SettingUnsupported, unsupported
from parley.runtime.voice_worker import VoiceWorker

logger = logging.getLogger(__name__)

NO_CACHES = EngineCaches()


@dataclass(frozen=True, slots=True)
class EngineReport:
    """Where one engine stands. `name` is what the configuration calls it.

    `message` is what it wants said once it is ready, or why it failed; `remedy` what puts that right.
    """

    stage: Stage[Any]
    name: str
    pipelines: tuple[str, ...]
    state: Literal["opening", "ready", "failed"]
    seconds: float = 0.0
    message: str = ""
    remedy: str = ""
    error: Exception | None = field(default=None, compare=False, repr=False)
    """What it raised."""


@dataclass(slots=True)
class _Opening:
    """One engine on its way."""

    stage: Stage[Any]
    spec: EngineSpec
    pipelines: list[str] = field(default_factory=list)
    engine: Engine | None = None
    report: EngineReport | None = None

    @property
    def name(self) -> str:
        return f"{self.spec.name}:{self.spec.model}" if self.spec.model else self.spec.name

    def tell(
        self,
        state: Literal["opening", "ready", "failed"],
        since: float,
        message: str = "",
        remedy: str = "",
        error: Exception | None = None,
    ) -> EngineReport:
        seconds = time.perf_counter() - since
        self.report = EngineReport(self.stage, self.name, tuple(self.pipelines), state, seconds, message, remedy, error)
        return self.report


class LoadedEngines:
    """The pipelines that can be served. Make it with `open_all()`, end it with `close()`."""

    def __init__(
        self,
        pipelines: Mapping[str, LoadedPipeline],
        failures: Mapping[str, tuple[EngineReport, ...]],
        engines: Iterable[Engine],
        own: VoiceShelf | None = None,
        caches: EngineCaches = NO_CACHES,
    ) -> None:
        self.caches = caches
        """What stands in front of them."""
        self.pipelines = MappingProxyType(dict(pipelines))
        self.failures = MappingProxyType(dict(failures))
        """The pipelines that are not served, each with the engines that could not be opened."""
        self.own = own or VoiceShelf(VoiceStore())
        """The user's own voices."""
        self._engines = list(engines)
        self._workers = list({id(pipeline.voice): pipeline.voice for pipeline in pipelines.values()}.values())

    @classmethod
    async def open_all(
        cls,
        configs: Iterable[PipelineConfig],
        report: Callable[[EngineReport], None] = lambda _: None,
        *,
        create: Create = registry.create,
        voices: VoiceStore | None = None,
        caches: EngineCaches = NO_CACHES,
    ) -> LoadedEngines:
        """Open what `configs` name, with `caches` in front of it. `report` hears of each engine's progress; `voices` are the user's own
        (None: those of the usual folder). Never raises for an engine: see `failures`."""
        configs = tuple(configs)
        await caches.open()
        create = partial(caches.create, make=create)
        openings: dict[tuple[Stage[Any], str], _Opening] = {}
        for config in configs:
            for stage, spec in config.engines.items():
                opening = openings.setdefault((stage, repr(_key(spec))), _Opening(stage, spec))
                opening.pipelines.append(config.name)
        tasks = [asyncio.ensure_future(_open(opening, create, report)) for opening in openings.values()]
        try:
            # Loaded beside the engines, so that the first session that wants noise reduction does not block the loop.
            await asyncio.gather(asyncio.to_thread(processing.available), *tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await _close(opening.engine for opening in openings.values())
            await caches.close()
            raise
        return await cls._assembled(configs, openings, report, VoiceShelf(voices or VoiceStore()), caches)

    @classmethod
    async def _assembled(
        cls,
        configs: Iterable[PipelineConfig],
        openings: Mapping[tuple[Stage[Any], str], _Opening],
        report: Callable[[EngineReport], None],
        own: VoiceShelf,
        caches: EngineCaches,
    ) -> LoadedEngines:
        workers: dict[int, VoiceWorker] = {}
        pipelines: dict[str, LoadedPipeline] = {}
        failures: dict[str, tuple[EngineReport, ...]] = {}
        for config in configs:
            mine = {stage: openings[stage, repr(_key(spec))] for stage, spec in config.engines.items()}
            failed = [one.report for one in mine.values() if one.engine is None and one.report is not None]
            for fault in filter(None, (_unsupported(config, one, own) for one in mine.values())):
                report(fault)
                failed.append(fault)
            if failed:
                failures[config.name] = tuple(failed)
                continue
            engines = EngineSet({stage: one.engine for stage, one in mine.items() if one.engine is not None})
            vad = engines[VAD]
            if id(vad) not in workers:
                workers[id(vad)] = VoiceWorker(vad)
            try:
                pipelines[config.name] = LoadedPipeline(config.name, engines, workers[id(vad)], config, own=own)
            except Exception as error:  # the engine boundary: the translator is asked for its pairs
                if MT not in mine:
                    raise
                fault = _pairs_fault(config, mine[MT], error)
                report(fault)
                failures[config.name] = (fault,)
        opened = [one for one in openings.values() if one.engine is not None]
        needed = [one.engine for one in opened if any(name in pipelines for name in one.pipelines)]
        await _close(one.engine for one in opened if one.engine not in needed)
        speakers = {name: one.engines.find(TTS) for name, one in pipelines.items()}
        own.synthesizers = {name: tts for name, tts in speakers.items() if tts is not None}
        models = {name: one.engines.find(SPEECH) for name, one in pipelines.items()}
        own.models = {name: model for name, model in models.items() if model is not None}
        return cls(pipelines, failures, [engine for engine in needed if engine is not None], own, caches)

    def pipeline(self, name: str) -> LoadedPipeline:
        """The loaded pipeline of that name. Raises `KeyError` for one that is not served."""
        return self.pipelines[name]

    def faults(self, name: str) -> Mapping[Stage[Any], EngineError]:
        """What is wrong at this moment with engines of the pipeline of that name, where they know it themselves (`Supervised`)."""
        engines = self.pipelines[name].engines
        faults = {stage: engine.fault for stage, engine in engines.items() if isinstance(engine, Supervised)}
        return {stage: fault for stage, fault in faults.items() if fault is not None}

    def chains(self) -> list[tuple[Stage[Any], Chained]]:
        """The engines that stand for several, each once, with their stage."""
        served = {
            id(engine): (stage, engine) for one in self.pipelines.values() for stage, engine in one.engines.items()
        }
        return [(stage, engine) for stage, engine in served.values() if isinstance(engine, Chained)]

    def guarded(self) -> list[Guarded]:
        """The translators that judge what their models write, each once."""
        served = {id(engine): engine for one in self.pipelines.values() for engine in one.engines.values()}
        return [engine for engine in served.values() if isinstance(engine, Guarded)]

    def tick_lag_ms(self) -> float:
        """How late the event loop runs (see `VoiceWorker.tick_lag_ms`): what admission looks at."""
        return max((worker.tick_lag_ms for worker in self._workers), default=0.0)

    async def close(self) -> None:
        """Let go of all models; idempotent."""
        engines, self._engines = self._engines, []
        await _close(engines)
        await self.caches.close()


def _key(spec: EngineSpec) -> tuple[object, ...]:
    # An option that hides itself in its `repr` (a key) must still tell two engines apart: hence not the mapping's own.
    return (spec.name, spec.model, sorted((key, repr(value)) for key, value in spec.options.items()))


async def _open(opening: _Opening, create: Create, report: Callable[[EngineReport], None]) -> None:
    since = time.perf_counter()
    report(opening.tell("opening", since))
    try:
        opening.engine = create(opening.stage, opening.spec)
        if not isinstance(opening.engine, opening.stage.port):
            raise EngineUnavailable(
                f"The engine {opening.name!r} is registered for {opening.stage}, but does not implement {opening.stage.port.__name__}.",
                remedy="Update the package that brings it, or name another engine.",
            )
        await opening.engine.open()
        _check_rate(opening)
    except Exception as error:  # noqa: BLE001 - the engine boundary
        await _close([opening.engine])
        opening.engine = None
        message, remedy = _reason(error, opening)
        report(opening.tell("failed", since, message, remedy, error))
    else:
        report(opening.tell("ready", since, getattr(opening.engine, "notice", "")))


def _check_rate(opening: _Opening) -> None:
    """Raises `EngineUnavailable` for an engine that takes audio and does not say at which rate."""
    info = None if opening.engine is None else opening.engine.info
    if info is not None and opening.stage in (STT, VC, SPEECH) and not MIN_RATE <= info.sample_rate <= MAX_RATE:
        raise EngineUnavailable(
            f"The engine {opening.name!r} declares a sample rate of {info.sample_rate!r} Hz.",
            f"Update the package that brings it: `EngineInfo.sample_rate` is what a {opening.stage} engine takes.",
            code="invalid_engine",
        )


def _reason(error: Exception, opening: _Opening) -> tuple[str, str]:
    if isinstance(error, EngineError):
        return error.message, error.remedy
    logger.error("the %s engine %s cannot be used", opening.stage, opening.name, exc_info=error)
    return f"{type(error).__name__}: {error}", "The log holds the traceback; `parley doctor` checks the installation."


def _unsupported(config: PipelineConfig, opening: _Opening, own: VoiceShelf) -> EngineReport | None:
    """Why this engine cannot serve the pipeline's voice or language."""
    if opening.engine is None:
        return None
    fault = unsupported(opening.stage, opening.name, opening.engine, config, own)
    if fault is None:
        return None
    message, remedy = fault.in_pipeline(config.name), fault.remedy
    return EngineReport(
        opening.stage, opening.name, (config.name,), "failed", message=message, remedy=remedy, error=fault
    )


def _pairs_fault(config: PipelineConfig, opening: _Opening, error: Exception) -> EngineReport:
    """Why nothing is known of what this translator translates: asked for it, it raised."""
    message, remedy = _reason(error, opening)
    return EngineReport(MT, opening.name, (config.name,), "failed", message=message, remedy=remedy, error=error)


async def _close(engines: Iterable[Engine | None]) -> None:
    closing = [engine.close() for engine in engines if engine is not None]
    for outcome in await asyncio.gather(*closing, return_exceptions=True):
        if isinstance(outcome, Exception):
            logger.error("an engine could not be closed", exc_info=outcome)


def unavailable(failed: Sequence[EngineReport]) -> EngineUnavailable:
    """The one error for all that failed. What an engine does not have of a setting is said of the setting, not of a pipeline."""
    if isinstance(failed[0].error, SettingUnsupported):
        return failed[0].error
    message = " ".join(f"The {report.stage} engine {report.name} cannot be used: {report.message}" for report in failed)
    remedy = " ".join(report.remedy for report in failed if report.remedy)
    made = EngineUnavailable(message, remedy, code="engine_unavailable")
    made.__cause__ = failed[0].error
    return made
