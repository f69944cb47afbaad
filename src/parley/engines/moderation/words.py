"""A list of words that no text may hold: `moderation = "words:FILE"`.

Laws:
- Letters are compared without case and without Latin accents: `Café` in the list finds "CAFE". Digits and punctuation are letters of
  nothing: a word ends at them.
- Whole words are found, so that a name that contains one passes; `word*` finds every word that begins so; several words with spaces
  between them find these words in a row, also where one clause ends and the next begins. Scripts that are written without spaces are
  searched everywhere.
- The time grows with the text, not with the list; a long text is judged in slices, between which others run.
"""

from __future__ import annotations

import asyncio
import itertools
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from parley.engines.options import OptionReader
from parley.engines.ports import EngineInfo, EngineUnavailable, ModerationRequest, ModerationVerdict

MAX_FILE_BYTES: Final = 4 << 20
MAX_PHRASE_WORDS: Final = 8
SLICE_CHARS: Final = 2_000
"""Judged at once: about two milliseconds."""

CATEGORY: Final = "blocked_word"

_LATIN_MARKS: Final = range(0x300, 0x370)
_UNSPACED: Final = (
    "CJK ",
    "HIRAGANA ",
    "KATAKANA ",
    "HALFWIDTH KATAKANA ",
    "THAI ",
    "LAO ",
    "KHMER ",
    "MYANMAR ",
)
"""How the Unicode names of letters begin whose scripts put no space between words."""


def create(model: str, options: Mapping[str, object]) -> WordList:
    """`words[:FILE]`: a text file in UTF-8, one entry to a line, `#` begins a comment. Option `words`: a list of further entries."""
    reader = OptionReader("moderation words", options)
    words = reader.names("words")
    reader.close()
    return WordList(Path(model).expanduser() if model else None, words)


class WordList:
    """The `Moderator` port. Flags a text that holds an entry; the category is `blocked_word`."""

    def __init__(self, path: Path | None, words: Iterable[str] = ()) -> None:
        self._path = path
        self._given = tuple(words)
        self._entries = _Entries(())

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="moderation",
            name="words",
            summary="A list of words that are neither answered nor said.",
            deterministic=True,
        )

    async def open(self) -> None:
        """Raises `EngineUnavailable` (`missing_file`, `invalid_file`)."""
        entries = [*self._given, *self._read()]
        self._entries = _Entries(entries)
        if not self._entries:
            named = f"The word list {self._path} has no entry." if self._path else "No word is listed."
            raise EngineUnavailable(
                named,
                'Name a file with one word to a line, moderation = "words:FILE", or give the option words.',
                code="invalid_file",
            )

    def _read(self) -> list[str]:
        if self._path is None:
            return []
        remedy = 'Correct the path, moderation = "words:FILE"; the file is text in UTF-8, one word to a line.'
        try:
            if self._path.stat().st_size > MAX_FILE_BYTES:
                raise EngineUnavailable(
                    f"The word list {self._path} is larger than {MAX_FILE_BYTES >> 20} MiB.",
                    "Shorten it.",
                    code="invalid_file",
                )
            text = self._path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise EngineUnavailable(
                f"The word list {self._path} is not text in UTF-8.", remedy, code="invalid_file"
            ) from None
        except OSError as error:
            raise EngineUnavailable(
                f"The word list {self._path} cannot be read: {error.strerror}.", remedy, code="missing_file"
            ) from None
        return [line.partition("#")[0].strip() for line in text.splitlines()]

    async def close(self) -> None:
        return None

    async def judge(self, request: ModerationRequest) -> ModerationVerdict:
        found = await self._entries.found_in(request.text, _last_words(request.before))
        return ModerationVerdict(True, (CATEGORY,)) if found is True else ModerationVerdict(False, (), found)


class _Entries:
    """The list, prepared: phrases by their words, beginnings, and what is searched everywhere."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._phrases: set[tuple[str, ...]] = set()
        self._beginnings: set[str] = set()
        self._anywhere: set[str] = set()
        for entry in entries:
            folded = _folded(entry)
            words = tuple(_words(folded))
            if not words:
                continue
            if any(unicodedata.name(letter, "").startswith(_UNSPACED) for letter in folded):
                self._anywhere.add("".join(words))
            elif folded.endswith("*") and len(words) == 1:
                self._beginnings.add(words[0])
            else:
                self._phrases.add(words[:MAX_PHRASE_WORDS])
        self._longest = max(map(len, self._phrases), default=0)
        self._shortest_beginning = min(map(len, self._beginnings), default=0)
        self._longest_beginning = max(map(len, self._beginnings), default=0)
        self._sorted_phrases = sorted(self._phrases)
        self._sorted_anywhere = sorted(self._anywhere)
        self._most_letters = max(map(len, self._anywhere), default=0)

    def __bool__(self) -> bool:
        return bool(self._phrases or self._beginnings or self._anywhere)

    async def found_in(self, text: str, before: str = "") -> Literal[True, "", "text", "before"]:
        """True for a text with an entry that may begin in `before`; otherwise `ModerationVerdict.open_from`."""
        words: list[str] = []
        for part in _slices(before + text):
            if words:
                await asyncio.sleep(0)
            fresh = list(_words(_folded(part)))
            begin = max(0, len(words) - self._longest + 1)  # where a phrase may begin that ends in the new words
            words += fresh
            if self._among(words, begin):
                return True
        joined = "".join(words) if self._anywhere else ""
        if any(entry in joined for entry in self._anywhere):
            return True
        return self._open_from(words, joined, list(_words(_folded(before))))

    def _among(self, words: Sequence[str], start: int) -> bool:
        """Whether a phrase or a beginning stands in the words from `start` on."""
        for at in range(start, len(words)):
            word, most = words[at], min(self._longest, len(words) - at)
            if any(tuple(words[at : at + count]) in self._phrases for count in range(1, most + 1)):
                return True
            lengths = range(self._shortest_beginning, min(self._longest_beginning, len(word)) + 1)
            if self._beginnings and any(word[:length] in self._beginnings for length in lengths):
                return True
        return False

    def _open_from(self, words: Sequence[str], joined: str, before: Sequence[str]) -> Literal["", "text", "before"]:
        """Where the longest beginning of an entry begins that ends the words."""
        for count in range(min(self._longest - 1, len(words)), 0, -1):
            end = tuple(words[-count:])
            at = bisect_left(self._sorted_phrases, end)
            if at < len(self._sorted_phrases) and self._sorted_phrases[at][:count] == end:
                return "text" if len(words) - count >= len(before) else "before"
        letters = sum(map(len, before))
        for start in range(max(0, len(joined) - self._most_letters + 1), len(joined)):
            at = bisect_left(self._sorted_anywhere, joined[start:])
            if at < len(self._sorted_anywhere) and self._sorted_anywhere[at].startswith(joined[start:]):
                return "text" if start >= letters else "before"
        return ""


def _last_words(text: str) -> str:
    """Enough of a text's end for a phrase to begin in."""
    parts = text.rsplit(None, MAX_PHRASE_WORDS)
    return text[len(parts[0]) :] if len(parts) > MAX_PHRASE_WORDS else text


def _slices(text: str) -> Iterator[str]:
    """The text in parts of about `SLICE_CHARS`, which end at white space where there is any."""
    at = 0
    while at < len(text):
        end = at + SLICE_CHARS
        while end < len(text) and end < at + 2 * SLICE_CHARS and not text[end].isspace():
            end += 1
        yield text[at:end]
        at = end


def _folded(text: str) -> str:
    """Without case, width and Latin accents."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if ord(c) not in _LATIN_MARKS))


def _words(folded: str) -> Iterator[str]:
    """Letters in a row, with the marks that belong to them; an apostrophe inside a word is left out of it."""
    kept = (letter for letter in folded if letter not in "'’")
    for is_word, letters in itertools.groupby(kept, _in_word):
        if is_word:
            yield "".join(letters)


def _in_word(letter: str) -> bool:
    return letter.isalnum() or unicodedata.category(letter).startswith("M")
