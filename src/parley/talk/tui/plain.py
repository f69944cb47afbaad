"""The conversation as lines of text, for logs, pipes and screen readers: one line for each thing that happened.

Laws: stdout gets the lines, nothing is ever redrawn; each line begins with the time since the start; partial transcripts are left
out, because a screen reader would read them again and again. Commands come as lines on stdin.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from parley.stop_signals import on_stop_signals
from parley.talk.figure_names import FIGURES
from parley.talk.status import State
from parley.talk.transcript import TranscriptLine
from parley.talk.tui.lines import StampedLines, TypedLines

if TYPE_CHECKING:
    from parley.talk.conversation import Talk

LINES_WAITING = 1000
"""Lines of a pipe that wait for their turn; more than anybody types."""

ANSWERS = "/y allow, /a allow it for this conversation, /n refuse"

HELP_TYPED = "A line of text: say it. Enter or /i silence the reply, /q leave."

HELP = "Enter: talk or stop talking. A line of text: say it. /m mute, /h hands-free or key, /i silence the reply, /d devices, /q leave."

LINES_COMPARED = 100
"""Lines that are compared with what comes later of them: many more than are still open."""


class PlainView:
    """Prints updates as lines. Make the `Talk` with it, then `run_plain()`.

    `width`: the terminal's, at which a long line is broken between words; None, for pipes and logs: each event stays one line.
    """

    def __init__(self, write: Callable[[str], None], width: int | None = None) -> None:
        self._lines = StampedLines(write, width)
        self._told: dict[int, TranscriptLine] = {}
        self._settling: dict[int, TranscriptLine] = {}
        """Replies that were cut, of which the server is asked which words were heard."""
        self._figures_told = 0
        self.talk: Talk | None = None
        self.on_state: Callable[[], None] = lambda: None

    def say(self, text: str) -> None:
        """One line, with its time."""
        self._lines.say(text)

    def line_changed(self, line: TranscriptLine) -> None:
        before = self._told.get(line.number)
        if line.speaker == "reply" and line.number not in self._settling:
            self.finish()
        if line.partial or before == line or (before is not None and before.heard_ms is not None):
            return
        if line.settling:
            self._settling[line.number] = line
            return
        self._settling.pop(line.number, None)
        self._told[line.number] = line
        if len(self._told) > LINES_COMPARED:
            del self._told[next(iter(self._told))]
        if line.heard_ms is not None:
            self.say(_cut(line))
        elif line.note:
            self.say(f"{line.speaker}: ({line.note})")
        elif before is None or before.text != line.text:
            self.say(f"{line.speaker}: {line.text.strip()}")

    def finish(self) -> None:
        """Print the interruptions of which the server has not said what was heard, as they were estimated."""
        waiting, self._settling = self._settling, {}
        for line in waiting.values():
            self.line_changed(replace(line, settling=False))

    def figures_changed(self) -> None:
        talk = self.talk
        if talk is None:
            return
        for turn in talk.figures.turns:
            if turn.number > self._figures_told and turn.over and turn.answered_s is not None:
                self._figures_told = turn.number
                measured = turn.figures()
                shown = ", ".join(f"{each.label} {measured[each.name]}" for each in FIGURES if each.name in measured)
                self.say(f"figures of turn {turn.number} in ms: {shown}")

    def state_changed(self, state: State) -> None:
        self.say(f"state: {state} ({ANSWERS})" if state == "waits for you" else f"state: {state}")
        self.on_state()

    def ticked(self) -> None:
        pass


async def run_plain(talk: Talk, view: PlainView) -> None:
    """Talk until SIGINT, SIGTERM or /q. Raises what `Talk.run` raises."""
    view.talk = talk
    loop = asyncio.get_running_loop()
    on_stop_signals(talk.stop)
    commands = _Commands(talk, view)

    def on_state() -> None:
        loop.call_soon(commands.go_on)

    view.on_state = on_state
    typed = TypedLines(commands.typed, commands.last)
    if typed.begin():
        view.say(commands.help)
    try:
        await talk.run()
    finally:
        typed.end()
        view.finish()


def _cut(line: TranscriptLine) -> str:
    """What of a reply was heard, and what was not."""
    heard, unheard = line.text.strip(), line.unheard.strip()
    about = "" if line.exact else "about "
    if not unheard:
        words = "all its words were heard" if heard else "no words had come"
    elif not heard:
        words = f"heard no word of {unheard!r}"
    else:
        words = f"heard {about}{heard!r}, not heard {unheard!r}"
    return f"reply cut after {line.heard_ms} ms: {words}"


class _Commands:
    """Lines typed on stdin.

    Without a microphone nothing else is said, so lines of a pipe wait for the reply to the one before, and the conversation ends with them.
    """

    def __init__(self, talk: Talk, view: PlainView) -> None:
        self._talk = talk
        self._view = view
        self._in_turn = talk.chosen.typed and not sys.stdin.isatty()
        self._waiting: deque[str] = deque()
        self._over = False
        self._actions: dict[str, Callable[[], None]] = {
            "": talk.press_key,
            "/m": talk.toggle_mute,
            "/h": talk.toggle_hands_free,
            "/i": talk.interrupt,
            "/d": talk.reopen_devices,
            "/q": talk.stop,
            "/y": lambda: talk.requests.answer(True),
            "/a": lambda: talk.requests.answer(True, always=True),
            "/n": lambda: talk.requests.answer(False),
            "/?": lambda: view.say(self.help),
        }
        self.help = HELP
        if talk.chosen.typed:
            self.help = HELP_TYPED
            for command in ("/m", "/h", "/d"):
                del self._actions[command]

    def typed(self, line: str) -> None:
        """One line, as it was typed."""
        text = line.strip()
        if not self._in_turn or text in ("/i", "/?"):
            self._obey(text)
        elif len(self._waiting) == LINES_WAITING:
            self._view.say(f"note: {LINES_WAITING} lines wait for their replies; this one is left out: {text[:60]!r}")
        elif text:
            self._waiting.append(text)
            self.go_on()

    def last(self) -> None:
        """No more lines come."""
        self._over = self._talk.chosen.typed
        self.go_on()

    def go_on(self) -> None:
        """The next line, where the talk is ready for it; the end, where there is none."""
        if self._talk.state != "type a message":
            return
        if self._waiting:
            self._obey(self._waiting.popleft())
        elif self._over:
            self._talk.stop()

    def _obey(self, text: str) -> None:
        action = self._actions.get(text)
        if action is not None:
            action()
        elif text.startswith("/"):
            self._view.say(f"there is no command {text}. {self.help}")
        else:
            self._talk.say(text)
