"""A text as the lines of subtitles: where it may be cut, how well, and how wide it is.

Laws: widths are columns: a character of Chinese, Japanese or Korean takes two, as wide as two Latin letters on a screen. A text is cut
between words; scripts that are written without spaces are cut between characters, but not before a closing mark or after an opening one.
A word wider than a line is cut where the line ends.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

LINE_COLUMNS: Final = 42
LINES: Final = 2
"""The usual limit of broadcasters."""

SENTENCE_END: Final = 0.0
CLAUSE_END: Final = 1.0
WORD_END: Final = 3.0
"""What a cut costs after a piece."""

_SENTENCE_MARKS: Final = frozenset(".!?…。！？｡؟।")
_CLAUSE_MARKS: Final = frozenset(",;:—–、，；：､،؛")
_CLOSERS: Final = frozenset("\"'”’»›)]}」』）】》〉］｝")
_OPENERS: Final = frozenset("“‘«‹([{「『（【《〈［｛")

_NOT_FIRST: Final = _CLOSERS | frozenset(
    ".!?…。！？｡؟।,;:、，；：､،؛%‰°ー・々ぁぃぅぇぉっゃゅょァィゥェォッャュョะาำๅฯๆ"
)
"""Not at the beginning of a line."""

_NOT_LAST: Final = _OPENERS | frozenset("$€£¥#เแโใไ")

_UNSPACED: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x9FFF),  # Chinese, Japanese
    (0xF900, 0xFAFF),
    (0xFF00, 0xFFEF),
    (0x20000, 0x3FFFF),
)
"""Written without spaces between words."""


@dataclass(frozen=True, slots=True)
class LinePiece:
    """A part of a text that is never cut: the characters `begin` to `end` of it. `spaced`: a space stands before it.
    `end_cost` is what a cut after it costs."""

    text: str
    begin: int
    end: int
    spaced: bool
    width: int
    end_cost: float


def columns(text: str) -> int:
    """How wide a text is on a screen."""
    return sum(map(_width, text))


def pieces_of(text: str) -> list[LinePiece]:
    """The text, whose spaces are single, in pieces: words, or characters where a script has no spaces."""
    pieces = []
    begin = 0
    for word in text.split(" "):
        at = begin
        for part in _parts(word):
            cost = _end_cost(part)
            pieces.append(LinePiece(part, at, at + len(part), at == begin and at > 0, columns(part), cost))
            at += len(part)
        begin += len(word) + 1
    return pieces


def fitting(pieces: Sequence[LinePiece], first: int, rows: int) -> int:
    """How many pieces from `first` on fit on `rows` lines; at least 1."""
    row, width = 1, 0
    for number in range(first, len(pieces)):
        piece = pieces[number]
        wider = width + piece.width + (piece.spaced and width > 0)
        if wider > LINE_COLUMNS and width:
            row += 1
            wider = piece.width
        if row > rows:
            return number - first
        width = wider
    return len(pieces) - first


def laid_out(pieces: Sequence[LinePiece], rows: int) -> tuple[str, ...] | None:
    """The pieces on at most `rows` (1 or 2) lines of about equal length, cut at the end of a clause where there is one near the middle.
    None: they do not fit."""
    width = _row_width(pieces)
    if width <= LINE_COLUMNS:
        return (_row(pieces),)
    if rows == 1 or width > rows * LINE_COLUMNS + 1:
        return None
    best, at = float("inf"), 0
    first = 0
    for number in range(1, len(pieces)):
        before = pieces[number - 1]
        first += before.width + (before.spaced and number > 1)
        second = width - first - pieces[number].spaced
        if first > LINE_COLUMNS:
            break
        if second <= LINE_COLUMNS:
            cost = before.end_cost + abs(first - second) * WORD_END / LINE_COLUMNS
            if cost < best:
                best, at = cost, number
    return (_row(pieces[:at]), _row(pieces[at:])) if at else None


def shared_out(pieces: Sequence[LinePiece], count: int) -> list[Sequence[LinePiece]]:
    """The pieces in `count` parts of about equal width, cut at the end of a clause where there is one near. With fewer pieces, parts at the
    end are empty."""
    parts: list[Sequence[LinePiece]] = []
    begin, left = 0, _row_width(pieces)
    for remaining in range(count, 1, -1):
        wanted = left / remaining
        best, until, width = float("inf"), len(pieces), 0
        for number in range(begin, len(pieces)):
            width += pieces[number].width + (pieces[number].spaced and number > begin)
            cost = pieces[number].end_cost + 2 * WORD_END * abs(width - wanted) / max(1.0, wanted)
            if cost < best:
                best, until, kept = cost, number + 1, width
            if width > 2 * wanted:
                break
        parts.append(pieces[begin:until])
        left -= kept if begin < len(pieces) else 0
        begin = until
    return [*parts, pieces[begin:]]


def _row(pieces: Sequence[LinePiece]) -> str:
    return "".join((" " if piece.spaced and number else "") + piece.text for number, piece in enumerate(pieces))


def _row_width(pieces: Sequence[LinePiece]) -> int:
    return sum(piece.width + (piece.spaced and number > 0) for number, piece in enumerate(pieces))


def _parts(word: str) -> Iterator[str]:
    """A word cut between the characters of a script without spaces, and where it is wider than a line."""
    part, width = "", 0
    for character in word:
        wide = _width(character)
        if part and (_may_cut(part, character) or width + wide > LINE_COLUMNS):
            yield part
            part, width = "", 0
        part += character
        width += wide
    yield part


def _may_cut(before: str, after: str) -> bool:
    last = before[-1]
    if after in _NOT_FIRST or unicodedata.category(after) in ("Mn", "Mc", "Me", "Cf") or set(before) <= _NOT_LAST:
        return False
    return _unspaced(last) or _unspaced(after)


def _unspaced(character: str) -> bool:
    code = ord(character)
    return code >= _UNSPACED[0][0] and any(first <= code <= last for first, last in _UNSPACED)


def _width(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _end_cost(part: str) -> float:
    bare = part.rstrip("".join(_CLOSERS))
    last = bare[-1:] or part[-1:]
    if last in _SENTENCE_MARKS:
        return SENTENCE_END
    return CLAUSE_END if last in _CLAUSE_MARKS else WORD_END
