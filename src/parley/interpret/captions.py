"""A running text as lines for a screen, a transcript and subtitles.

Laws:
- Pure; time is an argument.
- The lines hold what was added: each word once, in its order. Only white space differs, where a line ends and where several blanks met.
- Where the lines end depends on the text, `ends` and the times, never on the pieces in which the text came.
- Only the last line may still grow. A line that is settled keeps its text; `mark()` may add marks to it.
- What is kept is bounded: `keep` lines, each of at most `longest` characters, or one word of at most `WORD_MAX_CHARS`.
"""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from parley.interpret.ports import CaptionLine
from parley.text.clause_ends import clause_ends
from parley.text.joining import separator

PAUSE_S: Final = 2.0
"""After so long without words the next ones begin a line."""

LONGEST: Final = 160
"""Characters of a line: some ten seconds of speech, two rows of half a wide terminal."""

KEEP: Final = 200
"""Lines that are kept, about a quarter of an hour."""

WORD_MAX_CHARS: Final = 1000
"""A word that is longer is cut."""

_PIECE: Final = 512
"""A longer text is taken in pieces, so that each character is looked at a bounded number of times."""

_CONTROLS: Final = dict.fromkeys((*range(32), *range(127, 160)), " ")
"""A server's control characters do not reach a terminal."""


class RunningText:
    """One running text. `add()` what comes, `end()` at its end; read `lines`.

    `settled` is called with each line once it no longer grows, in order, before the call that settled it returns.
    """

    def __init__(
        self, keep: int = KEEP, longest: int = LONGEST, settled: Callable[[CaptionLine], None] | None = None
    ) -> None:
        if keep < 1 or longest < 2:
            raise ValueError(f"keep must be 1 or more and longest 2 or more, not {keep} and {longest}")
        self._kept: deque[CaptionLine] = deque(maxlen=keep)
        self._longest = longest
        self._settled = settled
        self._text = ""
        self._unstable = ""
        self._marks: tuple[str, ...] = ()
        self._at_s = 0.0
        self._until_s = 0.0
        self._marked_to = 0
        """How many visible characters of what is kept, from its beginning, lie before the end of the clause that was marked last."""
        self._shown: tuple[CaptionLine, ...] | None = ()

    @property
    def lines(self) -> Sequence[CaptionLine]:
        """The last `keep` settled lines, and the one that grows where there is any."""
        if self._shown is None:
            self._shown = (*self._kept, *self._growing())
        return self._shown

    def add(self, text: str, unstable: str, ends: bool, at_s: float) -> None:
        """More of the text, verbatim, at the time `at_s` (seconds). `unstable` replaces the unstable words before and follows `text`;
        `ends`: a sentence or a turn ends between the two."""
        self._shown = None
        text = text.translate(_CONTROLS)
        unstable = unstable.translate(_CONTROLS)
        comes = text + unstable
        paused = at_s - self._until_s > PAUSE_S and bool(comes.strip())
        if paused and self._text.strip() and _may_part(self._text[-1], comes[0]):
            self._settle_all()
        if not self._text and not self._unstable:
            self._at_s = at_s
        if comes.strip():
            self._until_s = at_s
        for begin in range(0, len(text), _PIECE):
            piece = text[begin : begin + _PIECE]
            self._text = self._text + piece if self._text else piece.lstrip()
            self._cut(at_s)
        if ends:
            self._settle_all()
            self._at_s = at_s
        self._unstable = unstable

    def end(self) -> None:
        """Nothing more comes, or what comes does not go on with the last word. Unstable words that never became settled are dropped."""
        self._shown = None
        self._unstable = ""
        self._settle_all()

    def mark(self, clause: str, marks: Sequence[str]) -> bool:
        """Add marks to the line in which `clause` ends; False where no line that is kept holds it.

        Call it for each clause in its order, also without marks: of two clauses of the same words it means the one that was not marked.
        """
        wanted = _visible(clause)
        texts = [_visible(line.text) for line in self._kept] + [_visible(self._text)]
        whole = "".join(texts)
        found = whole.find(wanted, self._marked_to) if wanted else -1
        if found < 0:
            found = whole.rfind(wanted) if wanted else -1
        if found < 0:
            return False
        self._marked_to = found + len(wanted)
        row, begin = 0, 0
        while begin + len(texts[row]) < self._marked_to:
            begin += len(texts[row])
            row += 1
        self._add_marks(row, marks)
        return True

    def _add_marks(self, row: int, marks: Sequence[str]) -> None:
        self._shown = None
        if row == len(self._kept):
            self._marks = (*self._marks, *(mark for mark in marks if mark not in self._marks))
            return
        line = self._kept[row]
        self._kept[row] = replace(line, marks=(*line.marks, *(mark for mark in marks if mark not in line.marks)))

    def _growing(self) -> tuple[CaptionLine, ...]:
        text, unstable = self._text, self._unstable
        if not text or text[-1].isspace():
            unstable = unstable.lstrip()
        if not text and not unstable:
            return ()
        return (CaptionLine(_one_spaced(text), _one_spaced(unstable), self._at_s, self._until_s, self._marks),)

    def _cut(self, at_s: float) -> None:
        """Settle what is complete at the beginning of the growing line: a sentence that something follows, or as much as a line holds."""
        while at := self._line_end():
            self._settle(at)
            self._at_s = at_s

    def _line_end(self) -> int:
        """Where the growing line is to end, 0 where it is not."""
        text = self._text
        length = len(text.rstrip())
        for end in clause_ends(text, "sentence", 0):
            if end <= self._longest and end < length:
                return end
        if length <= self._longest:
            return 0
        return _boundary(text[:length], self._longest)

    def _settle_all(self) -> None:
        if self._text.strip():
            self._settle(len(self._text))
        self._text = ""

    def _settle(self, at: int) -> None:
        line = CaptionLine(_one_spaced(self._text[:at]).strip(), "", self._at_s, self._until_s, self._marks)
        self._text = self._text[at:].lstrip()
        self._marks = ()
        if len(self._kept) == self._kept.maxlen:
            self._marked_to = max(0, self._marked_to - len(_visible(self._kept[0].text)))
        self._kept.append(line)
        if self._settled is not None:
            self._settled(line)


def _boundary(text: str, longest: int) -> int:
    """Where a text that is longer than `longest` is cut: at the last end of a word within it, else at the first one behind it; 0 where that
    has not come yet."""
    for at in range(longest, 0, -1):
        if _may_part(text[at - 1], text[at]):
            return at
    for at in range(longest + 1, min(len(text), WORD_MAX_CHARS)):
        if _may_part(text[at - 1], text[at]):
            return at
    return WORD_MAX_CHARS if len(text) > WORD_MAX_CHARS else 0


def _may_part(before: str, after: str) -> bool:
    """Whether a line may end between two characters: at white space, and inside scripts that are written without it, where no mark stands
    that belongs to its neighbour."""
    if separator(before, after):
        return False
    if before.isspace() or after.isspace():
        return True
    return unicodedata.category(after) not in _CLINGS_BACK and unicodedata.category(before) not in _CLINGS_ON


_CLINGS_BACK: Final = frozenset({"Mn", "Mc", "Me", "Lm", "Pe", "Pf", "Po", "Pd"})
"""Vowel and tone marks, the sign of a long vowel, closing brackets, stops and commas belong to what precedes them."""

_CLINGS_ON: Final = frozenset({"Ps", "Pi"})
"""Opening brackets."""


def _one_spaced(text: str) -> str:
    """The same with one space for each run of white space, at its ends too."""
    words = " ".join(text.split())
    if not words:
        return ""
    return " " * text[0].isspace() + words + " " * text[-1].isspace()


def _visible(text: str) -> str:
    return "".join(text.split())
