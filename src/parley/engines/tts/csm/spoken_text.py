"""What CSM is given to say: plain sentences with few marks, in pieces that it can say at once, and how long each may take at most.

Laws: pure and linear. A text without a letter or a digit gives nothing. The words stay as they are and in their order; only words that are
written in capitals for emphasis are lowered, because the model spells or shouts them.

CSM was trained on transcripts of conversation: brackets, quotation marks, dashes, semicolons and rows of marks give it long pauses, or
sounds that are no words (reports of its users).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_PIECE_CHARS: Final = 240
"""About 16 s of speech. The model's turns in training were rarely longer, and its voice wanders in longer ones."""

SLOWEST_WORD_S: Final = 0.75
SLOWEST_CHAR_S: Final = 0.13
SPARE_S: Final = 2.0
"""Slow speech is 80 words, or 460 characters, a minute; the spare is for a breath before and a pause after."""

_DASH: Final = re.compile(r"\s+-+\s+|\s*[\u2012-\u2015]+\s*|\s*--+\s*")
_ELLIPSIS: Final = re.compile(r"\s*(?:\u2026|\.{2,})")
_COMMA: Final = re.compile(r"\s*[;:](?=\s|$)")
_DROPPED: Final = re.compile(r"[^\w\s.,!?'’&%+$€£@/-]|_")
_QUOTE: Final = re.compile(r"(?<!\w)['’]+|['’]+(?!\w)")
_MARKS: Final = re.compile(r"\s*([.,!?])(?:\s*[.,!?](?=[\s.,!?]|$))+")
_BEFORE_MARK: Final = re.compile(r"\s+([.,!?])(?=\s|$)")
_FIRST_MARKS: Final = re.compile(r"^[\s.,!?-]+")
_SHOUTED: Final = re.compile(r"\b[A-Z]{5,}\b")
_SPACE: Final = re.compile(r"\s+")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")


def plain_text(text: str) -> str:
    """The text with marks that CSM reads well: full stops, commas, question and exclamation marks. "" where there is nothing to say."""
    text = "".join(" " if unicodedata.category(one) in ("Cc", "Cs", "Cf", "Zl", "Zp") else one for one in text)
    text = _DASH.sub(", ", text)
    text = _ELLIPSIS.sub(". ", text)
    text = _COMMA.sub(",", text)
    text = _QUOTE.sub("", _DROPPED.sub(" ", text)).replace("’", "'")
    text = _SPACE.sub(" ", text)
    text = _BEFORE_MARK.sub(r"\1", text)
    text = _MARKS.sub(lambda match: _strongest(match[0]), text)
    text = _SHOUTED.sub(lambda match: match[0].lower(), _FIRST_MARKS.sub("", text)).strip()
    if not any(map(str.isalnum, text)):
        return ""
    return text if text[-1] in ".,!?" else f"{text}."


def _strongest(marks: str) -> str:
    return next(mark for mark in "?!.," if mark in marks)


def pieces_of(text: str) -> tuple[str, ...]:
    """A plain text in pieces of at most `MAX_PIECE_CHARS`: as many whole sentences as go into each, else cut after a comma, else after a
    word; a run of letters that is longer is cut within."""
    pieces: list[str] = []
    for sentence in _SENTENCE_END.split(text):
        if pieces and len(pieces[-1]) + 1 + len(sentence) <= MAX_PIECE_CHARS:
            pieces[-1] += f" {sentence}"
            continue
        rest = sentence
        while len(rest) > MAX_PIECE_CHARS:
            cut = _cut_at(rest)
            pieces.append(rest[:cut].rstrip())
            rest = rest[cut:].lstrip()
        pieces.append(rest)
    return tuple(filter(None, pieces))


def _cut_at(text: str) -> int:
    """Where the first piece ends: after the last comma in its second half, else after the last word that goes in."""
    comma = text.rfind(", ", MAX_PIECE_CHARS // 2, MAX_PIECE_CHARS)
    space = text.rfind(" ", 1, MAX_PIECE_CHARS + 1)
    return comma + 1 if comma > 0 else space if space > 0 else MAX_PIECE_CHARS


def longest_frames(text: str, frames_per_s: float) -> int:
    """How many frames a plain text may take, said slowly: beyond this the model goes on without words."""
    seconds = max(SLOWEST_WORD_S * len(text.split()), SLOWEST_CHAR_S * len(text))
    return round((SPARE_S + seconds) * frames_per_s)


def first_words(text: str, share: float) -> str:
    """The first words of a text of which a `share` (0..1) was heard; the word in which it was stopped included."""
    words = text.split()
    return " ".join(words[: -(-round(1_000 * share) * len(words) // 1_000)])
