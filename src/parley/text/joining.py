"""What stands between two texts that become one."""

from __future__ import annotations

import re

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uff00-\uff60\U00020000-\U0003ffff]"
)
"""Letters and marks of scripts without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""


def separator(before: str, after: str) -> str:
    """A space, or "" where one of the texts is empty or brings its own, or where both sides are written without spaces."""
    if not before or not after or before[-1].isspace() or after[0].isspace():
        return ""
    return "" if _UNSPACED.match(before[-1]) and _UNSPACED.match(after[0]) else " "


def after_words(text: str, count: int) -> int:
    """The index of `text` behind its first `count` words, which white space separates."""
    at = 0
    for word in re.finditer(r"\S+", text):
        if not count:
            break
        at, count = word.end(), count - 1
    return at


def last_words(text: str, longest: int) -> str:
    """The text, or where it is longer than `longest` characters its last whole words behind "…"; where there are no spaces, its last
    characters."""
    if len(text) <= longest:
        return text
    end = text[len(text) - max(0, longest - 1) :]
    word = re.search(r"\s", end)
    return "…" + (end if word is None else end[word.start() :])
