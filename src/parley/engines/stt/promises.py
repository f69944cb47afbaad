"""What one recogniser promised of a turn, kept by the next one's text.

Laws:
- A promise is kept letter for letter: the text that goes on begins with it. One that does already is used as it is.
- Two texts agree where their letters and digits do: case, marks, spaces and accents do not count, as recognisers write the same words
  in different ways.
- A promise ends where a word ends. In scripts that put no spaces between words, any letter may end it.
"""

from __future__ import annotations

import unicodedata

_SPACED_BELOW = "\u0e00"
"""Scripts before Thai put spaces between words (Latin, Greek, Cyrillic, Hebrew, Arabic, those of India)."""


def continued(promised: str, text: str) -> str | None:
    """`text` with its beginning written as `promised`; None where it does not begin with those words."""
    if text.startswith(promised):
        return text
    behind = _behind(promised, text)
    if behind is None:
        return None
    while behind < len(text) and unicodedata.combining(text[behind]):
        behind += 1
    while behind < len(text) and _is_mark(text[behind]) and not promised[-1].isalnum():
        behind += 1
    while behind < len(text) and text[behind].isspace() and promised[-1].isspace():
        behind += 1
    return promised + text[behind:]


def _behind(promised: str, text: str) -> int | None:
    """Where the words of `promised` end in `text`, which begins with them; else None."""
    wanted, found = _folded(promised), ""
    at = 0
    while at < len(text) and len(found) < len(wanted):
        found += _folded(text[at])
        at += 1
        if not wanted.startswith(found):
            return None
    if found != wanted:
        return None
    goes_on = 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()
    return None if goes_on and text[at] < _SPACED_BELOW and wanted else at


def _folded(text: str) -> str:
    """Its letters and digits, without case and accents of their own."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text.casefold()) if letter.isalnum())


def _is_mark(letter: str) -> bool:
    return not letter.isalnum() and not letter.isspace()
