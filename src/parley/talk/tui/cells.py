"""Text of others in a terminal: made harmless, measured in cells, cut and wrapped.

Laws: pure; no result is wider than asked for. Nothing that a terminal would obey passes: no control characters, hence no escape sequences,
and no signs that turn the direction of the rest of the line. Does not know: what the text is for.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from parley.talk.tui.drawing import Glyphs
from parley.text.whole_characters import writable

NO_BREAK: Final = "\u00a0"
"""A space at which no line is broken."""

MAX_CHARS: Final = 10_000
"""Characters of one text that are shown: several screens."""

MAX_MARKS: Final = 3
"""Accents on one letter that are drawn: the most that a language writes. More of them climb over other lines."""

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_ESCAPES: Final = re.compile(
    # Sequences whole, so that no "[31m" stays: CSI; OSC, DCS and their like up to their end; others of two characters.
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])"
    r"(?:[^\x07\x1b\x9c]{0,200}(?:\x07|\x1b\\|\x9c))?|\x1b[ -/]*[0-Z`-~]?"
)
_DIRECTIONS: Final = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
_EMOJI_JOINERS: Final = re.compile("[\ufe0e\ufe0f]|(?<=[\u2190-\u2bff\U0001f000-\U0001faff])\u200d")
"""Terminals disagree about the width of what these make."""

_LEFT_MARK: Final = "\u200e"

_CLOSING: Final = frozenset("、。，．！？：；」』）】》〉〕｝…ー・ぁぃぅぇぉっゃゅょァィゥェォッャュョ")
"""Full-width signs that do not begin a line."""


@lru_cache(maxsize=512)
def harmless(text: str, glyphs: Glyphs) -> str:
    """The text on one line, without anything that steers a terminal; in ASCII where the terminal draws nothing else."""
    if len(text) > MAX_CHARS:
        text = text[:MAX_CHARS] + glyphs.more
    text = _ESCAPES.sub(" ", writable(text))
    text = _EMOJI_JOINERS.sub("", _DIRECTIONS.sub("", _CONTROLS.sub(" ", text)))
    text = _few_marks(unicodedata.normalize("NFC", text))
    return text if glyphs.unicode else _in_ascii(text)


def width_of(text: str) -> int:
    """Cells of a harmless text."""
    return cell_len(text)


def fitted(text: str, width: int, glyphs: Glyphs) -> str:
    """The text, cut at its end with the sign for more where it is wider than `width` cells."""
    if cell_len(text) <= width:
        return text
    room = width - cell_len(glyphs.more)
    if room < 1:
        return _head(text, max(0, width))
    return _head(text, room).rstrip() + glyphs.more


def filled(text: str, width: int, glyphs: Glyphs) -> str:
    """Exactly `width` cells: cut, or with spaces behind."""
    text = fitted(text, width, glyphs)
    return text + " " * (width - cell_len(text))


def ends(left: Text, right: Text, width: int, glyphs: Glyphs) -> Text:
    """A line with something at both ends; the left one gives way."""
    line = left.copy()
    line.no_wrap = True
    cut_to(right, width, glyphs)
    room = width - right.cell_len - 1
    cut_to(line, max(0, room), glyphs)
    line.append(" " * (width - right.cell_len - line.cell_len))
    line.append_text(right)
    return line


def cut_to(text: Text, width: int, glyphs: Glyphs) -> None:
    """Cuts the text in place where it is wider than `width` cells."""
    if text.cell_len > width:
        kept = fitted(text.plain, width, glyphs)
        sign = glyphs.more if kept.endswith(glyphs.more) else ""
        text.right_crop(len(text.plain) - (len(kept) - len(sign)))
        text.append(sign)


def wrapped(text: Text, width: int) -> list[Text]:
    """The lines of a harmless text, broken between words, between wide characters, or within a word that is wider than a line.

    At `NO_BREAK` no line is broken; a space stands there.
    """
    if width < 1 or not text.plain.strip():
        return []
    lines = text.divide(_breaks(text.plain, width))
    for line in lines:
        line.rstrip()
        line.no_wrap = True
        if NO_BREAK in line.plain:
            line.plain = line.plain.replace(NO_BREAK, " ")
    return list(lines)


def steady(line: Text) -> Text:
    """The line, closed so that a terminal which reorders right-to-left text leaves what stands beside it in its place."""
    if any(unicodedata.bidirectional(letter) in ("R", "AL", "AN") for letter in line.plain):
        marked = Text(_LEFT_MARK, no_wrap=True)
        marked.append_text(line)
        marked.append(_LEFT_MARK)
        return marked
    return line


def _head(text: str, width: int) -> str:
    used = 0
    for at, letter in enumerate(text):
        used += cell_len(letter)
        if used > width:
            return text[:at]
    return text


def _few_marks(text: str) -> str:
    if text.isascii():
        return text
    kept: list[str] = []
    marks = 0
    for letter in text:
        marks = marks + 1 if unicodedata.category(letter) in ("Mn", "Me") else 0
        if marks <= MAX_MARKS:
            kept.append(letter)
    return "".join(kept)


def _in_ascii(text: str) -> str:
    """Letters without their accents; a question mark for what has no such form."""
    found: list[str] = []
    for letter in text:
        plain = "".join(part for part in unicodedata.normalize("NFKD", letter) if part.isascii())
        found.append(plain or _ASCII_SIGNS.get(letter, "" if unicodedata.combining(letter) else "?"))
    return "".join(found)


_ASCII_SIGNS: Final = {
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "¿": "?", "¡": "!", "ß": "ss", "ø": "o",
    "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "æ": "ae", "Æ": "AE", "ı": "i", "€": "EUR", "£": "GBP", "→": "->", "°": " deg",
}  # fmt: skip


@lru_cache(maxsize=512)
def _breaks(text: str, width: int) -> tuple[int, ...]:
    """Where lines after the first begin."""
    found: list[int] = []
    begin, used, chance = 0, 0, 0
    before_wide = False
    for at, letter in enumerate(text):
        cells = cell_len(letter)
        wide = cells == 2
        if (
            at > begin
            and cells
            and (text[at - 1] == " " or (wide or before_wide))
            and letter not in _CLOSING
            and letter != " "
        ):
            chance = at
        # After a break between words the letter may still not fit, where it may not begin a line.
        while used + cells > width and letter != " " and begin < at:
            place = chance if chance > begin else at
            found.append(place)
            begin, used = place, cell_len(text[place:at])
        used += cells
        if cells:
            before_wide = wide
    return tuple(found)
