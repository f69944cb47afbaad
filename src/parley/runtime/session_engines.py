"""The pipeline that one session uses, and the one it may go on with.

Laws: the server finds a pipeline (`Pipelines`), the core decides whether the session uses it; engines stay open and shared, only the
session's streams are made anew. The session knows the user's own voices that were there when it began with the pipeline; the one that it
speaks with at first is made ready at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from parley.core.words.effects import FindPipeline
from parley.core.words.errors import Fault
from parley.core.words.pipeline_events import PipelineFound, PipelineNotFound
from parley.core.words.settings import Capabilities, OwnerSettings, SessionKind
from parley.engines.ports import SPEECH, STT, TTS, TURN, EngineError, EngineSet
from parley.engines.voices.answering import OwnVoiceModel
from parley.engines.voices.speaking import OwnVoiceSynthesizer
from parley.runtime.generation.attempts import Generations
from parley.runtime.inbox import Inbox
from parley.runtime.listening import Listening
from parley.runtime.pipeline import LoadedPipeline

NO_OTHER = Fault("invalid_value", "This session has one pipeline; its model cannot be changed.")


class Pipelines(Protocol):
    """The pipelines that a session may go on with."""

    def find(self, model: str) -> LoadedPipeline | Fault:
        """The pipeline that serves `model`, or why none does."""
        ...

    def terms(self, pipeline: LoadedPipeline) -> tuple[OwnerSettings, Capabilities]:
        """How sessions of this pipeline behave, and what they can do."""
        ...


class SessionEngines:
    """One session's engines. What they produce, and the answer to `find`, goes to `inbox`; `clock` and `sleep` as the driver has them.
    `voice` is the session's at this moment."""

    __slots__ = ("_clock", "_found", "_inbox", "_pipelines", "_preparing", "_sleep", "_voice")

    def __init__(
        self,
        pipeline: LoadedPipeline,
        pipelines: Pipelines | None,
        inbox: Inbox,
        *,
        clock: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]],
        voice: Callable[[], str] = str,
    ) -> None:
        self._found = pipeline
        self._pipelines = pipelines
        self._inbox = inbox
        self._clock = clock
        self._sleep = sleep
        self._voice = voice
        self._preparing: set[asyncio.Task[None]] = set()

    def find(self, effect: FindPipeline) -> None:
        self._inbox.post(self._answer(effect.model, effect.kind))

    def _answer(self, model: str, kind: SessionKind) -> PipelineFound | PipelineNotFound:
        if self._pipelines is None:
            return PipelineNotFound(NO_OTHER)
        pipeline = self._pipelines.find(model)
        if isinstance(pipeline, Fault):
            return PipelineNotFound(pipeline)
        self._found = pipeline
        owner, capabilities = self._pipelines.terms(pipeline)
        return PipelineFound(pipeline.name, pipeline.default_settings(kind, model), owner, capabilities)

    def use(self) -> tuple[Listening, Generations]:
        found, inbox = self._found, self._inbox
        voice = found.voice.stream(inbox.post, inbox.voice_failed)
        listening = Listening(voice, found.engines.find(TURN), found.engines[STT], inbox.post)
        engines = found.speaking()
        self._prepare(engines)
        generations = Generations(engines, inbox.post, cutter=found.cutter, clock=self._clock, sleep=self._sleep)
        return listening, generations

    def _prepare(self, engines: EngineSet) -> None:
        """Have an own voice read, and cloned where that was not done yet, before the first clause waits for it."""
        voice = self._voice()
        for engine in (engines.find(SPEECH), engines.find(TTS)):
            if voice and isinstance(engine, OwnVoiceSynthesizer | OwnVoiceModel):
                task = asyncio.ensure_future(_prepared(engine, voice))
                self._preparing.add(task)
                task.add_done_callback(self._preparing.discard)


async def _prepared(engine: OwnVoiceSynthesizer | OwnVoiceModel, voice: str) -> None:
    # Whoever speaks meets the same error, and says so.
    with contextlib.suppress(EngineError):
        await engine.prepared(voice)
