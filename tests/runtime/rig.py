"""A session on fakes, driven for real, and a client that keeps what it was sent and can wait for more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import numpy as np

from parley.config.values import PipelineConfig
from parley.core.policy.policy import Policy
from parley.core.session import Session
from parley.core.spec import SessionSpec
from parley.core.words.effects import CloseReason
from parley.core.words.events import AudioArrived, ItemCreateRequested, ResponseRequested
from parley.core.words.ids import ItemId
from parley.core.words.items import InputText, Message
from parley.core.words.notices import Notice
from parley.core.words.settings import OwnerSettings, Settings
from parley.engines.ports import (
    LLM,
    STT,
    TTS,
    TURN,
    VAD,
    Engine,
    EngineSet,
    EngineSpec,
    SpeechRecognizer,
    Stage,
    VoiceActivityModel,
    stages,
)
from parley.runtime.driver import Driver, Watcher
from parley.runtime.listeners import Listener
from parley.runtime.metrics import Metrics
from parley.runtime.perform import Loudspeaker
from parley.runtime.pipeline import LoadedPipeline
from parley.runtime.session_engines import Pipelines
from parley.runtime.trace import Trace
from parley.runtime.turn_reports import TurnReports
from parley.runtime.voice_worker import VoiceWorker
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, FakeTurnJudge, FakeVoiceActivity

N = TypeVar("N")

WAIT_S = 10.0
"""No wait of these tests takes longer on a busy machine; one that does has failed."""


def pipeline_config(name: str = "test", **fields: Any) -> PipelineConfig:
    """A configuration of fakes; `fields` are those of `PipelineConfig`, and specifications of engines by the name of their stage."""
    known = {stage.name: stage for stage in stages()}
    engines = {stage: EngineSpec("fake") for stage in (VAD, TURN, STT, LLM, TTS)}
    engines |= {known[name]: fields.pop(name) for name in list(fields) if name in known}
    values: dict[str, Any] = {
        "engines": engines,
        "voice": "alloy",
        "instructions": "Be brief.",
        "language": "en",
        "speculation": False,
        "speculate_after_ms": 200,
        "barge_in": "immediate",
        "context_tokens": 8192,
        "compaction": False,
        "lag": "normal",
        "original_volume": None,
        "same_language": "silent",
        "terms": (),
    }
    return PipelineConfig(name=name, **(values | fields))


def pipeline(
    *,
    vad: VoiceActivityModel | None = None,
    turn: FakeTurnJudge | None = None,
    stt: SpeechRecognizer | None = None,
    llm: FakeModel | None = None,
    tts: FakeSynthesizer | None = None,
    **fields: Any,
) -> LoadedPipeline:
    config, voice = pipeline_config(**fields), vad or FakeVoiceActivity()
    engines: dict[Stage[Any], Engine] = {
        VAD: voice,
        TURN: turn or FakeTurnJudge(),
        STT: stt or FakeRecognizer("hello there"),
        LLM: llm or FakeModel(),
        TTS: tts or FakeSynthesizer(),
    }
    return LoadedPipeline(config.name, EngineSet(engines), VoiceWorker(voice), config)


class Client:
    """What one client is sent. `heard()` waits for a notice of a kind."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.closed: CloseReason | None = None
        self.reaction: Callable[[Notice], None] = lambda _: None
        self._news = asyncio.Event()

    def on_notice(self, notice: Notice) -> None:
        self.notices.append(notice)
        self._news.set()
        self.reaction(notice)

    def on_close(self, reason: CloseReason) -> None:
        self.closed = reason
        self._news.set()

    def all(self, kind: type[N]) -> list[N]:
        return [notice for notice in self.notices if isinstance(notice, kind)]

    async def heard(self, kind: type[N], count: int = 1) -> N:
        """The `count`-th notice of this kind."""
        await self.until(lambda: len(self.all(kind)) >= count)
        return self.all(kind)[count - 1]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._news.clear()
                await self._news.wait()


class Rig:
    """One session: its driver, its client, and what drives it."""

    def __init__(
        self,
        pipe: LoadedPipeline,
        *,
        settings: Settings | None = None,
        owner: OwnerSettings | None = None,
        trace: Callable[[SessionSpec, str], Trace] | None = None,
        metrics: Metrics | None = None,
        session: type[Session] = Session,
        seed: bytes = b"seed",
        clock: Callable[[], int] = time.monotonic_ns,
        playback: Literal["remote", "paced"] = "remote",
        loudspeaker: Loudspeaker | None = None,
        pipelines: Pipelines | None = None,
        listeners: Sequence[Listener] = (),
        policy: Policy | None = None,
    ) -> None:
        self.client = Client()
        spec = SessionSpec(
            seed,
            settings or pipe.default_settings("realtime", "test"),
            owner or pipe.owner_settings(),
            pipe.capabilities(),
            playback,
            clock(),
            policy,
        )
        made = session(spec)
        self.trace = trace(spec, made.id) if trace is not None else None
        watchers: list[Watcher] = [] if self.trace is None else [self.trace]
        all_listeners: list[Listener] = [self.client, *listeners]
        if metrics is not None:
            measured = metrics.session(pipe.name, made)
            watchers.append(measured)
            all_listeners.append(TurnReports(measured.account, self.client))
        self.driver = Driver(
            made,
            pipe,
            all_listeners,
            watchers=watchers,
            clock=clock,
            loudspeaker=loudspeaker,
            pipelines=pipelines,
        )
        self.driver.start()

    def say(self, text: str) -> None:
        """A typed turn that asks for a reply."""
        self.driver.post(ItemCreateRequested(Message(ItemId(""), "user", (InputText(text),))))
        self.driver.post(ResponseRequested())

    def speak(self, *, ms: int = 600, silence_ms: int = 1000) -> None:
        """A spoken turn, pushed at once: a tone, then silence."""
        times = np.arange(24 * ms) / 24_000
        tone = (8000 * np.sin(2 * np.pi * 300 * times)).astype("<i2")
        self.hear(bytes(48 * 200) + tone.tobytes() + bytes(48 * silence_ms))

    def hear(self, audio: bytes) -> None:
        """Push audio at once, in frames of 20 ms."""
        for at in range(0, len(audio), 960):
            self.driver.post(AudioArrived(audio[at : at + 960]))

    async def over(self) -> None:
        """End it as a lost link does, and wait until nothing runs for it."""
        self.driver.shut("test")
        async with asyncio.timeout(WAIT_S):
            await self.driver.closed.wait()


async def settled(condition: Callable[[], bool]) -> None:
    """Let the event loop run until something that is announced nowhere has come true."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0)
