"""Stages beyond the usual five in a pipeline of one's own: named, used, refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parley import (
    Failed,
    FrameRefused,
    LibraryError,
    Recording,
    ReplyAudio,
    ReplyEnded,
    VoiceSession,
    convert_voice,
    synthesize,
)
from parley.engines.ports import ConversionSpec, EngineSpec, Samples
from parley.engines.vc import bench
from parley.library import VoiceEvent
from tests.library.rig import RATE, cut, of, pipeline, silence, voice


class Raising(bench.BenchConverter):
    """A converter of the caller's with a bug."""

    def open_stream(self, spec: ConversionSpec) -> bench.BenchConversion:
        raise ZeroDivisionError("no scale")


def spoken(**parts: object) -> tuple[Samples, list[VoiceEvent]]:
    with pipeline(llm=lambda messages: "Good day to you.", **parts) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        events = list(session.run(cut(np.concatenate([voice(600), silence(1_200)]), 480)))
    audio = [event.samples for event in of(ReplyAudio, events)]
    return np.concatenate(audio or [np.zeros(0, np.int16)]).astype(np.float32), events


def test_a_converter_changes_the_voice_and_not_the_length() -> None:
    plain, _ = spoken()
    converted, events = spoken(vc="bench")
    assert of(ReplyEnded, events)[0].turn.answered == "Good day to you."
    assert len(plain) == len(converted) > 0
    assert not np.array_equal(plain, converted)


def test_a_voice_of_the_converter_may_be_asked_for() -> None:
    audio, _ = spoken(vc="bench", voice=bench.VOICE)
    assert len(audio)


def test_voice_conversion_may_be_written_out_and_not_twice() -> None:
    plain, _ = spoken(vc="bench")
    written_out, _ = spoken(voice_conversion="bench")
    assert np.array_equal(plain, written_out)
    with pytest.raises(LibraryError, match="voice_conversion and vc are the same part"):
        pipeline(vc="bench", voice_conversion="bench")


def test_what_is_synthesized_without_a_session_is_converted_too() -> None:
    def said(**options: Any) -> Samples:
        pieces = synthesize("Good day to you. How are you?", tts="hibari", sample_rate=24_000, **options)
        return np.concatenate([piece.samples for piece in pieces]).astype(np.float32)

    plain, other = said(), said(vc=EngineSpec("bench", "", {"latency_ms": 30}))
    assert len(plain) == len(other)
    assert not np.array_equal(plain, other)
    assert np.array_equal(other, said(vc=EngineSpec("bench", "", {"latency_ms": 30}), voice=bench.VOICE))
    with pytest.raises(LibraryError, match=r"no voice 'nobody'.*filtered|no voice 'nobody'"):
        said(vc="bench", voice="nobody")


@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100])
def test_a_recording_is_converted_frame_by_frame_and_keeps_its_length(rate: int) -> None:
    pieces = synthesize("Good day to you.", tts="hibari", sample_rate=rate)
    said = np.concatenate([piece.samples for piece in pieces])
    recording = Recording((said / 32768).astype(np.float32), rate)
    whole = list(convert_voice(recording, to="bench"))
    made = np.concatenate(list(convert_voice(cut(said, 1_001), to="bench", sample_rate=rate)))
    assert len(whole) > 1
    assert len(made) == len(said)
    assert np.abs(made - np.concatenate(whole)).max() < 1e-3
    assert np.abs(made - recording.audio).max() > 0.01


def test_impossible_conversions_are_refused() -> None:
    with pytest.raises(LibraryError, match="without their rate"):
        next(convert_voice([np.zeros(10, np.int16)], to="bench"))
    with pytest.raises(LibraryError, match=r"no voice 'nobody'.*filtered"):
        next(convert_voice([np.zeros(10, np.int16)], to="bench", voice="nobody", sample_rate=16_000))
    with pytest.raises(FrameRefused, match="sample_rate=3"):
        next(convert_voice([np.zeros(10, np.int16)], to="bench", sample_rate=3))
    assert list(convert_voice([], to="bench", sample_rate=16_000)) == []


def test_an_exception_of_a_voice_converter_is_in_the_event() -> None:
    _, events = spoken(vc=Raising(20, 0))
    (failed,) = of(Failed, events)
    assert failed.part == "vc"
    assert isinstance(failed.error, Exception)
    assert isinstance(failed.error.__cause__, ZeroDivisionError)


def test_a_stage_that_does_not_exist_and_one_that_is_needed_are_named() -> None:
    with pytest.raises(LibraryError, match=r"no stage 'vcc'.*vad, turn, stt, llm, tts, mt, vc, speech"):
        pipeline(vcc="bench")
    with pytest.raises(LibraryError, match="needs an engine for stt"):
        pipeline(stt=None)
    with pytest.raises(LibraryError, match=r"lacks.*translate"):
        pipeline(mt=object())
