"""Levels, figures and the waterfall as text of a given width.

Laws: pure; nothing is said by colour alone; without Unicode everything is drawn in ASCII; a line is never wider than asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parley.talk.figure_names import ANSWER, AT_A_GLANCE, FIGURES
from parley.talk.figures import FigureSpread, TalkTurn, WaterfallBar

QUIET_DBFS = -60.0
"""The lower end of a level meter: a quiet background."""

LOUD_DBFS = -6.0
"""Its upper end."""

NAME_WIDTH = 1 + max(len(each.label) for each in FIGURES)
FIGURES_WIDTH = NAME_WIDTH + 16
LABEL_WIDTH = 12
MS_WIDTH = 8
MIN_BAR = 8


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The few signs that are drawn; `dot` marks the state, `cut` surrounds words that were not heard."""

    full: str = "█"
    empty: str = "░"
    bar: str = "▆"
    tick: str = "▏"
    dot: str = "●"
    more: str = "…"
    cut: str = "~"
    line: str = "─"
    wall: str = "│"

    @property
    def unicode(self) -> bool:
        """Whether the terminal draws more than ASCII."""
        return not self.full.isascii()


ASCII = Glyphs(full="#", empty="-", bar="=", tick="|", dot="*", more="...", cut="~", line="-", wall="|")


def glyphs_for(encoding: str | None) -> Glyphs:
    """What a terminal of this encoding can show."""
    return Glyphs() if (encoding or "").lower().replace("-", "").startswith("utf") else ASCII


def meter(dbfs: float, width: int, glyphs: Glyphs) -> str:
    """A level from quiet to loud, `width` characters."""
    share = (dbfs - QUIET_DBFS) / (LOUD_DBFS - QUIET_DBFS)
    filled = round(width * min(1.0, max(0.0, share)))
    return glyphs.full * filled + glyphs.empty * (width - filled)


def figures(turn: TalkTurn | None, over_all: Sequence[FigureSpread]) -> list[str]:
    """A heading and one line for each figure: the last turn's and the median; `~` before what is estimated."""
    known = turn.figures() if turn is not None else {}
    medians = {spread.name: spread.p50 for spread in over_all}
    lines = [f"{'':<{NAME_WIDTH}}{'last':>8}{'median':>8}"]
    for each in FIGURES:
        last = known.get(each.name, "-")
        median = f"{medians[each.name]:.0f}" if each.name in medians else "-"
        lines.append(f"{each.label:<{NAME_WIDTH}}{last!s:>8}{median:>8}")
    return lines


def figure_line(turn: TalkTurn | None, over_all: Sequence[FigureSpread], width: int) -> str:
    """How long the user waited for the last answer and for what, in order of importance as far as it fits; "" before there is anything."""
    known = turn.figures() if turn is not None else {}
    pieces = [f"{each.label} {known[each.name]}" for each in AT_A_GLANCE if each.name in known]
    pieces += [f"median {each.p50:.0f}" for each in over_all if each.name == ANSWER.name and each.count > 1]
    line = ""
    for piece in pieces:
        longer = f"{line}  {piece}" if line else f"{piece} ms"
        if len(longer) > width:
            break
        line = longer
    return line


def waterfall(steps: Sequence[WaterfallBar], width: int, glyphs: Glyphs) -> list[str]:
    """One line for each step: a bar on a common scale, and when it ended."""
    span = width - LABEL_WIDTH - MS_WIDTH
    if not steps or span < MIN_BAR:
        return []
    low = min(0.0, *(step.start_ms for step in steps))
    high = max(1.0, *(step.end_ms for step in steps))
    scale = span / (high - low)
    lines = []
    for step in steps:
        start = min(span - 1, int((step.start_ms - low) * scale))
        end = max(start + 1, min(span, round((step.end_ms - low) * scale)))
        brief = (step.end_ms - step.start_ms) * scale < 0.5
        mark = (glyphs.tick if brief else glyphs.bar) * (end - start)
        lines.append(
            f"{step.label:<{LABEL_WIDTH}}{' ' * start}{mark}{' ' * (span - end)}{step.end_ms:>{MS_WIDTH - 3}.0f} ms"
        )
    return lines


def summary(
    turns: Sequence[TalkTurn], interruptions: int, underruns: int, over_all: Sequence[FigureSpread]
) -> list[str]:
    """The whole conversation in a few lines."""
    # A reply that came as text was not played.
    replies = sum(
        turn.played_s is not None or (turn.first_audio_s is None and turn.last_words_s is not None) for turn in turns
    )
    lines = [
        f"{_count(len(turns), 'turn')}, {_count(replies, 'reply', 'replies')}, {_count(interruptions, 'interruption')}, "
        f"{_count(underruns, 'underrun')}"
    ]
    if over_all:
        names = {each.name: each.label for each in FIGURES}
        lines.append(f"{'in ms':<{NAME_WIDTH}}{'turns':>7}{'p50':>8}{'p95':>8}")
        lines += [
            f"{names[each.name]:<{NAME_WIDTH}}{each.count:>7}{each.p50:>8.0f}{each.p95:>8.0f}  {each.name}"
            for each in over_all
        ]
    return lines


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
