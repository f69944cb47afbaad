"""Joins blocks of a voice that were made apart: each begins where its waveform fits the end of the last one best.

Laws:
- Of each block made, `search` + `fade` samples more than its length are given; it begins at one of `search` + 1 places, of which the
  middle one is where it belongs. So a sample is at most `search` / 2 away from its place, and the places of blocks do not add up.
- The place is that of the greatest normalised cross-correlation with what the last block would have gone on with; between places that
  fit alike, and where nothing was before, the one nearest to the middle.
- Both are faded over `fade` samples with sin^2 and cos^2, whose sum is 1.

Source: S. Roucos, A. Wilgus, "High quality time-scale modification for speech" (ICASSP 1985).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from parley.engines.ports import Samples

_QUIET: Final = 1e-8
"""Added to energies: below it a block is silence, which fits anywhere."""

_ALIKE: Final = 0.01
"""The part of a correlation that decides nothing: a periodic voice fits at each of its periods."""


class BlockSeams:
    """The seams of one stream. Call `join()` for each block, or `silence()` for one that is silent."""

    __slots__ = ("_fade_in", "_rest", "fade", "search")

    def __init__(self, fade: int, search: int) -> None:
        """Both in samples."""
        self.fade = fade
        self.search = search
        self._fade_in: Samples = (np.sin(0.5 * np.pi * (np.arange(fade) + 0.5) / fade) ** 2).astype(np.float32)
        self._rest: Samples = np.zeros(fade, np.float32)

    def join(self, made: Samples) -> Samples:
        """The next samples of the stream: `len(made)` - `fade` - `search` of them, which are `fade` at least."""
        block = len(made) - self.fade - self.search
        at = self.place(made)
        joined = made[at : at + block].copy()
        joined[: self.fade] = joined[: self.fade] * self._fade_in + self._rest * (1 - self._fade_in)
        self._rest = made[at + block : at + block + self.fade].copy()
        return joined

    def silence(self, block: int) -> Samples:
        """`block` samples of silence, into which the last block fades."""
        return self.join(np.zeros(block + self.fade + self.search, np.float32))

    def place(self, made: Samples) -> int:
        """Where in `made` the next block begins."""
        middle = self.search // 2
        heard = made[: self.fade + self.search].astype(np.float64)
        if not self._rest.any() or not heard.any():
            return middle
        products = np.correlate(heard, self._rest.astype(np.float64), "valid")
        sums = np.concatenate([[0.0], np.cumsum(heard**2)])
        energies = sums[self.fade :] - sums[: self.search + 1]
        fits = products / np.sqrt(np.maximum(energies, 0) + _QUIET)
        away = np.abs(np.arange(self.search + 1) - middle) / max(1, middle)
        return int(np.argmax(fits - _ALIKE * away * np.abs(fits).max()))
