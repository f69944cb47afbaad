"""Frames in: their types, their rates, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parley.library import FrameRefused, Recording, VoiceSession
from parley.library.frame_reader import FrameReader
from tests.library.rig import RATE, pipeline, voice

CHUNK = 768


def chunks(reader: FrameReader, *frames: Any) -> bytes:
    made = [chunk for frame in frames for chunk in reader.push(frame)]
    assert all(len(chunk) == 2 * CHUNK for chunk in made)
    return b"".join([*made, *reader.finish()])


def test_every_type_of_frame_gives_the_same_samples() -> None:
    audio = voice(100)
    as_float = (audio / 32768).astype(np.float32)
    expected = audio.tobytes()
    for frame in (audio, as_float, expected, Recording(as_float, RATE)):
        reader = FrameReader(RATE, CHUNK)
        assert chunks(reader, frame) == expected
        assert reader.taken == len(audio)


def test_a_mix_of_types_is_one_stream() -> None:
    audio = voice(100)
    whole = chunks(FrameReader(16_000, CHUNK), audio)
    mixed = chunks(FrameReader(16_000, CHUNK), audio[:1000], audio[1000:1001].tobytes(), audio[1001:], audio[:0])
    assert whole == mixed
    assert len(whole) // 2 == len(audio) * 24 // 16


def test_loud_floats_are_clipped_not_wrapped() -> None:
    loud = np.array([2.0, -2.0] * 600, np.float32)
    samples = np.frombuffer(chunks(FrameReader(RATE, CHUNK), loud), "<i2")
    assert set(samples.tolist()) == {32767, -32768}


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (np.zeros((100, 2), np.int16), r"shape \[n\], not \[100, 2\]"),
        (np.zeros(100, np.int32), "not int32"),
        (np.zeros(100, np.float64), "not float64"),
        (np.full(10, np.nan, np.float32), "samples that are not finite"),
        (b"\0\0\0", "3 bytes cuts"),
        ([1, 2, 3], "not list"),
        (Recording(np.zeros(10, np.float32), 8_000), "has 8000 Hz, the session expects 24000"),
    ],
)
def test_what_is_no_mono_audio_at_this_rate_is_refused_and_nothing_is_taken(frame: Any, what: str) -> None:
    with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        with pytest.raises(FrameRefused, match=what):
            session.step(frame)
        assert session.samples_taken == 0
        assert session.step(voice(10)) == []


@pytest.mark.parametrize("rate", [0, -1, 3999, 10**6])
def test_an_impossible_rate_is_refused(rate: int) -> None:
    with pytest.raises(FrameRefused, match=f"{rate} Hz"):
        VoiceSession(pipeline(), sample_rate=rate)
