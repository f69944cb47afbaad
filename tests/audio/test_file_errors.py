"""What is said of a file that cannot be read: words for each kind, and no number of a library."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from parley.audio.files import AudioFileError, Recording, read, write

TONE = Recording((0.3 * np.sin(np.arange(4 * 24_000) / 10)).astype(np.float32), 24_000)


def reason(path: Path) -> str:
    with pytest.raises(AudioFileError) as caught:
        read(path)
    assert "Errno" not in str(caught.value)
    assert str(caught.value).count(str(path)) == 1
    return caught.value.message.replace(str(path), "FILE")


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".m4a", "an MP4"), (".flac", "a FLAC"), (".ogg", "an Ogg"), (".wav", "a WAV")]
)
def test_a_file_that_is_cut_off_at_its_beginning(tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / f"cut{suffix}"
    write(path, TONE)
    path.write_bytes(path.read_bytes()[:20])
    assert reason(path) == f"FILE is cut off or damaged: it begins as {kind} file, and no sound can be read from it."


def test_a_recording_that_was_interrupted_has_no_index(tmp_path: Path) -> None:
    path = tmp_path / "cut.m4a"
    write(path, TONE)
    data = path.read_bytes()
    assert data.index(b"moov") > len(data) // 2
    path.write_bytes(data[: len(data) * 3 // 4])
    assert reason(path).startswith("FILE is cut off or damaged: it begins as an MP4 file")


def test_a_file_that_breaks_off_says_where(tmp_path: Path) -> None:
    path = tmp_path / "cut.flac"
    write(path, TONE)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    said = reason(path)
    assert said.startswith("FILE breaks off after 1.")
    assert said.endswith(" s: it is cut off or damaged.")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "FILE is empty."),
        (b"These are words,\nnot sounds.\n", "FILE cannot be read as audio: it is a text file."),
        ("\ufeffÜbrigens, 日本".encode() * 400, "FILE cannot be read as audio: it is a text file."),
        (b"\x00\x01\x02" * 500, "FILE cannot be read as audio: it is in a format that is not known."),
        (b"\xfe\x80\x81" * 500, "FILE cannot be read as audio: it is in a format that is not known."),
    ],
)
def test_a_file_that_is_no_recording(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert reason(path) == said
    with pytest.raises(AudioFileError, match=r"the audio (is empty|cannot be read)"):
        read(io.BytesIO(data))


def test_a_video_without_sound(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        track = container.add_stream("mpeg4", rate=10)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10):
            container.mux(track.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(track.encode(None))
    assert reason(path) == "FILE is a video without sound."


def test_a_file_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    with pytest.raises(
        AudioFileError, match=r"none/out\.mp3 cannot be written: No such file or directory\.$"
    ) as caught:
        write(tmp_path / "none" / "out.mp3", TONE)
    assert "Errno" not in str(caught.value)
