"""A text as hibari says it: phonemes, cut into pieces that are synthesized one after the other, and which of the text's words they say.

Laws: a text's words are what stands between white space; the pieces' words together are the text's, each once, in order.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Final

log = logging.getLogger(__name__)

MAX_PHONEMES: Final = 250
"""In one piece: some 15 s of speech, a fifth of a second of computing. The model was trained on 510 at the most."""

FIRST_PHONEMES: Final = 64
"""In the first piece, where a clause ends early enough: its first audio is ready within some tens of milliseconds."""

MIN_PHONEMES: Final = 12
"""A shorter first piece would sound cut off."""

_CLAUSE_END: Final = re.compile(r"[,;:—.!?…][\"”’)\]]*$")
_UNSOUNDED: Final = frozenset(' ;:,.!?—…"“”()')
"""Phoneme characters that stand for a pause."""

_PRONUNCIATION: Final = re.compile(r"\]\(")
"""What the package reads as a pronunciation, and a person writes as a link."""


@dataclass(slots=True)
class Piece:
    """Phonemes that are synthesized at once. `words` are the text's words that begin in it; `spans` says which phonemes say each:
    (first, one after the last), not falling; a word that is not said has an empty span."""

    phonemes: str = ""
    words: list[str] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    ends_sentence: bool = False


class Phonemizer:
    """hibari's text front end. `g2p` is a `hibari.g2p.G2P`, `normalize` writes numbers, dates and symbols out, `sentences` splits."""

    def __init__(self, g2p: Any, normalize: Callable[[str], str], sentences: Callable[[str], list[str]]) -> None:
        self._g2p = g2p
        self._normalize = normalize
        self._sentences = sentences

    def sentences(self, text: str) -> list[str]:
        """The sentences of a text."""
        return self._sentences(text)

    def pieces(self, sentence: str, *, first: bool) -> list[Piece]:
        """The pieces of one sentence; the first of a text is short where a clause ends early (`first`)."""
        said = self._said(sentence)
        pieces: list[Piece] = []
        counts = _word_counts(sentence.split(), [word for word, _ in said])
        words = iter(sentence.split())
        limit = FIRST_PHONEMES if first else MAX_PHONEMES
        for group in _cut(said, limit):
            piece = Piece()
            for (_, phonemes), count in zip(said[group], counts[group], strict=True):
                start = len(piece.phonemes)
                piece.phonemes += phonemes + " "
                end = start + len(phonemes.rstrip("".join(_UNSOUNDED)))
                _share(piece, [next(words) for _ in range(count)], start, max(start, end))
            piece.phonemes = piece.phonemes.rstrip()
            last = len(piece.phonemes)
            piece.spans = [(min(start, last), min(end, last)) for start, end in piece.spans]
            pieces.append(piece)
        if pieces:
            pieces[-1].ends_sentence = True
        else:
            pieces.append(Piece("", sentence.split(), [(0, 0)] * len(sentence.split())))
        return pieces

    def _said(self, sentence: str) -> list[tuple[str, str]]:
        """The words that are said, each with its phonemes (which may be none)."""
        try:
            said = self._read(sentence)
        except Exception:  # noqa: BLE001 - the package's rules fail on some signs, and there is no list of them
            said = [pair for word in sentence.split() for pair in self._read_alone(word)]
        return [part for pair in said for part in _short(*pair)]

    def _read(self, text: str) -> list[tuple[str, str]]:
        said: list[tuple[str, str]] = []
        word = phonemes = ""
        for token in self._g2p.phonemize_tokens(self._g2p.tokenize(self._normalize(_plain(text)))):
            word += token.text
            phonemes += token.phonemes or ""
            if token.whitespace:
                said.append((word, phonemes.strip()))
                word = phonemes = ""
        if word:
            said.append((word, phonemes.strip()))
        return said

    def _read_alone(self, word: str) -> list[tuple[str, str]]:
        """One word of a sentence that cannot be read as a whole; a word that cannot be read is not said."""
        try:
            return self._read(word)
        except Exception as error:  # noqa: BLE001 - as above
            # (what is said is never logged, and the error's message may repeat it)
            log.warning(
                "hibari cannot read a word of %d characters (%s); it is left out", len(word), type(error).__name__
            )
            return [(word, "")]


def _plain(text: str) -> str:
    """Digits and letters of every form as plain ones (the package takes "²" and "٣" for digits, and cannot read them), and no
    pronunciations."""
    plain = unicodedata.normalize("NFKC", _PRONUNCIATION.sub("] (", text))
    return "".join(
        str(unicodedata.digit(character)) if character.isdigit() and not character.isascii() else character
        for character in plain
    )


def _short(word: str, phonemes: str) -> Iterator[tuple[str, str]]:
    """A word of more phonemes than a piece may have, in parts."""
    for start in range(0, max(1, len(phonemes)), MAX_PHONEMES):
        yield word if start == 0 else "", phonemes[start : start + MAX_PHONEMES]


def _cut(said: Sequence[tuple[str, str]], first_limit: int) -> Iterator[slice]:
    """Slices of the words that make the pieces: cut after a clause where one ends within the limit, else before the limit."""
    start = size = 0
    clause: tuple[int, int] | None = None  # where the last clause ended, and the phonemes up to there
    limit = first_limit
    for at, (word, phonemes) in enumerate(said):
        longer = size + len(phonemes) + 1
        if longer > limit and clause is not None and clause[1] >= MIN_PHONEMES:
            yield slice(start, clause[0])
            start, longer, clause, limit = clause[0], longer - clause[1], None, MAX_PHONEMES
        if longer > MAX_PHONEMES and at > start:
            yield slice(start, at)
            start, longer, clause, limit = at, len(phonemes) + 1, None, MAX_PHONEMES
        size = longer
        if _CLAUSE_END.search(word) and size <= limit:
            clause = at + 1, size
    if start < len(said):
        yield slice(start, len(said))


def _word_counts(words: list[str], said: list[str]) -> list[int]:
    """How many of the text's words begin with each word that is said: "2024" is said in two, "Dr." in one of another spelling."""
    counts = [0] * len(said)
    if not said:
        return counts
    for kind, first, last, said_first, said_last in SequenceMatcher(None, words, said, autojunk=False).get_opcodes():
        if kind == "equal":
            for at in range(said_first, said_last):
                counts[at] += 1
        elif last > first:
            # Words of other spellings share what is said for them evenly; one that is not said goes with the word before.
            space = said_last - said_first
            for index in range(last - first):
                at = said_first + index * space // (last - first) if space else max(0, said_first - 1)
                counts[min(at, len(said) - 1)] += 1
    return counts


def _share(piece: Piece, words: list[str], start: int, end: int) -> None:
    """Give the words that are said by these phonemes a part of them each, by length; without a word, they go on the last one."""
    if not words:
        if piece.spans and end > start:
            piece.spans[-1] = piece.spans[-1][0], end
        return
    total = sum(map(len, words))
    before = 0
    for word in words:
        after = before + len(word)
        span = start + (end - start) * before // total, start + (end - start) * after // total
        piece.words.append(word)
        piece.spans.append(span)
        before = after
