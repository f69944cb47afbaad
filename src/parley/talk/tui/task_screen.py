"""A full screen around one task, steered by keys: what the screens of `parley talk` and `parley interpret` have in common.

Laws: it ends with its task; a second wish to leave ends the task at once. A terminal that is closed, or a shutdown, stops the task in
order: what is recorded is written to its end. The help takes the place of what is shown, and is scrolled by the arrow keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input, Static

from parley.stop_signals import HANG_UPS, on_stop_signals
from parley.talk.tui.keys import KeyShown

HELP_KEYS: Final = (KeyShown("Esc", "back", 0), KeyShown("Up, Down", "scroll", 1))


class TaskScreen(App[BaseException | None]):
    """A subclass shows a head, what the task does, and a line of keys; it calls `begin()` once it is mounted. `run()` gives what ended the
    task, or None.

    It has `#head`, `#keys`, the `#help` of `help_page()`, and the line `#typed`; while the screen has the class `helping`, the help is
    shown. After every change by a key, `steered()` is called.
    """

    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    CSS = """
    Screen { layout: vertical; background: $background; overflow: hidden; }
    #head { height: 1; background: $panel; color: $foreground; }
    #help { height: 1fr; display: none; padding: 0 1; scrollbar-size-vertical: 1; }
    #help > Static { height: auto; width: 1fr; }
    .helping #help { display: block; }
    #typed { height: 1; border: none; display: none; }
    #keys { height: 1; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help('letter')", "help"),
        Binding("q,Q", "leave('letter')", "leave"),
        Binding("ctrl+c,ctrl+q", "leave('')", "leave", priority=True),
        Binding("up,pageup", "scroll(-1)", "up"),
        Binding("down,pagedown", "scroll(1)", "down"),
        Binding("escape", "back", "back", priority=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._task: asyncio.Task[None] | None = None
        self._stop: Callable[[], None] = lambda: None
        self.leaving = False
        """The user wants to leave, and the task has not ended yet."""

    def help_page(self) -> ComposeResult:
        """The widgets of the help."""
        with VerticalScroll(id="help", can_focus=False):
            yield Static(id="explained")

    def explain(self, lines: Sequence[Text]) -> None:
        """What the help says."""
        self.query_one("#explained", Static).update(Text("\n", no_wrap=True).join(lines))

    def begin(self, work: Coroutine[Any, Any, None], stop: Callable[[], None]) -> None:
        """Run `work`; `stop` asks it to end in order."""
        self._stop = stop
        on_stop_signals(stop, HANG_UPS)
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self.exit(None if task.cancelled() else task.exception())

    @property
    def running_task(self) -> bool:
        """Whether the task has begun and not ended."""
        return self._task is not None and not self._task.done()

    @property
    def helping(self) -> bool:
        """Whether the help is shown."""
        return self.screen.has_class("helping")

    def steered(self) -> None:
        """A key changed something: draw what shows it."""

    def scrolled(self) -> VerticalScroll | None:
        """What the arrow keys scroll; None: nothing."""
        return self.query_one("#help", VerticalScroll) if self.helping else None

    # --- keys ------------------------------------------------------------------------------------------------------------

    def action_help(self, by: str) -> None:
        self.screen.toggle_class("helping")
        self.steered()

    def action_scroll(self, by: int) -> None:
        shown = self.scrolled()
        if shown is not None:
            shown.scroll_relative(y=by * max(1, shown.size.height // 2), animate=False)

    def action_leave(self, by: str) -> None:
        if self.leaving and self._task is not None:
            self._task.cancel()
            return
        self.leaving = True
        self.steered()
        self._stop()

    def ask_for_line(self, shown_by: str) -> Input:
        """Show the line `#typed`, by the class `shown_by` of the screen, and give it the keys."""
        self.screen.remove_class("helping")
        self.screen.add_class(shown_by)
        typed = self.query_one("#typed", Input)
        typed.focus()
        return typed

    def line_done(self, shown_by: str) -> None:
        """Hide the line again."""
        self.screen.remove_class(shown_by)
        self.set_focus(None)
