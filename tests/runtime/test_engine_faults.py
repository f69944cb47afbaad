"""An engine of a stranger that fails in some way: the client gets the engine's name, the fault and the remedy, other sessions go on."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from parley.core.words.notices import ErrorRaised, ResponseDone
from parley.engines.ports import (
    ChatEvent,
    ChatRequest,
    Partial,
    RecognitionSpec,
    SpeechChunk,
    SpeechRequest,
    TextDelta,
    Transcript,
)
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer
from tests.runtime.rig import Rig, pipeline

SOUND = np.zeros(2400, np.float32)


class Strange(FakeSynthesizer):
    """Gives `chunk` (raises it where it is an exception) where the text says "strange"; speaks otherwise."""

    def __init__(self, chunk: Any) -> None:
        super().__init__()
        self._chunk = chunk

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        async for chunk in super().speak(request):
            yield chunk
            if "strange" in request.text:
                if isinstance(self._chunk, Exception):
                    raise self._chunk
                yield self._chunk


@pytest.mark.parametrize(
    ("chunk", "fault"),
    [
        (SpeechChunk(SOUND.astype(np.float64), 24_000), "gave audio of float64 in the shape [2400]."),
        (SpeechChunk(SOUND.astype(np.int16), 24_000), "gave audio of int16 in the shape [2400]."),
        (SpeechChunk(SOUND.reshape(1, -1), 24_000), "gave audio of float32 in the shape [1, 2400]."),
        (SpeechChunk(SOUND * np.nan, 24_000), "gave audio that holds NaN or infinite values."),
        (SpeechChunk([0.0, 0.1], 24_000), "gave [0.0, 0.1] as audio."),  # type: ignore[arg-type]
        (SpeechChunk(SOUND, 0), "gave a sample rate of 0."),
        (SpeechChunk(SOUND, 24_000.0), "gave a sample rate of 24000.0."),  # type: ignore[arg-type]
        (b"\0\0", r"gave b'\x00\x00'."),
        (None, "gave None."),
        (KeyError("vocoder"), "failed: KeyError. The log has the details."),
        (StopIteration(), "failed: RuntimeError. The log has the details."),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
async def test_audio_that_cannot_be_played_fails_its_reply_by_name_and_no_other_session(chunk: Any, fault: str) -> None:
    pipe = pipeline(llm=FakeModel(["A strange answer."], ["A good answer."]), tts=Strange(chunk))
    failing, other = Rig(pipe), Rig(pipe)
    failing.say("Go on.")
    failed = (await failing.client.heard(ResponseDone)).response
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.code == ("invalid_audio" if "gave" in fault else "engine_error")
    assert failed.error.message.startswith(f"The speech synthesizer 'fake' {fault}")
    other.say("Go on.")
    assert (await other.client.heard(ResponseDone)).response.status == "completed"
    failing.say("Go on.")
    await failing.client.heard(ResponseDone, 2)
    for rig in (failing, other):
        assert rig.client.closed is None
        await rig.over()


class Mute(FakeSynthesizer):
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        for chunk in list[SpeechChunk]():
            yield chunk


async def test_a_synthesizer_that_yields_nothing_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(pipeline(llm=FakeModel(["Good morning."]), tts=Mute()))
    with caplog.at_level(logging.WARNING):
        rig.say("Hello.")
        assert (await rig.client.heard(ResponseDone)).response.status == "completed"
    assert "The speech synthesizer 'fake' gave no audio for 13 characters of text" in caplog.text
    await rig.over()


class Unended(FakeModel):
    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        yield TextDelta("Once upon a time. ")


async def test_a_model_that_ends_without_an_end_is_named() -> None:
    rig = Rig(pipeline(llm=Unended()))
    rig.say("Hello.")
    failed = (await rig.client.heard(ResponseDone)).response
    assert failed.error is not None
    assert failed.error.message == (
        "The language model 'fake' ended its stream in the middle of the reply. A stream of replies ends with one ChatEnd."
    )
    await rig.over()


class Broken(FakeRecognizer):
    """A recogniser that `breaks` when a stream is opened, and whose streams cannot be closed."""

    def __init__(self, breaks: Any) -> None:
        super().__init__("hello there")
        self._breaks = breaks

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> Any:
        if isinstance(self._breaks, Exception):
            raise self._breaks
        return self._breaks


class Unclosable:
    def feed(self, audio: object) -> None:
        raise ValueError("wrong shape")

    async def flush(self) -> Transcript:
        raise AssertionError("it has failed")

    finish = flush

    def close(self) -> None:
        raise RuntimeError("already gone")


@pytest.mark.parametrize(
    ("breaks", "fault"),
    [
        (KeyError("weights"), "failed: KeyError. The log has the details."),
        (Unclosable(), "failed: ValueError. The log has the details."),
        (None, "gave None as a stream, which has no feed(). `open_stream` returns a RecognizerStream at once"),
    ],
    ids=["raises", "neither fed nor closed", "no stream"],
)
async def test_a_recogniser_that_breaks_fails_the_turn_by_name_and_the_session_goes_on(breaks: Any, fault: str) -> None:
    rig = Rig(pipeline(stt=Broken(breaks)))
    rig.speak()
    error = await rig.client.heard(ErrorRaised)
    assert error.message.startswith(f"The speech recogniser 'fake' {fault}")
    rig.say("Then I type.")
    assert (await rig.client.heard(ResponseDone)).response.status == "completed"
    assert rig.client.closed is None
    await rig.over()
