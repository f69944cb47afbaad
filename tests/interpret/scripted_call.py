"""A call whose captions, figures and notes a test sets: the data that a screen shows. It obeys the screen's keys and reports changes as the
interpreter does."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from parley.interpret.ports import (
    CallNote,
    CaptionLine,
    CostShown,
    DirectionFigures,
    DirectionShown,
    DirectionState,
    InterpreterView,
    PauseStages,
    RouteWishes,
)
from parley.interpret.updates import DirectionName, NoteLevel

MEASURED = DirectionFigures(
    last=PauseStages(118.0, 341.0, 607.0, 643.0),
    pause_p50_ms=652.0,
    pause_p95_ms=1184.0,
    span_p50_ms=1910.0,
    span_p90_ms=3240.0,
    queue_ms=420.0,
    dropped_s=1.5,
    reconnects=2,
    drifts=3,
    conversion_rtf=0.21,
    conversion_ms=62.0,
    clocks_ppm=-37.0,
    clauses=41,
)


def line(text: str, unstable: str = "", at_s: float = 0.0, marks: tuple[str, ...] = ()) -> CaptionLine:
    return CaptionLine(text, unstable, at_s, at_s + 1, marks)


@dataclass
class ScriptedDirection:
    """Meets `DirectionShown`."""

    name: DirectionName
    wishes: RouteWishes
    state: DirectionState = "listening"
    muted: bool = False
    source: Sequence[CaptionLine] = field(default_factory=list)
    target: Sequence[CaptionLine] = field(default_factory=list)
    figures: DirectionFigures = field(default_factory=DirectionFigures)
    devices: tuple[str, str] = ("Built-in Microphone", "parley_mic_sink")
    levels_dbfs: tuple[float, float] = (-20.0, -40.0)
    voice: str = ""


class ScriptedCall:
    """Meets `InterpreterShown`; `done` is what the screen asked for."""

    def __init__(self, view: InterpreterView, *names: DirectionName) -> None:
        self.view = view
        both = {
            "forward": ScriptedDirection("forward", RouteWishes("es", "en")),
            "reverse": ScriptedDirection("reverse", RouteWishes("en", "es"), devices=("parley_speaker", "Headphones")),
        }
        self.scripted: dict[str, ScriptedDirection] = {name: both[name] for name in names or ("forward", "reverse")}
        self.directions: dict[DirectionName, DirectionShown] = {each.name: each for each in self.scripted.values()}
        self.recording: Path | None = None
        self.push_to_talk = False
        self.talking = True
        self.panic = False
        self.cost = CostShown()
        # Not a list: what an interpreter bounds it may keep so.
        self.notes: deque[CallNote] = deque(maxlen=5000)
        self.began_s = time.monotonic()
        self.done: list[tuple[str, ...]] = []
        self.failure: Exception | None = None
        self.refuses: Exception | None = None
        self.stubborn = False
        self.ended = asyncio.Event()

    async def run(self) -> None:
        await self.ended.wait()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        self.done.append(("stop",))
        if not self.stubborn:
            self.ended.set()

    def fail(self, failure: Exception) -> None:
        self.failure = failure
        self.ended.set()

    def note(self, message: str, level: NoteLevel = "note", direction: DirectionName | None = None) -> None:
        note = CallNote(len(self.notes) + 1, level, message, time.monotonic(), direction)
        self.notes.append(note)
        self.view.noted(note)

    def set(self, name: DirectionName, change: Callable[[ScriptedDirection], object]) -> None:
        change(self.scripted[name])
        self.view.changed(name)

    def toggle_mute(self, name: DirectionName) -> None:
        one = self.scripted[name]
        one.muted = not one.muted
        one.state = "muted" if one.muted else "listening"
        self._obeyed("mute", name)

    def set_languages(self, mine: str, theirs: str) -> None:
        if self.refuses is not None:
            raise self.refuses
        for name, wishes in (("forward", RouteWishes(mine, theirs)), ("reverse", RouteWishes(theirs, mine))):
            if name in self.scripted:
                self.scripted[name].wishes = wishes
        self._obeyed("languages", mine, theirs)

    def set_voice(self, name: DirectionName, voice: str) -> None:
        self.scripted[name].voice = voice
        self._obeyed("voice", name, voice)

    def toggle_push_to_talk(self) -> None:
        self.push_to_talk = not self.push_to_talk
        self.talking = not self.push_to_talk
        self._obeyed("push-to-talk")

    def press_key(self) -> None:
        self.talking = not self.talking
        self._obeyed("key")

    def toggle_panic(self) -> None:
        self.panic = not self.panic
        if "forward" in self.scripted:
            self.scripted["forward"].state = "raw voice" if self.panic else "listening"
        self._obeyed("panic")

    def _obeyed(self, *what: str) -> None:
        self.done.append(what)
        self.view.ticked()


def fill(call: ScriptedCall) -> None:
    """Both directions in the middle of a conversation."""
    call.cost = CostShown(0.42, 2.0)
    call.recording = Path("calls/2026-11-29")
    forward, reverse = call.scripted["forward"], call.scripted["reverse"]
    forward.state, reverse.state = "speaking", "translating"
    forward.voice = "coral"
    forward.figures = reverse.figures = MEASURED
    forward.source = [
        line("Buenos días, ¿me oyes bien?"),
        line("Quería hablar contigo de la entrega del martes, porque somos 25 personas."),
        line("Nos vemos", " a las nueve en"),
    ]
    forward.target = [
        line("Good morning, can you hear me well?"),
        line("I wanted to talk to you about Tuesday's delivery, because we are people.", marks=("25",)),
    ]
    reverse.source = [line("Yes, very well."), line("How many boxes do you need,", " and when")]
    reverse.target = [line("Sí, muy bien."), line("¿Cuántas cajas")]
    call.note("The call uses parley_mic as its microphone.")
    call.note("Audio of 1.5 s was too old and is not translated.", "warning", "reverse")
    call.note("The connection is lost; the next attempt is in 2 s.", "error", "forward")
