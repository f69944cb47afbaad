"""A text as hibari says it: phonemes, cut into pieces that are synthesized one after the other, and which of the text's words they say.

Laws: a text's words are what stands between white space; the pieces' words together are the text's, each once, in order.
"""

from __future__ import annotations

import importlib
import logging
import re
import threading
import unicodedata
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from typing import Any, Final
from weakref import WeakValueDictionary

from parley.engines.ports import EngineUnavailable
from parley.engines.tts.phoneme_pieces import Piece, pieces_of, short_parts

log = logging.getLogger(__name__)

REMEDY: Final = 'Install it again: pip install --force-reinstall "hibari-tts>=0.2.1,<0.3"'

_PRONUNCIATION: Final = re.compile(r"\]\(")
"""What the package reads as a pronunciation, and a person writes as a link."""

_LONG_NUMBER: Final = re.compile(r"[0-9]{19,}")
"""No number that somebody says: its digits are. The package has no names for more than 36 of them."""


class Phonemizer:
    """hibari's text front end, for any thread: `g2p` is a `hibari.g2p.G2P`, `normalize` writes numbers, dates and symbols out."""

    def __init__(self, g2p: Any, normalize: Callable[[str], str], sentences: Callable[[str], list[str]]) -> None:
        self._g2p = g2p
        self._normalize = normalize
        self._sentences = sentences
        self._lock = threading.Lock()  # the package keeps caches

    def pieces(self, text: str) -> list[Piece]:
        """The text, cut into what is synthesized at once; its first piece is short where a clause ends early."""
        with self._lock:
            return list(self._pieces(text))

    def _pieces(self, text: str) -> Iterator[Piece]:
        first = True
        for sentence in self._sentences(text):
            for piece in self._sentence_pieces(sentence, first):
                yield piece
                first = first and not piece.phonemes

    def _sentence_pieces(self, sentence: str, first: bool) -> list[Piece]:
        said = self._said(sentence)
        words = sentence.split()
        return pieces_of(said, _word_counts(words, [word for word, _ in said]), words, first=first)

    def _said(self, sentence: str) -> list[tuple[str, str]]:
        """The words that are said, each with its phonemes (which may be none)."""
        try:
            said = self._read(sentence)
        except Exception:  # noqa: BLE001 - the package's rules fail on some signs, and there is no list of them
            said = [pair for word in sentence.split() for pair in self._read_alone(word)]
        return [part for pair in said for part in short_parts(*pair)]

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


_loaded: Final[WeakValueDictionary[bool, Phonemizer]] = WeakValueDictionary()
_loading: Final = threading.Lock()


def load(british: bool = False) -> Phonemizer:
    """The front end of the installed package; its phonemes are those of Kokoro. Takes 0.2 s, during which it holds the interpreter, and
    78 MB of memory.

    Voices of the same English share one, which is freed with the last of them. Raises `EngineUnavailable` where the package is absent or
    another than expected.
    """
    with _loading:
        phonemizer = _loaded.get(british)
        if phonemizer is None:
            phonemizer = _loaded[british] = _load(british)
        return phonemizer


def _load(british: bool) -> Phonemizer:
    try:
        g2p = importlib.import_module("hibari.g2p")
        normalize = importlib.import_module("hibari.g2p.normalize").normalize
        split = importlib.import_module("hibari.tts").Hibari.split_sentences
        return Phonemizer(g2p.G2P(british=british), normalize, split)
    except ModuleNotFoundError as error:
        raise missing() from error
    except (ImportError, AttributeError, OSError, ValueError, KeyError) as error:
        raise EngineUnavailable(f"hibari cannot be loaded: {error}.", REMEDY, code="invalid_package") from error


def missing() -> EngineUnavailable:
    """The package is not installed."""
    return EngineUnavailable(
        "hibari is not installed.", 'Install it: pip install "hibari-tts>=0.2.1,<0.3"', code="missing_package"
    )


def _plain(text: str) -> str:
    """Digits and letters of every form as plain ones (the package takes "²" and "٣" for digits, and cannot read them), long numbers as
    their digits, and no pronunciations."""
    plain = unicodedata.normalize("NFKC", _PRONUNCIATION.sub("] (", text))
    plain = "".join(
        str(unicodedata.digit(character)) if character.isdigit() and not character.isascii() else character
        for character in plain
    )
    return _LONG_NUMBER.sub(lambda number: " ".join(number[0]), plain)


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
