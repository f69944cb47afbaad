"""The full screen of `parley talk`: both transcripts, levels, state, figures and the waterfall of the last turn.

Laws: shows, never decides; every key does one thing of `Talk`. Readable in 80x24, in tmux, without colour: what colour says,
words and signs say too. Does not know: devices, servers, the wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Input, Static

from parley.talk.conversation import Talk
from parley.talk.figures import spreads
from parley.talk.ports import TalkView
from parley.talk.status import State
from parley.talk.transcript import TranscriptLine
from parley.talk.tui.drawing import FIGURES_WIDTH, Glyphs, figures, meter, waterfall

LINES_SHOWN = 200
"""Lines kept on the screen; `--record` keeps them all."""

NAME_WIDTH = 6

METER_WIDTH = 16

STATE_STYLES = {
    "you speak": "bold cyan",
    "it speaks": "bold green",
    "thinking": "bold yellow",
    "connecting": "bold yellow",
    "reconnecting": "bold red",
    "muted": "bold red",
    "no sound device": "bold red",
}

KEYS = (
    ("Space", "talk"),
    ("I", "silence"),
    ("M", "mute"),
    ("H", "hands-free"),
    ("T", "type"),
    ("D", "devices"),
    ("Q", "leave"),
)

KEYS_TYPED = (("Enter", "send"), ("Esc", "silence"), ("Ctrl-C", "leave"))
"""Without a microphone: every other key is a letter of the message."""


class TranscriptRow(Static):
    """One line of the transcript."""

    def __init__(self, line: TranscriptLine, glyphs: Glyphs) -> None:
        super().__init__(spoken(line, glyphs), classes=line.speaker)


def spoken(line: TranscriptLine, glyphs: Glyphs) -> Table:
    """A line as it is shown, the speaker beside the words."""
    name, style = {"you": ("you", "bold cyan"), "reply": ("reply", "bold green"), "note": ("", "dim")}[line.speaker]
    table = Table.grid(expand=True)
    table.add_column(width=NAME_WIDTH)
    table.add_column(ratio=1)
    table.add_row(Text(name, style), said_words(line, glyphs))
    return table


def said_words(line: TranscriptLine, glyphs: Glyphs) -> Text:
    """Partial words in italics with dots, unheard words struck through between marks."""
    text = Text()
    words = line.text.strip()
    text.append(words, "dim" if line.speaker == "note" else "italic" if line.partial else "")
    if line.partial:
        text.append((" " if words else "") + glyphs.more, "italic dim")
    if unheard := line.unheard.strip():
        text.append(f"{' ' if words else ''}{glyphs.cut}", "dim")
        text.append(unheard, "strike dim")
        text.append(glyphs.cut, "dim")
    if line.note:
        text.append(f"{' ' if words else ''}({line.note})", "dim italic")
    return text


class TalkScreen(App[BaseException | None]):
    """Runs a `Talk` and shows it; `run()` gives what ended it, or None.

    `make_talk(view)` makes the conversation. `title` names the server, `glyphs` what the terminal can draw.
    """

    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    CSS = """
    Screen { layout: vertical; background: $background; }
    #head { height: 1; background: $panel; color: $foreground; }
    #said { height: 1fr; min-height: 3; padding: 0 1; scrollbar-size-vertical: 1; }
    #said > Static { height: auto; width: 1fr; }
    #measured { height: 10; border-top: solid $primary; border-title-color: $foreground; padding: 0 1; }
    #figures { width: 39; height: 9; }
    #waterfall { width: 1fr; height: 9; }
    #levels { height: 1; padding: 0 1; }
    #typed { height: 3; display: none; }
    #typed.shown { display: block; }
    #keys { height: 1; background: $panel; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "key", "talk", priority=False),
        Binding("i", "silence", "silence"),
        Binding("m", "mute", "mute"),
        Binding("h", "hands_free", "hands-free"),
        Binding("t", "type", "type"),
        Binding("d", "devices", "devices"),
        Binding("q", "leave", "leave"),
        Binding("ctrl+c", "leave", "leave", priority=True),
        Binding("escape", "back", "back", priority=True),
    ]

    def __init__(self, make_talk: Callable[[TalkView], Talk], title: str, glyphs: Glyphs) -> None:
        super().__init__()
        self.talk = make_talk(self)
        self._title = title
        self._glyphs = glyphs
        self._widgets: dict[int, TranscriptRow] = {}
        self._talking: asyncio.Task[None] | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        with VerticalScroll(id="said", can_focus=False):
            pass
        with Horizontal(id="measured"):
            yield Static(id="figures")
            yield Static(id="waterfall")
        yield Static(id="levels")
        yield Input(placeholder="type a message, Enter sends it, Esc goes back", id="typed")
        yield Static(id="keys")

    def on_mount(self) -> None:
        if self.talk.chosen.typed:
            self.query_one("#typed", Input).placeholder = "type a message, Enter sends it"
            self.action_type()
        self.query_one("#measured").border_title = "figures of the last turn, and the median of all"
        self._talking = asyncio.create_task(self.talk.run())
        self._talking.add_done_callback(self._over)
        self._draw_keys()
        self._draw_head()
        self.figures_changed()
        self.ticked()

    def _over(self, task: asyncio.Task[None]) -> None:
        self.exit(None if task.cancelled() else task.exception())

    # --- TalkView --------------------------------------------------------------------------------------------------------

    def line_changed(self, line: TranscriptLine) -> None:
        """A `TalkView`'s."""
        if not self.is_running:
            return
        said = self.query_one("#said", VerticalScroll)
        # If the user has scrolled up to read, the view stays there.
        follow = said.scroll_offset.y >= said.max_scroll_y - 1
        widget = self._widgets.get(line.number)
        if widget is None:
            widget = self._widgets[line.number] = TranscriptRow(line, self._glyphs)
            said.mount(widget)
            if len(self._widgets) > LINES_SHOWN:
                self._widgets.pop(next(iter(self._widgets))).remove()
        else:
            widget.update(spoken(line, self._glyphs))
        if follow:
            said.scroll_end(animate=False)

    def figures_changed(self) -> None:
        """A `TalkView`'s."""
        if not self.is_running:
            return
        turn = self.talk.figures.last
        lines = figures(turn, spreads(self.talk.figures.turns))
        self.query_one("#figures", Static).update(
            Text("\n".join([f"{'':<{FIGURES_WIDTH - 15}}{'last':>8}{'p50':>7}", *lines]))
        )
        panel = self.query_one("#waterfall", Static)
        steps = turn.waterfall() if turn is not None else []
        drawn = waterfall(steps, max(0, panel.size.width), self._glyphs)
        heading = ""
        if turn is not None and drawn:
            heading = f"turn {turn.number}, from the {'message' if turn.voice_end_s is None else 'end of speech'}"
            if turn.speculation in ("won", "lost"):
                heading += f" (speculation {turn.speculation})"
        panel.update(Text("\n".join([heading, *drawn])))

    def state_changed(self, state: State) -> None:
        """A `TalkView`'s."""
        if self.is_running:
            self._draw_head()
            self._draw_keys()
            self.figures_changed()

    def ticked(self) -> None:
        """A `TalkView`'s."""
        if not self.is_running:
            return
        microphone = self.talk.microphone
        you = "muted" if microphone.muted else meter(microphone.user_dbfs, METER_WIDTH, self._glyphs)
        it = meter(microphone.reply_dbfs, METER_WIDTH, self._glyphs)
        text = "" if self.talk.chosen.typed else f"you {you:<{METER_WIDTH}}  "
        if self.talk.chosen.output is not None:
            text += f"reply {it}  underruns {self.talk.devices.underruns}"
        self.query_one("#levels", Static).update(Text(text, no_wrap=True))

    def on_resize(self, event: events.Resize) -> None:
        self._draw_head(event.size.width)
        self._draw_keys()
        self.call_after_refresh(self.figures_changed)

    def _draw_head(self, width: int | None = None) -> None:
        state = self.talk.state
        said = f"{self._glyphs.dot} {state} "
        width = width or self.size.width
        title = f" {self._title}"
        space = max(0, width - len(said) - 1)
        text = Text(f"{title[:space]:<{space}} ", no_wrap=True)
        text.append(said, STATE_STYLES.get(state, "bold"))
        self.query_one("#head", Static).update(text)

    def _draw_keys(self) -> None:
        text = Text(no_wrap=True)
        for key, does in KEYS_TYPED if self.talk.chosen.typed else KEYS:
            if key == "Space":
                does = self._space()
            elif key == "H" and self.talk.hands_free:
                does = "use key"
            elif key == "M" and self.talk.microphone.muted:
                does = "unmute"
            text.append(key, "bold reverse")
            text.append(f" {does}  ")
        self.query_one("#keys", Static).update(text)

    def _space(self) -> str:
        if self.talk.hands_free:
            return "silence"
        return "end turn" if self.talk.state == "you speak" else "talk"

    # --- keys ------------------------------------------------------------------------------------------------------------

    def action_key(self) -> None:
        self.talk.press_key()

    def action_silence(self) -> None:
        self.talk.interrupt()

    def action_mute(self) -> None:
        self.talk.toggle_mute()
        self._draw_keys()

    def action_hands_free(self) -> None:
        self.talk.toggle_hands_free()
        self._draw_keys()

    def action_devices(self) -> None:
        self.talk.reopen_devices()

    def action_type(self) -> None:
        typed = self.query_one("#typed", Input)
        typed.add_class("shown")
        typed.focus()

    async def action_back(self) -> None:
        typed = self.query_one("#typed", Input)
        if typed.has_class("shown") and not self.talk.chosen.typed:
            typed.remove_class("shown")
            self.set_focus(None)
        else:
            self.talk.interrupt()

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        event.input.clear()
        if not self.talk.chosen.typed:
            await self.action_back()
        if text:
            self.talk.say(text)

    async def action_leave(self) -> None:
        self.talk.stop()
