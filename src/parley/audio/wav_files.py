"""Plain PCM WAV, by the standard library.

Laws: lengths in the header are believed only as far as there are bytes; a program that writes to a pipe knows none, and writes none or the
largest possible.
"""

from __future__ import annotations

import io
import os
import wave
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from parley.audio import pcm
from parley.audio.types import Samples

MAX_WAV_HEAD = 1024 * 1024
"""The samples of a WAV must begin within so many bytes: titles and pictures take less; PyAV reads a file with more before them."""


@dataclass(frozen=True, slots=True)
class WavSound:
    """Where the samples of a WAV are, and what: `count` of them for each of `channels`, `width` bytes each, from the byte `begins` on."""

    rate: int
    channels: int
    width: int
    count: int
    begins: int

    @property
    def seconds(self) -> float:
        return self.count / self.rate if self.rate else 0.0

    def decode(self, data: bytes) -> Samples:
        """The samples in `data`, mono. What is left of a sample at the end is dropped."""
        whole = self.width * self.channels
        data = data[: len(data) // whole * whole]
        match self.width:
            case 1:
                audio = (np.frombuffer(data, dtype=np.uint8).astype(np.float32) - 128.0) / 128.0
            case 2:
                audio = pcm.to_float(data)
            case 3:
                packed = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
                wide = np.zeros((packed.shape[0], 4), dtype=np.uint8)
                wide[:, 1:] = packed
                audio = wide.view("<i4")[:, 0].astype(np.float32) / 2147483648.0
            case _:
                audio = np.frombuffer(data, dtype="<i4").astype(np.float32) / 2147483648.0
        interleaved: Samples = audio.astype(np.float32, copy=False)
        if self.channels == 1:
            return interleaved
        mono: Samples = interleaved.reshape(-1, self.channels).mean(axis=1, dtype=np.float32)
        return mono


def find_sound(stream: BinaryIO) -> WavSound:
    """The samples of the WAV that begins where the stream is. Raises `wave.Error`, `EOFError` for anything but plain PCM."""
    start = stream.tell()
    size = stream.seek(0, os.SEEK_END) - start
    stream.seek(start)
    head = stream.read(MAX_WAV_HEAD)
    riff_bytes = int.from_bytes(head[4:8], "little")
    header = io.BytesIO(head[:4] + b"\xff\xff\xff\xff" + head[8:])  # whatever length it names, its chunks can be read
    with wave.open(header) as wav:
        rate, channels, width, count = wav.getframerate(), wav.getnchannels(), wav.getsampwidth(), wav.getnframes()
        data_at = header.tell()
    if width not in (1, 2, 3, 4):
        raise wave.Error(f"samples of {width} bytes")
    left = (size - data_at) // (channels * width)
    unknown = count == 0 and riff_bytes + 8 != size
    return WavSound(rate, channels, width, left if unknown else min(count, left), start + data_at)
