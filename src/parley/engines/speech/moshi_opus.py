"""Opus in Ogg, both ways at 24 kHz and as a stream: audio to bytes that can be sent at once, bytes to the audio that they complete.

Laws:
- Nothing waits for more than the frame that it is given: a page for each 80 ms, packets of 40 ms in it.
- What is no Opus raises `InvalidOpus`, which says what it is.
- FFmpeg's codecs, through PyAV, do the coding; PyAV is imported here, and by `load()` first, which blocks. A writer that has been used
  holds a thread for each core (of the filter that PyAV puts before every encoder), idle, until it is let go.
Source: RFC 7845 (Opus in Ogg: positions count samples at 48 kHz, whatever the rate of the input).
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from parley.audio.resampling import Resampler
from parley.audio.types import Samples
from parley.engines.speech.moshi_ogg import InvalidOgg, PageReader, PageWriter
from parley.errors import ParleyError

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext

RATE: Final = 24_000
FRAME: Final = 1_920
"""Samples that are sent together: 80 ms, one step of the model."""

OPUS_RATE: Final = 48_000
"""In which Opus counts and FFmpeg decodes."""

MAX_MESSAGE_S: Final = 10.0
"""Of audio in one message."""

_PACKET: Final = 960
_BIT_RATE: Final = 32_000
_COMPLEXITY: Final = 0
"""Of 10, as the page that comes with Moshi has it: a third of the time of 5, and Mimi keeps 1.1 kbit/s of what it is given."""

_CODECS: Final = {b"\x01vorbis": "Vorbis", b"\x7fFLAC": "FLAC", b"Speex   ": "Speex", b"\x80theora": "Theora"}


class InvalidOpus(ParleyError):
    """Bytes are no Opus in Ogg; the message says what is wrong with them."""


def load() -> None:
    """Import PyAV and its codecs, which blocks for 0.1 s."""
    OpusWriter(0)
    OpusReader()._open(1)


class OpusWriter:
    """Encodes one stream. Send `head()` first, then `push()` for each frame."""

    def __init__(self, serial: int) -> None:
        import av

        self._pages = PageWriter(serial)
        self._position = 0
        encoder = av.AudioCodecContext.create("libopus", "w")
        encoder.sample_rate = RATE
        encoder.layout = "mono"
        encoder.format = "flt"
        encoder.bit_rate = _BIT_RATE
        encoder.time_base = Fraction(1, RATE)
        encoder.options = {"frame_duration": "40", "application": "voip", "compression_level": str(_COMPLEXITY)}
        encoder.open()
        self._encoder = encoder
        self._samples = 0

    def head(self) -> bytes:
        """The two pages that begin a stream."""
        head = bytes(self._encoder.extradata or b"")
        vendor = b"Parley"
        tags = b"OpusTags" + struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", 0)
        return self._pages.page([head], 0) + self._pages.page([tags], 0)

    def push(self, frame: Samples) -> bytes:
        """One page for `FRAME` samples, float32 in [-1, 1]."""
        import av

        packets: list[bytes] = []
        for start in range(0, len(frame), _PACKET):
            part = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(frame[None, start : start + _PACKET]), format="flt", layout="mono"
            )
            part.sample_rate = RATE
            part.pts = self._samples
            self._samples += _PACKET
            packets += (bytes(packet) for packet in self._encoder.encode(part))
        self._position += len(packets) * _PACKET * OPUS_RATE // RATE
        return self._pages.page(packets, self._position)


class OpusReader:
    """Decodes one stream; a new header inside it begins another."""

    def __init__(self) -> None:
        self._pages = PageReader()
        self._decoder: AudioCodecContext | None = None
        self._resampler = Resampler(OPUS_RATE, RATE, "LQ")

    def push(self, data: bytes) -> Samples:
        """The audio `[n]` at `RATE` that `data` completes, possibly none. Raises `InvalidOpus`."""
        try:
            packets = self._pages.push(data)
        except InvalidOgg as error:
            raise InvalidOpus(str(error)) from None
        pieces = [np.zeros(0, np.float32)]
        length = 0
        for packet in packets:
            piece = self._packet(packet)
            length += len(piece)
            if length > MAX_MESSAGE_S * OPUS_RATE:
                raise InvalidOpus(f"a message holds more than {MAX_MESSAGE_S:g} s of audio")
            pieces.append(piece)
        audio = self._resampler.push(np.concatenate(pieces))
        return np.clip(np.nan_to_num(audio), -1.0, 1.0)

    def _packet(self, packet: bytes) -> Samples:
        nothing = np.zeros(0, np.float32)
        if packet.startswith(b"OpusHead"):
            self._head(packet)
            return nothing
        if self._decoder is None:
            codec = next((name for magic, name in _CODECS.items() if packet.startswith(magic)), "another codec")
            raise InvalidOpus(f"the Ogg stream holds {codec}, not Opus")
        if packet.startswith(b"OpusTags") or not packet:
            return nothing
        import av

        try:
            frames = self._decoder.decode(av.Packet(packet))
        except (av.FFmpegError, ValueError) as error:
            raise InvalidOpus(f"a packet is no Opus ({type(error).__name__})") from None
        made = [np.asarray(frame.to_ndarray(), np.float32).mean(axis=0) for frame in frames]
        return np.concatenate([nothing, *made])

    def _head(self, packet: bytes) -> None:
        if len(packet) < 19 or packet[8] >> 4 or packet[9] not in (1, 2) or packet[18]:
            raise InvalidOpus("the header of the Opus stream names a version or channels that are not supported")
        self._open(packet[9], packet)
        self._resampler.reset()

    def _open(self, channels: int, head: bytes = b"") -> None:
        import av

        decoder = av.AudioCodecContext.create("opus", "r")
        decoder.layout = "mono" if channels == 1 else "stereo"
        decoder.sample_rate = OPUS_RATE
        if head:
            decoder.extradata = head
        self._decoder = decoder
