"""Speech to bytes of an audio file, as it comes: each piece is ready to be sent before the next one exists.

Laws:
- The bytes joined are one whole file of the format; nothing is rewritten, so what a header says of the length is open (WAV, FLAC, MP3).
- One encoder for one stream of audio, at 24 kHz, mono. Its calls block for a millisecond or two for each second of audio.
Source: `libavformat` and its encoders in the package `av`.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from parley.audio.types import Int16

RATE: Final = 24_000


@dataclass(frozen=True, slots=True)
class AudioFormatKind:
    """A format that speech is sent in: its media type, and libav's names of its container and codec ("": written here)."""

    name: str
    media_type: str
    container: str = ""
    codec: str = ""
    bit_rate: int = 0
    sample_format: str = "s16"


FORMATS: Final = {
    kind.name: kind
    for kind in (
        AudioFormatKind("mp3", "audio/mpeg", "mp3", "libmp3lame", 64_000, "s16p"),
        AudioFormatKind("opus", "audio/ogg", "ogg", "libopus", 32_000),
        AudioFormatKind("aac", "audio/aac", "adts", "aac", 64_000, "fltp"),
        AudioFormatKind("flac", "audio/flac", "flac", "flac"),
        AudioFormatKind("wav", "audio/wav"),
        AudioFormatKind("pcm", "audio/pcm"),
    )
}
"""By OpenAI's names of them."""

_MUXER_OPTIONS: Final = {
    # A header that counts the frames would have to be written last.
    "mp3": {"write_xing": "0"},
    # An Ogg page of a second would be sent a second late.
    "opus": {"page_duration": "100000"},
}

_OPEN_LENGTH: Final = 0xFFFF_FFFF
"""What a WAV header says where the length is not known yet."""


class StreamEncoder:
    """`encode()` each piece of int16 `[n]` at `RATE`, then `finish()`. Raises `ValueError` for a format that is not in `FORMATS`."""

    def __init__(self, name: str) -> None:
        if name not in FORMATS:
            raise ValueError(f"there is no audio format {name!r}; there are {', '.join(FORMATS)}")
        self.format = FORMATS[name]
        self._bytes = io.BytesIO()
        self._container: Any = None
        self._stream: Any = None
        self._begun = False
        if self.format.container:
            self._open()
        elif name == "wav":
            self._bytes.write(_wav_header())

    def _open(self) -> None:
        import av

        options = {"flush_packets": "1", **_MUXER_OPTIONS.get(self.format.name, {})}
        self._container = av.open(_Unseekable(self._bytes), "w", format=self.format.container, options=options)
        self._stream = self._container.add_stream(self.format.codec, rate=RATE)
        self._stream.layout = "mono"
        self._stream.format = self.format.sample_format
        if self.format.bit_rate:
            self._stream.bit_rate = self.format.bit_rate

    def encode(self, audio: Int16) -> bytes:
        """What can be sent of the file so far; b"" where the encoder waits for more."""
        if self._container is None:
            self._bytes.write(audio.astype("<i2").tobytes())
        elif len(audio):
            self._begun = True
            self._mux(self._frame(audio))
        return self._taken()

    def finish(self) -> bytes:
        """The rest of the file. Call it once, last."""
        if self._container is not None:
            if not self._begun:
                # libav writes nothing, not even a header, for nothing.
                self._mux(self._frame(np.zeros(RATE // 50, np.int16)))
            self._mux(None)
            self._container.close()
        return self._taken()

    def _frame(self, audio: Int16) -> Any:
        import av

        frame = av.AudioFrame.from_ndarray(audio.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE
        return frame

    def _mux(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def _taken(self) -> bytes:
        data = self._bytes.getvalue()
        self._bytes.seek(0)
        self._bytes.truncate()
        return data


class _Unseekable:
    """What libav writes to: it learns that nothing can be rewritten."""

    def __init__(self, target: io.BytesIO) -> None:
        self._target = target

    def write(self, data: bytes) -> int:
        return self._target.write(data)


def _wav_header() -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", _OPEN_LENGTH)
        + b"WAVEfmt "
        + struct.pack("<I", len(form))
        + form
        + b"data"
        + struct.pack("<I", _OPEN_LENGTH)
    )
