"""Translated audio on its way to a device: a queue between the link that brings it and the thread that plays it.

Laws:
- Pure: no clock (`at_s` is an argument), no lock; the caller holds one where two threads push and take.
- Everything that is pushed is played once, in order. Silence alone is shortened, to `GAP_MS` between words, and only while more than
  `BEHIND_MS` waits; audio is dropped only after the device stood still for longer than `STALE_S`, or beyond `MOST_S`, and is counted.
- The queue holds 24 kHz; it is resampled as it is taken, so that a device may be replaced by one of another rate.
- No step in the sound: the ends of gaps are faded over `FADE_MS`.
Does not know: devices, links, what the audio says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from parley.audio import pcm
from parley.audio.short_resampling import ShortResampler
from parley.audio.silence import FLOOR
from parley.audio.types import Int16, Samples
from parley.interpret.ports import STALE_S, WIRE_RATE

WAIT_MS: Final = 30.0
"""How much audio a beginning waits for: what a network and an event loop are late by."""

MOST_WAIT_MS: Final = 200.0
RAISE_MS: Final = 20.0
"""By how much a gap within a translation raises the wait."""

PATIENCE_MS: Final = 60.0
"""A beginning shorter than the wait is played after so long."""

BEHIND_MS: Final = 1500.0
GAP_MS: Final = 80.0
MOST_S: Final = 60.0
FADE_MS: Final = 5.0

_PIECE: Final = WIRE_RATE // 20
"""Resampled at once, in the device's thread: it must not take long."""

RESUMED_MS: Final = 300.0
"""Audio that comes so soon after the queue ran dry belongs to what was being said: that was a gap."""


@dataclass(slots=True)
class _Waiting:
    """A piece at 24 kHz, when it was pushed, and when the last sample that it translates was recorded."""

    audio: Samples
    pushed_at_s: float
    until_s: float | None


class Playout:
    """The queue of one direction. `on_played(at_s, until_s)` is called inside `take()` as the first sample of a
    translation is taken: after silence, and where `until_s` changes."""

    def __init__(self, on_played: Callable[[float, float | None], None]) -> None:
        self._on_played = on_played
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._resampler: ShortResampler | None = None
        self._rate = 0
        self._ready: Samples = np.zeros(0, np.float32)
        self._playing = False
        self._waited_ms = 0.0
        self._idle_ms = RESUMED_MS
        self._last = 0.0
        self._join = False
        self._fresh = True
        """Whether what is played next was preceded by silence."""
        self._until_s: float | None = None
        self._quiet = 0
        self._taken_at_s: float | None = None
        self.wait_ms = WAIT_MS
        self.gaps = 0
        """How often audio came too late in the middle of a translation."""
        self.dropped_s = 0.0

    @property
    def queue_ms(self) -> float:
        """Audio that waits."""
        return 1000 * self._queued / WIRE_RATE

    @property
    def audible(self) -> bool:
        """Whether something is being played, or is about to be."""
        return self._playing or bool(self._queue)

    # --- the link's side ---------------------------------------------------------------------------------------------------

    def push(self, audio: Int16, at_s: float, until_s: float | None = None) -> None:
        """More of the translation, int16 `[n]` at 24 kHz, at the time `at_s`; `until_s`: when the last sample that it translates was
        recorded."""
        samples = self._without_silence(pcm.to_float(audio))
        if not len(samples):
            return
        for begin in range(0, len(samples), _PIECE):
            self._queue.append(_Waiting(samples[begin : begin + _PIECE], at_s, until_s))
        self._queued += len(samples)
        while self._queued > MOST_S * WIRE_RATE:
            self._drop_first()

    def _without_silence(self, audio: Samples) -> Samples:
        """The audio; while the listener is behind, without what is silent for longer than `GAP_MS`."""
        frame = WIRE_RATE // 100
        kept = []
        for begin in range(0, len(audio), frame):
            part = audio[begin : begin + frame]
            silent = float(np.abs(part).max()) <= FLOOR
            self._quiet = self._quiet + len(part) if silent else 0
            if self._quiet * 1000 <= GAP_MS * WIRE_RATE or self.queue_ms <= BEHIND_MS:
                kept.append(part)
        return np.concatenate(kept) if kept else audio[:0]

    def clear(self) -> None:
        """Drop everything that waits; what is being played is faded out."""
        self._queue.clear()
        self._queued = 0
        self._ready = self._ready[:0]

    def _drop_first(self) -> None:
        dropped = self._queue.popleft()
        self._queued -= len(dropped.audio)
        self.dropped_s += len(dropped.audio) / WIRE_RATE
        self._join = True

    # --- the device's side -------------------------------------------------------------------------------------------------

    def take(self, count: int, rate: int, at_s: float) -> Samples:
        """The next `count` samples at `rate` Hz, float32, the first of which sounds at `at_s`; silence where there is nothing."""
        self._drop_stale(at_s)
        piece_ms = 1000 * count / rate
        if not self._playing and not self._begins(piece_ms):
            self._idle_ms += piece_ms
            return self._silence(count, rate)
        if self._rate != rate or self._resampler is None:
            self._rate, self._resampler = rate, ShortResampler(WIRE_RATE, rate)
        self._fill(count, rate, at_s)
        if len(self._ready) >= count:
            return self._faded_in(self._cut(count), rate)
        # The end: what the filter still holds, faded out, then silence.
        self._ready = np.concatenate([self._ready, self._resampler.finish()])
        self._resampler = None
        fade = min(len(self._ready), round(rate * FADE_MS / 1000))
        self._ready[len(self._ready) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
        part = self._faded_in(self._cut(min(count, len(self._ready))), rate)
        if len(part) < count:
            self._playing = False
            self._idle_ms = 0.0
            return np.concatenate([part, self._silence(count - len(part), rate)])
        return part

    def _begins(self, piece_ms: float) -> bool:
        """Whether playing begins with this piece."""
        if not self._queue:
            self._waited_ms = 0.0
            return False
        if self.queue_ms < self.wait_ms and self._waited_ms < max(PATIENCE_MS, self.wait_ms):
            self._waited_ms += piece_ms
            return False
        if self._idle_ms + self._waited_ms < RESUMED_MS:
            self.gaps += 1
            self.wait_ms = min(self.wait_ms + RAISE_MS, MOST_WAIT_MS)
        self._waited_ms = 0.0
        self._playing = self._join = self._fresh = True
        return True

    def _fill(self, count: int, rate: int, at_s: float) -> None:
        assert self._resampler is not None
        while len(self._ready) < count and self._queue:
            piece = self._queue.popleft()
            self._queued -= len(piece.audio)
            if self._fresh or piece.until_s != self._until_s:
                self._fresh, self._until_s = False, piece.until_s
                self._on_played(at_s + len(self._ready) / rate, piece.until_s)
            self._ready = np.concatenate([self._ready, self._resampler.push(piece.audio)])

    def _cut(self, count: int) -> Samples:
        taken, self._ready = self._ready[:count], self._ready[count:]
        return taken

    def _faded_in(self, audio: Samples, rate: int) -> Samples:
        if self._join and len(audio):
            self._join = False
            audio = audio.copy()
            fade = np.linspace(0, 1, min(len(audio), round(rate * FADE_MS / 1000)), dtype=np.float32)
            audio[: len(fade)] = audio[: len(fade)] * fade + np.float32(self._last) * (1 - fade)
        if len(audio):
            self._last = float(audio[-1])
        return audio

    def _silence(self, count: int, rate: int) -> Samples:
        silence = np.zeros(count, np.float32)
        if self._last:
            fade = np.linspace(1, 0, min(count, round(rate * FADE_MS / 1000)), dtype=np.float32)
            silence[: len(fade)] = fade * np.float32(self._last)
            self._last = 0.0
        return silence

    def _drop_stale(self, at_s: float) -> None:
        """After the device stood still for longer than `STALE_S`: what has waited for as long is not played any more. After a shorter
        time all is played, later: much of it waits for its turn, however old it is."""
        stood_s = 0.0 if self._taken_at_s is None else at_s - self._taken_at_s
        self._taken_at_s = at_s
        if stood_s <= STALE_S:
            return
        self._ready = self._ready[:0]
        while self._queue and self._queue[0].pushed_at_s < at_s - STALE_S:
            self._drop_first()
