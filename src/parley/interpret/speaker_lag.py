"""Whether a direction is too far behind its speaker, and whether it has caught up: for a note on the screen.

Laws: pure; time is an argument. One note when it falls behind, one when it has caught up, however many pieces are played between them.
"""

from __future__ import annotations

from typing import Final

FAR_S: Final = 10.0
"""So long after it was said, a translation is heard late; speech recognition and translation at their usual pace need a third of it."""

CAUGHT_UP_S: Final = 5.0


class SpeakerLag:
    """Tell it what begins to be heard; it answers with what the user should be told."""

    def __init__(self) -> None:
        self.far = False
        """Whether it was far behind when a piece was heard last."""

    def played(self, at_s: float, until_s: float | None) -> str:
        """A piece begins to be heard at `at_s` whose last translated sample was recorded at `until_s` (None: not known). Returns the
        note, "" where there is none."""
        if until_s is None:
            return ""
        behind_s = at_s - until_s
        if behind_s > FAR_S and not self.far:
            self.far = True
            return (
                f"The translation is {behind_s:.0f} s behind the speaker: the server, or the connection, is slower than the speech. "
                "Pause for it, or choose faster engines."
            )
        if behind_s < CAUGHT_UP_S and self.far:
            self.far = False
            return "The translation has caught up."
        return ""
