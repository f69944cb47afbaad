"""One voice being converted with RVC while it streams.

Laws:
- Audio is computed in blocks at fixed places of the stream, so the output depends on the samples only, never on the pieces in which they
  came.
- The time line is the input's. A block's sound begins where it fits the last one's best, at most 5 ms from its place (`sola`), and fades
  into it: so a stream holds back one block, the fade and 5 ms, less one sample.
- The graphs hear a window that ends with the newest sample: the context, then the seam, then the block. What was resampled to 16 kHz
  without knowing what follows is resampled again with the next block.
- Pitch is tracked at the end of the window and kept: of each call the first three frames and the last one are dropped, the others replace
  what the call before said of them.
- Chance belongs to a frame of the time line: two windows that overlap are given the same noise.
- A window whose new part is all below the gate is silence, without inference.
- `convert()` waits for its turn on the worker's thread; a stream that is cancelled or closed begins nothing more.

Source: the real-time client of https://github.com/RVC-Project/Retrieval-based-Voice-Conversion-WebUI (MIT) for the order of the steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from parley.engines.model_worker import ModelWorker
from parley.engines.ports import EngineError, Samples
from parley.engines.vc.mel import HOP, SAMPLE_RATE
from parley.engines.vc.rvc_generator import FRAMES_PER_S, NOISE
from parley.engines.vc.rvc_model import RvcModel, resample_end
from parley.engines.vc.sola import BlockSeams

SEARCH: Final = 1
"""Frames of 10 ms among which a seam is looked for."""

_SEED: Final = 20_260
_DROPPED: Final = 3
_MARGIN: Final = 2
"""Frames of the last block that are resampled again with the next one."""


@dataclass(frozen=True, slots=True)
class LiveShape:
    """Lengths in frames of 10 ms. `context` is what the content encoder hears before a block and its seam, `spoken` what the generator
    does. `gate` is the loudness (RMS of a frame) below which a block is silent."""

    block: int
    fade: int
    context: int
    spoken: int
    gate: float

    @property
    def made(self) -> int:
        """What of a window is new: the block and its seam."""
        return self.block + self.fade + SEARCH

    @property
    def window(self) -> int:
        """What is heard."""
        return self.context + self.made

    def held(self, frame: int) -> int:
        """What a stream holds back behind a whole block, in samples, for frames of so many samples."""
        return self.fade * frame + SEARCH * frame // 2

    def latency_ms(self, rate: int) -> float:
        """What it holds back at most: one sample short of a further block."""
        frame = rate // FRAMES_PER_S
        return 1_000 * (self.held(frame) + self.block * frame - 1) / rate


class LiveVoice:
    """What is kept of one stream. Blocks; one call at a time."""

    def __init__(self, model: RvcModel, shape: LiveShape, context: Samples | None) -> None:
        self._model = model
        self._shape = shape
        frame = model.frame
        self._recent: Samples = np.zeros(_MARGIN * frame, np.float32)
        """The end of what was heard, at the voice's rate."""
        self._heard: Samples = np.zeros(shape.window * HOP, np.float32)
        """The window at 16 kHz."""
        self._hz: Samples = np.zeros(shape.spoken + shape.made, np.float32)
        self._chance = np.random.default_rng(_SEED)
        self._noise = self._chance.standard_normal((len(self._hz), NOISE), np.float32)
        self._seams = BlockSeams(shape.fade * frame, SEARCH * frame)
        self._context = context

    def step(self, block: Samples) -> Samples:
        """Take the next block; return as much, of `LiveShape.held()` samples before it."""
        if self._context is not None:
            context, self._context = self._context, None
            self._remember(context)
        shape = self._shape
        self._hear(block)
        if self._is_silent():
            self._move_pitches(None)
            return self._seams.silence(len(block))
        self._move_pitches(self._tracked(shape.block * HOP))
        made = self._model.speak(self._heard, self._hz, self._noise, shape.made)
        return np.clip(self._seams.join(made[-shape.made * self._model.frame :]), -1, 1)

    def _remember(self, context: Samples) -> None:
        """What was said before is heard, and its pitch is tracked once."""
        rate = self._model.rate
        before = context[-(len(self._heard) * rate // SAMPLE_RATE) :]
        known = resample_end(before, rate, SAMPLE_RATE) if len(before) > self._model.frame else self._heard[:0]
        if not len(known):
            return
        self._heard[-len(known) :] = known
        recent = before[-len(self._recent) :]
        self._recent[len(self._recent) - len(recent) :] = recent
        if self._model.pitch_window(HOP):
            found = self._model.pitches(self._heard)[_DROPPED:-1][-len(self._hz) :]
            self._hz[-len(found) :] = found

    def _hear(self, block: Samples) -> None:
        frame, frames = self._model.frame, self._shape.block + _MARGIN
        fresh = np.concatenate([self._recent, block])
        self._recent = fresh[-_MARGIN * frame :]
        known = resample_end(fresh, self._model.rate, SAMPLE_RATE)[HOP : frames * HOP]
        self._heard[: -self._shape.block * HOP] = self._heard[self._shape.block * HOP :].copy()
        self._heard[-len(known) :] = known
        self._noise = np.concatenate(
            [self._noise[self._shape.block :], self._chance.standard_normal((self._shape.block, NOISE), np.float32)]
        )

    def _is_silent(self) -> bool:
        frames = self._heard[-self._shape.made * HOP :].reshape(-1, HOP)
        return bool(np.sqrt(np.mean(frames**2, axis=1)).max() < self._shape.gate)

    def _tracked(self, block: int) -> Samples | None:
        window = self._model.pitch_window(block)
        if not window:
            return None
        return self._model.pitches(self._heard[-min(window, len(self._heard)) :])

    def _move_pitches(self, tracked: Samples | None) -> None:
        block = self._shape.block
        self._hz = np.concatenate([self._hz[block:], np.zeros(block, np.float32)])
        if tracked is not None:
            kept = tracked[_DROPPED:-1][-len(self._hz) :]
            self._hz[-len(kept) :] = kept


class RvcConversion:
    """The `ConversionStream` of one utterance."""

    def __init__(self, voice: LiveVoice, block: int, held: int, worker: ModelWorker, share: object) -> None:
        """`block` and `held` in samples."""
        self._voice: LiveVoice | None = voice
        self._block = block
        self._worker = worker
        self._share = share
        self._waiting: Samples = np.zeros(0, np.float32)
        self._taken = 0
        self._position = -held
        """Of the next sample that a block gives, on the input's time line."""

    async def convert(self, audio: Samples) -> Samples:
        self._taken += len(audio)
        self._waiting = np.concatenate([self._waiting, audio])
        return await self._run(len(self._waiting) // self._block)

    async def finish(self) -> Samples:
        count = -(-(self._taken - self._position) // self._block) if self._taken else 0
        silence = np.zeros(max(0, count * self._block - len(self._waiting)), np.float32)
        self._waiting = np.concatenate([self._waiting, silence])
        rest = await self._run(count)
        self.close()
        return rest

    def close(self) -> None:
        self._voice = None
        self._waiting = self._waiting[:0]

    async def _run(self, count: int) -> Samples:
        """What the next `count` blocks give, as far as it was said."""
        parts = [self._waiting[:0]]
        try:
            self._open_voice()
            for _ in range(count):
                block, self._waiting = self._waiting[: self._block], self._waiting[self._block :]
                made = await self._worker.call(partial(self._open_voice().step, block), self._share)
                begin, end = max(0, -self._position), min(len(made), self._taken - self._position)
                parts.append(made[begin : max(begin, end)])
                self._position += len(made)
        except BaseException:
            self.close()  # a block that was begun is lost: there is nothing to go on with
            raise
        return np.concatenate(parts)

    def _open_voice(self) -> LiveVoice:
        if self._voice is None:
            raise EngineError("This conversion is over.", code="stream_closed")
        return self._voice
