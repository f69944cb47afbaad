"""The sound of one direction between two devices: what is captured goes to the link, the translation and the original are played.

    capture device -> DirectionSound.record() -> 24 kHz pieces, on the event loop
    Playout (translation) + SteeredBuffer (original) -> DirectionSound.play() -> output device

Laws:
- The devices' threads cross no event loop: the original goes from one device to the other within milliseconds, however busy the rest is.
- The two clocks are steered (`audio/clock_steering`): samples of speech are neither dropped nor repeated.
- What is captured and played is handed over on the event loop in order, bounded; what is lost is counted.
- The original is `full` while no translation is played and `ducked` while one is; the panic key plays it alone.
Does not know: links, sessions, screens.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from parley.audio import pcm
from parley.audio.clock_steering import SteeredBuffer
from parley.audio.levels import SILENCE_DBFS, rms_dbfs
from parley.audio.short_resampling import ShortResampler
from parley.audio.types import Int16, Samples
from parley.interpret.playout import Playout
from parley.interpret.ports import WIRE_RATE

PIECE_MS: Final = 10.0
"""What a device gives or takes at a time."""

MARGIN_MS: Final = 10.0
"""How late a callback may come without a gap, at first; each gap adds to it."""

MOST_MARGIN_MS: Final = 120.0
SETTLING_S: Final = 0.4
"""Devices ask for their first audio in bursts; until then silence is played."""

FADE_S: Final = 0.15
"""How long the original takes to become softer or louder."""

HELD_DUCKED_S: Final = 0.4
"""The original stays soft for so long after a translation: the pause between two clauses does not let it up."""

WAITING: Final = 500
"""Pieces that the event loop may be late by: five seconds."""

FALL_DB: Final = 1.5


@dataclass(frozen=True, slots=True)
class SoundPiece:
    """What a device did. "captured": int16 `[n]` at 24 kHz, whose last sample was recorded at `at_s`; "played": int16 `[n]` at `rate`,
    whose first sample sounds at `at_s`."""

    kind: Literal["captured", "played"]
    audio: Int16
    rate: int
    at_s: float


@dataclass(slots=True)
class MixedOriginal:
    """How loud the original is, 0 to 1: `full` while no translation is played, `ducked` while one is. `raw`: the original alone.
    `closed`: the speaker is muted, so nothing of the original is played."""

    full: float = 0.0
    ducked: float = 0.0
    raw: bool = False
    closed: bool = False

    @property
    def wanted(self) -> bool:
        return self.raw or self.full > 0 or self.ducked > 0


class DirectionSound:
    """The sound of a direction; outlives its devices. `connect()` for each pair that is opened, then the devices' threads call `record()`
    and `play()`. `on_piece` and `on_played(at_s, until_s)` are called on the event loop.
    """

    def __init__(
        self,
        mix: MixedOriginal,
        on_piece: Callable[[SoundPiece], None],
        on_played: Callable[[float, float | None], None],
    ) -> None:
        self.mix = mix
        self._on_piece = on_piece
        self._on_played = on_played
        self._playout = Playout(self._first_taken)
        self._lock = threading.Lock()
        self._waiting: deque[SoundPiece | tuple[float, float | None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._in_rate = self._out_rate = WIRE_RATE
        self._to_wire = ShortResampler(WIRE_RATE, WIRE_RATE)
        self._original = SteeredBuffer(WIRE_RATE, WIRE_RATE, 2 * PIECE_MS)
        self._settled_at_s: float | None = None
        self._gain = 0.0
        self._ducked_until_s = 0.0
        self._in_dbfs = self._out_dbfs = SILENCE_DBFS
        self.pieces_lost = 0

    def connect(self, in_rate: int, out_rate: int | None) -> None:
        """New devices: captured sound comes at `in_rate`, played sound is wanted at `out_rate` (None: there is no output). Call it on the
        event loop's thread, or while no device runs."""
        with self._lock:
            self._in_rate, self._out_rate = in_rate, out_rate or WIRE_RATE
            self._to_wire = ShortResampler(in_rate, WIRE_RATE)
            usual_ms = 2 * PIECE_MS + MARGIN_MS
            self._original = SteeredBuffer(in_rate, self._out_rate, usual_ms, most_ms=usual_ms + MOST_MARGIN_MS)
            self._settled_at_s = None
            self._gain = 0.0

    def listen_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Where pieces are handed over."""
        self._loop = loop

    # --- the translation ---------------------------------------------------------------------------------------------------

    def push(self, audio: Int16, at_s: float, until_s: float | None) -> None:
        """More of the translation (see `Playout.push`). While the original is played alone, it is dropped."""
        if self.mix.raw:
            return
        with self._lock:
            self._playout.push(audio, at_s, until_s)

    def silence(self) -> None:
        """Drop the translation that waits."""
        with self._lock:
            self._playout.clear()

    @property
    def queue_ms(self) -> float:
        return self._playout.queue_ms

    @property
    def speaking(self) -> bool:
        """Whether a translation is being played."""
        with self._lock:
            return self._playout.audible

    @property
    def dropped_s(self) -> float:
        """Translated audio that was not played."""
        return self._playout.dropped_s

    @property
    def gaps(self) -> int:
        return self._playout.gaps

    @property
    def levels_dbfs(self) -> tuple[float, float]:
        """Captured and played, falling slowly."""
        return self._in_dbfs, self._out_dbfs

    @property
    def clocks_ppm(self) -> float:
        """How much faster the capture device's clock runs; 0 where no original is played."""
        return self._original.ppm

    @property
    def original_ms(self) -> float:
        """The delay of the original between the two devices, theirs excluded."""
        return self._original.fill_ms + self._original.lag_ms

    # --- the devices' threads ----------------------------------------------------------------------------------------------

    def record(self, audio: Samples, at_s: float) -> None:
        """The capture device gave this, float32 `[n]` at its rate, at the time `at_s`."""
        self._in_dbfs = max(rms_dbfs(audio), self._in_dbfs - FALL_DB) if len(audio) else self._in_dbfs
        if self._settled_at_s is None:
            self._settled_at_s = at_s + SETTLING_S
        with self._lock:
            if self.mix.wanted:
                self._original.push(np.zeros_like(audio) if self.mix.closed else audio, at_s)
            wire = self._to_wire.push(audio)
        if len(wire):
            lag_s = self._to_wire.lag_ms / 1000
            self._hand_over(SoundPiece("captured", pcm.to_int16(wire), WIRE_RATE, at_s - lag_s))

    def play(self, count: int, at_s: float) -> Samples:
        """What the output device plays next, at its rate."""
        if self._settled_at_s is None or at_s < self._settled_at_s:
            return np.zeros(count, np.float32)
        with self._lock:
            speaking = self._playout.audible
            audio = self._playout.take(count, self._out_rate, at_s)
            if self.mix.wanted or self._gain:
                audio = audio + self._original.pull(count, at_s) * self._gains(count, at_s, speaking)
        audio = np.clip(audio, -1.0, 1.0)
        self._out_dbfs = max(rms_dbfs(audio), self._out_dbfs - FALL_DB)
        self._hand_over(SoundPiece("played", pcm.to_int16(audio), self._out_rate, at_s))
        return audio

    def _gains(self, count: int, at_s: float, speaking: bool) -> Samples:
        if speaking:
            self._ducked_until_s = at_s + HELD_DUCKED_S
        wanted = self.mix.ducked if at_s < self._ducked_until_s else self.mix.full
        wanted = 1.0 if self.mix.raw else wanted
        step = count / self._out_rate / FADE_S
        before = self._gain
        self._gain = before + max(-step, min(step, wanted - before))
        return np.linspace(before, self._gain, count, dtype=np.float32)

    def _first_taken(self, at_s: float, until_s: float | None) -> None:
        self._hand_over((at_s, until_s))

    def _hand_over(self, what: SoundPiece | tuple[float, float | None]) -> None:
        if len(self._waiting) >= WAITING:
            self._waiting.popleft()
            self.pieces_lost += 1
        self._waiting.append(what)
        if self._loop is not None:
            # The loop may be gone when the last callback comes.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        while self._waiting:
            try:
                what = self._waiting.popleft()
            except IndexError:
                return
            if isinstance(what, SoundPiece):
                self._on_piece(what)
            else:
                self._on_played(*what)
