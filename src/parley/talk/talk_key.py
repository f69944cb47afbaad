"""Push-to-talk with one key, on terminals that report presses and never releases.

Laws: pure; times are seconds of one monotonic clock. A press begins; a second press ends (toggle). A key that is held repeats: once
two repeats come as fast as only a keyboard makes them it counts as held, and ends when they cease.
"""

from __future__ import annotations

from typing import Literal

REPEAT_S = 0.15
"""Keyboards repeat every 20 to 100 ms; fingers do not."""

FIRST_REPEAT_S = 0.8
"""The delay before a keyboard's first repeat: 0.2 to 0.7 s everywhere."""

RELEASED_S = 0.3
"""A held key whose repeats have ceased for so long is up. Terminals deliver them in bunches."""

Change = Literal["down", "up"] | None


class TalkKey:
    """Call `pressed()` for each key event and `passed()` once `deadline` is reached; both say what changed."""

    def __init__(self) -> None:
        self.down = False
        self._down_s = 0.0
        self._last_s = 0.0
        self._held = False
        self.deadline: float | None = None

    def pressed(self, now_s: float) -> Change:
        """The key event, be it a press or a repeat."""
        gap_s, self._last_s = now_s - self._last_s, now_s
        if not self.down:
            self.down, self._held, self.deadline = True, False, None
            self._down_s = now_s
            return "down"
        if self._held or gap_s <= REPEAT_S:
            self._held, self.deadline = True, now_s + RELEASED_S
            return None
        if self.deadline is None and now_s - self._down_s <= FIRST_REPEAT_S:
            # The first repeat, or a quick second press: a further press within a repeat's time decides.
            self.deadline = now_s + REPEAT_S
            return None
        return self._up()

    def passed(self, now_s: float) -> Change:
        """The deadline, if it is reached."""
        if self.deadline is None or now_s < self.deadline:
            return None
        return self._up()

    def reset(self) -> None:
        """The key is up, whatever it was."""
        self._up()

    def _up(self) -> Change:
        self.down, self._held, self.deadline = False, False, None
        return "up"
