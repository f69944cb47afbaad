"""Scripted engines, for tests of programs built on Parley.

Laws: they implement the ports of `engines.ports` and nothing more; they wait only where the script says so (`Pause` sleeps on the event
loop's clock, `Hold` until its event is set), load nothing, and record their requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from parley.engines.ports import (
    ChatEnd,
    ChatEvent,
    ChatRequest,
    EngineInfo,
    Partial,
    PauseContext,
    RecognitionSpec,
    Samples,
    SpeechChunk,
    SpeechRequest,
    TextDelta,
    ToolCallDelta,
    Transcript,
    Word,
)


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for `seconds` on the event loop's clock."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait until `event` is set; `reached` is set when the script arrives here."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def pass_through(self) -> None:
        self.reached.set()
        await self.event.wait()


class _Opened:
    """Opens and closes at once and counts both."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0

    async def open(self) -> None:
        self.opened += 1

    async def close(self) -> None:
        self.closed += 1


class FakeVoiceActivity(_Opened):
    """Takes loud audio for voice: a frame with a root mean square over `loudness` scores 1, any other 0."""

    frame_samples = 512

    def __init__(self, loudness: float = 0.01) -> None:
        super().__init__()
        self.loudness = loudness
        self.slots: set[int] = set()
        self.batches: list[int] = []
        self.error: Exception | None = None

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("vad", "fake", "Takes loud audio for voice.", sample_rate=16_000, batch=64)

    def allocate(self) -> int:
        slot = next(number for number in range(len(self.slots) + 1) if number not in self.slots)
        self.slots.add(slot)
        return slot

    def release(self, slot: int) -> None:
        self.slots.remove(slot)

    def reset(self, slot: int) -> None:
        assert slot in self.slots

    def score(self, slots: Sequence[int], frames: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.error is not None:
            raise self.error
        self.batches.append(len(slots))
        loud: NDArray[np.float32] = (np.sqrt(np.mean(frames**2, axis=1)) > self.loudness).astype(np.float32)
        return loud


class FakeTurnJudge(_Opened):
    """Answers `finished` to every pause, or raises it."""

    def __init__(self, finished: float | Exception = 1.0) -> None:
        super().__init__()
        self.finished = finished
        self.asked: list[PauseContext] = []

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("turn", "fake", "Gives one answer to every pause.", sample_rate=16_000)

    async def judge(self, pause: PauseContext) -> float:
        self.asked.append(pause)
        if isinstance(self.finished, Exception):
            raise self.finished
        return self.finished


Answer = Transcript | str | Exception | Hold | Pause


class FakeRecognizer(_Opened):
    """Gives the scripted answers, one for each `flush` and `finish`, then `""`.

    A `Hold` or `Pause` in the script comes before the answer behind it. `streams` are all streams that were opened, each with its `spec`.
    """

    def __init__(self, *answers: Answer, sample_rate: int = 16_000, feed_error: Exception | None = None) -> None:
        super().__init__()
        self.answers = list(answers)
        self.streams: list[FakeRecognizerStream] = []
        self.feed_error = feed_error
        self._sample_rate = sample_rate

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            "stt",
            "fake",
            "Gives scripted transcripts.",
            sample_rate=self._sample_rate,
            logprobs=True,
            prompts=True,
            keywords=True,
            temperature=True,
        )

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> FakeRecognizerStream:
        stream = FakeRecognizerStream(self, spec, on_partial)
        self.streams.append(stream)
        return stream


class FakeRecognizerStream:
    """The stream of one turn; `audio` is what was fed, `say()` sends a partial."""

    def __init__(
        self, recognizer: FakeRecognizer, spec: RecognitionSpec, on_partial: Callable[[Partial], None]
    ) -> None:
        self.spec = spec
        self.closed = False
        self.calls: list[str] = []
        self.fed: list[Samples] = []
        self._recognizer = recognizer
        self._on_partial = on_partial

    @property
    def audio(self) -> Samples:
        return np.concatenate(self.fed) if self.fed else np.empty(0, np.float32)

    def say(self, text: str, stable: str = "", end_of_turn: float | None = None) -> None:
        self._on_partial(Partial(text, stable, end_of_turn))

    def feed(self, audio: Samples) -> None:
        if self._recognizer.feed_error is not None:
            raise self._recognizer.feed_error
        self.fed.append(audio)

    async def flush(self) -> Transcript:
        self.calls.append("flush")
        return await self._answer()

    async def finish(self) -> Transcript:
        self.calls.append("finish")
        return await self._answer()

    async def _answer(self) -> Transcript:
        while self._recognizer.answers:
            match self._recognizer.answers.pop(0):
                case Hold() as hold:
                    await hold.pass_through()
                case Pause(seconds=seconds):
                    await asyncio.sleep(seconds)
                case Exception() as error:
                    raise error
                case str(text):
                    return Transcript(text)
                case Transcript() as transcript:
                    return transcript
        return Transcript("")

    def close(self) -> None:
        self.closed = True


Written = str | ToolCallDelta | ChatEnd | Exception | Hold | Pause


class FakeModel(_Opened):
    """Writes the scripted replies, one for each request, the last one again and again; a reply without a `ChatEnd` gets one.

    `cut=True` leaves that end out, as a broken connection does. `requests` are all its requests; `running` counts open streams.
    """

    def __init__(self, *replies: Sequence[Written], cut: bool = False, images: bool = False) -> None:
        super().__init__()
        self.replies = [list(reply) for reply in replies] or [["All right."]]
        self.cut = cut
        self.requests: list[ChatRequest] = []
        self.running = 0
        self._images = images

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("llm", "fake", "Writes scripted replies.", images=self._images)

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        script = self.replies[min(len(self.requests), len(self.replies) - 1)]
        self.requests.append(request)
        self.running += 1
        try:
            for one in script:
                match one:
                    case str():
                        yield TextDelta(one)
                    case Hold():
                        await one.pass_through()
                    case Pause():
                        await asyncio.sleep(one.seconds)
                    case Exception():
                        raise one
                    case ToolCallDelta():
                        yield one
                    case ChatEnd():
                        yield one
                        return
            if not self.cut:
                yield ChatEnd("stop")
        finally:
            self.running -= 1


class FakeSynthesizer(_Opened):
    """Speaks `word_ms` for each word, one chunk each, a tone, with word timings if `timed`.

    `script` maps a word to what happens before it: an exception, a `Hold` or a `Pause`. `requests` are all its requests;
    `running` counts open streams.
    """

    def __init__(
        self,
        *,
        word_ms: int = 100,
        sample_rate: int = 24_000,
        timed: bool = True,
        voices: tuple[str, ...] = ("alloy", "marin"),
        normalizes: bool = True,
        script: dict[str, Exception | Hold | Pause] | None = None,
    ) -> None:
        super().__init__()
        self._normalizes = normalizes
        self.word_ms = word_ms
        self.timed = timed
        self.script = script or {}
        self.requests: list[SpeechRequest] = []
        self.running = 0
        self._sample_rate = sample_rate
        self._voices = voices

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="tts",
            name="fake",
            summary="A tone for each word.",
            sample_rate=self._sample_rate,
            voices=self._voices,
            normalizes=self._normalizes,
        )

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        return voice if voice in self._voices else None

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        self.requests.append(request)
        self.running += 1
        times = np.arange(self._sample_rate * self.word_ms // 1000, dtype=np.float32) / self._sample_rate
        tone = (0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
        words: list[Word] = []
        try:
            for index, text in enumerate(request.text.split()):
                match self.script.get(text):
                    case Hold() as hold:
                        await hold.pass_through()
                    case Pause(seconds=seconds):
                        await asyncio.sleep(seconds)
                    case Exception() as error:
                        raise error
                    case None:
                        pass
                words.append(Word(text, index * self.word_ms, (index + 1) * self.word_ms))
                yield SpeechChunk(tone, self._sample_rate, tuple(words) if self.timed else ())
        finally:
            self.running -= 1
