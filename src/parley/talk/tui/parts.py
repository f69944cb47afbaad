"""Parts of the screen of `parley talk`: a line of what is said, and the waterfall of a turn.

Laws: they show what they are given; what colour says, words and signs say too.
"""

from __future__ import annotations

from rich.table import Table
from rich.text import Text
from textual.containers import VerticalScroll
from textual.widgets import Static

from parley.talk.figures import TalkTurn
from parley.talk.transcript import TranscriptLine
from parley.talk.tui.cells import harmless
from parley.talk.tui.drawing import Glyphs, waterfall

NAME_WIDTH = 6


class TranscriptRow(Static):
    """One line of the transcript."""

    def __init__(self, line: TranscriptLine, glyphs: Glyphs) -> None:
        super().__init__(spoken(line, glyphs), classes=line.speaker)


def spoken(line: TranscriptLine, glyphs: Glyphs) -> Table:
    """A line as it is shown, the speaker beside the words."""
    name, style = {"you": ("you", "bold cyan"), "reply": ("reply", "bold green"), "note": ("", "dim")}[line.speaker]
    return beside(name, style, said_words(line, glyphs))


def beside(name: str, style: str, words: Text) -> Table:
    """The words, and a name to their left."""
    table = Table.grid(expand=True)
    table.add_column(width=NAME_WIDTH)
    table.add_column(ratio=1)
    table.add_row(Text(name, style), words)
    return table


def said_words(line: TranscriptLine, glyphs: Glyphs) -> Text:
    """Partial words in italics with dots, unheard words struck through between marks."""
    text = Text()
    words = harmless(line.text, glyphs).strip()
    text.append(words, "dim" if line.speaker == "note" else "italic" if line.partial else "")
    if line.partial:
        text.append((" " if words else "") + glyphs.more, "italic dim")
    if unheard := harmless(line.unheard, glyphs).strip():
        text.append(f"{' ' if words else ''}{glyphs.cut}", "dim")
        text.append(unheard, "strike dim")
        text.append(glyphs.cut, "dim")
    if line.note:
        text.append(f"{' ' if words else ''}({harmless(line.note, glyphs)})", "dim italic")
    return text


class SaidPanel(VerticalScroll):
    """What is said. The newest words stay in sight, unless the user has scrolled up to read older ones, until they scroll down again."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, can_focus=False)
        self._at_end = True

    def follow(self) -> None:
        """Call this after a change of what is said."""
        if self._at_end:
            self.scroll_end(animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """A `Widget`'s."""
        super().watch_scroll_y(old_value, new_value)
        self._at_end = new_value >= self.max_scroll_y - 1

    def on_resize(self) -> None:
        """A `Widget`'s."""
        self.follow()


class WaterfallPanel(Static):
    """The steps of a turn as bars, as wide as there is room."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._shown: tuple[TalkTurn | None, Glyphs] = (None, Glyphs())

    def show(self, turn: TalkTurn | None, glyphs: Glyphs) -> None:
        """Draws this turn's steps."""
        self._shown = turn, glyphs
        self._draw()

    def on_resize(self) -> None:
        """A `Widget`'s."""
        self._draw()

    def _draw(self) -> None:
        turn, glyphs = self._shown
        steps = turn.waterfall() if turn is not None else []
        drawn = waterfall(steps, self.size.width, glyphs)
        heading = ""
        if turn is not None and drawn:
            heading = f"turn {turn.number}, from the {'message' if turn.voice_end_s is None else 'end of speech'}"
            if turn.speculation in ("won", "lost"):
                heading += f" (speculation {turn.speculation})"
        self.update(Text("\n".join([heading, *drawn]), no_wrap=True))
