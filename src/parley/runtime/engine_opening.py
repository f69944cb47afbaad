"""Opens engines: which of them first, all others at once, each with a report of its progress.

Laws:
- What can be refused without a model is refused first: a voice that a synthesizer knows it does not have, a server that does not answer.
- All other engines open at the same time.
- Nothing raises for an engine: it is reported, and left without `engine`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from parley.audio import processing
from parley.config.layers import ENDPOINT_ENGINES
from parley.config.values import PipelineConfig
from parley.engines.ports import (
    SPEECH,
    STT,
    TTS,
    VC,
    Engine,
    EngineError,
    EngineSpec,
    EngineUnavailable,
    KnowsVoices,
    Makeshift,
    SpeechSynthesizer,
    Stage,
)
from parley.engines.voices.shelf import VoiceShelf
from parley.runtime.engine_caches import Create
from parley.runtime.engine_results import MAX_RATE, MIN_RATE
from parley.runtime.unsupported import unsupported

logger = logging.getLogger(__name__)

HEAD_START_S: Final = 3.0
"""How long engines that load models wait for those that only ask a server, which fail at once where there is none."""


@dataclass(frozen=True, slots=True)
class EngineReport:
    """Where one engine stands. `name` is what the configuration calls it.

    `message` is what it wants said once it is ready, or why it failed; `remedy` what puts that right. `makeshift`: it is ready, and stands
    in for something better (`Makeshift`).
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
    makeshift: bool = False


@dataclass(slots=True)
class EngineOpening:
    """One engine on its way."""

    stage: Stage[Any]
    spec: EngineSpec
    pipelines: list[str] = field(default_factory=list)
    engine: Engine | None = None
    report: EngineReport | None = None

    @property
    def name(self) -> str:
        return f"{self.spec.name}:{self.spec.model}" if self.spec.model else self.spec.name

    @property
    def failed(self) -> bool:
        return self.report is not None and self.report.state == "failed"

    @property
    def asks_a_server(self) -> bool:
        """Whether it opens by asking a server, and loads nothing."""
        if self.spec.name == "auto":  # without an endpoint it may load a model
            return "base_url" in self.spec.options
        return self.spec.name in ENDPOINT_ENGINES.get(self.stage.name, ())

    def tell(
        self,
        state: Literal["opening", "ready", "failed"],
        since: float,
        message: str = "",
        remedy: str = "",
        error: Exception | None = None,
    ) -> EngineReport:
        seconds = time.perf_counter() - since
        engine: Any = self.engine
        makeshift = state == "ready" and isinstance(engine, Makeshift) and engine.makeshift
        self.report = EngineReport(
            self.stage, self.name, tuple(self.pipelines), state, seconds, message, remedy, error, makeshift
        )
        return self.report


def voice_fault(
    config: PipelineConfig, openings: Iterable[EngineOpening], create: Create, own: VoiceShelf
) -> EngineReport | None:
    """Why the pipeline's synthesizer, before it is open, cannot speak with its voice or language; None where it can, or cannot tell yet."""
    opening = next((one for one in openings if one.stage is TTS and config.name in one.pipelines), None)
    if opening is None:
        return None
    try:
        engine: Any = create(TTS, opening.spec)
    except Exception:  # noqa: BLE001 - the engine boundary: it is said when the engine is opened
        return None
    if not (isinstance(engine, SpeechSynthesizer) and isinstance(engine, KnowsVoices) and engine.knows_voices):
        return None
    fault = unsupported(TTS, opening.name, engine, config, own)
    if fault is None:
        return None
    return opening.tell("failed", time.perf_counter(), fault.message, fault.remedy, fault)


async def open_engines(
    openings: Iterable[EngineOpening], create: Create, report: Callable[[EngineReport], None], required: str = ""
) -> None:
    """Open them all. Where a server that the pipeline `required` needs does not answer, nothing is loaded."""
    openings = tuple(openings)
    tasks = {asyncio.ensure_future(_open(one, create, report)) for one in openings if one.asks_a_server}
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=HEAD_START_S)
        if any(one.failed and required in one.pipelines for one in openings):
            return
        tasks |= {asyncio.ensure_future(_open(one, create, report)) for one in openings if not one.asks_a_server}
        # Loaded beside the engines, so that the first session that wants noise reduction does not block the loop.
        await asyncio.gather(asyncio.to_thread(processing.available), *tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _open(opening: EngineOpening, create: Create, report: Callable[[EngineReport], None]) -> None:
    since = time.perf_counter()
    report(opening.tell("opening", since))
    engine: Engine | None = None
    try:
        engine = create(opening.stage, opening.spec)
        if not isinstance(engine, opening.stage.port):
            raise EngineUnavailable(
                f"The engine {opening.name!r} is registered for {opening.stage}, but does not implement {opening.stage.port.__name__}.",
                remedy="Update the package that brings it, or name another engine.",
            )
        await engine.open()
        _check_rate(opening, engine)
    except Exception as error:  # noqa: BLE001 - the engine boundary
        await close_engines([engine])
        message, remedy = reason_of(error, opening)
        report(opening.tell("failed", since, message, remedy, error))
    except BaseException:
        await close_engines([engine])
        raise
    else:
        opening.engine = engine
        report(opening.tell("ready", since, getattr(engine, "notice", "")))


def _check_rate(opening: EngineOpening, engine: Engine) -> None:
    """Raises `EngineUnavailable` for an engine that takes audio and does not say at which rate."""
    rate = engine.info.sample_rate
    if opening.stage in (STT, VC, SPEECH) and not MIN_RATE <= rate <= MAX_RATE:
        raise EngineUnavailable(
            f"The engine {opening.name!r} declares a sample rate of {rate!r} Hz.",
            f"Update the package that brings it: `EngineInfo.sample_rate` is what a {opening.stage} engine takes.",
            code="invalid_engine",
        )


def reason_of(error: Exception, opening: EngineOpening) -> tuple[str, str]:
    if isinstance(error, EngineError):
        return error.message, error.remedy
    logger.error("the %s engine %s cannot be used", opening.stage, opening.name, exc_info=error)
    return f"{type(error).__name__}: {error}", "The log holds the traceback; `parley doctor` checks the installation."


async def close_engines(engines: Iterable[Engine | None]) -> None:
    closing = [engine.close() for engine in engines if engine is not None]
    for outcome in await asyncio.gather(*closing, return_exceptions=True):
        if isinstance(outcome, Exception):
            logger.error("an engine could not be closed", exc_info=outcome)
