"""Cuts the transcript of a segment into sentences, each with its place in time.

Laws: the texts of the pieces join to the transcript; their times are in order, inside the segment, and never overlap. Where the recogniser
timed the words, a piece lasts from its first word to its last; else the segment's time is shared out by characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parley.text.clauses import ClauseCutter


@dataclass(frozen=True, slots=True)
class TimedText:
    """A piece of text, and its place in milliseconds."""

    text: str
    start_ms: float
    end_ms: float


def segment_clauses(
    text: str, start_ms: float, end_ms: float, words: Sequence[TimedText] = (), language: str = ""
) -> tuple[TimedText, ...]:
    """The sentences of a segment; long ones are cut at commas. `words` are those of the text, () where they are not known."""
    cutter = ClauseCutter(language, opening=False)
    pieces = [clause.text for clause in (*cutter.push(text), *cutter.finish())]
    joined: list[str] = []
    for piece in pieces:  # a piece without a letter or digit belongs to its neighbour
        if joined and not (_has_words(piece) and _has_words(joined[-1])):
            joined[-1] += piece
        else:
            joined.append(piece)
    spans: list[tuple[int, int]] = []
    at = 0
    for piece in joined:
        spans.append((at, at + len(piece)))
        at += len(piece)
    times = _by_words(text, spans, words) or _by_characters(text, spans, start_ms, end_ms)
    placed: list[TimedText] = []
    earliest = start_ms
    for piece, (first, last) in zip(joined, times, strict=True):
        begin = min(max(first, earliest), end_ms)
        end = min(max(last, begin), end_ms)
        placed.append(TimedText(piece, begin, end))
        earliest = end
    return tuple(placed)


def _has_words(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _by_words(
    text: str, spans: Sequence[tuple[int, int]], words: Sequence[TimedText]
) -> list[tuple[float, float]] | None:
    """The times of the spans by the words that begin in each; None where the words are not those of the text."""
    found: list[list[TimedText]] = [[] for _ in spans]
    at = span = 0
    for word in words:
        bare = word.text.strip()
        place = text.find(bare, at)
        if place < 0:
            return None
        at = place + len(bare)
        while place >= spans[span][1]:
            span += 1
        found[span].append(word)
    if not all(found):
        return None
    return [(inside[0].start_ms, inside[-1].end_ms) for inside in found]


def _by_characters(
    text: str, spans: Sequence[tuple[int, int]], start_ms: float, end_ms: float
) -> list[tuple[float, float]]:
    per_character = (end_ms - start_ms) / max(1, len(text))
    return [(start_ms + first * per_character, start_ms + last * per_character) for first, last in spans]
