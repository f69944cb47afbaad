"""The full screen of `parley interpret`: both directions side by side, what they cost in time and money, and the keys that steer them.

Laws: shows, never decides; every key does one thing of the interpreter. Readable at 80x24, in tmux, without colour and in ASCII; on a
narrower terminal the directions stand one above the other. Drawn at most every `REDRAW_S`, however much is reported.
Does not know: devices, routes, servers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, Final, Literal

from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input, Static

from parley.errors import ParleyError
from parley.interpret.ports import CallNote, InterpreterShown, InterpreterView
from parley.interpret.screen.frame import ASKING_KEYS, alarm, head, help_lines, keys, notes
from parley.interpret.screen.languages import pair_typed
from parley.interpret.screen.panel import direction_lines
from parley.interpret.updates import DirectionName
from parley.talk.tui.cells import harmless, wrapped
from parley.talk.tui.drawing import Glyphs
from parley.talk.tui.keys import key_line
from parley.talk.tui.task_screen import HELP_KEYS, TaskScreen

REDRAW_S: Final = 0.1

SIDE_BY_SIDE: Final = 70
"""Columns from which the directions stand beside each other."""

STEERED: Final = ("forward", "reverse", "head", "keys")
"""What shows how the call is steered and how it fares; notes change by themselves only."""

MAX_VOICE: Final = 200
"""Characters of the name of a voice."""

Question = Literal["languages", "voice forward", "voice reverse"]

_QUESTIONS: Final[dict[Question, str]] = {
    "languages": "Your language, then theirs, such as: es en. Enter changes them, Esc goes back.",
    "voice forward": "The voice in which they hear you; nothing: the server's own. Enter changes it, Esc goes back.",
    "voice reverse": "The voice in which you hear them; nothing: the server's own. Enter changes it, Esc goes back.",
}


class DrawnWidget(Widget):
    """Draws lines of text in whatever size it has. Call `redraw()` when they may have changed: only rows that differ are drawn anew."""

    def __init__(self, draw: Callable[[int, int], list[Text]], name: str) -> None:
        super().__init__(id=name)
        self._draw = draw
        self._lines: list[Text] = []
        self._drawn: tuple[int, int] | None = None

    def redraw(self) -> None:
        """Asks for the lines again."""
        width, height = self.size
        before, whole = self._lines, self._drawn != (width, height)
        self._ask()
        rows = max(len(before), len(self._lines))
        changed = [row for row in range(rows) if whole or _row(before, row) != _row(self._lines, row)]
        if changed:
            self.refresh(*(Region(0, row, width, 1) for row in changed))

    def render_line(self, y: int) -> Strip:
        """A `Widget`'s."""
        if self._drawn != tuple(self.size):
            self._ask()
        width = self.size.width
        if y >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        line, console = self._lines[y], self.app.console
        # `render()` leaves out the style of a text without spans.
        segments = Segment.apply_style(line.render(console), console.get_style(line.style))
        return Strip(segments).apply_style(self.rich_style).adjust_cell_length(width, self.rich_style)

    def _ask(self) -> None:
        width, height = self.size
        self._drawn = width, height
        self._lines = self._draw(width, height)


def _row(lines: list[Text], row: int) -> tuple[str, object, object] | None:
    return (lines[row].plain, lines[row].style, lines[row].spans) if row < len(lines) else None


class InterpretScreen(TaskScreen):
    """Runs an interpreter and shows it; `run()` gives what ended it, or None.

    `make_interpreter(view)` makes it. `title` names the routes, `glyphs` what the terminal can draw.
    """

    CSS = (
        TaskScreen.CSS
        + """
    #alarm { height: 1; display: none; }
    #alarm.shown { display: block; }
    #directions { height: 1fr; layout: horizontal; overflow: hidden; }
    #directions.stacked { layout: vertical; }
    #forward, #reverse { width: 1fr; height: 1fr; }
    #wall { width: 3; height: 1fr; }
    .stacked #wall { display: none; }
    #help { scrollbar-size: 0 0; }
    .helping #directions, .helping #rule, .helping #notes { display: none; }
    #rule { height: 1; }
    #notes { height: 3; }
    #asked { height: auto; max-height: 4; display: none; background: $panel; }
    #typed { padding: 0; }
    .asking #asked, .asking #typed { display: block; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        # Capital letters do the same, but for V: with Caps Lock on, M must not mute somebody else.
        Binding("m,M", "mute('forward')", "mute me"),
        Binding("t,T", "mute('reverse')", "mute them"),
        Binding("l,L", "ask('languages')", "languages"),
        Binding("v", "ask('voice forward')", "voice"),
        Binding("V", "ask('voice reverse')", "their voice"),
        Binding("k,K", "push_to_talk", "push-to-talk"),
        Binding("space", "key", "talk"),
        Binding("p,P", "panic", "raw voice"),
        Binding("f8", "panic", "raw voice", priority=True),
    ]

    def __init__(
        self, make_interpreter: Callable[[InterpreterView], InterpreterShown], title: str, glyphs: Glyphs
    ) -> None:
        super().__init__()
        self.interpreter = make_interpreter(self)
        self._title = title
        self._glyphs = glyphs
        self._began_s = time.monotonic()
        self._due: set[str] = set()
        self._question: Question | None = None
        self._said = ""

    def compose(self) -> ComposeResult:
        yield DrawnWidget(self._head, "head")
        yield DrawnWidget(lambda width, height: [alarm(width, self._glyphs)], "alarm")
        with Container(id="directions"):
            yield DrawnWidget(lambda width, height: self._direction("forward", width, height), "forward")
            yield DrawnWidget(lambda width, height: [Text(f" {self._glyphs.wall} ")] * height, "wall")
            yield DrawnWidget(lambda width, height: self._direction("reverse", width, height), "reverse")
        yield from self.help_page()
        yield DrawnWidget(lambda width, height: [Text(self._glyphs.line * width, "dim")], "rule")
        yield DrawnWidget(self._notes, "notes")
        yield Static(id="asked")
        yield Input(id="typed")
        yield DrawnWidget(lambda width, height: [self._keys(width)], "keys")

    def on_mount(self) -> None:
        self._arrange(self.size.width, self.size.height)
        # Not a timer for each drawing: Textual drops one that the program is late for, and nothing would be drawn any more.
        self.set_interval(REDRAW_S, self._redraw)
        self.begin(self.interpreter.run(), self.interpreter.stop)

    # --- InterpreterView -------------------------------------------------------------------------------------------------

    def changed(self, name: DirectionName) -> None:
        """An `InterpreterView`'s."""
        self._soon(name)

    def noted(self, note: CallNote) -> None:
        """An `InterpreterView`'s."""
        self._soon("notes")

    def ticked(self) -> None:
        """An `InterpreterView`'s."""
        self._soon(*STEERED)

    def _soon(self, *names: str) -> None:
        """Draws these widgets anew in a moment; before there are any, and after the end, it does nothing."""
        if self.running_task:
            self._due.update(names)

    def _redraw(self) -> None:
        due, self._due = self._due, set()
        if not due or not self.running_task:
            return
        self.query_one("#alarm").set_class(self.interpreter.panic, "shown")
        self._place_directions(self.size.width)
        for name in due:
            self.query_one(f"#{name}", DrawnWidget).redraw()

    # --- drawing ---------------------------------------------------------------------------------------------------------

    def _head(self, width: int, height: int) -> list[Text]:
        elapsed_s = time.monotonic() - self._began_s
        return [head(self._title, self.interpreter, elapsed_s, self.leaving, width, self._glyphs)]

    def _direction(self, name: DirectionName, width: int, height: int) -> list[Text]:
        shown = self.interpreter.directions.get(name)
        return direction_lines(shown, width, height, self._glyphs) if shown is not None else []

    def _notes(self, width: int, height: int) -> list[Text]:
        return notes(self.interpreter.notes, self._began_s, width, height, self._glyphs)

    def _keys(self, width: int) -> Text:
        if self._question is not None:
            return key_line(ASKING_KEYS, width, self._glyphs)
        if self.helping:
            return key_line(HELP_KEYS, width, self._glyphs)
        return key_line(keys(self.interpreter), width, self._glyphs)

    def on_resize(self, event: events.Resize) -> None:
        self._arrange(event.size.width, event.size.height)

    def _arrange(self, width: int, height: int) -> None:
        self.query_one("#notes").styles.height = 1 if height < 20 else 3 if height < 32 else 6
        self._place_directions(width)
        self.explain(help_lines(max(1, width - 2), self._glyphs))
        self._say(self._said)

    def _place_directions(self, width: int) -> None:
        both = len(self.interpreter.directions) > 1
        self.query_one("#directions").set_class(width < SIDE_BY_SIDE, "stacked")
        for name in ("forward", "reverse"):
            self.query_one(f"#{name}").display = name in self.interpreter.directions
        self.query_one("#wall").display = both and width >= SIDE_BY_SIDE

    def _say(self, text: str) -> None:
        """What the line above the input says."""
        self._said = text
        lines = wrapped(Text(harmless(text, self._glyphs)), max(1, self.size.width))
        self.query_one("#asked", Static).update(Text("\n", no_wrap=True).join(lines[:4]))

    # --- keys ------------------------------------------------------------------------------------------------------------

    def steered(self) -> None:
        """A `TaskScreen`'s."""
        self._soon(*STEERED)

    def action_mute(self, name: DirectionName) -> None:
        if name in self.interpreter.directions:
            self.interpreter.toggle_mute(name)
            self.steered()

    def action_push_to_talk(self) -> None:
        if "forward" in self.interpreter.directions:
            self.interpreter.toggle_push_to_talk()
            self.steered()

    def action_key(self) -> None:
        if self.interpreter.push_to_talk:
            self.interpreter.press_key()
            self.steered()

    def action_panic(self) -> None:
        if "forward" in self.interpreter.directions:
            self.interpreter.toggle_panic()
            self.steered()

    def action_ask(self, question: Question) -> None:
        name: DirectionName = "reverse" if question == "voice reverse" else "forward"
        if question != "languages" and name not in self.interpreter.directions:
            name, question = ("reverse", "voice reverse") if name == "forward" else ("forward", "voice forward")
        self._question = question
        typed = self.ask_for_line("asking")
        typed.value = self._languages() if question == "languages" else self.interpreter.directions[name].voice
        self._say(_QUESTIONS[question])
        self.steered()

    def _languages(self) -> str:
        forward, reverse = self.interpreter.directions.get("forward"), self.interpreter.directions.get("reverse")
        if forward is not None:
            return f"{forward.wishes.source} {forward.wishes.target}".strip()
        return f"{reverse.wishes.target} {reverse.wishes.source}".strip() if reverse is not None else ""

    async def action_back(self) -> None:
        if self._question is not None:
            self._question = None
            self.line_done("asking")
        else:
            self.screen.remove_class("helping")
        self.steered()

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        question = self._question
        if question is None:
            return
        try:
            if question == "languages":
                self.interpreter.set_languages(*pair_typed(event.value))
            else:
                voice = harmless(event.value[:MAX_VOICE], Glyphs()).strip()
                self.interpreter.set_voice("forward" if question == "voice forward" else "reverse", voice)
        except ParleyError as error:
            self._say(str(error))
            return
        await self.action_back()
