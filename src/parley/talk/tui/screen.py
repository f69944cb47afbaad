"""The full screen of `parley talk`: both transcripts, with the state above and figures, levels and keys below.

Laws: shows, never decides; every key does one thing of `Talk`. What is said has the room: figures are one line, and a table where it is
asked for or there is room. Readable from 40x10 (`guide.LEAST`) on, in tmux, without colour: what colour says, words and signs say too.
Does not know: devices, servers, the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, get_args

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Input, Static

from parley.talk.conversation import Talk
from parley.talk.figures import spreads
from parley.talk.ports import TalkView
from parley.talk.status import State
from parley.talk.transcript import TranscriptLine
from parley.talk.tui.cells import ends
from parley.talk.tui.drawing import Glyphs, figure_line, figures, meter
from parley.talk.tui.guide import (
    CONSENT_KEYS,
    LEAST,
    TYPED_KEYS,
    TYPING_KEYS,
    Mode,
    greeting,
    help_lines,
    keys,
    title,
    too_small,
)
from parley.talk.tui.keys import key_line
from parley.talk.tui.parts import SaidPanel, TranscriptRow, WaterfallPanel, beside, spoken
from parley.talk.tui.task_screen import HELP_KEYS, TaskScreen

LINES_SHOWN = 200
"""Lines kept on the screen; `--record` keeps them all."""

METER_WIDTH = 16

WIDE = 60
"""In a window of fewer columns a level is half as wide."""

LOW = 20
"""In a window of fewer rows the table of figures takes the place of what is said."""

HIGH = 32
"""In one of as many, the table is shown unless the user hides it."""

STATE_WIDTH = 2 + max(len(state) for state in get_args(State))
"""The title gives way to the longest, so that it does not change with the state."""

LETTERS = ("key", "silence", "mute", "hands_free", "type", "devices")
"""Actions of letters; others say themselves that a letter asked for them."""

STATE_STYLES = {
    "you speak": "bold cyan",
    "it speaks": "bold green",
    "thinking": "bold yellow",
    "waits for you": "bold magenta",
    "connecting": "bold yellow",
    "reconnecting": "bold red",
    "muted": "bold red",
    "no sound device": "bold red",
}


class TalkScreen(TaskScreen):
    """Runs a `Talk` and shows it; `run()` gives what ended it, or None.

    `make_talk(view)` makes the conversation. `glyphs` is what the terminal can draw.
    """

    CSS = (
        TaskScreen.CSS
        + """
    #said { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    #said > Static { height: auto; width: 1fr; }
    #measured { height: 10; border-top: solid $primary; border-title-color: $foreground; padding: 0 1; }
    #figures { width: 38; height: 9; }
    #waterfall { width: 1fr; height: 9; }
    #glance, #levels { height: 1; padding: 0 1; }
    #typed, #keys { padding: 0 1; }
    #small { height: 1fr; }
    #measured, #small { display: none; }
    .table #measured, .typing #typed { display: block; }
    .helping #said, .helping #measured, .table #glance, .low.table #said { display: none; }
    .low #measured { height: 1fr; }
    .small #small { display: block; }
    .small #head, .small #said, .small #help, .small #measured { display: none; }
    .small #glance, .small #levels, .small #typed, .small #keys { display: none; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "key", "talk", priority=False),
        Binding("i,I", "silence", "silence"),
        Binding("m,M", "mute", "mute"),
        Binding("h,H", "hands_free", "hands-free"),
        Binding("t,T", "type", "type"),
        Binding("d,D", "devices", "devices"),
        Binding("f,F", "figures('letter')", "figures"),
        Binding("f2", "help('')", "help", priority=True),
        Binding("f3", "figures('')", "figures", priority=True),
        Binding("f7", "answer('once')", "allow", priority=True),
        Binding("f8", "answer('no')", "refuse", priority=True),
        Binding("f9", "answer('always')", "always", priority=True),
    ]

    def __init__(self, make_talk: Callable[[TalkView], Talk], glyphs: Glyphs) -> None:
        super().__init__()
        self.talk = make_talk(self)
        self._glyphs = glyphs
        self._said = SaidPanel("said")
        self._widgets: dict[int, TranscriptRow] = {}
        self._greeted = False
        self._width = 0
        """Columns of the window. While it changes its size, `size` is still that of before."""
        self._table: bool | None = None
        """Whether the user wants the table of figures; None: where there is room."""

    def compose(self) -> ComposeResult:
        yield Static(id="small")
        yield Static(id="head")
        yield self._said
        yield from self.help_page()
        with Horizontal(id="measured"):
            yield Static(id="figures")
            yield WaterfallPanel(id="waterfall")
        yield Static(id="glance")
        yield Static(id="levels")
        yield Input(placeholder="type a message, Enter sends it", id="typed")
        yield Static(id="keys")

    def on_mount(self) -> None:
        self.query_one("#measured").border_title = "ms of the last turn, and the median of all"
        self._arrange(self.size.width, self.size.height)
        if self.talk.chosen.typed:
            self.action_type()
        self.begin(self.talk.run(), self.talk.stop)

    def _mode(self) -> Mode:
        talk = self.talk
        return Mode(
            talk.chosen.typed,
            talk.hands_free,
            talk.microphone.muted,
            talk.state == "you speak",
            talk.requests.open,
        )

    # --- TalkView --------------------------------------------------------------------------------------------------------

    def line_changed(self, line: TranscriptLine) -> None:
        """A `TalkView`'s."""
        if not self.is_running:
            return
        widget = self._widgets.get(line.number)
        if widget is not None:
            widget.update(spoken(line, self._glyphs))
            self._said.follow()
            return
        widget = self._widgets[line.number] = TranscriptRow(line, self._glyphs)
        self._add(widget)
        if len(self._widgets) > LINES_SHOWN:
            self._widgets.pop(next(iter(self._widgets))).remove()

    def _add(self, row: Static) -> None:
        self._said.mount(row)
        self._said.follow()

    def figures_changed(self) -> None:
        """A `TalkView`'s."""
        if not self.is_running:
            return
        turn, over_all = self.talk.figures.last, spreads(self.talk.figures.turns)
        self.query_one("#waterfall", WaterfallPanel).show(turn, self._glyphs)
        glance = figure_line(turn, over_all, self._width - 2) or "the times of the last answer stand here"
        self.query_one("#glance", Static).update(Text(glance, no_wrap=True))
        self.query_one("#figures", Static).update(Text("\n".join(figures(turn, over_all)), no_wrap=True))

    def state_changed(self, state: State) -> None:
        """A `TalkView`'s."""
        if not self.is_running:
            return
        if not self._greeted and state not in ("connecting", "reconnecting"):
            self._greeted = True
            self._add(Static(beside("", "", Text(greeting(self._mode()), "bold"))))
        self._draw()

    def ticked(self) -> None:
        """A `TalkView`'s."""
        if not self.is_running:
            return
        microphone = self.talk.microphone
        cells = METER_WIDTH if self._width >= WIDE else METER_WIDTH // 2
        you = "muted" if microphone.muted else meter(microphone.user_dbfs, cells, self._glyphs)
        it = meter(microphone.reply_dbfs, cells, self._glyphs)
        text = "" if self.talk.chosen.typed else f"you {you:<{cells}}  "
        if self.talk.chosen.output is not None:
            gaps = self.talk.devices.underruns
            text += f"reply {it}" + (f"  underruns {gaps}" if gaps else "")
        self.query_one("#levels", Static).update(Text(text, no_wrap=True))

    # --- drawing ---------------------------------------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        self._arrange(event.size.width, event.size.height)

    def _arrange(self, width: int, height: int) -> None:
        """What is shown in a window of this size."""
        self._width = width
        small = width < LEAST[0] or height < LEAST[1]
        was_small = self.screen.has_class("small")
        self.screen.set_class(small, "small")
        self.screen.set_class(height < LOW, "low")
        self.screen.set_class(self._table if self._table is not None else height >= HIGH, "table")
        said = too_small(width, height, typed=self.talk.chosen.typed)
        self.query_one("#small", Static).update(Text(said))
        if was_small and not small and self.screen.has_class("typing"):
            self.query_one("#typed", Input).focus()
        self._draw()
        self.ticked()

    def steered(self) -> None:
        """A `TaskScreen`'s."""
        self._draw()

    def _draw(self) -> None:
        """Everything but what is said."""
        width = self._width
        mode, partners, server = self._mode(), self.talk.partners, self.talk.chosen.server.name
        state = "leaving" if self.leaving else self.talk.state
        said = Text(f"{self._glyphs.dot} {state} ", STATE_STYLES.get(state, "bold"))
        room = max(0, width - STATE_WIDTH - 2)
        head = Text(f" {title(partners, server, room, self._glyphs)}")
        self.query_one("#head", Static).update(ends(head, said, width, self._glyphs))
        typing = self.screen.has_class("typing")
        free = TYPED_KEYS if mode.typed else TYPING_KEYS if typing else keys(mode)
        shown = HELP_KEYS if self.helping else CONSENT_KEYS if mode.asked else free
        self.query_one("#keys", Static).update(key_line(shown, max(1, width - 2), self._glyphs))
        if self.helping:
            self.explain(help_lines(mode, partners, server, max(1, width - 3), self._glyphs))
        self.figures_changed()

    # --- keys ------------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """An `App`'s: without a microphone every letter belongs to the message; what is too small to be read obeys no letter but Q."""
        letter = action in LETTERS or parameters == ("letter",)
        leaves = action == "leave" and not self.talk.chosen.typed
        if letter and (self.talk.chosen.typed or self.screen.has_class("small")):
            return leaves
        return True

    def action_key(self) -> None:
        self.talk.press_key()

    def action_silence(self) -> None:
        self.talk.interrupt()

    def action_mute(self) -> None:
        self.talk.toggle_mute()
        self._draw()

    def action_hands_free(self) -> None:
        self.talk.toggle_hands_free()
        self._draw()

    def action_devices(self) -> None:
        self.talk.reopen_devices()

    def action_figures(self, by: str) -> None:
        self._table = not self.screen.has_class("table")
        self.screen.remove_class("helping")
        self._arrange(self.size.width, self.size.height)

    def action_answer(self, answer: str) -> None:
        self.talk.requests.answer(answer != "no", always=answer == "always")
        self._draw()

    def scrolled(self) -> VerticalScroll:
        """A `TaskScreen`'s."""
        return super().scrolled() or self._said

    def action_type(self) -> None:
        self.ask_for_line("typing")
        self._draw()

    async def action_back(self) -> None:
        if self.helping:
            self.screen.remove_class("helping")
        elif self.screen.has_class("typing") and not self.talk.chosen.typed:
            self.line_done("typing")
        else:
            self.talk.interrupt()
        self._draw()

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        event.input.clear()
        if not self.talk.chosen.typed:
            await self.action_back()
        if text:
            self.talk.say(text)
