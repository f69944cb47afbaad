"""One direction as lines of text: heading, captions, levels, figures, in whatever room there is.

Laws: pure; at most `height` lines of at most `width` cells; what matters first stays longest when the room shrinks: the state, then the
translation, the speaker's words, the levels, the figures. Words and signs say all that colour says.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from rich.text import Text

from parley.interpret.ports import CaptionLine, DirectionFigures, DirectionShown, PauseStages
from parley.interpret.screen.languages import name_of
from parley.interpret.updates import DirectionName
from parley.talk.figures import WaterfallBar
from parley.talk.tui.cells import NO_BREAK, cut_to, ends, fitted, harmless, steady, width_of, wrapped
from parley.talk.tui.drawing import Glyphs, meter, waterfall
from parley.text.joining import separator

SPEAKERS: Final[dict[DirectionName, str]] = {"forward": "you", "reverse": "them"}

STATE_STYLES: Final = {
    "starting": "bold yellow",
    "listening": "bold",
    "translating": "bold yellow",
    "speaking": "bold green",
    "muted": "bold red",
    "reconnecting": "bold red",
    "no device": "bold red",
    "raw voice": "bold red reverse",
    "stopped": "bold red",
}

FIGURES_WIDTH: Final = 38
"""Columns of the table of figures; what is narrower gets them in one line."""

ROOM_FOR_STEPS: Final = 30
"""Lines of a panel from which the last pause is drawn as bars, too."""

ROOM_FOR_RULE: Final = 4
"""Lines of captions from which one is spent on a rule between both languages."""

CAPTION_CHARS: Final = 2000
"""Of a longer line, the last ones are shown, from a multiple of `CAPTION_STEP` on so that its words do not wander."""

CAPTION_STEP: Final = 500

SHORT_MARKS: Final = 24
"""Cells up to which marks stay on one line."""

LINES_READ: Final = 60
"""Caption lines that may be looked at for one drawing: more than a screen has."""

_STAGES: Final = ("words", "text", "audio", "played")
_COLUMNS: Final = (6, 6, 6, 7)
_LABEL: Final = FIGURES_WIDTH - sum(_COLUMNS)


def direction_lines(shown: DirectionShown, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """The whole panel, of exactly `height` lines."""
    if width < 1 or height < 1:
        return []
    measured = _measured(shown, width, height, glyphs)
    top = [heading(shown, width, glyphs)]
    if height - len(measured) >= 7:
        top.append(_devices(shown, width, glyphs))
    room = height - len(top) - len(measured)
    between = [_between(shown, width, glyphs)] if room >= ROOM_FOR_RULE else []
    # Without the rule a sign tells the translation from the speaker's words.
    sign = "" if between else "> "
    room -= len(between)
    # The translation is what the user reads: the odd line is its.
    source_rows = room // 2
    source = captions(shown.source, width, source_rows, glyphs)
    target = captions(shown.target, width - len(sign), room - source_rows, glyphs)
    target = [Text(sign).append_text(line) for line in target]
    body = [*_filled_up(source, source_rows), *between, *_filled_up(target, room - source_rows)]
    lines = [*top, *body, *measured][:height]
    for line in lines:
        cut_to(line, width, glyphs)
    return lines


def heading(shown: DirectionShown, width: int, glyphs: Glyphs) -> Text:
    """Who speaks, the languages, and the state at the right end."""
    state = Text(f"{glyphs.dot} {shown.state}", STATE_STYLES.get(shown.state, "bold"))
    if shown.muted and shown.state != "muted":
        state.append(" (muted)", "bold red")
    speaker = SPEAKERS[shown.name]
    source, target = shown.wishes.source, shown.wishes.target
    left = f"{speaker}: {name_of(source)} -> {name_of(target)}"
    room = width - state.cell_len - 1
    if width_of(harmless(left, glyphs)) > room:
        left = f"{speaker}: {source or 'any'} -> {target}"
    return ends(Text(harmless(left, glyphs), "bold"), state, width, glyphs)


def captions(lines: Sequence[CaptionLine], width: int, rows: int, glyphs: Glyphs) -> list[Text]:
    """The last `rows` lines of a running text, wrapped."""
    found: list[Text] = []
    for line in islice(reversed(lines), LINES_READ):
        if len(found) >= rows:
            break
        found[:0] = [steady(each) for each in wrapped(caption(line, glyphs), width)]
    return found[-rows:] if rows > 0 else []


def caption(line: CaptionLine, glyphs: Glyphs) -> Text:
    """One line of a running text: what may still change between brackets and in italics, marks behind a sign and a word."""
    settled = harmless(_recent(line.text), glyphs)
    unstable = harmless(_recent(line.unstable), glyphs)
    text = Text(settled.lstrip())
    if words := unstable.strip():
        text.append(" " if settled.endswith(" ") or unstable.startswith(" ") else separator(settled, unstable))
        text.append(f"[{words}{glyphs.more}]", "italic")
        text = Text(text.plain.lstrip(), spans=text.spans) if not settled else text
    if line.marks:
        sign = f"(! check: {', '.join(harmless(mark, glyphs).strip() for mark in islice(line.marks, 8))})"
        if width_of(sign) <= SHORT_MARKS:
            sign = sign.replace(" ", NO_BREAK)
        text.append(" " if text.plain.strip() else "")
        text.append(sign, "bold yellow")
    return text


def _recent(text: str) -> str:
    if len(text) <= CAPTION_CHARS:
        return text
    over = len(text) - CAPTION_CHARS
    start = -(-over // CAPTION_STEP) * CAPTION_STEP
    space = text.find(" ", start, start + 40)
    return "…" + text[space if space >= 0 else start :]


def _filled_up(lines: list[Text], rows: int) -> list[Text]:
    return [*lines, *(Text() for _ in range(rows - len(lines)))]


def _devices(shown: DirectionShown, width: int, glyphs: Glyphs) -> Text:
    into, out = (harmless(name, glyphs).strip() or "none" for name in shown.devices)
    arrow = " -> "
    room = max(0, width - len(arrow))
    wide = max(room // 2, room - width_of(out))
    into = fitted(into, wide, glyphs)
    return steady(Text(f"{into}{arrow}{fitted(out, room - width_of(into), glyphs)}", "dim", no_wrap=True))


def _between(shown: DirectionShown, width: int, glyphs: Glyphs) -> Text:
    """The rule above the translation; it says what is below it, and in which voice that is spoken."""
    voice = harmless(shown.voice, glyphs).strip()
    label = f"{glyphs.line * 2} {name_of(shown.wishes.target)}{f', voice {voice}' if voice else ''} "
    label = fitted(harmless(label, glyphs), width, glyphs)
    return Text(label + glyphs.line * max(0, width - width_of(label)), "dim", no_wrap=True)


# --- levels and figures -----------------------------------------------------------------------------------------------------


def _measured(shown: DirectionShown, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """As much of levels and figures as leaves room for the captions."""
    figures = shown.figures
    levels = _levels(shown, width, glyphs)
    if width >= FIGURES_WIDTH and height >= 13:
        lines = [levels, *figure_lines(figures, width)]
        if height >= ROOM_FOR_STEPS:
            bars = waterfall(_steps(figures.last), min(width, 60), glyphs)
            lines += [Text(), *_filled_up([Text(bar, no_wrap=True) for bar in bars], len(_STAGES))]
        return lines
    short = _short(figures, width, glyphs)
    if height >= 6:
        return [levels, *short[: max(1, height - 7)]]
    return [levels] if height >= 5 else []


def _levels(shown: DirectionShown, width: int, glyphs: Glyphs) -> Text:
    into, out = shown.levels_dbfs
    queue = f" queue {seconds(shown.figures.queue_ms)}"
    room = width - len("in  out ") - len(queue)
    if room < 8:
        queue, room = "", width - len("in  out ")
    each = max(1, min(16, room // 2))
    text = Text(f"in {meter(into, each, glyphs)} out {meter(out, each, glyphs)}{queue}", no_wrap=True)
    cut_to(text, width, glyphs)
    return text


def figure_lines(figures: DirectionFigures, width: int) -> list[Text]:
    """The table of figures, `FIGURES_WIDTH` columns wide; the clocks have a place where there is room for them."""
    last = figures.last
    stages = (last.words_ms, last.text_ms, last.audio_ms, last.played_ms) if last is not None else (None,) * 4
    both = f"{_ms(figures.pause_p50_ms)} / {_ms(figures.pause_p95_ms)}"
    span = f"p50 {seconds(figures.span_p50_ms)}  p90 {seconds(figures.span_p90_ms)}"
    lost = Text()
    for number, (name, value, count) in enumerate(
        (
            ("drops", seconds(figures.dropped_s * 1000), figures.dropped_s),
            ("reconnects", str(figures.reconnects), figures.reconnects),
            ("drifts", str(figures.drifts), figures.drifts),
        )
    ):
        lost.append("  " if number else "")
        lost.append(f"{name} {value}", "bold yellow" if count else "")
    clocks = f"  clocks {figures.clocks_ppm:+.0f} ppm" if width >= FIGURES_WIDTH + 18 else ""
    return [
        Text(f"{'pause to, ms':<{_LABEL}}" + _row(_STAGES), "dim"),
        Text(f"{'last':<{_LABEL}}" + _row([_ms(each) for each in stages])),
        Text(f"{'p50 / p95':<{_LABEL}}{both:>{sum(_COLUMNS)}}"),
        Text(f"{'ear-voice span':<16}{span:>{FIGURES_WIDTH - 16}}"),
        lost,
        Text.assemble(conversion(figures), clocks),
    ]


def conversion(figures: DirectionFigures) -> Text:
    """What voice conversion costs: its real-time factor and its delay."""
    rtf, delay = figures.conversion_rtf, figures.conversion_ms
    if rtf is None and delay is None:
        return Text("voice conversion: none")
    slow = rtf is not None and rtf >= 1
    said = f"conversion RTF {'-' if rtf is None else f'{rtf:.2f}'}, {_ms(delay)} ms"
    return Text(f"{said}{', too slow' if slow else ' late'}", "bold red" if slow else "")


def _short(figures: DirectionFigures, width: int, glyphs: Glyphs) -> list[Text]:
    """The figures that matter most, in two or three lines."""
    pause = f"pause p50 {seconds(figures.pause_p50_ms)} p95 {seconds(figures.pause_p95_ms)}"
    span = f"span p50 {seconds(figures.span_p50_ms)} p90 {seconds(figures.span_p90_ms)}"
    drops = f"drops {seconds(figures.dropped_s * 1000)}, reconnects {figures.reconnects}, drifts {figures.drifts}"
    lines = [f"{pause}  {span}"] if width >= len(pause) + len(span) + 2 else [pause, span]
    return [Text(fitted(line, width, glyphs), no_wrap=True) for line in (*lines, drops)]


def _steps(last: PauseStages | None) -> list[WaterfallBar]:
    """The stages of the last pause as bars, each from the end of the one before."""
    if last is None:
        return []
    bars = []
    before = 0.0
    for label, end_ms in zip(_STAGES, (last.words_ms, last.text_ms, last.audio_ms, last.played_ms), strict=True):
        if end_ms is not None:
            bars.append(WaterfallBar(label, min(before, end_ms), end_ms))
            before = end_ms
    return bars


def _row(cells: Sequence[str]) -> str:
    return "".join(f"{cell:>{column}}" for cell, column in zip(cells, _COLUMNS, strict=True))


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) < 99_999.5 else f"{value / 1000:.0f}s"


def seconds(ms: float | None) -> str:
    """Milliseconds in seconds, with a decimal up to a hundred; "-" where nothing was measured."""
    if ms is None:
        return "-"
    return f"{ms / 1000:.1f} s" if abs(ms) < 99_950 else f"{ms / 1000:.0f} s"
