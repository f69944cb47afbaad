"""Reads audio out of the bytes of an answer as they come: raw 16-bit PCM, or a WAV whose header says what it holds.

Laws:
- Pure, one object for one answer. A sample, and a frame of several channels, is given whole however the bytes are cut.
- A WAV that is sent while it is made cannot know its length: a data size of 0, or beyond `MAX_DATA_BYTES`, means "until the end".
- More channels are averaged into one.

Source: the WAVE form of "Multimedia Programming Interface and Data Specifications 1.0" (IBM and Microsoft, 1991); WAVE_FORMAT_EXTENSIBLE.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from parley.audio import pcm
from parley.audio.types import Samples
from parley.errors import ParleyError

MAX_DATA_BYTES: Final = 1 << 30
"""No answer is so long; servers that stream write sizes above it, 0xFFFFFFFF for one."""

MAX_HEADER_BYTES: Final = 64 * 1024
"""What may stand before the samples: titles take far less."""

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_MIN_RATE, _MAX_RATE = 4_000, 384_000


class InvalidAudio(ParleyError):
    """The bytes are not the audio that they should be; the message ends a sentence that begins with who sent them."""


class NoAudio(InvalidAudio):
    """An answer ended without a sample."""


class PcmReader:
    """Raw little-endian 16-bit mono PCM at `sample_rate` Hz."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._rest = b""

    def feed(self, piece: bytes) -> Samples:
        """The samples that are complete by now, float32 `[n]`."""
        data = self._rest + piece
        whole = len(data) & ~1
        self._rest = data[whole:]
        return pcm.to_float(data[:whole])

    def end(self) -> None:
        """The answer has ended. Raises `InvalidAudio` where it ended within a sample."""
        if self._rest:
            raise InvalidAudio("ended its audio in the middle of a sample")


class WavReader:
    """A WAV of 16-bit integers or 32-bit floats. `sample_rate` is 0 until the header has come."""

    def __init__(self) -> None:
        self.sample_rate = 0
        self._header: bytearray | None = bytearray()
        self._dtype: np.dtype[np.int16] | np.dtype[np.float32] = np.dtype("<i2")
        self._channels = 1
        self._left: int | None = None
        """Bytes of the data chunk that are still to come; None: until the end."""
        self._rest = b""

    def feed(self, piece: bytes) -> Samples:
        """The samples that are complete by now, float32 `[n]`. Raises `InvalidAudio` for what cannot be read as a WAV."""
        if self._header is not None:
            self._header += piece
            began = self._data_start(bytes(self._header))
            if began is None:
                if len(self._header) > MAX_HEADER_BYTES:
                    raise InvalidAudio(f"sent a WAV with more than {MAX_HEADER_BYTES >> 10} KiB before its samples")
                return np.zeros(0, np.float32)
            piece, self._header = bytes(self._header[began:]), None
        if self._left is not None:  # chunks after the samples (titles) are not audio
            piece = piece[: self._left]
            self._left -= len(piece)
        data = self._rest + piece
        frame = self._dtype.itemsize * self._channels
        whole = len(data) - len(data) % frame
        self._rest = data[whole:]
        return self._mono(np.frombuffer(data[:whole], self._dtype))

    def end(self) -> None:
        """The answer has ended. Raises `InvalidAudio` where it ended before its samples did."""
        if self._header is not None:
            raise InvalidAudio("sent a WAV that ends before its samples begin")
        if self._left:
            raise InvalidAudio(f"sent a WAV that ends {self._left} bytes before its header says")
        if self._rest:
            raise InvalidAudio("ended its audio in the middle of a sample")

    def _mono(self, data: np.ndarray[tuple[int], np.dtype[np.generic]]) -> Samples:
        audio = pcm.to_float(data.astype(np.int16)) if self._dtype.kind == "i" else data.astype(np.float32)
        if self._channels > 1:
            audio = audio.reshape(-1, self._channels).mean(axis=1, dtype=np.float32)
        if self._dtype.kind == "f" and not np.isfinite(audio).all():
            raise InvalidAudio("sent audio that holds NaN or infinite values")
        return np.clip(audio, -1.0, 1.0)

    def _data_start(self, header: bytes) -> int | None:
        """Where the samples begin; None while that has not come."""
        if not is_wav(header[:12]):
            if len(header) < 12:
                return None
            raise InvalidAudio("sent something that is no WAV")
        at = 12
        while len(header) >= at + 8:
            name, size = header[at : at + 4], struct.unpack_from("<I", header, at + 4)[0]
            at += 8
            if name == b"data":
                if not self.sample_rate:
                    raise InvalidAudio("sent a WAV without a format before its samples")
                self._left = size if 0 < size <= MAX_DATA_BYTES else None
                return at
            if name == b"fmt ":
                if len(header) < at + size:
                    return None
                self._read_format(header[at : at + size])
            at += size + size % 2
        return None

    def _read_format(self, body: bytes) -> None:
        if len(body) < 16:
            raise InvalidAudio("sent a WAV with a format of less than 16 bytes")
        tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
        if tag == _EXTENSIBLE and len(body) >= 26:
            tag = struct.unpack_from("<H", body, 24)[0]
        if (tag, bits) not in ((_PCM, 16), (_FLOAT, 32)) or not 1 <= channels <= 8:
            raise InvalidAudio(
                f"sent a WAV of {channels} channels, {bits} bits and format {tag:#x}, which Parley does not read"
            )
        if not _MIN_RATE <= rate <= _MAX_RATE:
            raise InvalidAudio(f"sent a WAV with a sample rate of {rate} Hz")
        self._dtype = np.dtype("<i2") if tag == _PCM else np.dtype("<f4")
        self._channels, self.sample_rate = channels, rate


AudioReader = PcmReader | WavReader


def is_wav(beginning: bytes) -> bool:
    """Whether an answer that begins so is a WAV."""
    return beginning[:4] == b"RIFF" and beginning[8:12] == b"WAVE"


def other_format(beginning: bytes) -> str:
    """The container that an answer begins with, "" for none that can be told from samples."""
    marks = {b"ID3": "MP3", b"OggS": "Ogg", b"fLaC": "FLAC"}
    return next((name for mark, name in marks.items() if beginning.startswith(mark)), "")
