"""Phonemes cut into pieces that are synthesized one after the other, and the audio and the word times of one piece.

For voices whose model takes one character for each phoneme and tells how many steps each lasts.

Laws: no I/O. A text's words are what stands between white space; the pieces' words together are the text's, each once, in order. The
model's silence around a piece is cut, for a pause of its own.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from parley.engines.ports import Samples, SpeechChunk, Word

SAMPLE_RATE: Final = 24_000

CHUNK_SAMPLES: Final = SAMPLE_RATE // 2
"""Half a second: short enough to be paced, long enough to be few."""

MAX_PHONEMES: Final = 250
"""In one piece: some 15 s of speech, a fifth of a second of computing. The model was trained on 510 at the most."""

FIRST_PHONEMES: Final = 64
"""In the first piece, where a clause ends early enough: its first audio is ready within some tens of milliseconds."""

MIN_PHONEMES: Final = 12
"""A shorter first piece would sound cut off."""

_CLAUSE_END: Final = re.compile(r"[,;:—.!?…][\"”’)\]]*$")
_UNSOUNDED: Final = frozenset(' ;:,.!?—…"“”()')
"""Phoneme characters that stand for a pause."""

_SILENCE: Final = 1e-3
"""-60 dBFS: quieter than the quietest consonant."""

_LEAD_SAMPLES: Final = SAMPLE_RATE * 30 // 1000
"""Kept of the silence before the first sound."""

_SENTENCE_PAUSE: Final = SAMPLE_RATE * 300 // 1000
_CLAUSE_PAUSE: Final = SAMPLE_RATE * 120 // 1000
"""The silence after the last sound."""


@dataclass(slots=True)
class Piece:
    """Phonemes that are synthesized at once. `words` are the text's words that begin in it; `spans` says which phonemes say each:
    (first, one after the last), not falling; a word that is not said has an empty span."""

    phonemes: str = ""
    words: list[str] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    ends_sentence: bool = False


def pieces_of(
    said: Sequence[tuple[str, str]], counts: Sequence[int], words: Sequence[str], *, first: bool
) -> list[Piece]:
    """The pieces of one sentence. `said` are the words that are spoken, each with its phonemes; `counts` says how many of the written
    `words` begin with each. The first piece of a text (`first`) is short where a clause ends early enough."""
    pieces: list[Piece] = []
    written = iter(words)
    for group in _cut(said, FIRST_PHONEMES if first else MAX_PHONEMES):
        piece = Piece()
        for (_, phonemes), count in zip(said[group], counts[group], strict=True):
            start = len(piece.phonemes)
            piece.phonemes += phonemes + " "
            end = start + len(phonemes.rstrip("".join(_UNSOUNDED)))
            _share(piece, [next(written) for _ in range(count)], start, max(start, end))
        piece.phonemes = piece.phonemes.rstrip()
        last = len(piece.phonemes)
        piece.spans = [(min(start, last), min(end, last)) for start, end in piece.spans]
        pieces.append(piece)
    if pieces:
        pieces[-1].ends_sentence = True
    else:
        pieces.append(Piece("", list(words), [(0, 0)] * len(words)))
    return pieces


def short_parts(word: str, phonemes: str) -> Iterator[tuple[str, str]]:
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


def known_ids(piece: Piece, vocabulary: Mapping[str, int]) -> list[int | None]:
    """The model's number of each of a piece's characters; None where it has none: such a character is not spoken."""
    return [vocabulary.get(character) for character in piece.phonemes]


def silent(piece: Piece, start_ms: float) -> tuple[Samples, tuple[Word, ...]]:
    """A piece without a phoneme that the model knows: its words, and no audio."""
    return np.zeros(0, np.float32), tuple(Word(word, start_ms, start_ms) for word in piece.words)


def timed(
    piece: Piece, known: Sequence[int | None], audio: Samples, steps: Any, start_ms: float
) -> tuple[Samples, tuple[Word, ...]]:
    """A piece's audio (24 kHz) with a pause at its end, and its words, which begin `start_ms` after those of the text.

    `steps` is how long the model made each of the known characters, after one for the silence before and before one for the silence
    after; all of them together last as long as `audio`.
    """
    start, end = _sounding(audio)
    step_ends = np.cumsum(np.ravel(steps)) * (len(audio) / np.sum(steps))  # in samples
    times = [min(end, max(start, sample)) - start for sample in _phoneme_starts(known, step_ends)]
    words = tuple(
        Word(word, start_ms + times[first] * 1000 / SAMPLE_RATE, start_ms + times[after] * 1000 / SAMPLE_RATE)
        for word, (first, after) in zip(piece.words, piece.spans, strict=True)
    )
    return np.concatenate([audio[start:end], _pause(piece)]), words


def untimed(piece: Piece, audio: Samples) -> Samples:
    """A piece's audio (24 kHz) with a pause at its end, from a model that does not tell its steps."""
    start, end = _sounding(audio)
    return np.concatenate([audio[start:end], _pause(piece)])


def _pause(piece: Piece) -> Samples:
    return np.zeros(_SENTENCE_PAUSE if piece.ends_sentence else _CLAUSE_PAUSE, np.float32)


def _phoneme_starts(known: Sequence[int | None], step_ends: Any) -> list[float]:
    """The sample at which each character of a piece's phonemes begins, and that of their end. Ids stand for the characters that are
    known, after one for the silence before and before one for the silence after."""
    starts = [float(step_ends[0])]
    spoken = 0
    for one in known:
        spoken += one is not None
        starts.append(float(step_ends[spoken]))
    return starts


def _sounding(audio: Samples) -> tuple[int, int]:
    """Where the audio begins and ends without the silence around it."""
    loud = np.flatnonzero(np.abs(audio) > _SILENCE)
    return (max(0, int(loud[0]) - _LEAD_SAMPLES), int(loud[-1]) + 1) if len(loud) else (0, 0)


async def in_chunks(
    pieces: Iterable[Piece], say: Callable[[Piece, float], Awaitable[tuple[Samples, tuple[Word, ...]]]]
) -> AsyncGenerator[SpeechChunk, None]:
    """The audio of the pieces at 24,000 Hz; `words` of each chunk are all words begun so far.

    `say` gives the audio of a piece that begins at so many milliseconds, and the times of its words.
    """
    samples = 0
    earlier: tuple[Word, ...] = ()
    for piece in pieces:
        audio, words = await say(piece, samples * 1000 / SAMPLE_RATE)
        for start in range(0, len(audio), CHUNK_SAMPLES):
            end = min(len(audio), start + CHUNK_SAMPLES)
            until_ms = (samples + end) * 1000 / SAMPLE_RATE
            begun = words if end == len(audio) else tuple(word for word in words if word.start_ms < until_ms)
            yield SpeechChunk(audio[start:end], SAMPLE_RATE, earlier + begun)
        earlier += words
        samples += len(audio)
        if words and not len(audio):  # a lone dash is shown, and has no audio
            yield SpeechChunk(audio, SAMPLE_RATE, earlier)
