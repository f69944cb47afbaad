"""LocalAgreement-2: what two hypotheses in a row begin with will not be taken back.

Source: Liu, Spanakis, Niehues, "Low-Latency Sequence-to-Sequence Speech Recognition and Translation by Partial Hypothesis
Selection" (Interspeech 2020). Here on tokens, and only up to the end of a whole word that both hypotheses follow with another.

A model that can be forced to begin with tokens (Whisper) uses `agreed()`; `WordAgreement` keeps promises for one that cannot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from parley.engines.ports import Transcript, Word

UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km", "bo"})
"""Languages written without spaces between words: there, any whole character may end a promise."""

Token = TypeVar("Token")


def agreed(
    before: Sequence[Token], now: Sequence[Token], promised: int, text: Callable[[tuple[Token, ...]], str], spaced: bool
) -> int:
    """How many tokens of `now` are a promise, at least `promised` (whose tokens both begin with)."""
    common = 0
    for a, b in zip(before, now, strict=False):
        if a != b:
            break
        common += 1
    for end in range(min(common, len(now) - 1), promised, -1):
        so_far = text(tuple(now[:end]))
        if so_far.endswith("\ufffd") or not so_far.strip() or so_far[-1].isspace():
            continue
        if not spaced or text(tuple(now[: end + 1]))[len(so_far) :][:1].isspace():
            return end
    return promised


class WordAgreement:
    """The promises about one stretch of audio, for a model that writes each hypothesis anew. A new stretch needs a new one.

    `agreement` hypotheses in a row must begin with the same words. Pass every hypothesis through `kept()`, and those that are partial
    through `heard()` then.
    """

    def __init__(self, agreement: int = 2) -> None:
        self._needed = max(2, agreement) - 1
        self._before: deque[tuple[str, ...]] = deque(maxlen=self._needed)
        self._promised: tuple[str, ...] = ()
        self._words: tuple[Word, ...] = ()
        """Of the promise; () where the model times none."""
        self.promise = Transcript("")
        """What will not be taken back."""

    def kept(self, hypothesis: Transcript) -> Transcript:
        """The hypothesis, beginning with the promise; what it says differently there gives way to it."""
        units = _units(hypothesis)
        count = len(self._promised)
        if units[:count] == self._promised:
            return hypothesis
        rest = _end_of(self._promised, units)
        words: tuple[Word, ...] = ()
        if len(hypothesis.words) == len(units) and len(self._words) == count:
            least = self._words[-1].end_ms
            behind = hypothesis.words[rest:]
            later = (
                replace(word, start_ms=max(word.start_ms, least), end_ms=max(word.end_ms, least)) for word in behind
            )
            words = (*self._words, *later)
        return replace(hypothesis, text=_written(self._promised + units[rest:], hypothesis), words=words)

    def heard(self, hypothesis: Transcript) -> None:
        """Promise what this hypothesis and the last ones begin with. It has passed `kept()`."""
        units = _units(hypothesis)
        spaced = hypothesis.language not in UNSPACED
        promised = len(self._promised)
        count = promised
        if len(self._before) == self._needed:
            count = min(
                agreed(before, units, promised, lambda some: _written(some, hypothesis), spaced)
                for before in self._before
            )
        self._before.append(units)
        if count > len(self._promised):
            self._promised = units[:count]
            self._words = hypothesis.words[:count] if len(hypothesis.words) == len(units) else ()
            self.promise = replace(
                hypothesis, text=_written(self._promised, hypothesis), words=self._words, logprobs=()
            )


def _units(hypothesis: Transcript) -> tuple[str, ...]:
    """Words, or characters where the language has no spaces."""
    return tuple(hypothesis.text if hypothesis.language in UNSPACED else hypothesis.text.split())


def _written(units: tuple[str, ...], hypothesis: Transcript) -> str:
    return ("" if hypothesis.language in UNSPACED else " ").join(units)


def _end_of(promised: tuple[str, ...], units: tuple[str, ...]) -> int:
    """Where the beginning of `units` ends that is nearest to `promised` in edits; the longest of equals, so that no word comes twice."""
    row = list(range(len(units) + 1))
    for promise in promised:
        above = row
        row = [above[0] + 1]
        for position, unit in enumerate(units):
            row.append(min(above[position] + (promise != unit), above[position + 1] + 1, row[-1] + 1))
    return max(range(len(row)), key=lambda end: (-row[end], end))
