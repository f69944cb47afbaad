"""Frames of any size and type become chunks of one length: checked, counted, resampled.

Laws: the chunks depend only on the samples, never on how they were cut into frames; every sample is in exactly one
chunk or in the residue; a frame of another kind than was agreed is refused, never converted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from parley.audio import pcm
from parley.audio.files import Recording
from parley.audio.resampling import Resampler
from parley.audio.types import Samples
from parley.core.words.limits import SAMPLE_RATE
from parley.library.errors import FrameRefused

Frame = NDArray[np.int16] | NDArray[np.float32] | bytes | Recording
"""Mono audio: int16 `[n]`, float32 `[n]` in [-1, 1], PCM16 little-endian bytes, or a `Recording` (whose rate is checked)."""

MIN_RATE, MAX_RATE = 4_000, 384_000
"""The range of microphones and files; anything else is a mistake."""


FULL_SCALE_MISTAKEN = 4.0
"""A float sample beyond this (12 dB over full scale) is not loud: it is an integer that was cast without scaling."""


class FrameReader:
    """Makes chunks of `chunk_samples` (at 24 kHz) of frames at `sample_rate` Hz."""

    def __init__(self, sample_rate: int, chunk_samples: int, name: str = "sample_rate") -> None:
        given: Any = sample_rate
        whole = isinstance(given, int | np.integer) and not isinstance(given, bool)
        if not whole or not MIN_RATE <= given <= MAX_RATE:
            raise FrameRefused(
                f"{name}={sample_rate!r} Hz is not possible.",
                remedy=f"Give the rate of your frames in Hz, an integer from {MIN_RATE} to {MAX_RATE}.",
            )
        self.sample_rate = sample_rate = int(sample_rate)
        self.taken = 0
        """Samples taken so far, at `sample_rate`."""
        self._chunk_bytes = 2 * chunk_samples
        self._resampler = Resampler(sample_rate, SAMPLE_RATE, "HQ")
        self._held = bytearray()

    def push(self, frame: Frame) -> list[bytes]:
        """The chunks (PCM16 at 24 kHz) that are complete now. Raises `FrameRefused`, and then has taken nothing."""
        samples = checked_frame(frame, self.sample_rate)
        self.taken += len(samples)
        return self._add(samples)

    def finish(self) -> list[bytes]:
        """The rest, the last chunk as short as it is; the next frame starts a new chunk."""
        chunks = self._cut(pcm.to_bytes(self._resampler.finish()))
        if self._held:
            chunks.append(bytes(self._held))
            self._held.clear()
        return chunks

    def _add(self, samples: NDArray[Any]) -> list[bytes]:
        if self.sample_rate == SAMPLE_RATE:
            return self._cut(pcm.to_bytes(samples))
        wide: Samples = pcm.to_float(samples) if samples.dtype == np.int16 else samples
        return self._cut(pcm.to_bytes(self._resampler.push(wide)))

    def _cut(self, data: bytes) -> list[bytes]:
        self._held += data
        size = self._chunk_bytes
        whole = len(self._held) // size * size
        chunks = [bytes(self._held[at : at + size]) for at in range(0, whole, size)]
        del self._held[:whole]
        return chunks


def checked_frame(frame: Any, sample_rate: int) -> NDArray[Any]:
    """The frame's samples, int16 or float32. Raises `FrameRefused`."""
    if isinstance(frame, Recording):
        if frame.sample_rate != sample_rate:
            raise FrameRefused(
                f"The frame has {frame.sample_rate} Hz, the session expects {sample_rate} Hz.",
                remedy=f"Make the session with sample_rate={frame.sample_rate}.",
            )
        frame = frame.audio
    if isinstance(frame, bytes | bytearray | memoryview):
        if len(frame) % 2:
            raise FrameRefused(
                f"A frame of {len(frame)} bytes cuts a 16-bit sample in two.",
                remedy="Give PCM16 in whole samples of two bytes.",
            )
        return pcm.as_int16(frame)
    if not isinstance(frame, np.ndarray):
        raise FrameRefused(
            f"A frame is int16 or float32 samples or PCM16 bytes, not {type(frame).__name__}.",
            remedy="Convert it: `np.asarray(frame, np.int16)`, or `np.asarray(frame, np.float32)` in [-1, 1].",
        )
    if frame.ndim != 1:
        raise FrameRefused(f"A frame is mono, of shape [n], not {list(frame.shape)}.", remedy=_to_mono(frame))
    if frame.dtype not in (np.int16, np.float32):
        raise FrameRefused(
            f"A frame is int16 or float32 samples or PCM16 bytes, not {frame.dtype}.",
            remedy=f"Convert it: `{_to_float(frame.dtype)}`, in [-1, 1].",
        )
    if frame.dtype == np.float32 and len(frame):
        peak = np.abs(frame).max()
        if not np.isfinite(peak):
            raise FrameRefused("The frame holds samples that are not finite.", remedy="Check the source of the frames.")
        if peak > FULL_SCALE_MISTAKEN:
            raise FrameRefused(
                f"A float32 frame lies in [-1, 1], and this one goes to {peak:g}.",
                remedy="Give `frame.astype(np.int16)`, or divide it: `frame / np.float32(32768)`.",
            )
    return frame


def _to_mono(frame: NDArray[Any]) -> str:
    """How this frame's channels, the fewer of its two dimensions, become one of the same type."""
    if frame.ndim != 2:
        return "Give the samples of one channel."
    axis = 1 if frame.shape[1] <= frame.shape[0] else 0
    return f"Average the channels first: `frame.mean(axis={axis}).astype(frame.dtype)`."


def _to_float(dtype: np.dtype[Any]) -> str:
    """How samples of this type become float32 in [-1, 1]."""
    if dtype == np.uint8:
        return "(frame.astype(np.float32) - 128) / 128"
    if np.issubdtype(dtype, np.signedinteger):
        return f"(frame / {2 ** (8 * dtype.itemsize - 1)}).astype(np.float32)"
    return "frame.astype(np.float32)"
