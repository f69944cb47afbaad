"""When each part of a text is spoken, by the times of its words.

Laws: times never run backwards, and lie within the segment. Between two words whose times are known, time is shared out by width; where no
word has a time, the whole segment's is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Protocol

from parley.text.subtitle_lines import columns

FARTHEST = 40
"""A word that stands no nearer is another one that is spelt the same."""


class SubtitleWord(Protocol):
    """A word and its place, in seconds."""

    @property
    def text(self) -> str: ...

    @property
    def start_s(self) -> float: ...

    @property
    def end_s(self) -> float: ...


class TextClock:
    """The times of a text that is spoken from `start_s` to `end_s`. `words` that do not stand in the text are passed over.

    `slowest` is the fewest columns a second over which a text is spread whose words have no times (`timed` False).
    """

    def __init__(self, text: str, start_s: float, end_s: float, words: Sequence[SubtitleWord], slowest: float) -> None:
        self._widths = [0]
        for character in text:
            self._widths.append(self._widths[-1] + columns(character))
        found = _places(text, words)
        self.timed = bool(found)
        end_s = max(start_s, end_s)
        last_s = end_s if found else min(end_s, start_s + self._widths[-1] / slowest)
        anchors = [(0, start_s)]
        for begin, end, word in found:
            anchors += [(begin, word.start_s), (end, word.end_s)]
        if not found or found[-1][1] < len(text):
            anchors.append((len(text), last_s))
        if found and found[0][0] == 0:
            del anchors[0]  # the first word's own time
        self._at = [place for place, _ in anchors]
        self._times: list[float] = []
        for _, time_s in anchors:
            earliest = self._times[-1] if self._times else start_s
            self._times.append(min(max(time_s, earliest), max(end_s, earliest)))

    def start_of(self, place: int) -> float:
        """When what begins at this character is spoken."""
        return self._time(place, bisect_right(self._at, place) - 1)

    def end_of(self, place: int) -> float:
        """When what ends before this character has been spoken."""
        index = bisect_left(self._at, place)
        return (
            self._times[index] if index < len(self._at) and self._at[index] == place else self._time(place, index - 1)
        )

    def _time(self, place: int, index: int) -> float:
        if index < 0 or index + 1 >= len(self._at):
            return self._times[max(0, min(index, len(self._at) - 1))]
        begin, end = self._widths[self._at[index]], self._widths[self._at[index + 1]]
        share = (self._widths[place] - begin) / (end - begin) if end > begin else 0.0
        return self._times[index] + share * (self._times[index + 1] - self._times[index])


def _places(text: str, words: Sequence[SubtitleWord]) -> list[tuple[int, int, SubtitleWord]]:
    """Where each word stands in the text with the marks around it, as far as they follow each other there."""
    folded = text.casefold() if len(text.casefold()) == len(text) else text
    at = 0
    found = []
    for word in words:
        bare = word.text.strip()
        begin = folded.find(bare.casefold(), at, at + len(bare) + FARTHEST) if bare else -1
        if begin < 0:
            continue
        end = begin + len(bare)
        while begin > at and _is_mark(text[begin - 1]):
            begin -= 1
        while end < len(text) and _is_mark(text[end]):
            end += 1
        found.append((begin, end, word))
        at = end
    return found


def _is_mark(character: str) -> bool:
    """Whether it belongs to the word that it stands at, and is not spoken."""
    return not (character.isalnum() or character.isspace())
