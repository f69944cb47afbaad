"""The loudspeaker of a translation session whose listener hears the speaker too: the translation over the speaker's own voice.

Laws:
- Every piece of input goes out once, at once and in order, softened while the translation lies over it: output keeps the time of the input.
  Of one message `MOST` go out: who sends more at once plays a recording, which a client could not take back as fast, and other sessions
  would wait for it.
- Where no input comes for `STALLED_S`, the translation goes out alone, in real time. What the output is then ahead of the input is left
  out again where the speaker is silent.
- After `finish()` the translation goes out as soon as it is made, and input is no longer passed on.
- At the end every reference to the session is dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from parley.audio import pcm
from parley.audio.ducking import DuckedMix
from parley.audio.levels import rms
from parley.audio.types import Samples
from parley.core.words.effects import Effect, Play
from parley.core.words.events import AudioArrived, Event, SessionCloseRequested, WindDownRequested
from parley.core.words.limits import SAMPLE_RATE

STALLED_S = 1.0
"""Input comes many times a second; a client that has sent nothing for so long has stopped."""

LEAD_S = 0.3
"""How far ahead of real time the translation goes out alone: what a client needs so as not to run dry."""

TURN_S = 0.1
"""How often more of it goes out meanwhile."""

LONGEST = SAMPLE_RATE
"""Samples of one delta."""

MOST = 10 * SAMPLE_RATE
"""Samples of one message that go out. A client may send minutes in one."""

QUIET = 0.01
"""40 dB under full scale: the noise of a room. What is quieter may be left out."""


class Timer(Protocol):
    def cancel(self) -> None: ...


class Timers(Protocol):
    """An event loop, as far as it tells the time (in seconds)."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Timer: ...


Send = Callable[[bytes, int | None], None]
"""Takes PCM16 at 24 kHz, and the `elapsed_ms` of the translation that ends last in it; None: it is the speaker's alone."""


def _unsent(audio: bytes, elapsed_ms: int | None) -> None:
    """In place of `Send` once the session is over."""


def _unplayed(samples: int) -> None:
    """In place of `played` once the session is over."""


class OriginalMix:
    """A `Loudspeaker`, and a `Watcher` that takes each piece of input (PCM16, 24 kHz) from its session. `send` gets what the listener
    hears, `played` the samples of translation in it. `under` is the factor, 0..1, by which the original is softened under the translation.
    """

    def __init__(self, under: float, timers: Timers, send: Send = _unsent, played: Callable[[int], None] = _unplayed):
        self._mix = DuckedMix(SAMPLE_RATE, under)
        self._timers = timers
        self._send = send
        self._played = played
        self._clauses: deque[tuple[int, int]] = deque()
        """Samples that are queued, and their `elapsed_ms`."""
        self._split = b""
        """Half a sample, the other half of which comes with the next input."""
        self._ahead = 0
        """Samples by which output is longer than input."""
        self._finishing = False
        self._timer: Timer | None = None
        self._heard = True
        """Whether input has come since the timer rang last."""
        self._alone_since: float | None = None
        """When the translation began to go out alone."""
        self._alone = 0
        """Samples that have gone out since."""

    def connect(self, send: Send, played: Callable[[int], None]) -> None:
        """From now on these are called."""
        self._send, self._played = send, played

    # --- the loudspeaker -------------------------------------------------------------------------------------------------------

    def play(self, effect: Play) -> None:
        """More of the translation (PCM16, 24 kHz)."""
        speech = pcm.to_float(effect.audio)
        self._mix.queue(speech)
        self._clauses.append((len(speech), effect.elapsed_ms))
        if self._finishing:
            self._go_out(self._mix.queued)
        elif self._timer is None and self._mix.queued:
            self._wait()

    def stop(self) -> None:
        """Drop what has not gone out."""
        self._mix.clear()
        self._clauses.clear()

    # --- the speaker -----------------------------------------------------------------------------------------------------------

    def hear(self, audio: bytes) -> None:
        """The next input."""
        if self._finishing:
            return
        self._heard, self._alone_since = True, None
        if self._split or len(audio) & 1:
            audio = self._split + audio
            whole = len(audio) & ~1
            audio, self._split = audio[:whole], audio[whole:]
        original = pcm.to_float(audio[: 2 * MOST])
        for begin in range(0, len(original), LONGEST):
            piece = original[begin : begin + LONGEST]
            if self._ahead and not self._mix.queued and rms(piece) < QUIET:
                left_out = min(self._ahead, len(piece))
                self._ahead -= left_out
                piece = piece[left_out:]
            self._mixed(piece)

    def finish(self) -> None:
        """No more input is passed on; what is left of the translation goes out now."""
        self._finishing = True
        self._go_out(self._mix.queued)

    # --- the watcher -----------------------------------------------------------------------------------------------------------

    def on_step(self, event: Event | None, now_ns: int, effects: Sequence[Effect], raised: str = "") -> None:
        """Pass on what the speaker says; let out what is left when the session is to end."""
        match event:
            case AudioArrived(audio=audio):
                self.hear(audio)
            case SessionCloseRequested() | WindDownRequested():
                self.finish()
            case _:
                pass

    def dump(self, fault: str) -> None:
        """Nothing of it helps to find a fault."""

    def close(self) -> None:
        """The session is over."""
        self._send, self._played = _unsent, _unplayed
        self.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- what goes out ---------------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Look after a while whether input still comes; at once, if it did not at the last look."""
        wait_s = STALLED_S if self._heard else 0.0 if self._alone_since is None else TURN_S
        self._heard = False
        self._timer = self._timers.call_later(wait_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if not self._mix.queued:
            self._alone_since = None
            return
        count = 0 if self._heard else self._due()
        self._wait()
        self._go_out(count)

    def _due(self) -> int:
        """Samples of translation that may go out alone by now."""
        now = self._timers.time()
        if self._alone_since is None:
            self._alone_since, self._alone = now, 0
        due = round((now - self._alone_since + LEAD_S) * SAMPLE_RATE) - self._alone
        count = min(self._mix.queued, max(0, due))
        self._alone += count
        self._ahead += count
        return count

    def _go_out(self, samples: int) -> None:
        """So much of the translation, over nothing."""
        while samples > 0:
            count = min(samples, LONGEST)
            self._mixed(np.zeros(count, np.float32))
            samples -= count

    def _mixed(self, original: Samples) -> None:
        if not len(original):
            return
        mixed, spoken = self._mix.over(original)
        elapsed_ms: int | None = None
        left = spoken
        while left:
            samples, elapsed_ms = self._clauses.popleft()
            if samples > left:
                self._clauses.appendleft((samples - left, elapsed_ms))
            left -= min(samples, left)
        self._send(pcm.to_bytes(mixed), elapsed_ms)
        if spoken:
            self._played(spoken)
