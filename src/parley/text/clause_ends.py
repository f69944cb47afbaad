"""Where the words of a speaker may be cut into clauses, each of which is translated by itself.

Laws: pure; an end lies behind white space or a mark, never inside a word; the text behind the last end is left to the caller. Unlike
`clauses`, which cuts what a model writes for a voice, this knows how many words a clause needs to be worth translating.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from parley.text.clauses import MAYBE_LAST, NEVER_LAST

_MARK: Final = re.compile(
    r"[.!?…؟۔।॥,;:—–،؛。！？．｡，、；：]+[\"'”’»)\]」』）】]*(?=\s|$)|[。！？｡，、；：]+[」』）】]*"
)
_SENTENCE: Final = frozenset(".!?…؟۔।॥。！？．｡")
_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff]|[^\W_](?:[\w'’-]*\w)?")
_UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff]")

Boundary = Literal["comma", "sentence"]


def word_count(text: str) -> int:
    """Words of `text`; two characters of a script without spaces count as one."""
    words = _WORD.findall(text)
    unspaced = sum(1 for word in words if _UNSPACED.match(word))
    return len(words) - unspaced + (unspaced + 1) // 2


def clause_ends(text: str, boundary: Boundary, min_words: int) -> list[int]:
    """Indexes of `text` at which a clause ends: at every end of a sentence and, with "comma", at other marks behind `min_words`."""
    ends: list[int] = []
    begin = 0
    for mark in _MARK.finditer(text):
        if not word_count(text[begin : mark.start()]):
            continue
        soft = boundary == "comma" and "." not in mark.group() and word_count(text[begin : mark.start()]) >= min_words
        if soft or _ends_sentence(text, mark):
            begin = mark.end()
            ends.append(begin)
    return ends


def _ends_sentence(text: str, mark: re.Match[str]) -> bool:
    marks = mark.group()
    if not _SENTENCE.intersection(marks):
        return False
    if marks[0] != ".":
        return True
    word = text[: mark.start()].rsplit(None, 1)[-1].lower().lstrip("(\"'“‘«")
    if word in NEVER_LAST or (len(word) == 1 and word.isalpha()):
        return False
    after = text[mark.end() :].lstrip()[:1]
    if word in MAYBE_LAST or word.isdigit():
        return bool(after) and after.isupper() and not word.isdigit()
    return not after.islower()
