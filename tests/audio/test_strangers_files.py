"""Recordings that somebody has sent: read within bounds, refused with a reason, and never more than their own bytes."""

from __future__ import annotations

import io
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.audio.files import AudioFileError, Recording, read, read_strangers, write

TONE = Recording((0.2 * np.sin(np.arange(9_600) / 10)).astype(np.float32), 48_000)
SUFFIXES = (".wav", ".mp3", ".m4a", ".ogg", ".flac")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("files")
    for suffix in SUFFIXES:
        write(folder / f"tone{suffix}", TONE)
    return {suffix: (folder / f"tone{suffix}").read_bytes() for suffix in SUFFIXES}


def sent(data: bytes, max_seconds: float = 60, max_rate: int = 24_000) -> Recording:
    return read_strangers(io.BytesIO(data), "The file", max_seconds=max_seconds, max_rate=max_rate)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_usual_formats_are_read_no_finer_than_asked_for(files: dict[str, bytes], suffix: str) -> None:
    recording = sent(files[suffix])
    assert recording.seconds == pytest.approx(TONE.seconds, abs=0.06)
    assert recording.sample_rate == (48_000 if suffix == ".wav" else 24_000)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_recording_that_is_too_long_names_the_limit(files: dict[str, bytes], suffix: str) -> None:
    with pytest.raises(AudioFileError, match=r"The file is longer than .*(seconds|minutes)\. Cut it"):
        sent(files[suffix], max_seconds=0.06)


def test_a_script_that_names_other_files_is_not_followed(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other.wav").write_bytes(files[".wav"])
    script = b"ffconcat version 1.0\nfile 'other.wav'\n"
    assert read(io.BytesIO(script)).seconds > 0.1, "FFmpeg follows it where any demuxer may be used"
    with pytest.raises(AudioFileError, match="cannot be read as audio"):
        sent(script)


def test_a_title_in_an_unknown_encoding_does_not_matter(files: dict[str, bytes]) -> None:
    data = files[".m4a"].replace(b"Lavf", b"L\xe4vf")
    assert data != files[".m4a"]
    assert read(io.BytesIO(data)).seconds > 0.1


def test_a_wav_with_samples_of_an_unknown_width_is_refused() -> None:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(4)
        file.setframerate(8_000)
        file.writeframes(bytes(8_000))
    odd = bytearray(data.getvalue())
    odd[34:36] = (40).to_bytes(2, "little")
    odd[32:34] = (5).to_bytes(2, "little")
    with pytest.raises(AudioFileError, match="cannot be decoded"):
        sent(bytes(odd))


@given(
    st.sampled_from(SUFFIXES),
    st.lists(st.tuples(st.integers(0, 3_000), st.sampled_from((0, 1, 0x7F, 0x80, 0xFF))), min_size=1, max_size=12),
    st.none() | st.integers(0, 3_000),
)
def test_whatever_is_sent_is_read_or_refused(
    files: dict[str, bytes], suffix: str, changes: list[tuple[int, int]], cut: int | None
) -> None:
    data = bytearray(files[suffix])
    for place, value in changes:
        data[place % len(data)] = value
    with suppress(AudioFileError):
        recording = sent(bytes(data[:cut]))
        assert recording.audio.ndim == 1
        assert len(recording.audio) <= 60.1 * max(1, recording.sample_rate)
