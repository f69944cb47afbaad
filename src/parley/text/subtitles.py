"""Subtitles: cues, and their text as SRT and WebVTT.

Laws: a cue shows at most `CUE_CHARS` of each language, on one line for each; a longer text becomes several cues, which share its time by
their length. Every word is in exactly one cue, unless it alone is longer. A cue's text holds no line that would end it, nor, in WebVTT, a
mark of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CUE_CHARS = 84
"""Two lines of 42 on a screen, the usual limit of broadcasters; players wrap the line."""


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown from `start_s` to `end_s` (seconds): a text in each language, from top to bottom."""

    start_s: float
    end_s: float
    texts: tuple[str, ...]


def cues(start_s: float, end_s: float, texts: Sequence[str]) -> Iterator[Cue]:
    """The cues of one segment, whose texts say the same in different languages; empty ones are left out."""
    shown = [" ".join(text.split()) for text in texts if text.strip()]
    if not shown:
        return
    count = max(-(-len(text) // CUE_CHARS) for text in shown)
    pieces = [_shared_out(text, count) for text in shown]
    while any(len(piece) > CUE_CHARS for column in pieces for piece in column):
        count += 1
        pieces = [_shared_out(text, count) for text in shown]
    lengths = [max(1, max(len(column[row]) for column in pieces)) for row in range(count)]
    total, done = sum(lengths), 0
    for row, length in enumerate(lengths):
        begin = start_s + (end_s - start_s) * done / total
        done += length
        yield Cue(
            begin,
            start_s + (end_s - start_s) * done / total,
            tuple(column[row] for column in pieces if column[row]),
        )


def srt_cue(number: int, cue: Cue) -> str:
    """The cue as SRT; `number` counts from 1."""
    return f"{number}\n{_span(cue, ',')}\n" + "\n".join(cue.texts) + "\n\n"


def vtt_cue(cue: Cue) -> str:
    """The cue as WebVTT."""
    escaped = (text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for text in cue.texts)
    return f"{_span(cue, '.')}\n" + "\n".join(escaped) + "\n\n"


_UNSPACED = 0x0E00
"""Thai, and what follows it in Unicode, is written without spaces between words, or is read as well with a cut anywhere."""

VTT_HEAD = "WEBVTT\n\n"


def _span(cue: Cue, point: str) -> str:
    return f"{_time(cue.start_s, point)} --> {_time(cue.end_s, point)}"


def _time(seconds: float, point: str) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"


def _shared_out(text: str, count: int) -> list[str]:
    """The text in `count` pieces of about equal length, cut between words, or anywhere in a run of characters that has no spaces (Chinese,
    Japanese, Thai, or a word longer than a cue). A text with fewer words leaves the last pieces empty."""
    pieces = []
    rest = text
    for left in range(count, 1, -1):
        wanted = len(rest) / left
        spaces = (rest.rfind(" ", 0, int(wanted) + 1), rest.find(" ", int(wanted)))
        near = [at for at in spaces if 0 < at <= CUE_CHARS]
        if near:
            at = min(near, key=lambda at: abs(at - wanted))
        elif len(rest) > CUE_CHARS or (not rest.isascii() and rest.isalpha() and max(map(ord, rest)) >= _UNSPACED):
            at = max(1, round(wanted))
        else:
            at = len(rest)
        pieces.append(rest[:at].strip())
        rest = rest[at:].strip()
    return [*pieces, rest]
