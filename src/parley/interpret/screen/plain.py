"""The call as lines of text, for logs, pipes and screen readers: one line for each settled caption, note, change of state and
measured pause.

Laws: nothing is ever redrawn; each line begins with the time since the start; words that may still change are left out, because a screen
reader would read them again and again. Commands come as lines on stdin. Nothing that steers a terminal passes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from parley.errors import ParleyError
from parley.interpret.ports import (
    CallNote,
    CaptionLine,
    DirectionShown,
    DirectionState,
    InterpreterShown,
    InterpreterView,
    PauseStages,
)
from parley.interpret.screen.frame import ALARM, cost, note_words
from parley.interpret.screen.languages import name_of, pair_typed
from parley.interpret.screen.panel import SPEAKERS, seconds
from parley.interpret.updates import DirectionName
from parley.stop_signals import on_stop_signals
from parley.talk.tui.cells import harmless
from parley.talk.tui.drawing import Glyphs
from parley.talk.tui.lines import StampedLines, TypedLines

HELP: Final = (
    "/m mute or unmute you, /t them, /l es en languages, /v you NAME or /v them NAME voice, /k push-to-talk on or off, Enter: talk, with "
    "push-to-talk, /p raw voice on or off, /s state and figures, /q leave."
)

PLAIN: Final = Glyphs()
"""Captions pass in their own letters: a pipe has an encoding of its own."""

SETTLED_S: Final = 2.0
"""A caption without unstable words to which nothing was added for so long is told, even where no other follows."""

CAPTIONS_READ: Final = 100
"""Captions that may come between two looks; older ones are told already."""

DIRECTIONS: Final[dict[str, DirectionName]] = {spoken: name for name, spoken in SPEAKERS.items()}


class ToldCaptions:
    """Which captions of one running text have been told. Call `news()` with it whenever it has changed, or time has passed."""

    def __init__(self) -> None:
        self._at_s = -math.inf
        self._text = ""
        self._parted = False
        """Whether `_text` is the rest of a caption that was told whole and then parted: the next caption begins with it."""
        self._marked: dict[tuple[float, str], tuple[str, ...]] = {}

    def news(self, lines: Sequence[CaptionLine], now_s: float) -> list[str]:
        """What has settled since the last call: whole captions, what was added to one that was told already, and marks that came late.

        `now_s` infinite: the call is over, and nothing changes any more.
        """
        recent = list(islice(reversed(lines), CAPTIONS_READ))
        recent.reverse()
        begin = self._place(recent)
        found = [text for line in recent[:begin] if (text := self._late_marks(line))]
        for line in recent[begin:]:
            last = line is recent[-1]
            settles_s = math.inf if line.unstable else line.until_s + SETTLED_S
            if last and now_s < settles_s:
                break
            if text := self._tell(line):
                found.append(text)
        kept = {(line.at_s, line.text) for line in recent}
        self._marked = {key: marks for key, marks in self._marked.items() if key in kept}
        return found

    def _place(self, recent: list[CaptionLine]) -> int:
        """The index of the caption that was told last, or of the first one after it."""
        for at in range(len(recent) - 1, -1, -1):
            line = recent[at]
            if line.at_s == self._at_s and (_begins(line.text, self._text) or _begins(self._text, line.text)):
                return at
        return next((at for at, line in enumerate(recent) if line.at_s > self._at_s), len(recent))

    def _tell(self, line: CaptionLine) -> str:
        told = self._text
        grown = _begins(line.text, told) and (line.at_s == self._at_s or self._parted)
        if not grown and not (line.at_s == self._at_s and _begins(told, line.text)):
            told = ""
        added = "" if _begins(told, line.text) else harmless(line.text[len(told) :], PLAIN).strip()
        # A caption that was told while it grew may be parted in two: what is left of it is not told again.
        left = told[len(line.text) :].strip() if _begins(told, line.text) else ""
        text = f"(continued) {added}" if added and told else added
        new = self._new_marks(line)
        self._at_s, self._text, self._parted = line.at_s, left or line.text.rstrip(), bool(left)
        return " ".join(part for part in (text, _checked(new)) if part)

    def _late_marks(self, line: CaptionLine) -> str:
        new = self._new_marks(line)
        return f"{_checked(new)} {harmless(line.text, PLAIN).strip()}" if new else ""

    def _new_marks(self, line: CaptionLine) -> list[str]:
        key = line.at_s, line.text
        known = self._marked.get(key, ())
        self._marked[key] = line.marks
        return [mark for mark in line.marks if mark not in known]


def _begins(text: str, start: str) -> bool:
    return bool(start.rstrip()) and text.startswith(start.rstrip())


def _checked(marks: Sequence[str]) -> str:
    return f"(check: {', '.join(harmless(mark, PLAIN).strip() for mark in marks)})" if marks else ""


class PlainInterpreter:
    """Runs an interpreter and prints it as lines. An `InterpreterView`.

    `make_interpreter(view)` makes it; `write` takes one line at a time. `width`: as of `StampedLines`.
    """

    def __init__(
        self,
        make_interpreter: Callable[[InterpreterView], InterpreterShown],
        write: Callable[[str], None],
        width: int | None = None,
    ) -> None:
        self._lines = StampedLines(write, width)
        self._texts: dict[tuple[DirectionName, str], ToldCaptions] = {}
        self._states: dict[DirectionName, DirectionState] = {}
        self._pauses: dict[DirectionName, PauseStages] = {}
        self._settings: dict[str, str] = {}
        self.interpreter = make_interpreter(self)

    async def run(self) -> None:
        """Until SIGINT, SIGTERM, /q, or the interpreter's own end. Raises what its `run()` raises."""
        on_stop_signals(self.interpreter.stop)
        typed = TypedLines(self.obey)
        if typed.begin():
            self.say(f"Commands: {HELP}")
        for shown in self.interpreter.directions.values():
            self.say(_languages(shown))
        try:
            await self.interpreter.run()
        finally:
            typed.end()
            self._look(math.inf)

    def say(self, text: str) -> None:
        """One line, with its time."""
        self._lines.say(text)

    # --- InterpreterView -------------------------------------------------------------------------------------------------

    def changed(self, name: DirectionName) -> None:
        """An `InterpreterView`'s."""
        shown = self.interpreter.directions.get(name)
        if shown is not None:
            self._direction(shown, time.monotonic())

    def noted(self, note: CallNote) -> None:
        """An `InterpreterView`'s."""
        self.say(note_words(note, PLAIN))

    def ticked(self) -> None:
        """An `InterpreterView`'s."""
        self._look(time.monotonic())

    def _look(self, now_s: float) -> None:
        for shown in self.interpreter.directions.values():
            self._direction(shown, now_s)
        interpreter = self.interpreter
        recording = interpreter.recording
        self._setting("recording", f"recording in {recording}" if recording is not None else "", "no more recording")
        self._setting("panic", ALARM.replace("P or F8", "/p") if interpreter.panic else "", "raw voice ended")
        ready = "push-to-talk: you talk" if interpreter.talking else "push-to-talk: Enter to talk"
        self._setting("key", ready if interpreter.push_to_talk else "", "push-to-talk is off")

    def _setting(self, name: str, said: str, over: str) -> None:
        """Tells what has changed; "" is how it begins, and needs no word."""
        before, self._settings[name] = self._settings.get(name, ""), said
        if before != said:
            self.say(harmless(said or over, PLAIN))

    def _direction(self, shown: DirectionShown, now_s: float) -> None:
        name = shown.name
        speaker = SPEAKERS[name]
        if self._states.get(name) != shown.state:
            self._states[name] = shown.state
            self.say(f"{speaker}: {shown.state}")
        for side, lines in (("source", shown.source), ("target", shown.target)):
            text = self._texts.setdefault((name, side), ToldCaptions())
            language = shown.wishes.source if side == "source" else shown.wishes.target
            for news in text.news(lines, now_s):
                self.say(f"{speaker}, {harmless(name_of(language), PLAIN)}: {news}")
        last = shown.figures.last
        if last is not None and last.played_ms is not None and self._pauses.get(name) != last:
            self._pauses[name] = last
            self.say(f"{speaker}, figures: {figures_words(shown, whole=False)}")

    # --- commands --------------------------------------------------------------------------------------------------------

    def obey(self, line: str) -> None:
        """One line that was typed."""
        command, _, rest = line.strip().partition(" ")
        try:
            self._obey(command, rest.strip())
        except ParleyError as error:
            self.say(harmless(str(error), PLAIN))

    def _obey(self, command: str, rest: str) -> None:
        interpreter = self.interpreter
        match command:
            case "":
                if interpreter.push_to_talk:
                    interpreter.press_key()
                else:
                    self.say("Push-to-talk is off; /k turns it on.")
            case "/m" | "/t":
                self._mute("forward" if command == "/m" else "reverse")
            case "/l":
                interpreter.set_languages(*pair_typed(rest))
                for shown in interpreter.directions.values():
                    self.say(_languages(shown))
            case "/v":
                self._voice(rest)
            case "/k" | "/p" if "forward" not in interpreter.directions:
                self.say("Your side is not translated in this call: there is nothing to switch.")
            case "/k":
                interpreter.toggle_push_to_talk()
            case "/p":
                interpreter.toggle_panic()
            case "/s":
                self._status()
            case "/q":
                interpreter.stop()
            case "/?" | "/h":
                self.say(HELP)
            case _:
                self.say(f"There is no command {harmless(command[:40], PLAIN)}. {HELP}")

    def _mute(self, name: DirectionName) -> None:
        shown = self.interpreter.directions.get(name)
        if shown is None:
            self.say(f"{SPEAKERS[name]}: that direction does not run in this call.")
            return
        self.interpreter.toggle_mute(name)
        self._direction(shown, time.monotonic())
        # That it is muted is a state, and told as such, unless another one counts more.
        if not shown.muted or shown.state != "muted":
            self.say(f"{SPEAKERS[name]}: {'muted' if shown.muted else 'not muted'}")

    def _voice(self, rest: str) -> None:
        whose, _, voice = rest.partition(" ")
        name = DIRECTIONS.get(whose)
        if name is None or name not in self.interpreter.directions:
            running = " or ".join(f"/v {SPEAKERS[each]} NAME" for each in self.interpreter.directions)
            self.say(f"Write whose translation gets which voice: {running}")
            return
        voice = harmless(voice[:200], PLAIN).strip()
        self.interpreter.set_voice(name, voice)
        self.say(f"{whose}: voice {voice or 'of the server'}")

    def _status(self) -> None:
        for shown in self.interpreter.directions.values():
            into, out = shown.devices
            devices = harmless(f"{into or 'none'} -> {out or 'none'}", PLAIN)
            muted = ", muted" if shown.muted and shown.state != "muted" else ""
            self.say(f"{_languages(shown)}, {shown.state}{muted}, {devices}")
            self.say(f"{SPEAKERS[shown.name]}, figures: {figures_words(shown, whole=True)}")
        if money := cost(self.interpreter.cost):
            self.say(money)


def _languages(shown: DirectionShown) -> str:
    wishes = shown.wishes
    voice = f", voice {shown.voice}" if shown.voice else ""
    return harmless(f"{SPEAKERS[shown.name]}: {name_of(wishes.source)} -> {name_of(wishes.target)}{voice}", PLAIN)


def figures_words(shown: DirectionShown, *, whole: bool) -> str:
    """The figures of a direction in one line. What was not measured is left out; unless `whole`, so is what did not happen."""
    figures = shown.figures
    last = figures.last or PauseStages(None, None, None, None)
    stages = (("words", last.words_ms), ("text", last.text_ms), ("audio", last.audio_ms), ("played", last.played_ms))
    groups = (
        ("pause to", stages),
        ("pause", (("p50", figures.pause_p50_ms), ("p95", figures.pause_p95_ms))),
        ("ear-voice span", (("p50", figures.span_p50_ms), ("p90", figures.span_p90_ms))),
        ("conversion delay", (("", figures.conversion_ms),)),
    )
    words = []
    for name, parts in groups:
        if known := [f"{part} {ms:.0f}".strip() for part, ms in parts if ms is not None]:
            words.append(f"{name} {', '.join(known)} ms")
    if figures.conversion_rtf is not None:
        words.append(f"conversion RTF {figures.conversion_rtf:.2f}")
    for said, happened in (
        (f"queue {seconds(figures.queue_ms)}", whole),
        (f"drops {seconds(figures.dropped_s * 1000)}", figures.dropped_s > 0),
        (f"reconnects {figures.reconnects}", figures.reconnects > 0),
        (f"drifts {figures.drifts}", figures.drifts > 0),
    ):
        if happened or whole:
            words.append(said)
    return "; ".join(words)
