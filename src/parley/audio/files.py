"""Audio files in and out: WAV through the standard library, every other container through PyAV.

Laws:
- Files are read as mono float32 at their own rate; more channels are averaged.
- PyAV is loaded only for a file that is not plain PCM WAV.
- A file is read whole, so its length is bounded (`MAX_SECONDS`).
- Does not know: files of strangers (`engines/strangers_audio.py`). FFmpeg opens further files, by path or URL, that some containers name.
"""

from __future__ import annotations

import io
import os
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from parley.audio import pcm
from parley.audio.av_decoding import decoded
from parley.audio.file_errors import AudioFileError as AudioFileError
from parley.audio.file_errors import AudioTooLong as AudioTooLong
from parley.audio.types import Samples
from parley.audio.wav_files import find_sound

MAX_SECONDS = 4 * 3600
"""Longest file read into memory: four hours, about 700 MB as 48 kHz float32 twice over; longer ones should be streamed."""

_CODECS: Final = {
    ".flac": "flac",
    ".ogg": "libopus",
    ".opus": "libopus",
    ".mp3": "libmp3lame",
    ".m4a": "aac",
    ".mp4": "aac",
}
SUFFIXES: Final = (".wav", *_CODECS)
"""Of the files that can be written."""

_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


@dataclass(frozen=True, slots=True)
class Recording:
    """Mono audio `[n]` float32 at `sample_rate` Hz."""

    audio: Samples
    sample_rate: int

    @property
    def seconds(self) -> float:
        return len(self.audio) / self.sample_rate


def read(source: str | os.PathLike[str] | BinaryIO) -> Recording:
    """Read a whole file of any common container, or an open binary stream that can seek. Raises `AudioFileError`, `OSError`."""
    if isinstance(source, str | os.PathLike):
        with Path(source).open("rb") as stream:
            return _read_stream(stream, str(source))
    return _read_stream(source, getattr(source, "name", "the audio"))


def write(path: str | os.PathLike[str], recording: Recording) -> None:
    """Write a file whose format follows from its suffix: .wav (16 bit), .flac, .ogg and .opus (Opus), .mp3, .m4a."""
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix == ".wav":
        with target.open("wb") as file:
            _write_wav(file, recording)
    elif suffix in _CODECS:
        _write_av(target, recording, _CODECS[suffix])
    else:
        raise unknown_suffix(target)


def unknown_suffix(path: Path) -> AudioFileError:
    """The error for a file that cannot be written because its suffix is none of `SUFFIXES`."""
    return AudioFileError(f"The ending of {path} names no format.", f"Use one of {', '.join(SUFFIXES)}.")


def to_wav(recording: Recording) -> bytes:
    """The bytes of a 16-bit WAV file."""
    made = io.BytesIO()
    _write_wav(made, recording)
    return made.getvalue()


def _write_wav(file: BinaryIO, recording: Recording) -> None:
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(recording.sample_rate)
        wav.writeframes(pcm.to_bytes(recording.audio))


def _read_stream(stream: BinaryIO, name: str) -> Recording:
    start = stream.tell()
    try:
        sound = find_sound(stream)
    except (wave.Error, EOFError):
        stream.seek(start)
        return _read_av(stream, name)
    if sound.seconds > MAX_SECONDS:
        raise AudioTooLong.than(MAX_SECONDS, name)
    stream.seek(sound.begins)
    return Recording(sound.decode(stream.read(sound.count * sound.channels * sound.width)), sound.rate)


def _read_av(stream: BinaryIO, name: str) -> Recording:
    pieces = [(rate, bytes(samples)) for rate, samples in decoded(stream, name, max_seconds=MAX_SECONDS)]
    audio = np.frombuffer(b"".join(samples for _, samples in pieces), np.float32)
    return Recording(audio, pieces[0][0])


def _write_av(target: Path, recording: Recording, codec: str) -> None:
    import av

    if codec == "libopus" and recording.sample_rate not in _OPUS_RATES:
        raise AudioFileError(
            f"Opus cannot carry {recording.sample_rate} Hz.", f"Resample to one of {_OPUS_RATES} first."
        )
    try:
        with av.open(str(target), mode="w") as container:
            track = container.add_stream(codec, rate=recording.sample_rate, layout="mono")
            assert isinstance(track, av.AudioStream)
            samples = pcm.to_int16(recording.audio).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate = recording.sample_rate
            frame.pts = 0
            resampler = av.AudioResampler(format=track.format, layout="mono", rate=recording.sample_rate)
            fifo = av.AudioFifo()
            for converted in resampler.resample(frame):
                fifo.write(converted)
            while (piece := fifo.read(track.frame_size or 4096, partial=True)) is not None:
                container.mux(track.encode(piece))
            container.mux(track.encode(None))
    except av.error.FFmpegError as error:
        raise AudioFileError(f"{target} cannot be written: {error.strerror}.") from error
