"""One frame for each of several sequences: backbone, depth decoder and codec, with one wait for the device.

Laws:
- The functions are the same with CUDA graphs and without. With graphs, a batch is filled up to a size that was captured, with rows of a
  slot that no sequence has.
- Numbers go to the device in two copies, and come back in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from parley.engines.tts.csm import libraries
from parley.engines.tts.csm.graphs import Replays
from parley.engines.tts.csm.mimi_stream import MimiStream
from parley.engines.tts.csm.sampler import Draw
from parley.engines.tts.csm.speech_loop import SpeechLoop

_SLOT, _POSITION, _TEXT, _FRAME, _SEED, _TOP_K, _INPUTS = range(7)
"""Columns of a batch's whole numbers. From `_INPUTS` on: the codes that stand at the position, or the token in the first column."""

_SMALLEST_CONTEXT: Final = 256


@dataclass(frozen=True, slots=True)
class Row:
    """What one sequence brings to a step: `inputs` `[codebooks]` stand at `position`, not yet computed; `frame` frames were made since
    it began."""

    slot: int
    position: int
    text: bool
    frame: int
    seed: int
    top_k: int
    temperature: float
    eos_bias: float
    inputs: NDArray[np.int64]


class FrameMaker:
    """The loaded parts put together. `slots` sequences at most; the parts have one row more, which no sequence has."""

    def __init__(
        self, loop: SpeechLoop, stream: MimiStream, *, slots: int, max_context: int, device: Any, graphs: Replays | None
    ) -> None:
        self._torch = libraries.torch()
        self._loop = loop
        self._stream = stream
        self._spare = slots
        self._device = device
        self._graphs = graphs
        self._sizes = _doubling(1, slots)
        self._contexts = _doubling(_SMALLEST_CONTEXT, max_context)
        if graphs is not None:
            self._capture(graphs)

    def prefill(self, inputs: NDArray[np.int64], texts: NDArray[np.bool_], slot: int, start: int) -> None:
        """Compute positions `start...` of a slot: see `SpeechLoop.prefill`."""
        torch = self._torch
        with torch.inference_mode():
            moved, marked = (torch.from_numpy(array).to(self._device) for array in (inputs, texts))
            self._loop.prefill(moved, marked, slot, start)

    def make(self, rows: Sequence[Row]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Codes int64 `[rows, codebooks]` and sound float32 `[rows, 1920]`."""
        torch = self._torch
        needed = max(row.position for row in rows) + 1
        # Of the same lengths with and without graphs: sums of another length are rounded otherwise.
        context = next(context for context in self._contexts if context >= needed)
        size = len(rows) if self._graphs is None else next(size for size in self._sizes if size >= len(rows))
        with torch.inference_mode():
            made = self.compute(*self.batch(rows, size), context)
            numbers = made[: len(rows)].cpu().numpy()
        codebooks = self._loop.codebooks
        return numbers[:, :codebooks].astype(np.int64), numbers[:, codebooks:].copy()

    def compute(self, whole: Any, real: Any, context: int) -> Any:
        """Codes and sound side by side, float32, which holds each code exactly."""
        size = len(whole)
        if self._graphs is None:
            codes = self._frame(self._step(whole, context), whole, real)
            sound = self._sound(codes, whole)
        else:
            hidden = self._graphs.replay(("step", size, context), whole)
            codes = self._graphs.replay(("frame", size), hidden, whole, real)
            sound = self._graphs.replay(("sound", size), codes, whole)
        return self._torch.cat((codes.float(), sound), 1)

    def _capture(self, graphs: Replays) -> None:
        torch = self._torch
        with torch.inference_mode():
            for size in self._sizes:
                whole, real = self.batch((), size)
                for context in self._contexts:
                    hidden = graphs.capture(
                        ("step", size, context), lambda whole, context=context: self._step(whole, context), whole
                    )
                codes = graphs.capture(("frame", size), self._frame, hidden, whole, real)
                # What a capture returns was not computed yet.
                graphs.capture(("sound", size), self._sound, torch.zeros_like(codes), whole)

    def batch(self, rows: Sequence[Row], size: int) -> tuple[Any, Any]:
        """The rows as whole and real numbers on the device, filled up with rows of the spare slot."""
        whole = np.zeros((size, _INPUTS + self._loop.codebooks), np.int64)
        real = np.zeros((size, 2), np.float32)
        whole[:, _SLOT] = self._spare
        for index, row in enumerate(rows):
            whole[index, :_INPUTS] = row.slot, row.position, row.text, row.frame, row.seed, row.top_k
            whole[index, _INPUTS:] = row.inputs
            real[index] = row.temperature, row.eos_bias
        torch = self._torch
        return torch.from_numpy(whole).to(self._device), torch.from_numpy(real).to(self._device)

    def _step(self, whole: Any, context: int) -> Any:
        return self._loop.step(whole[:, _INPUTS:], whole[:, _TEXT] != 0, whole[:, _SLOT], whole[:, _POSITION], context)

    def _frame(self, hidden: Any, whole: Any, real: Any) -> Any:
        draw = Draw(real[:, 0], real[:, 1], whole[:, _TOP_K], whole[:, _SEED], whole[:, _POSITION])
        return self._loop.frame(hidden, draw)

    def _sound(self, codes: Any, whole: Any) -> Any:
        return self._stream.decode(codes, whole[:, _SLOT], whole[:, _FRAME])


def _doubling(first: int, last: int) -> list[int]:
    """`first`, doubled until it passes `last`, which stands at the end."""
    sizes = []
    while first < last:
        sizes.append(first)
        first *= 2
    return [*sizes, last]
