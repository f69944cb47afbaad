"""Clock steering: audio between two sound devices, each with a clock of its own: a buffer whose fill steers a variable-rate resampler.

A device that records runs up to some hundred millionths faster or slower than one that plays; without a correction the buffer between
them runs dry, or grows by seconds in an hour.

Laws:
- Pure: time is an argument (`at_s`, any clock that only goes forward) and nothing here reads one, so an hour is simulated in seconds.
- The output runs at most `MOST_PPM` faster or slower than the input, and changes over `SLEW_S`: no pitch change can be heard.
- Speech is never cut and never repeated. A fill that is off by more than `FAR_MS` is corrected by a jump, in silence alone; only when
  a device stood still, so that the sound has a hole anyway, is audio dropped that is late by then.
- No step in the output: what ends and what begins at a gap or a jump is faded over `FADE_MS`.
- What the buffer holds is bounded by `LIMIT_MS` over its target.

Does not know: devices, threads (the caller holds a lock where two of them push and pull), or what the audio says.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Final

import numpy as np
import soxr

from parley.audio.resampling import release_at_exit
from parley.audio.silence import FLOOR
from parley.audio.types import Samples

MOST_PPM: Final = 480.0
"""Under a hundredth of a semitone; the resampler goes over it by some millionths while it changes its rate, and stays under 500. Sound
devices are off by 100 at the most, a pair by 200."""

SLEW_S: Final = 0.5
"""A new rate is reached over so much time, and is set no more often."""

FAR_MS: Final = 30.0
"""A fill that is off by more is corrected in the next silence: steering alone would take a minute and longer."""

FAR_S: Final = 1.0
"""Twice for so long."""

LIMIT_MS: Final = 500.0
"""Over the target: beyond it the device that plays stands still, and what comes meanwhile would be heard late."""

STOPPED_S: Final = 0.25
"""A device whose audio does not come, or is not taken, for so long stands still: the fill starts again at its target."""

RAISE_MS: Final = 10.0
"""By how much a gap raises the target, up to `most_ms`."""

QUIET_S: Final = 0.1
"""A jump waits for so much silence: longer than the closure of a plosive."""

FADE_MS: Final = 2.5

_AVERAGED_S: Final = 4.0
"""Callbacks come up to 40 ms early or late; the mean over so much time is right to a millisecond."""

_PROPORTIONAL: Final = 0.05
"""Rate per second of fill: 10 ms too much plays 500 millionths faster."""

_INTEGRAL: Final = _PROPORTIONAL**2 / 4
"""The two clocks' difference is learnt in about a minute, without overshoot."""


class RateController:
    """A slow PI controller: the error of a buffer's fill in, a rate out. `observe()` it regularly; `forget_fill()` after a jump."""

    def __init__(self) -> None:
        self.ppm = 0.0
        """How much faster than its nominal rate the buffer is to be emptied, in millionths, within +-`MOST_PPM`."""
        self.error_s = 0.0
        """The mean of the last seconds."""
        self.known_s = 0.0
        """How much time that mean stands for."""
        self._integral = 0.0
        self._at_s: float | None = None

    def observe(self, error_s: float, at_s: float) -> float:
        """The fill is `error_s` seconds over its target at the time `at_s`; returns `ppm`."""
        passed_s = 0.0 if self._at_s is None else max(0.0, at_s - self._at_s)
        self._at_s = at_s
        # A plain mean at first, so that it is known early, then an exponential one.
        self.known_s += passed_s
        share = min(1.0, passed_s / min(self.known_s, _AVERAGED_S)) if passed_s else 0.0 if self.known_s else 1.0
        self.error_s += share * (error_s - self.error_s)
        limit = MOST_PPM * 1e-6
        wanted = _PROPORTIONAL * self.error_s + self._integral
        # A fill that is far off is not the clocks' doing, and no limit winds the integral up.
        near = self.known_s >= _AVERAGED_S and abs(self.error_s) * 1000 < FAR_MS
        if near and (abs(wanted) < limit or wanted * self.error_s < 0):
            self._integral += _INTEGRAL * self.error_s * passed_s
        self.ppm = max(-MOST_PPM, min(MOST_PPM, wanted * 1e6))
        return self.ppm

    def forget_fill(self) -> None:
        """The fill has been changed by other means; what is known of the clocks holds."""
        self.error_s = 0.0
        self.known_s = 0.0
        self._at_s = None


class SteeredBuffer:
    """Between a source at `in_rate` Hz of its own clock and a sink at `out_rate` Hz of another.

    The source calls `push()`, the sink `pull()`, in any sizes; the first `pull()` that returns sound starts at the target exactly.
    `target_ms` is the delay that the buffer is kept at: at least one piece that is pushed and one that is pulled, and what the two come
    late. It is no less than one pull, and each gap raises it, up to `most_ms`.
    """

    def __init__(self, in_rate: int, out_rate: int, target_ms: float, *, most_ms: float | None = None) -> None:
        self._in_rate = in_rate
        self._out_rate = out_rate
        self._soxr: Any = soxr.ResampleStream(in_rate * (1 + 2e-6 * MOST_PPM), out_rate, 1, dtype="float32", vr=True)
        self._soxr.set_io_ratio(in_rate, out_rate, 0)
        release_at_exit(self)
        self._fade = _fade(max(2, round(out_rate * FADE_MS / 1000)))
        self._controller = RateController()
        self._held: Samples = np.zeros(0, np.float32)
        self._last = 0.0
        """The last sample that was pulled."""
        self._join = False
        """Whether the next audio does not follow what was pulled last."""
        self._filling = True
        self._begun = False
        self._quiet = 0
        self._recent: list[int] = []
        """Errors of the fill since `_recent_at_s`; `_mean` is that of the time before."""
        self._recent_at_s = 0.0
        self._mean = 0
        self._off = 0
        """How many samples too many are held, for a jump; negative: too few."""
        self._pushed_at_s: float | None = None
        self._piece_s = 0.0
        self._pulled_at_s: float | None = None
        self._dry_at_s = 0.0
        self._steered_at_s = 0.0
        self.target_ms = target_ms
        self.most_ms = max(target_ms, most_ms or 0.0)
        self.underruns = 0
        """Gaps, because nothing had come in time."""
        self.overflows = 0
        """How often the sink stood still so long that audio was dropped."""
        self.jumps = 0
        """Corrections in silence."""
        self.dropped_ms = 0.0
        """Audio of a device that stood still; silence that a jump cut is not counted."""

    @property
    def fill_ms(self) -> float:
        """The mean delay of the last seconds: what is held, and what has been recorded but not pushed yet."""
        return self.target_ms + self._controller.error_s * 1000

    @property
    def ppm(self) -> float:
        """How much faster than its nominal rate the source is found to run (and its audio is played), in millionths."""
        return self._controller.ppm

    @property
    def lag_ms(self) -> float:
        """What the resampler delays, besides the fill."""
        return _lag_s(self._in_rate, self._out_rate) * 1000

    @property
    def held(self) -> int:
        """Samples that can be pulled now, at `out_rate`."""
        return len(self._held)

    # --- the source --------------------------------------------------------------------------------------------------------

    def push(self, audio: Samples, at_s: float) -> None:
        """The next audio, float32 `[n]` at `in_rate`, whose last sample was recorded at about `at_s`."""
        self._pushed_at_s = at_s
        self._piece_s = len(audio) / self._in_rate
        made: Samples = self._soxr.resample_chunk(audio)
        if not len(made):
            return
        silent = float(np.abs(made).max()) <= FLOOR
        if silent and self._off and self._quiet >= QUIET_S * self._out_rate:
            made = self._jumped(made)
        self._quiet = self._quiet + len(made) if silent else 0
        self._held = np.concatenate([self._held, made])
        self._bound()

    def _jumped(self, made: Samples) -> Samples:
        """The silent audio, made shorter or longer by what the fill is off, or by as much of that as it allows."""
        fade = len(self._fade)
        if len(made) < 3 * fade:
            return made
        if self._off > 0:
            cut = min(self._off, len(made) - fade)
            joined = made[:fade] * self._fade[::-1] + made[cut : cut + fade] * self._fade
            changed = np.concatenate([joined, made[cut + fade :]])
        else:
            ends, begins = made[:fade] * self._fade[::-1], made[fade : 2 * fade] * self._fade
            changed = np.concatenate([ends, np.zeros(-self._off, np.float32), begins, made[2 * fade :]])
        self._off += len(changed) - len(made)
        self.jumps += self._off == 0
        self._recent.clear()
        self._controller.forget_fill()
        return changed.astype(np.float32, copy=False)

    def _bound(self) -> None:
        if len(self._held) * 1000 > (self.target_ms + LIMIT_MS) * self._out_rate:
            self._drop(len(self._held) - self._target())
            self.overflows += 1
            self._forget_fill()

    def _forget_fill(self) -> None:
        self._controller.forget_fill()
        self._recent.clear()
        self._off = 0

    def _drop(self, count: int) -> None:
        self._held = self._held[count:]
        self.dropped_ms += 1000 * count / self._out_rate if self._begun else 0.0
        self._join = True

    # --- the sink ----------------------------------------------------------------------------------------------------------

    def pull(self, count: int, at_s: float) -> Samples:
        """The next `count` samples at `out_rate`, silence where there is nothing, at the time `at_s`."""
        stood = self._pulled_at_s is not None and at_s - self._pulled_at_s > STOPPED_S + count / self._out_rate
        self._pulled_at_s = at_s
        if self._filling or stood:
            return self._filled(count, at_s)
        if len(self._held) < count:
            return self._run_dry(count, at_s)
        self._steer(at_s)
        return self._taken(count)

    def _target(self) -> int:
        return round(self.target_ms * self._out_rate / 1000)

    def _level(self, at_s: float) -> int:
        """Samples held, and those that have been recorded since the last push. Pushes and pulls come in pieces, whose phases drift
        against each other; with it the sum is free of that."""
        since_s = 0.0 if self._pushed_at_s is None else at_s - self._pushed_at_s
        return len(self._held) + round(max(0.0, min(since_s, 2 * self._piece_s)) * self._out_rate)

    def _steer(self, at_s: float) -> None:
        error = self._level(at_s) - self._target()
        ppm = self._controller.observe(error / self._out_rate, at_s)
        self._look_far(error, at_s)
        if at_s - self._steered_at_s >= SLEW_S and self._controller.known_s >= _AVERAGED_S:
            self._steered_at_s = at_s
            self._soxr.set_io_ratio(self._in_rate * (1 + ppm * 1e-6), self._out_rate, round(SLEW_S * self._out_rate))

    def _look_far(self, error: int, at_s: float) -> None:
        """Whether the fill was far off all through a second, for a second time: then by how much it was the last time."""
        self._recent.append(error)
        if at_s - self._recent_at_s < FAR_S:
            return
        mean = round(sum(self._recent) / len(self._recent))
        far = self._out_rate * FAR_MS / 1000
        self._off = mean if min(abs(mean), abs(self._mean)) > far and mean * self._mean > 0 else 0
        self._mean, self._recent_at_s = mean, at_s
        self._recent.clear()

    def _taken(self, count: int) -> Samples:
        taken, self._held = self._held[:count], self._held[count:]
        if self._join:
            taken = self._joined(taken)
        if count:
            self._last = float(taken[-1])
        return taken

    def _joined(self, audio: Samples) -> Samples:
        """The audio, faded in over the decay of the last sample that was pulled."""
        self._join = False
        fade = self._fade[: len(audio)]
        audio = audio.copy()
        audio[: len(fade)] = audio[: len(fade)] * fade + np.float32(self._last) * (1 - fade)
        return audio

    def _run_dry(self, count: int, at_s: float) -> Samples:
        """What there is, then silence until the target is reached again."""
        taken = self._taken(len(self._held))
        self.underruns += 1
        self._filling = True
        self._dry_at_s = at_s
        self._join = True
        self._forget_fill()
        return np.concatenate([taken, self._silence(count - len(taken))])

    def _silence(self, count: int) -> Samples:
        """Silence, into which the last sample decays."""
        silence = np.zeros(count, np.float32)
        decay = self._fade[::-1][:count] * np.float32(self._last)
        silence[: len(decay)] = decay
        self._last = float(silence[-1]) if count else self._last
        return silence

    def _filled(self, count: int, at_s: float) -> Samples:
        """Silence, and the beginning of the audio where the target is reached within these samples."""
        self.target_ms = max(self.target_ms, 1000 * count / self._out_rate)
        missing = self._target() - self._level(at_s)
        if missing < 0:
            late = min(-missing, len(self._held))
            if late > FAR_MS / 1000 * self._out_rate or not self._begun:
                self._drop(late)
            missing = 0
        if missing >= count or len(self._held) < count - missing:
            self._filling = True
            return self._silence(count)
        if self._begun and self._filling and at_s - self._dry_at_s < STOPPED_S:
            self.target_ms = min(self.target_ms + RAISE_MS, self.most_ms)
        self._filling = False
        self._begun = True
        self._join = True
        self._forget_fill()
        before = self._silence(missing)
        return np.concatenate([before, self._taken(count - missing)])


def _fade(count: int) -> Samples:
    """From 0 to 1, without a corner at either end; one minus it is the fade in the other direction."""
    rise: Samples = (0.5 - 0.5 * np.cos(np.pi * (np.arange(count) + 0.5) / count)).astype(np.float32)
    return rise


@cache
def _lag_s(in_rate: int, out_rate: int) -> float:
    """By how much the output of a fresh variable-rate resampler is shorter than its input."""
    stream: Any = soxr.ResampleStream(in_rate * (1 + 2e-6 * MOST_PPM), out_rate, 1, dtype="float32", vr=True)
    stream.set_io_ratio(in_rate, out_rate, 0)
    given = math.ceil(in_rate / 5)
    return given / in_rate - len(stream.resample_chunk(np.zeros(given, np.float32))) / out_rate
