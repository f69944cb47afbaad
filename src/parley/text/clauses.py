"""Cuts a reply into clauses that can be spoken, while the model is still writing it.

Laws:
- The texts of the clauses join to exactly what was written. How it was split into deltas changes nothing: a cut depends on the text
  up to the next visible character, never on when that came.
- The first clause comes early (a comma after three words will do), later ones at the ends of sentences; all are bounded.
- Every character is examined a bounded number of times.
- What a clause shows is spoken (see `speakable`), code between fences too, which is cut at the ends of its lines.

Own rules, because the libraries (pysbd, NLTK punkt, spaCy, ICU break iterators) want the whole text, or see the end of a sentence
only when the next one is there, and none gives back the exact text together with markdown. The rules are the usual ones of that
field: a stop, closing marks, white space, and no small letter after it; abbreviations by list (Mikheev 2002, "Periods,
capitalized words, etc.").
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from parley.text.speakable import speakable

OPENING_WORDS: Final = 3
"""Words before the first comma at which a reply may begin to be spoken: about a second of speech, time enough to write on."""

OPENING_MAX_CHARS: Final = 100
"""Where the first clause is cut at white space though no punctuation came: slow models write this in about 3 s."""

CLAUSE_MIN_CHARS: Final = 12
"""Shorter sentences are spoken together with the next: a synthesizer does "Ha! Ha! Ha!" better at once."""

CLAUSE_SOFT_CHARS: Final = 90
"""From here on a clause may end at a comma too (some six seconds of speech)."""

CLAUSE_MAX_CHARS: Final = 240
"""No clause is longer (some fifteen seconds of speech), except for one with an unbroken word. A list without spaces is cut at its
commas; a URL is left whole."""

WORD_MAX_CHARS: Final = 1000
"""No clause at all is longer."""

LABEL_MAX_CHARS: Final = 120
"""After this many characters a `[` was not the beginning of a link."""

_STOPS: Final = frozenset(".!?…؟۔।॥‼⁇⁈⁉።")
_WIDE_STOPS: Final = frozenset("。！？．｡")
_SOFT: Final = frozenset(",;:—–،؛")
_WIDE_SOFT: Final = frozenset("，、；：")
_MARKS: Final = _STOPS | _WIDE_STOPS | _SOFT | _WIDE_SOFT
_CLOSERS: Final = frozenset("\"'”’“»«›)]}*_`~」』）】》〉〕")
_OPENERS: Final = "\"'“”‘’„«»‹›([{*_`~¿¡「『（【《〈"

_INNER: Final = frozenset(",;|/&")
"""Where a run without spaces may be cut: a list, a table, a path."""

_LEADING_VOWELS: Final = frozenset("เแโใไເແໂໃໄ")
_FOLLOWING_VOWELS: Final = frozenset("ะาำๅະາຳ")
"""Thai and Lao letters that belong to the consonant after and before them."""

_UNSPACED: Final = (
    (0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF),  # Thai, Lao, Tibetan, Burmese, Khmer
    (0x3041, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x31FFF),  # Japanese, Chinese
)  # fmt: skip

_FENCES: Final = ("```", "~~~")

NEVER_LAST: Final = frozenset(
    """mr mrs ms dr prof rev hon gen col capt lt sgt mt messrs mme mlle sra srta hr fr
    e.g i.e cf vs viz approx bzw ca evtl ggf inkl z.b d.h u.a s.o fig figs vol pp ed eds p.ej""".split()  # noqa: SIM905 - words read best as words
)
"""Abbreviations that never end a sentence."""

MAYBE_LAST: Final = frozenset(
    """etc inc ltd co corp jr sr st no nr art sec dept est min max usw bspw str tel jan feb mar apr jun jul aug sep sept oct nov
    dec mon tue wed thu fri sat sun ave blvd rd a.m p.m""".split()  # noqa: SIM905
)
"""What may end a sentence too: it does when a capital follows ("no. 5" goes on, "No. It" does not)."""

_ORDINAL_DOT: Final = frozenset("bs cs da de et fi fo hr hu is lb lv nb nn no pl sk sl sr tr".split())  # noqa: SIM905
"""Languages that write "the 3rd" as "3."."""


@dataclass(frozen=True, slots=True)
class Clause:
    """`text` is the verbatim piece of the reply; `spoken` is what the synthesizer gets ("" where there is nothing to say)."""

    text: str
    spoken: str


class Cutter(Protocol):
    """Cuts one reply: a `ClauseCutter` or a replacement. Each call may return any number of clauses."""

    def push(self, delta: str) -> list[Clause]:
        """Take the next piece of the reply; returns the clauses that are complete by now, in order."""
        ...

    def hurry(self) -> list[Clause]:
        """Called when nothing is left to speak and the model is slow: the part of the unfinished clause that can be spoken."""
        ...

    def finish(self) -> list[Clause]:
        """The reply is over, or interrupted by a tool call: the rest. More may be pushed afterwards."""
        ...


@dataclass(slots=True)
class _Mark:
    """Punctuation after which a cut may fall, once it is known what follows."""

    first: str
    word: str
    words: float
    chars: int
    wide: bool
    dots: int = 1
    spaced: bool = False


class ClauseCutter:
    """`push()` what the model writes and speak the clauses returned; `finish()` returns the rest (more may be pushed afterwards).

    `opening` False: nobody waits for the first clause, so that it is cut as the later ones are.
    """

    def __init__(self, language: str = "", *, opening: bool = True) -> None:
        self._language = language
        self._ordinal_dot = language.lower().partition("-")[0] in _ORDINAL_DOT
        self._opening = opening
        self._line_start = True  # whether the clause begins a line
        self._fenced = False
        self._begin_clause()

    def _begin_clause(self) -> None:
        self._text: list[str] = []
        self._word: list[str] = []
        self._url = False  # whether the word is one
        self._words = 0.0  # words so far; a Chinese or Japanese character counts as half a word
        self._visible = False  # anything but white space
        self._content = False  # a letter or digit
        self._mark: _Mark | None = None
        self._link: Literal["", "label", "after", "target"] = ""
        self._link_chars = 0
        self._space = 0  # where the clause could be cut: after the last white space,
        self._pause = 0  # after the last punctuation followed by white space,
        self._inner = 0  # and after the last punctuation inside a word

    def push(self, delta: str) -> list[Clause]:
        """Take the next piece of the reply; returns the clauses that are complete by now, in order."""
        done: list[Clause] = []
        for character in delta:
            self._take(character, done)
        return done

    def hurry(self) -> list[Clause]:
        """Do not wait for the end of the clause: what is written so far, up to its last whole word (none inside a link)."""
        done: list[Clause] = []
        if self._content and not self._link:
            self._cut(self._space, done)
        return done

    def finish(self) -> list[Clause]:
        """The reply is over (or interrupted by a tool call): what is left, as one clause."""
        done: list[Clause] = []
        self._cut(len(self._text), done)
        return done

    def _take(self, character: str, done: list[Clause]) -> None:
        mark = self._mark
        if mark is not None and self._follow(mark, character, done):
            return
        self._text.append(character)
        if character == "\n":
            if self._visible:
                self._cut(len(self._text), done)
                return
            self._line_start = True
        if character.isspace():
            self._end_word()
            self._space = len(self._text)
        else:
            self._visible = True
            self._extend_word(character)
        self._bound(done)

    def _follow(self, mark: _Mark, character: str, done: list[Clause]) -> bool:
        """Handle the character after punctuation; True if it was consumed."""
        if character == "\n":
            self._mark = None
            return False
        if character.isspace():
            mark.spaced = True
            self._text.append(character)
            self._end_word()
            self._space = self._pause = len(self._text)
            self._bound(done)
            return True
        if not mark.spaced and (character in _CLOSERS or character in _STOPS or character in _WIDE_STOPS):
            mark.dots += character == "."
            if mark.first == "." and character != "." and character in _STOPS | _WIDE_STOPS:
                mark.first = character
            self._text.append(character)
            self._word.append(character)
            self._follow_link(character)
            self._bound(done)
            return True
        self._mark = None
        if (mark.spaced or mark.wide) and not self._link and not self._is_fence() and self._accepts(mark, character):
            self._cut(len(self._text), done)
        return False

    def _accepts(self, mark: _Mark, following: str) -> bool:
        strength = self._strength(mark, following)
        if strength == "end":
            return self._content and (self._opening or mark.chars >= CLAUSE_MIN_CHARS)
        if strength == "soft":
            return mark.words >= OPENING_WORDS if self._opening else mark.chars >= CLAUSE_SOFT_CHARS
        return False

    def _strength(self, mark: _Mark, following: str) -> Literal["end", "soft", "none"]:
        """Whether the punctuation ends a sentence, a clause, or nothing (an abbreviation, a number in a list)."""
        if mark.first in _SOFT or mark.first in _WIDE_SOFT:
            return "soft"
        if mark.first in _WIDE_STOPS:
            return "end"
        if mark.first == "." and mark.dots == 1:
            word = mark.word.lstrip(_OPENERS)
            lower = word.lower()
            if lower in NEVER_LAST or (len(word) == 1 and word.isalpha() and word != "I"):
                return "none"
            if word.isdigit() and (mark.words <= 1 or (self._ordinal_dot and len(word) <= 2)):
                return "none"
            if lower in MAYBE_LAST or "." in word:
                return "end" if following.isupper() or following in _OPENERS else "none"
        return "soft" if following.islower() else "end"

    def _extend_word(self, character: str) -> None:
        wide = _is_wide(character)
        if character in _MARKS and not self._fenced:
            word = "".join(self._word)
            words = self._words + (0.0 if not _has_content(word) or (word and _is_wide(word[-1])) else 1.0)
            self._mark = _Mark(
                character, word, words, len(self._text), wide=character in _WIDE_STOPS or character in _WIDE_SOFT
            )
        self._word.append(character)
        self._url = self._url or (character == "/" and self._word[-3:] == [":", "/", "/"])
        if character in _INNER and not self._url:
            self._inner = len(self._text)
        self._follow_link(character)
        if character.isalnum():
            self._content = True
        if wide:
            self._words += 0.5

    def _end_word(self) -> None:
        word = "".join(self._word)
        if word and not _is_wide(word[-1]) and _has_content(word):
            self._words += 1
        self._word = []
        self._url = False

    def _follow_link(self, character: str) -> None:
        """Keeps `[label](target)` in one piece, so that it can be spoken as its label."""
        self._link_chars += 1
        if self._link == "label" and self._link_chars > LABEL_MAX_CHARS:
            self._link = ""
        match self._link, character:
            case ("", "["):
                self._link, self._link_chars = "label", 0
            case ("label", "]"):
                self._link = "after"
            case ("after", "("):
                self._link = "target"
            case ("after", _) | ("target", ")"):
                self._link = ""

    def _is_fence(self) -> bool:
        """Whether the clause is a line that opens or closes a code block, or lies in one."""
        if self._fenced:
            return True
        return self._line_start and "".join(self._text[:40]).lstrip()[:3] in _FENCES

    def _bound(self, done: list[Clause]) -> None:
        """Cut a clause that is too long: after punctuation, else at white space, else (in an endless word) right here."""
        length = len(self._text)
        limit = OPENING_MAX_CHARS if self._opening else CLAUSE_MAX_CHARS
        if self._fenced or self._link:
            limit = CLAUSE_MAX_CHARS
        if length < limit:
            return
        if self._pause > limit // 3:
            self._cut(self._pause, done)
        elif self._space > limit // 3:
            self._cut(self._space, done)
        elif self._inner > limit // 3 and not self._link:
            self._cut(self._inner, done)
        elif length >= WORD_MAX_CHARS:
            self._cut(length, done)
        elif length > CLAUSE_MAX_CHARS and _may_cut(self._text[-2], self._text[-1]):
            self._cut(length - 1, done)

    def _cut(self, at: int, done: list[Clause]) -> None:
        """Emit the first `at` characters and begin the next clause with what is left (less than one clause: taken again)."""
        if at == 0:
            return
        text, rest = "".join(self._text[:at]), self._text[at:]
        if self._line_start and text.lstrip()[:3] in _FENCES and text.endswith("\n"):
            self._fenced = not self._fenced
        spoken = speakable(text, line_start=self._line_start and not self._fenced, language=self._language)
        done.append(Clause(text, spoken))
        if spoken:
            self._opening = False
        self._line_start = text.endswith("\n")
        self._begin_clause()
        for character in rest:
            self._take(character, done)


def _is_wide(character: str) -> bool:
    """Written without spaces between words: Chinese, Japanese, Thai and their neighbours."""
    code = ord(character)
    return code >= _UNSPACED[0][0] and any(first <= code <= last for first, last in _UNSPACED)


def _may_cut(before: str, after: str) -> bool:
    """Whether two characters of a script without spaces may be parted: not a letter from its vowel signs and accents."""
    if not (_is_wide(before) and _is_wide(after)):
        return False
    return after not in _FOLLOWING_VOWELS and before not in _LEADING_VOWELS and unicodedata.category(after)[0] != "M"


def _has_content(word: str) -> bool:
    return any(character.isalnum() for character in word)
