"""Audio files in and out: WAV through the standard library, every other container through PyAV.

Laws:
- Files are read as mono float32 at their own rate; more channels are averaged.
- PyAV is loaded only for a file that is not plain PCM WAV.
- A file is read whole, so its length is bounded (`MAX_SECONDS`).
- A file of a stranger is read by the demuxers of `STRANGERS_FORMATS` alone: others open further files, by path or URL, that it names.
"""

from __future__ import annotations

import io
import os
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from parley.audio import pcm
from parley.audio.types import Samples
from parley.errors import ParleyError

MAX_SECONDS = 4 * 3600
"""Longest file read into memory: four hours, about 700 MB as 48 kHz float32 twice over; longer ones should be streamed."""

MAX_WAV_HEAD = 1024 * 1024
"""The samples of a WAV must begin within so many bytes: titles and pictures take less; PyAV reads a file with more before them."""

STRANGERS_FORMATS = "wav,w64,aiff,au,caf,flac,mp3,ogg,matroska,mov,aac,ac3,amr,asf,avi,mpeg,mpegts,flv"
"""FFmpeg's demuxers of single files: no playlist (HLS, DASH), no `concat` script."""

_CODECS = {".flac": "flac", ".ogg": "libopus", ".opus": "libopus", ".mp3": "libmp3lame", ".m4a": "aac", ".mp4": "aac"}
SUFFIXES = (".wav", *_CODECS)
"""Of the files that can be written."""

_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


class AudioFileError(ParleyError, ValueError):
    """A file cannot be read or written as audio."""


class AudioTooLong(AudioFileError):
    """A file holds more audio than its reader takes."""


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


def read_strangers(stream: BinaryIO, name: str, *, max_seconds: float, max_rate: int) -> Recording:
    """Read what somebody has sent: at most `max_seconds`, at `max_rate` Hz or less, and nothing but the bytes themselves. Raises
    `AudioFileError`; one that says that the file is too long names the limit."""
    stream.seek(0)
    return _read_stream(stream, name, _Bounds(max_seconds, max_rate, STRANGERS_FORMATS))


@dataclass(frozen=True, slots=True)
class _Bounds:
    """`max_rate` 0: any; `formats` "": all that PyAV has."""

    max_seconds: float = MAX_SECONDS
    max_rate: int = 0
    formats: str = ""

    def check(self, seconds: float, name: str) -> None:
        if seconds > self.max_seconds:
            raise AudioTooLong(f"{name} is longer than {_duration(self.max_seconds)}.", "Cut it into pieces first.")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} seconds"
    return f"{seconds / 3600:g} hours" if seconds >= 3600 else f"{seconds / 60:g} minutes"


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
        raise AudioFileError(f"The suffix of {target.name} names no format.", f"Use one of .wav, {', '.join(_CODECS)}.")


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


def _read_stream(stream: BinaryIO, name: str, bounds: _Bounds = _Bounds()) -> Recording:
    start = stream.tell()
    size = stream.seek(0, os.SEEK_END) - start
    stream.seek(start)
    try:
        return _read_wav(stream, start, size, name, bounds)
    except (wave.Error, EOFError):
        stream.seek(start)
        return _read_av(stream, name, bounds)


def _read_wav(stream: BinaryIO, start: int, size: int, name: str, bounds: _Bounds) -> Recording:
    """Plain PCM, by the format that its header names. Raises `wave.Error`, `EOFError` for anything else."""
    head = stream.read(MAX_WAV_HEAD)
    riff_bytes = int.from_bytes(head[4:8], "little")
    header = io.BytesIO(head[:4] + b"\xff\xff\xff\xff" + head[8:])  # whatever length it names, its chunks can be read
    with wave.open(header) as wav:
        rate, channels, width, count = wav.getframerate(), wav.getnchannels(), wav.getsampwidth(), wav.getnframes()
        data_at = header.tell()
    left = (size - data_at) // (channels * width)
    # A program that writes to a pipe does not know the length: it writes none, or the largest possible.
    unknown = count == 0 and riff_bytes + 8 != size
    count = left if unknown else min(count, left)
    bounds.check(count / rate if rate else 0.0, name)
    stream.seek(start + data_at)
    data = stream.read(count * channels * width)
    data = data[: len(data) // (width * channels) * width * channels]
    match width:
        case 1:
            audio = (np.frombuffer(data, dtype=np.uint8).astype(np.float32) - 128.0) / 128.0
        case 2:
            audio = pcm.to_float(data)
        case 3:
            packed = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
            wide = np.zeros((packed.shape[0], 4), dtype=np.uint8)
            wide[:, 1:] = packed
            audio = wide.view("<i4")[:, 0].astype(np.float32) / 2147483648.0
        case 4:
            audio = np.frombuffer(data, dtype="<i4").astype(np.float32) / 2147483648.0
        case _:
            raise wave.Error(f"samples of {width} bytes")
    return Recording(_to_mono(audio.astype(np.float32, copy=False), channels), rate)


def _to_mono(interleaved: Samples, channels: int) -> Samples:
    if channels == 1:
        return interleaved
    mono: Samples = interleaved.reshape(-1, channels).mean(axis=1, dtype=np.float32)
    return mono


def _read_av(stream: BinaryIO, name: str, bounds: _Bounds) -> Recording:
    import av

    try:
        limits = {"format_whitelist": bounds.formats, "protocol_whitelist": "pipe"} if bounds.formats else {}
        # Titles are in any encoding; nothing here reads them.
        with av.open(stream, mode="r", options=limits, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise AudioFileError(f"{name} holds no audio track.")
            rate: int = getattr(container.streams.audio[0], "rate", 0)  # a track without a decoder has none
            if not rate:
                raise AudioFileError(f"{name} is in a format that cannot be decoded here.")
            rate = min(rate, bounds.max_rate) if bounds.max_rate else rate
            to_mono = av.AudioResampler(format="flt", layout="mono", rate=rate)
            parts: list[Samples] = []
            total = 0
            for frame in container.decode(audio=0):
                for mono in to_mono.resample(frame):
                    parts.append(mono.to_ndarray()[0])
                    total += parts[-1].shape[0]
                bounds.check(total / rate, name)
            parts.extend(mono.to_ndarray()[0] for mono in to_mono.resample(None))
    except AudioFileError:
        raise
    except (av.error.FFmpegError, ValueError) as error:  # ValueError: the format changes in the middle
        raise AudioFileError(f"{name} cannot be read as audio: {error}.") from error
    if not parts:
        raise AudioFileError(f"{name} holds no audio.")
    return Recording(np.concatenate(parts).astype(np.float32, copy=False), rate)


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
        raise AudioFileError(f"{target.name} cannot be written: {error}.") from error
