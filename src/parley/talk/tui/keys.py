"""The line of keys at the bottom of a screen, and a page that explains them.

Laws: pure; no line is wider than asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.text import Text

from parley.talk.tui.cells import cut_to, fitted, wrapped
from parley.talk.tui.drawing import Glyphs


@dataclass(frozen=True, slots=True)
class KeyShown:
    """A key and what it does; of the `rank`s that do not fit, the highest goes first."""

    key: str
    does: str
    rank: int
    short: str = ""


def key_line(wanted: Sequence[KeyShown], width: int, glyphs: Glyphs) -> Text:
    """As many keys as fit; those of the highest rank are in short words first, then left out. The help has them all."""
    short: set[str] = set()
    left = list(wanted)
    text = _key_line(left, short)
    for key in sorted(wanted, key=lambda key: -key.rank):
        if text.cell_len > width:
            short.add(key.key)
            text = _key_line(left, short)
    while text.cell_len > width and len(left) > 1:
        left.remove(max(left, key=lambda key: key.rank))
        text = _key_line(left, short)
    cut_to(text, width, glyphs)
    return text


def _key_line(wanted: Sequence[KeyShown], short: set[str]) -> Text:
    text = Text(no_wrap=True)
    for number, key in enumerate(wanted):
        text.append("  " if number else "")
        text.append(key.key, "bold reverse")
        text.append(f" {key.short if key.key in short and key.short else key.does}")
    return text


def explained(groups: Iterable[Iterable[tuple[str, str]]], label: int, width: int, glyphs: Glyphs) -> list[Text]:
    """Names with their meanings beside them, the names `label` cells wide; an empty line between two groups."""
    lines: list[Text] = []
    for number, entries in enumerate(groups):
        if number:
            lines.append(Text())
        for name, meaning in entries:
            for row, line in enumerate(wrapped(Text(meaning), max(1, width - label))):
                whole = Text(f"{fitted(name, label - 1, glyphs) if not row else '':<{label}}", "bold", no_wrap=True)
                whole.append_text(Text(line.plain, "not bold"))
                cut_to(whole, width, glyphs)
                lines.append(whole)
    return lines
