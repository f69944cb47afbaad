"""Speech as bytes of a file while it is made: every format decodes to what went in, and none waits long with its bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest

from parley.audio.files import read
from parley.audio.stream_encoder import FORMATS, RATE, StreamEncoder

SECONDS = 3
TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(SECONDS * RATE) / RATE)).astype(np.int16)
PIECE = RATE // 10


def pieces(name: str) -> list[bytes]:
    encoder = StreamEncoder(name)
    return [*(encoder.encode(TONE[at : at + PIECE]) for at in range(0, len(TONE), PIECE)), encoder.finish()]


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "pcm"])
def test_what_was_encoded_is_what_is_decoded(name: str) -> None:
    recording = read(io.BytesIO(b"".join(pieces(name))))
    assert recording.seconds == pytest.approx(SECONDS, abs=0.1)
    middle = recording.audio[recording.sample_rate : 2 * recording.sample_rate]
    assert abs(np.argmax(np.abs(np.fft.rfft(middle))) - 440) <= 1
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(8000 / 32768 / np.sqrt(2), rel=0.1)


def test_pcm_is_the_samples() -> None:
    assert b"".join(pieces("pcm")) == TONE.astype("<i2").tobytes()


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_bytes_come_while_the_audio_does(name: str) -> None:
    sent = np.cumsum([len(piece) for piece in pieces(name)])
    half = sent[len(sent) // 2] / sent[-1]
    assert 0.35 < half < 0.65, "half of the file is there when half of the audio is"


@pytest.mark.parametrize("name", list(FORMATS))
def test_no_audio_is_a_file_too(name: str) -> None:
    encoder = StreamEncoder(name)
    data = encoder.encode(TONE[:0]) + encoder.finish()
    if name == "pcm":
        assert data == b""
    else:
        recording = read(io.BytesIO(data))
        assert recording.seconds < 0.15
        assert not np.any(np.abs(recording.audio) > 0.001)


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="'ogg'; there are mp3, opus, aac, flac, wav, pcm"):
        StreamEncoder("ogg")
