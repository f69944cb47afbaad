"""Subtitles: cues, and their text as SRT and WebVTT.

Laws: a cue is at most `LINES` lines of `LINE_COLUMNS`, and is shown for at most `MAX_S`. It ends where a sentence, a clause or at least a
word ends. Every word is in exactly one cue. Cues of one `CueTrack` never overlap. A cue's text holds no line that would end it, nor, in
WebVTT, a mark of its own.
Does not know: how a text is cut (`subtitle_lines.py`), when its words are spoken (`subtitle_times.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from parley.text.subtitle_lines import (
    CLAUSE_END,
    LINE_COLUMNS,
    LINES,
    LinePiece,
    columns,
    fitting,
    laid_out,
    pieces_of,
    shared_out,
)
from parley.text.subtitle_times import SubtitleWord, TextClock

MAX_S: Final = 7.0
"""The usual limit of broadcasters: who has read it all begins to read it again."""

READ_S: Final = 1.0
COLUMNS_PER_S: Final = 17.0
"""How fast viewers read subtitles, the usual limit of broadcasters. A cue stays for `READ_S` and the time that its text takes, or until the
next one, but never for less than `READ_S`."""

SLOWEST_COLUMNS_PER_S: Final = 5.0
"""Where no word has a time, a text is spread over no more time than slow speech takes."""

NEW_CUE: Final = 1.0
SHORT_CUE: Final = 2.0
"""What a cue costs, and one that is too short to be read, as against the end of a word where no clause ends (`subtitle_lines.WORD_END`)."""

PAUSE_S: Final = 0.3
"""A pause between words that ends a clause, as a comma does."""

SubtitleForm = Literal["srt", "vtt"]

VTT_HEAD: Final = "WEBVTT\n\n"


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown from `start_s` to `end_s` (seconds): its lines, from top to bottom."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]

    @property
    def read_s(self) -> float:
        """How long reading it takes."""
        return min(MAX_S, READ_S + sum(map(columns, self.lines)) / COLUMNS_PER_S)


def cues(start_s: float, end_s: float, texts: Sequence[str], words: Sequence[SubtitleWord] = ()) -> Iterator[Cue]:
    """The cues of one segment, whose texts say the same in different languages; empty ones are left out.

    `words` are those of a single text with their times, where these are known. A second language takes the second line.
    """
    shown = [" ".join(text.split()) for text in texts if text.strip()]
    if len(shown) == 1:
        yield from _of_one(shown[0], TextClock(shown[0], start_s, end_s, words, SLOWEST_COLUMNS_PER_S), end_s)
    elif shown:
        yield from _of_several(start_s, end_s, shown)


def _of_one(text: str, clock: TextClock, end_s: float) -> Iterator[Cue]:
    """The cheapest cut of a text: each cue costs something, more where it ends inside a clause or is too short to be read."""
    pieces = pieces_of(text)
    starts = [clock.start_of(piece.begin) for piece in pieces]
    ends = [clock.end_of(piece.end) for piece in pieces]
    begin = 0
    for after in _cheapest_cut(pieces, starts, ends):
        lines = laid_out(pieces[begin:after], LINES)
        assert lines is not None, "what was chosen fits"
        shown_until = ends[after - 1] if after < len(pieces) or clock.timed else max(ends[after - 1], end_s)
        yield Cue(starts[begin], min(shown_until, starts[begin] + MAX_S), lines)
        begin = after


def _cheapest_cut(pieces: Sequence[LinePiece], starts: Sequence[float], ends: Sequence[float]) -> list[int]:
    """Behind which pieces a cue ends."""
    count = len(pieces)
    after = [count] * count
    costs = [0.0] * (count + 1)
    for first in range(count - 1, -1, -1):
        costs[first] = float("inf")
        for last in range(first, min(count, first + fitting(pieces, first, LINES))):
            took_s = ends[last] - starts[first]
            if took_s > MAX_S and last > first:
                break
            cost = NEW_CUE + SHORT_CUE * max(0.0, 1.0 - took_s / READ_S) + costs[last + 1]
            if last + 1 < count:
                pause = starts[last + 1] - ends[last] >= PAUSE_S
                cost += min(pieces[last].end_cost, CLAUSE_END) if pause else pieces[last].end_cost
            if cost <= costs[first]:
                costs[first], after[first] = cost, last + 1
    cuts = []
    begin = 0
    while begin < count:
        begin = after[begin]
        cuts.append(begin)
    return cuts


def _of_several(start_s: float, end_s: float, texts: Sequence[str]) -> Iterator[Cue]:
    """Texts that say the same, cut side by side: each takes a line, and each cue holds about the same share of each."""
    rows = LINES // len(texts) or 1
    columns_of = [pieces_of(text) for text in texts]
    widest = max(columns(text) for text in texts)
    spoken_s = min(end_s - start_s, widest / SLOWEST_COLUMNS_PER_S)
    count = max(1, math.ceil(spoken_s / MAX_S), math.ceil(widest / (rows * LINE_COLUMNS)))
    while (cut := _side_by_side(columns_of, count, rows)) is None:
        count += 1
    weights = [max(1, *(sum(map(columns, lines)) for lines in row)) for row in cut]
    total, done = sum(weights), 0
    for number, (row, weight) in enumerate(zip(cut, weights, strict=True), 1):
        begin = start_s + spoken_s * done / total
        done += weight
        end = end_s if number == len(cut) else start_s + spoken_s * done / total
        yield Cue(begin, min(end, begin + MAX_S), tuple(line for lines in row for line in lines))


def _side_by_side(
    texts: Sequence[Sequence[LinePiece]], count: int, rows: int
) -> list[tuple[tuple[str, ...], ...]] | None:
    """The lines of each text in each of `count` cues, without cues that have none; None where one does not fit."""
    shares = [shared_out(pieces, count) for pieces in texts]
    cut: list[tuple[tuple[str, ...], ...]] = []
    for number in range(count):
        row: list[tuple[str, ...]] = []
        for share in shares:
            lines = laid_out(share[number], rows) if share[number] else ()
            if lines is None:
                return None
            row.append(lines)
        if any(row):
            cut.append(tuple(row))
    return cut


class CueTrack:
    """Puts cues one after the other: `add()` what follows, `finish()` at the end; each returns the cues that are settled.

    A cue stays for as long as reading takes where the next one leaves the time; none begins before the one before it has ended.
    """

    def __init__(self) -> None:
        self._held: Cue | None = None

    def add(self, coming: Iterable[Cue]) -> list[Cue]:
        """Further cues; the last one is held until it is known when the next one begins."""
        settled = []
        for cue in coming:
            if self._held is not None:
                settled.append(self._settled(cue.start_s))
                cue = replace(cue, start_s=max(cue.start_s, settled[-1].end_s))
            self._held = cue
        return settled

    def finish(self) -> list[Cue]:
        """The last cue."""
        settled = [] if self._held is None else [self._settled(float("inf"))]
        self._held = None
        return settled

    def _settled(self, next_s: float) -> Cue:
        cue = self._held
        assert cue is not None
        wanted = max(min(cue.end_s, cue.start_s + MAX_S), cue.start_s + cue.read_s)
        return replace(cue, end_s=max(min(wanted, next_s), cue.start_s + READ_S))


class SubtitleText:
    """The text of a file of subtitles as it grows: `begin()`, `add()` and at last `finish()` return what is to be written next."""

    def __init__(self, form: SubtitleForm) -> None:
        self._form = form
        self._track = CueTrack()
        self._count = 0

    def begin(self) -> str:
        """The head of the file."""
        return VTT_HEAD if self._form == "vtt" else ""

    def add(self, coming: Iterable[Cue]) -> str:
        """Further cues, as far as they are settled."""
        return self._written(self._track.add(coming))

    def finish(self) -> str:
        """The rest."""
        return self._written(self._track.finish())

    def _written(self, settled: Sequence[Cue]) -> str:
        written = [
            vtt_cue(cue) if self._form == "vtt" else srt_cue(self._count + at, cue) for at, cue in enumerate(settled, 1)
        ]
        self._count += len(settled)
        return "".join(written)


def srt_cue(number: int, cue: Cue) -> str:
    """The cue as SRT; `number` counts from 1."""
    return f"{number}\n{_span(cue, ',')}\n" + "\n".join(cue.lines) + "\n\n"


def vtt_cue(cue: Cue) -> str:
    """The cue as WebVTT."""
    escaped = (line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in cue.lines)
    return f"{_span(cue, '.')}\n" + "\n".join(escaped) + "\n\n"


def _span(cue: Cue, point: str) -> str:
    return f"{_time(cue.start_s, point)} --> {_time(cue.end_s, point)}"


def _time(seconds: float, point: str) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"
