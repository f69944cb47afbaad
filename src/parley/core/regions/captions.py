"""The two running texts of a translation session: the speaker's words, and their translation.

Laws: both only ever grow, and read as one text each: what is added gets a space in front where the script has spaces. Clauses are numbered
from 1 on. The unstable words stand after the speaker's; they end where more of the speaker's words is added.
"""

from __future__ import annotations

from parley.text.joining import separator


class Captions:
    """The region."""

    def __init__(self) -> None:
        self.clauses = 0
        """Clauses decided so far."""
        self._source_end = ""
        self._target_end = ""
        self._unstable = ""
        self._playing: int | None = None

    def next_clause(self) -> int:
        """The number of a new clause."""
        self.clauses += 1
        return self.clauses

    def add_source(self, text: str) -> str:
        """More of the speaker's words; returns what is added to the running text."""
        added = separator(self._source_end, text) + text
        self._source_end = added[-1:] or self._source_end
        self._unstable = ""
        return added

    def change_unstable(self, text: str) -> str | None:
        """The words that may still change are now these; returns how they go on the running text, None where that is as it was."""
        shown = separator(self._source_end, text) + text if text.strip() else ""
        if shown == self._unstable:
            return None
        self._unstable = shown
        return shown

    def change_playing(self, end_ms: int | None) -> bool:
        """The translation whose words end there in the input is being played now, or none; returns whether that is a change."""
        changed, self._playing = end_ms != self._playing, end_ms
        return changed

    def add_target(self, text: str) -> str:
        """More of the translation; returns what is added to the running text."""
        added = separator(self._target_end, text) + text
        self._target_end = added[-1:] or self._target_end
        return added
