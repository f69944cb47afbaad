"""Opens every engine of every configured pipeline, before the first session.

Laws:
- Equal engines are one object, opened once, whatever pipelines name them; all open at the same time.
- A pipeline one of whose engines cannot open is not served, and says which, why and how to fix it; the others are.
- An engine that no served pipeline needs is closed again.

Does not know: how an engine is made (`engines.registry`), nor what a session does with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from parley.config.values import PipelineConfig
from parley.engines import registry
from parley.engines.ports import (
    MT,
    SPEECH,
    TTS,
    VAD,
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
from parley.runtime.engine_opening import (
    EngineOpening,
    EngineReport,
    close_engines,
    open_engines,
    reason_of,
    voice_fault,
)
from parley.runtime.pipeline import LoadedPipeline
from parley.runtime.unsupported import SettingUnsupported, unsupported
from parley.runtime.voice_worker import VoiceWorker

logger = logging.getLogger(__name__)

NO_CACHES = EngineCaches()


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
        required: str = "",
    ) -> LoadedEngines:
        """Open what `configs` name, with `caches` in front of it. `report` hears of each engine's progress; `voices` are the user's own
        (None: those of the usual folder). Never raises for an engine: see `failures`. Where the pipeline `required` ("": none)
        cannot be served for a reason that is known before models are loaded, nothing is loaded."""
        configs = tuple(configs)
        await caches.open()
        shelf = VoiceShelf(voices or VoiceStore())
        create = partial(caches.create, make=create)
        openings: dict[tuple[Stage[Any], str], EngineOpening] = {}
        for config in configs:
            for stage, spec in config.engines.items():
                opening = openings.setdefault((stage, repr(_key(spec))), EngineOpening(stage, spec))
                opening.pipelines.append(config.name)
        try:
            needed = next((config for config in configs if config.name == required), None)
            fault = None if needed is None else voice_fault(needed, openings.values(), create, shelf)
            if fault is None:
                await open_engines(openings.values(), create, report, required)
            else:
                report(fault)
        except BaseException:
            await close_engines(opening.engine for opening in openings.values())
            await caches.close()
            raise
        return await cls._assembled(configs, openings, report, shelf, caches)

    @classmethod
    async def _assembled(
        cls,
        configs: Iterable[PipelineConfig],
        openings: Mapping[tuple[Stage[Any], str], EngineOpening],
        report: Callable[[EngineReport], None],
        own: VoiceShelf,
        caches: EngineCaches,
    ) -> LoadedEngines:
        workers: dict[int, VoiceWorker] = {}
        pipelines: dict[str, LoadedPipeline] = {}
        failures: dict[str, tuple[EngineReport, ...]] = {}
        for config in configs:
            mine = {stage: openings[stage, repr(_key(spec))] for stage, spec in config.engines.items()}
            failed = [one.report for one in mine.values() if one.failed and one.report is not None]
            for fault in filter(None, (_unsupported(config, one, own) for one in mine.values())):
                report(fault)
                failed.append(fault)
            if failed or any(one.engine is None for one in mine.values()):
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
        await close_engines(one.engine for one in opened if one.engine not in needed)
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
        await close_engines(engines)
        await self.caches.close()


def _key(spec: EngineSpec) -> tuple[object, ...]:
    # An option that hides itself in its `repr` (a key) must still tell two engines apart: hence not the mapping's own.
    return (spec.name, spec.model, sorted((key, repr(value)) for key, value in spec.options.items()))


def _unsupported(config: PipelineConfig, opening: EngineOpening, own: VoiceShelf) -> EngineReport | None:
    """Why this engine cannot serve the pipeline's voice or language."""
    if opening.engine is None:
        return None
    fault = unsupported(opening.stage, opening.name, opening.engine, config, own)
    if fault is None:
        return None
    return EngineReport(
        opening.stage, opening.name, (config.name,), "failed", message=fault.message, remedy=fault.remedy, error=fault
    )


def _pairs_fault(config: PipelineConfig, opening: EngineOpening, error: Exception) -> EngineReport:
    """Why nothing is known of what this translator translates: asked for it, it raised."""
    message, remedy = reason_of(error, opening)
    return EngineReport(MT, opening.name, (config.name,), "failed", message=message, remedy=remedy, error=error)


def unavailable(failed: Sequence[EngineReport]) -> EngineUnavailable:
    """The one error for all that failed. What an engine does not have of a setting is said of the setting, not of a pipeline."""
    if isinstance(failed[0].error, SettingUnsupported):
        return failed[0].error
    message = " ".join(f"The {report.stage} engine {report.name} cannot be used: {report.message}" for report in failed)
    remedy = " ".join(report.remedy for report in failed if report.remedy)
    made = EngineUnavailable(message, remedy, code="engine_unavailable")
    made.__cause__ = failed[0].error
    return made
