"""Every part of a session that may be its owner's, in every form, each of which calls `act` when it is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import parley
from parley.core.words.settings import TurnDetection
from parley.engines.ports import (
    ChatEvent,
    ChatRequest,
    Partial,
    PauseContext,
    RecognitionSpec,
    SpeechChunk,
    SpeechRequest,
    Transcript,
)
from parley.library import CallFunction, PauseSeen, Turn
from parley.testing.fakes import (
    FakeModel,
    FakeRecognizer,
    FakeRecognizerStream,
    FakeSynthesizer,
    FakeTurnJudge,
    FakeVoiceActivity,
)
from tests.library.rig import RATE, silence, voice

Act = Callable[[], None]
Samples = NDArray[np.float32]

TALK = np.concatenate([voice(640), silence(1000), voice(640), silence(960), silence(1000)])
"""A question, and a voice over its answer."""

STORY = "One two three four five six seven eight nine ten. " * 2


def tone(words: str) -> NDArray[np.int16]:
    return voice(200 * len(words.split()), RATE)


def loud(frame: Samples) -> bool:
    return bool(np.sqrt(np.mean(frame**2)) > 0.01)


def _engines(act: Act) -> dict[str, dict[str, Any]]:
    class Vad(FakeVoiceActivity):
        def score(self, slots: Any, frames: Any) -> Any:
            act()
            return super().score(slots, frames)

    class Judge(FakeTurnJudge):
        async def judge(self, pause: PauseContext) -> float:
            act()
            return await super().judge(pause)

    class Stream(FakeRecognizerStream):
        async def finish(self) -> Transcript:
            act()
            return await super().finish()

    class Stt(FakeRecognizer):
        def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> Stream:
            return Stream(self, spec, on_partial)

    class Opening(FakeRecognizer):
        def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> FakeRecognizerStream:
            act()
            return super().open_stream(spec, on_partial)

    class Llm(FakeModel):
        async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
            act()
            async for event in super().reply(request):
                yield event

    class Tts(FakeSynthesizer):
        async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
            act()
            async for chunk in super().speak(request):
                yield chunk

    return {
        "vad object": {"vad": Vad()},
        "turn object": {"turn": Judge(1.0)},
        "stt object": {"stt": Stt("hello there", "and then")},
        "stt opening": {"stt": Opening("hello there", "and then")},
        "llm object": {"llm": Llm([STORY])},
        "tts object": {"tts": Tts(word_ms=200)},
    }


def _functions(act: Act) -> dict[str, dict[str, Any]]:
    def vad(frame: Samples) -> float:
        act()
        return loud(frame)

    def vad_generator() -> Generator[float, Samples, None]:
        probability = 0.0
        while True:
            frame = yield probability
            act()
            probability = loud(frame)

    def stt(audio: Samples) -> str:
        act()
        return "hello there"

    async def stt_async(audio: Samples) -> str:
        act()
        return "hello there"

    def stt_generator(audio: Iterator[Samples]) -> Iterator[str]:
        for _ in audio:
            act()
            yield "hello"
        yield "hello there"

    async def stt_async_generator(audio: AsyncIterator[Samples]) -> AsyncIterator[str]:
        async for _ in audio:
            act()
            yield "hello"
        yield "hello there"

    def llm(messages: list[dict[str, Any]]) -> str:
        act()
        return STORY

    def llm_generator(messages: list[dict[str, Any]]) -> Iterator[str]:
        yield "Well. "
        act()
        yield STORY

    async def llm_async(messages: list[dict[str, Any]]) -> str:
        act()
        return STORY

    async def llm_async_generator(messages: list[dict[str, Any]]) -> AsyncIterator[str]:
        yield "Well. "
        act()
        yield STORY

    def tts(text: str) -> NDArray[np.int16]:
        act()
        return tone(text)

    async def tts_async(text: str) -> NDArray[np.int16]:
        act()
        return tone(text)

    def tts_generator(text: str) -> Iterator[NDArray[np.int16]]:
        for word in text.split():
            act()
            yield tone(word)

    async def tts_async_generator(text: str) -> AsyncIterator[NDArray[np.int16]]:
        for word in text.split():
            act()
            yield tone(word)

    return {
        "vad function": {"vad": vad},
        "vad generator": {"vad": vad_generator},
        "stt function": {"stt": stt},
        "stt async": {"stt": stt_async},
        "stt generator": {"stt": stt_generator},
        "stt async generator": {"stt": stt_async_generator},
        "llm function": {"llm": llm},
        "llm generator": {"llm": llm_generator},
        "llm async": {"llm": llm_async},
        "llm async generator": {"llm": llm_async_generator},
        "tts function": {"tts": tts},
        "tts async": {"tts": tts_async},
        "tts generator": {"tts": tts_generator},
        "tts async generator": {"tts": tts_async_generator},
    }


def _judgements(act: Act) -> dict[str, dict[str, Any]]:
    def policy(transcript: str) -> bool:
        act()
        return True

    class Policy(parley.Assistant):
        def turn_ended(self, said: parley.Said) -> tuple[parley.Answer, ...]:
            act()
            return (parley.Answer(),)

        def may_speculate(self, said: parley.Said) -> bool:
            return False

    def endpointing(pause: PauseSeen) -> int:
        act()
        return 500

    class PreRoll:
        def pre_roll_ms(self, detection: TurnDetection, before: tuple[float, ...]) -> int:
            act()
            return 300

    def barge_in(words: str, voice_ms: int) -> bool:
        act()
        return voice_ms > 200

    def chunker(text: str) -> int:
        act()
        return text.find(".") + 1

    def on_first_play(turn: Turn) -> None:
        act()

    return {
        "policy function": {"policy": policy},
        "policy object": {"policy": Policy()},
        "endpointing function": {"endpointing": endpointing},
        "pre_roll object": {"pre_roll": PreRoll()},
        "barge_in function": {"barge_in": barge_in},
        "chunker function": {"chunker": chunker},
        "on_first_play function": {"on_first_play": on_first_play},
    }


def _tools(act: Act) -> dict[str, dict[str, Any]]:
    def look() -> str:
        """Look."""
        act()
        return "seen"

    async def look_async() -> str:
        """Look."""
        act()
        return "seen"

    return {"tool function": {"tools": [look]}, "tool async": {"tools": [look_async]}}


PARTS = [name for group in (_engines, _functions, _judgements, _tools) for name in group(lambda: None)]


def part(name: str, act: Act) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the pipeline and the session are made with, so that this part calls `act`."""
    if (engines := {**_engines(act), **_functions(act)}.get(name)) is not None:
        return {"llm": FakeModel([STORY]), **engines}, {}
    if name.startswith("tool"):
        called = "look" if name == "tool function" else "look_async"

        def model(messages: list[dict[str, Any]]) -> str | CallFunction:
            return STORY if messages[-1]["role"] == "tool" else CallFunction(called)

        return {"llm": model}, _tools(act)[name]
    return {"llm": FakeModel([STORY])}, _judgements(act)[name]
