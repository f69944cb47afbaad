"""A text as Kokoro says it: its own phoneme alphabet, in pieces, in the languages for which there is a reading.

English is read by hibari's front end, whose phonemes are Kokoro's; Spanish, French, Hindi, Italian and Portuguese by espeak-ng, which is
what those voices were trained on. Japanese and Chinese have no reading here, and no voices.

Laws: a text's words are what stands between white space; the pieces' words together are the text's, each once, in order. Numbers, dates
and symbols are read aloud by either reader. Any thread may call.

Sources: `config.json` of hexgrad/Kokoro-82M (the alphabet), hexgrad/misaki (which sounds of espeak-ng Kokoro writes as one character).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, Protocol

from parley.engines.ports import EngineUnavailable
from parley.engines.tts import espeak_library, espeak_voices, hibari_text
from parley.engines.tts.phoneme_pieces import Piece, pieces_of, short_parts

AMERICAN: Final = "en-us"
BRITISH: Final = "en-gb"
READINGS: Final = (AMERICAN, BRITISH, "es", "fr", "hi", "it", "pt-br")
"""What a text can be read as."""

_ALPHABET: Final = (
    (1, ";:,.!?"),
    (9, '—…"()“” \u0303ʣʥʦʨᵝ\uab67AI'),
    (31, "O"),
    (33, "Q"),
    (35, "ST"),
    (39, "W"),
    (41, "Yᵊabcdef"),
    (50, "hijklmnopqrstuvwxyzɑɐɒæ"),
    (75, "βɔɕç"),
    (80, "ɖðʤə"),
    (85, "ɚɛɜ"),
    (90, "ɟ"),
    (92, "ɡ"),
    (99, "ɥ"),
    (101, "ɨɪʝ"),
    (110, "ɯɰŋɳɲɴø"),
    (118, "ɸθœ"),
    (123, "ɹ"),
    (125, "ɾɻ"),
    (128, "ʁɽʂʃʈʧ"),
    (135, "ʊʋ"),
    (138, "ʌɣɤ"),
    (142, "χʎ"),
    (147, "ʒʔ"),
    (156, "ˈˌː"),
    (162, "ʰ"),
    (164, "ʲ"),
    (169, "↓"),
    (171, "→↗↘"),
    (177, "ᵻ"),
)
VOCABULARY: Final = {character: first + at for first, run in _ALPHABET for at, character in enumerate(run)}
"""Kokoro's number of each character; 0 is the silence before and after."""

_TIE: Final = "^"
_ONE_CHARACTER: Final = {
    "a^ɪ": "I",
    "a^ʊ": "W",
    "e^ɪ": "A",
    "o^ʊ": "O",
    "ə^ʊ": "Q",
    "ɔ^ɪ": "Y",
    "d^z": "ʣ",
    "d^ʒ": "ʤ",
    "t^s": "ʦ",
    "t^ʃ": "ʧ",
    "s^s": "S",
}
_LANGUAGE_MARK: Final = re.compile(r"\([\^a-z-]+\)")
"""What espeak-ng writes where it reads a foreign word in that word's language."""

_SENTENCE_END: Final = re.compile(r"(?<=[.!?…।])[\"”»’)\]]*\s+")
_MARKS: Final = str.maketrans({"«": "“", "»": "”", "।": ".", "–": "—", "؟": "?", "；": ";", "：": ":", "，": ","})
_LEADING: Final = re.compile(r"^[\"“(]+")
_TRAILING: Final = re.compile(r"[;:,.!?—…\"”)]+$")
_BOUNDARY: Final = re.compile(r"[;:,.!?—…]")


class Reader(Protocol):
    def pieces(self, text: str) -> list[Piece]:
        """The text, cut into what is synthesized at once; its first piece is short where a clause ends early."""
        ...


def reader(reading: str) -> Reader:
    """What reads texts as one of `READINGS`. Blocks for some tenths of a second. Raises `EngineUnavailable` with its remedy."""
    if reading in (AMERICAN, BRITISH):
        return hibari_text.load(british=reading == BRITISH)
    catalogue = espeak_voices.catalogue()
    voice = catalogue.resolve(reading)
    if voice is None:
        raise EngineUnavailable(
            f"espeak-ng, which reads the language {reading!r} for Kokoro, is not installed.", espeak_library.REMEDY
        )
    return EspeakReader(espeak_library.load(), catalogue.identifier(voice))


class EspeakReader:
    """Texts in one language, read by espeak-ng."""

    def __init__(self, library: espeak_library.EspeakLibrary, voice: str) -> None:
        self._library = library
        self._voice = voice

    def pieces(self, text: str) -> list[Piece]:
        return list(self._pieces(text))

    def _pieces(self, text: str) -> Iterator[Piece]:
        first = True
        for sentence in _SENTENCE_END.split(text.strip()):
            words = sentence.split()
            parts = [short_parts(*pair) for pair in zip(words, self._phonemes(words), strict=True)]
            said, counts = [], []
            for part in map(list, parts):
                said += part
                counts += [1, *[0] * (len(part) - 1)]
            for piece in pieces_of(said, counts, words, first=first):
                yield piece
                first = first and not piece.phonemes

    def _phonemes(self, words: Sequence[str]) -> list[str]:
        """The phonemes of each word, with its punctuation. Words are read with those around them up to the next mark."""
        plain = [word.translate(_MARKS) for word in words]
        clauses: list[list[str]] = [[]]
        for word in plain:
            clauses[-1].append(word)
            if (trailing := _TRAILING.search(word)) and _BOUNDARY.search(trailing.group()):
                clauses.append([])
        clauses = [clause for clause in clauses if clause]
        return [
            phonemes
            for clause in clauses
            for phonemes in map(_with_marks, clause, self._shared_out(clause, self._read(" ".join(clause))))
        ]

    def _read(self, text: str) -> str:
        """The phonemes of a text in Kokoro's alphabet."""
        clauses = self._library.phonemes(text, self._voice, _TIE)
        return _kokoros(" ".join(phonemes for phonemes, _ in clauses if phonemes))

    def _shared_out(self, words: Sequence[str], whole: str) -> list[str]:
        """What of a clause's phonemes says each of its words: word by word where they are as many, else by how many groups, or how much,
        each is read as alone."""
        groups = whole.split()
        if len(groups) == len(words):
            return groups
        alone = list(map(self._read, words))
        sizes = [len(one.split()) for one in alone]
        if sum(sizes) != len(groups):
            total = max(1, sum(map(len, alone)))
            ends = [round(end * len(groups) / total) for end in accumulate(map(len, alone))]
            sizes = [end - start for start, end in zip([0, *ends], ends, strict=False)]
            if not any(map(len, alone)) and sizes:
                sizes[-1] = len(groups)
        ends = list(accumulate(sizes))
        return [" ".join(groups[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _kokoros(phonemes: str) -> str:
    """espeak-ng's phonemes in Kokoro's alphabet."""
    phonemes = _LANGUAGE_MARK.sub("", phonemes)
    for tied, one in _ONE_CHARACTER.items():
        phonemes = phonemes.replace(tied, one)
    return phonemes.replace(_TIE, "").replace("-", "")


def _with_marks(word: str, phonemes: str) -> str:
    """The phonemes with the marks that are written around the word: Kokoro hears pauses and questions by them."""
    before, after = _LEADING.search(word), _TRAILING.search(word)
    if before and after and after.start() < before.end():  # nothing but marks
        return before.group()
    return (before.group() if before else "") + phonemes + (after.group() if after else "")
