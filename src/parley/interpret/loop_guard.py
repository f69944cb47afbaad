"""Keeps a call from translating its own translations: looks for loops between all that is played and captured, and says which capture is
to be silent.

Laws:
- Every output is compared with every capture, its own direction's too.
- A capture in a loop is closed while that output sounds and for as long as the sound takes to come back, and `TAIL_S` after it. What the
  user or the other party says in the meantime is lost; the rest is not.
- A loop is told once. It is gone after `GONE_S` of sound that did not come back, and may then be told anew.
Does not know: devices and their names, the screen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from parley.audio.types import Samples
from parley.interpret.loops import SOUND_DBFS, LoopDetector, LoopVerdict
from parley.interpret.updates import DirectionName

TAIL_S: Final = 0.3
"""How long a room goes on sounding."""

GONE_S: Final = 10.0

EARLIEST_S: Final = -0.1
"""Two devices may report their delays so wrongly that a sound seems to be captured before it was played. Between the output and the
capture of one direction that is no loop: it plays the original voice after it captured it."""

_SOUND: Final = 10 ** (SOUND_DBFS / 20)

_MESSAGES: Final[dict[tuple[DirectionName, DirectionName], str]] = {
    ("reverse", "forward"): (
        "Your microphone hears what your loudspeaker plays, so the translation would be translated back. Wear headphones, or choose a "
        "microphone that does not hear the loudspeaker."
    ),
    ("forward", "reverse"): (
        "What Parley plays to the call comes back as the other party's voice. Choose another loudspeaker in the call: it must not be the "
        "cable that is the call's microphone. Otherwise their microphone hears their loudspeaker: ask them to wear headphones."
    ),
    ("forward", "forward"): (
        "Parley captures its own translation as your voice: the microphone chosen is the cable that Parley plays to. Choose your real "
        "microphone."
    ),
    ("reverse", "reverse"): (
        "Parley captures its own translation as the other party's voice: it records the device that it plays to. Choose your headphones "
        "as the output, and the cable that the call plays to as the input."
    ),
}
"""By who plays and who captures."""


@dataclass(frozen=True, slots=True)
class FoundLoop:
    """A loop that was found now. `message` says what is wrong and what to do."""

    message: str
    captured_by: DirectionName
    played_by: DirectionName
    delay_ms: float
    level_db: float


@dataclass(slots=True)
class _Pair:
    """A detector, and the loop that it found last; None: there is none."""

    played_by: DirectionName
    captured_by: DirectionName
    detector: LoopDetector
    loop: LoopVerdict | None = None


class LoopGuard:
    """The loops of one call. Give it what each direction captures and plays, then `look()` about 20 times a second and ask `closes()`.

    While a capture is closed, `captured()` must still get what was really captured: only so is a loop that has gone recognised.
    """

    def __init__(self, directions: tuple[DirectionName, ...]) -> None:
        pairs = [(played_by, captured_by) for played_by in directions for captured_by in directions]
        self._pairs = [
            _Pair(
                played_by,
                captured_by,
                LoopDetector(0.0 if played_by == captured_by else EARLIEST_S, phase=number / len(pairs)),
            )
            for number, (played_by, captured_by) in enumerate(pairs)
        ]
        self._sounded_until_s: dict[DirectionName, float] = {}

    def captured(self, name: DirectionName, audio: Samples, rate: int, at_s: float) -> None:
        """What the direction captured, float32 `[n]` at `rate` Hz, before anything was silenced; its last sample was recorded at `at_s`."""
        for pair in self._pairs:
            if pair.captured_by == name:
                pair.detector.captured(audio, rate, at_s)

    def played(self, name: DirectionName, audio: Samples, rate: int, at_s: float) -> None:
        """What the direction played, float32 `[n]` at `rate` Hz, silence included; its first sample sounds at `at_s`."""
        if len(audio) and float(np.abs(audio).max()) > _SOUND:
            self._sounds(name, at_s + len(audio) / rate)
        for pair in self._pairs:
            if pair.played_by == name:
                pair.detector.played(audio, rate, at_s)

    def look(self, now_s: float, sounding: Mapping[DirectionName, bool]) -> list[FoundLoop]:
        """The loops that were found since the last look. `sounding`: the directions that play a translation, or are about to."""
        for name, sounds in sounding.items():
            if sounds:
                self._sounds(name, now_s)
        found = []
        for pair in self._pairs:
            verdict = pair.detector.look(now_s)
            if verdict is not None:
                if pair.loop is None:
                    message = _MESSAGES[pair.played_by, pair.captured_by]
                    found.append(
                        FoundLoop(message, pair.captured_by, pair.played_by, verdict.delay_ms, verdict.level_db)
                    )
                pair.loop = verdict
            elif pair.loop is not None and pair.detector.clear_s >= GONE_S:
                pair.loop = None
                pair.detector.forget()
        return found

    def closes(self, name: DirectionName, now_s: float) -> bool:
        """Whether the capture of that direction is to be silent now."""
        return any(
            pair.captured_by == name
            and pair.loop is not None
            and now_s <= self._sounded_until_s.get(pair.played_by, -np.inf) + pair.loop.delay_ms / 1000 + TAIL_S
            for pair in self._pairs
        )

    def _sounds(self, name: DirectionName, until_s: float) -> None:
        self._sounded_until_s[name] = max(until_s, self._sounded_until_s.get(name, until_s))
