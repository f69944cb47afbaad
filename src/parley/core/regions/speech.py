"""The audio of an assistant's item, and which of its words lie before a given sample.

Laws: the text is the clauses' texts joined; a word counts as heard only if all of it was; where the engine timed
its words the timing decides, else the words are estimated in proportion to the clause's audio and marked so. Knows nothing
of playback.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from parley.core.words.events import SpokenWord
from parley.core.words.limits import SAMPLES_PER_MS, SPEECH_MS_PER_CHARACTER
from parley.core.words.settings import AudioFormat

_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
"""A letter of a script that puts no spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""


@dataclass(slots=True)
class SpokenClause:
    """One clause: its text, where its audio begins in the item, how long it is so far."""

    text: str
    start: int
    samples: int = 0
    words: tuple[SpokenWord, ...] = ()
    open: bool = True
    id: str = ""
    """The synthesizer's name of its audio."""

    def text_within(self, samples: int) -> tuple[str, bool]:
        """The words wholly heard after `samples` of this clause's audio, and whether that is known exactly."""
        if samples <= 0:
            return "", True
        if samples >= self.samples and not self.open:
            return self.text, True
        if self.words:
            ends = [word.text_end for word in self.words if word.end_sample <= samples]
            return self.text[: max(ends, default=0)], True
        length = self.samples
        if self.open:
            length = max(length, len(self.text) * SPEECH_MS_PER_CHARACTER * SAMPLES_PER_MS)
        return _whole_words(self.text, int(len(self.text) * samples / length) if length else 0), False


def _whole_words(text: str, characters: int) -> str:
    """At most the first `characters`, without a word cut in two; a text in a script without spaces is cut anywhere."""
    if characters >= len(text):
        return text
    unspaced = _UNSPACED.search(text) and not any(letter.isspace() for letter in text.strip())
    if unspaced or text[characters].isspace():
        return text[:characters]
    head = text[:characters]
    cut = max((index for index, letter in enumerate(head) if letter.isspace()), default=0)
    return head[:cut]


@dataclass(slots=True)
class Speech:
    """The audio and the words of one assistant item, as they grow."""

    format: AudioFormat
    clauses: list[SpokenClause] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    samples: int = 0
    discarded: bool = False

    @property
    def text(self) -> str:
        return "".join(clause.text for clause in self.clauses)

    def begin(self, text: str, id: str = "") -> None:
        """The next clause; the one before it is complete."""
        self.end()
        self.clauses.append(SpokenClause(text, self.samples, id=id))

    def add(self, audio: bytes, words: tuple[SpokenWord, ...]) -> int:
        """More audio of the last clause, with all of its words timed so far; returns its samples."""
        samples = self.format.samples(len(audio))
        clause = self.clauses[-1]
        clause.samples += samples
        if words:
            clause.words = words
        self.samples += samples
        if not self.discarded:
            self.chunks.append(audio)
        return samples

    def end(self) -> None:
        """The last clause has all its audio."""
        if self.clauses:
            self.clauses[-1].open = False

    def text_until(self, sample: int) -> tuple[str, bool]:
        """The words heard by `sample`, and whether that is known exactly (False: estimated in proportion)."""
        pieces, exact = [], True
        for clause in self.clauses:
            if clause.start > sample or sample <= 0:
                break
            if clause.samples or clause.open:
                text, exact = clause.text_within(sample - clause.start)
            else:
                text = clause.text
            pieces.append(text)
        return "".join(pieces).rstrip(), exact

    def rest(self, sample: int) -> list[tuple[str, int, int]]:
        """What follows `sample`: for each clause its unheard text and the span of its audio (samples)."""
        pieces: list[tuple[str, int, int]] = []
        skipped = len(self.text_until(sample)[0])
        position = 0
        for clause in self.clauses:
            text = clause.text[max(0, skipped - position) :]
            position += len(clause.text)
            end = clause.start + clause.samples
            if end > sample and text.strip():
                pieces.append((text, max(clause.start, sample), end))
        return pieces

    def audio_until(self, sample: int) -> bytes | None:
        """The audio before `sample`; None where it is no longer kept."""
        if self.discarded:
            return None
        return b"".join(self.chunks)[: self.format.size(max(sample, 0))]

    def discard_audio(self) -> None:
        """Forget the sound, keep the words."""
        self.chunks.clear()
        self.discarded = True
