"""The call in a few lines, once it is over.

Laws: pure; what was not measured is shown as "-", a direction that did not run is left out.
"""

from __future__ import annotations

from parley.interpret.ports import DirectionShown, InterpreterShown
from parley.interpret.screen.frame import clock, cost
from parley.interpret.screen.panel import SPEAKERS, conversion, seconds

_HEADINGS = ("clauses", "pause p50", "p95", "span p50", "p90", "drops", "reconnects", "drifts")
_LABEL = 6


def closing_lines(shown: InterpreterShown, elapsed_s: float) -> list[str]:
    """How long the call was (`elapsed_s`, in seconds), one row of figures for each direction, what it cost, where it is recorded.

    No line is wider than 80 columns, but for the name of the folder.
    """
    lines = [f"interpreted for {clock(elapsed_s)}"]
    rows = [_row(each) for each in shown.directions.values()]
    if rows:
        widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
        lines += [_aligned("", _HEADINGS, widths)]
        lines += [
            _aligned(SPEAKERS[each.name], row, widths)
            for each, row in zip(shown.directions.values(), rows, strict=True)
        ]
    for each in shown.directions.values():
        if each.figures.conversion_rtf is not None or each.figures.conversion_ms is not None:
            lines.append(f"{SPEAKERS[each.name]}: {conversion(each.figures).plain}")
    if money := cost(shown.cost):
        lines.append(money)
    if shown.recording is not None:
        lines.append(f"recorded in {shown.recording}")
    return lines


def _row(shown: DirectionShown) -> tuple[str, ...]:
    figures = shown.figures
    return (
        "-" if figures.clauses is None else str(figures.clauses),
        seconds(figures.pause_p50_ms),
        seconds(figures.pause_p95_ms),
        seconds(figures.span_p50_ms),
        seconds(figures.span_p90_ms),
        seconds(figures.dropped_s * 1000),
        str(figures.reconnects),
        str(figures.drifts),
    )


def _aligned(label: str, cells: tuple[str, ...], widths: list[int]) -> str:
    return f"{label:<{_LABEL}}" + "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
