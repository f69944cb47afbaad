"""Voice activity: the probability of a voice in each frame of audio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from parley.engines.ports.engine import Engine


@runtime_checkable
class VoiceActivityModel(Engine, Protocol):
    """A frame-by-frame voice activity model whose streams are scored together.

    Call `allocate()` for each stream, `score()` with one frame for each of any number of distinct slots,
    `release()` at the end. Not thread-safe: one owner calls it.
    """

    frame_samples: int
    """Samples in one frame at `info.sample_rate` (Silero: 512 at 16 kHz)."""

    def allocate(self) -> int:
        """A fresh stream's slot, its state cleared."""
        ...

    def release(self, slot: int) -> None: ...

    def reset(self, slot: int) -> None:
        """Forget what this stream has heard so far."""
        ...

    def score(self, slots: Sequence[int], frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Voice probability of one frame of each slot: frames `[B, frame_samples]` float32 -> `[B]` float32 in 0..1."""
        ...
