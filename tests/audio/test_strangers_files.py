"""Recordings that somebody has sent: read within bounds, refused with a reason, and never more than their own bytes."""

from __future__ import annotations

import io
import os
import wave
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.audio import decoding_worker
from parley.audio.file_errors import AudioFileError, AudioTooLong
from parley.audio.files import Recording, read, write
from parley.engines.strangers_audio import open_strangers, read_strangers
from tests.audio.containers import CONTAINERS, HOSTILE, container, mp4_that_says, wav_that_says

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
    with pytest.raises(AudioTooLong, match=r"The file is longer than .*(seconds|minutes)\. Cut it"):
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


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_container_of_speech_is_read(suffix: str) -> None:
    audio = (8_000 * np.sin(np.arange(12_000) / 10)).astype(np.int16)
    recording = sent(container(audio, 24_000, *CONTAINERS[suffix]))
    assert recording.seconds == pytest.approx(0.5, abs=0.12)
    assert np.abs(recording.audio).max() > 0.1


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_asks_for_more_than_it_is_costs_nothing_and_is_refused(kind: str) -> None:
    data = HOSTILE[kind]()
    with pytest.raises(
        AudioFileError,
        match=r"The file (is longer|holds no|cannot be read|is in a format|is cut off|breaks off|is empty|is a video)",
    ):
        sent(data)


def test_sound_that_is_said_to_be_in_another_file_is_not_looked_for_there(tmp_path: Path) -> None:
    other = tmp_path / "secret.raw"
    other.write_bytes(b"\x7f" * 64_000)
    heard = sent(mp4_that_says(samples=100, reference=other.as_uri().encode())).audio
    assert not heard.any(), "that file is loud"


def test_a_container_that_is_as_it_says_is_read() -> None:
    """The hostile ones differ from it in one number."""
    assert sent(mp4_that_says(samples=100)).seconds == pytest.approx(100 / 8_000)


def test_a_wav_is_believed_no_longer_than_it_is() -> None:
    assert sent(wav_that_says(data_bytes=0xFFFFFFF0)).seconds == pytest.approx(0.5)


def test_pictures_are_not_decoded() -> None:
    audio = (8_000 * np.sin(np.arange(12_000) / 10)).astype(np.int16)
    data = container(audio, 24_000, "matroska", "libopus", pictures=3)
    with closing(open_strangers(io.BytesIO(data), "The file", max_seconds=90, max_rate=24_000)) as reading:
        reading.begin()
        assert reading.read() is not None
        status = Path(f"/proc/{reading._child.pid}/status")  # type: ignore[attr-defined]
        if not status.exists():
            pytest.skip("there is no /proc here")
        (peak,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    assert int(peak.split()[1]) < 90_000, "one picture has 50 MB"


def test_closing_ends_the_process_in_the_middle_of_a_file(files: dict[str, bytes]) -> None:
    long = container(np.zeros(24_000 * 60, np.int16), 24_000, "flac", "flac")
    audio = open_strangers(io.BytesIO(long), "The file", max_seconds=90, max_rate=24_000)
    audio.begin()
    assert audio.read() is not None
    child = audio._child  # type: ignore[attr-defined]
    assert child.poll() is None, "it waits for its reader"
    audio.close()
    audio.close()
    assert child.poll() is not None
    assert audio.read() is None


def test_a_long_file_is_read_in_pieces_of_half_a_second(files: dict[str, bytes]) -> None:
    for data in (files[".wav"], container(np.zeros(60_000, np.int16), 24_000, "flac", "flac")):
        with closing(open_strangers(io.BytesIO(data), "The file", max_seconds=90, max_rate=24_000)) as audio:
            audio.begin()
            pieces = []
            while (piece := audio.read()) is not None:
                pieces.append(len(piece) / audio.sample_rate)
        assert max(pieces) <= 0.5


def test_the_process_that_decodes_can_open_nothing_and_knows_no_key(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("resource", reason="Windows has no such limits")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    long = container(np.zeros(24_000 * 60, np.int16), 24_000, "flac", "flac")
    with closing(open_strangers(io.BytesIO(long), "The file", max_seconds=90, max_rate=24_000)) as audio:
        audio.begin()
        process = Path(f"/proc/{audio._child.pid}")  # type: ignore[attr-defined]
        if not process.exists():
            pytest.skip("there is no /proc here")
        assert b"sk-secret" not in (process / "environ").read_bytes()
        limits = {line[:25].strip(): line[25:].split()[0] for line in (process / "limits").read_text().splitlines()}
        assert int(limits["Max open files"]) <= 3
        assert limits["Max file size"] == "0"
        assert int(limits["Max address space"]) <= decoding_worker.MEMORY_BYTES
        assert {os.readlink(one).partition(":")[0] for one in (process / "fd").iterdir()} <= {"pipe", "/dev/null"} | {
            os.readlink(process / "fd" / "0")
        }


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
    data = data[:cut]
    if suffix == ".wav":
        with suppress(AudioFileError):
            recording = sent(bytes(data))
            assert recording.audio.ndim == 1
            assert len(recording.audio) <= 60.1 * max(1, recording.sample_rate)
        return
    said = io.BytesIO()
    decoding_worker.serve(bytes(data), said, 60, 24_000, "The file")
    messages = list(read_messages(said.getvalue()))
    assert messages[-1][0] in (b"E", b"."), "it always says how it ended"
    samples = sum(len(payload) // 4 for kind, payload in messages if kind == b"A")
    assert samples <= 60.1 * 24_000


def read_messages(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    while data:
        kind, length = decoding_worker.HEAD.unpack(data[: decoding_worker.HEAD.size])
        end = decoding_worker.HEAD.size + length
        yield kind, data[decoding_worker.HEAD.size : end]
        data = data[end:]
