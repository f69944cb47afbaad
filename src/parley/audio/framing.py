"""Cuts a stream of arbitrary chunks into frames of one fixed length.

Laws:
- The frames depend only on the samples pushed, never on how they were chunked.
- Never holds a whole frame back: what stays inside is less than one frame.
"""

from __future__ import annotations

import numpy as np

from parley.audio.types import Samples


class Framer:
    """Fixed frames of `frame_samples` float32 samples.

    Call `push()` with each chunk; it returns the frames that became whole. `rest()` is what is left over at the end.
    """

    def __init__(self, frame_samples: int) -> None:
        if frame_samples < 1:
            raise ValueError(f"a frame needs at least one sample, got {frame_samples}")
        self.frame_samples = frame_samples
        self._partial = np.zeros(frame_samples, dtype=np.float32)
        self._filled = 0

    @property
    def held(self) -> int:
        """Samples waiting for their frame to become whole."""
        return self._filled

    def push(self, chunk: Samples) -> Samples:
        """Add samples; returns `[k, frame_samples]` float32, the frames now whole (k may be 0), the caller's to keep."""
        size, filled = self.frame_samples, self._filled
        total = filled + chunk.shape[0]
        count = total // size
        if count == 0:
            self._partial[filled:total] = chunk
            self._filled = total
            return np.empty((0, size), dtype=np.float32)
        frames = np.empty(count * size, dtype=np.float32)
        taken = count * size - filled
        frames[:filled] = self._partial[:filled]
        frames[filled:] = chunk[:taken]
        self._filled = total - count * size
        self._partial[: self._filled] = chunk[taken:]
        return frames.reshape(count, size)

    def rest(self) -> Samples:
        """The samples of the unfinished frame, taken out."""
        left = self._partial[: self._filled].copy()
        self._filled = 0
        return left

    def reset(self) -> None:
        """Forget the unfinished frame."""
        self._filled = 0
