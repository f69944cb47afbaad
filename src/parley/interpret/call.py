"""The interpreter of a call: both directions, their devices, and what concerns the two: notes, cost, loops, the recording, the keys.

Laws:
- One event loop. A direction that fails is noted, and the other goes on; the call ends when the user leaves, or when no direction is left.
- What one direction plays and the other (or itself) captures is compared all the while: a loop closes the capture while that output sounds.
- With the cap on the cost reached, nothing more is sent.
Does not know: terminals, what a route does.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from parley.audio import pcm
from parley.audio.types import Int16
from parley.engines.ports import VoiceActivityModel
from parley.interpret.cost import CostMeter
from parley.interpret.desk import ForwardDevices, ReverseDevices, SoundDesk
from parley.interpret.direction import CallDirection, DirectionListener, DirectionPlan
from parley.interpret.loop_guard import LoopGuard
from parley.interpret.ports import WIRE_RATE, CallNote, CaptionLine, CostShown, DirectionShown, InterpreterView
from parley.interpret.recorder import CallRecorder
from parley.interpret.recording import CallRecording
from parley.interpret.sound import SoundPiece
from parley.interpret.updates import DirectionName, NoteLevel
from parley.talk.talk_key import TalkKey

TICK_S: Final = 0.05
NOTES: Final = 200


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What the user chose. A direction that is None is left out."""

    forward: tuple[DirectionPlan, ForwardDevices] | None
    reverse: tuple[DirectionPlan, ReverseDevices] | None
    record: Path | None = None
    price_per_minute: float = 0.0
    cost_cap: float | None = None
    push_to_talk: bool = False
    notice: str = ""
    """What the user is told before anything is translated: that the other party should agree."""
    spoken_notice: Int16 | None = None
    """What the other party hears before anything is translated, int16 `[n]` at 24 kHz."""


class CallInterpreter:
    """One call. `run()` until `stop()`; a screen reads and steers it (`InterpreterShown`)."""

    def __init__(self, plan: CallPlan, view: InterpreterView, vad: VoiceActivityModel, desk: SoundDesk) -> None:
        self.plan = plan
        self.push_to_talk = plan.push_to_talk
        self.talking = not plan.push_to_talk
        self.panic = False
        self.recording: Path | None = plan.record
        self._view = view
        self._desk = desk
        self._notes: deque[CallNote] = deque(maxlen=NOTES)
        self._noted = 0
        self._early: list[tuple[NoteLevel, str]] = []
        self._costs = CostMeter(plan.price_per_minute, plan.cost_cap)
        self._capped = False
        self._recorder: CallRecorder | None = None
        self._recorded_whole = True
        self._key = TalkKey()
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.working: dict[DirectionName, CallDirection] = {}
        self._devices: dict[DirectionName, ForwardDevices | ReverseDevices] = {}
        for chosen in (plan.forward, plan.reverse):
            if chosen is not None:
                direction, devices = chosen
                self.working[direction.name] = CallDirection(direction, vad, self._listener(direction.name))
                self._devices[direction.name] = devices
        self._guard = LoopGuard(tuple(self.working))

    @property
    def directions(self) -> dict[DirectionName, DirectionShown]:
        return dict(self.working)

    @property
    def notes(self) -> Sequence[CallNote]:
        return tuple(self._notes)

    @property
    def cost(self) -> CostShown:
        return self._costs.shown

    # --- running -----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Interpret until `stop()`. Raises `RecordingRefused` where the recording cannot be begun."""
        self._loop = asyncio.get_running_loop()
        if self.plan.record is not None:
            self._recorder = CallRecorder(CallRecording(self.plan.record, time.monotonic()))
        for level, message in self._early:
            self._note(level, message, None)
        if self.plan.notice:
            self._note("note", self.plan.notice, None)
        self._key_changed()
        if self.plan.spoken_notice is not None and (forward := self.working.get("forward")) is not None:
            forward.sound.push(self.plan.spoken_notice, time.monotonic(), None)
        tasks = [asyncio.create_task(self._guarded(name, each.run)) for name, each in self.working.items()]
        others = [
            *(asyncio.create_task(self._guarded(name, self._keeper(name))) for name in self.working),
            asyncio.create_task(self._tick()),
        ]
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((stopping, asyncio.gather(*tasks)), return_when=asyncio.FIRST_COMPLETED)
            for direction in self.working.values():
                direction.stop()
            await asyncio.wait(tasks)
        finally:
            for task in (*others, *tasks, stopping):
                task.cancel()
            await asyncio.gather(*others, *tasks, return_exceptions=True)
            if self._recorder is not None:
                await asyncio.to_thread(self._recorder.finish)
                self._look_at_recording()

    def _keeper(self, name: DirectionName) -> Callable[[], Awaitable[None]]:
        async def keep() -> None:
            direction = self.working[name]
            await self._desk.keep(direction, self._devices[name], lambda level, text: self._note(level, text, name))

        return keep

    async def _guarded(self, name: DirectionName, work: Callable[[], Awaitable[None]]) -> None:
        """A fault of one direction is noted, and does not end the other."""
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - the boundary between the directions
            self._note("error", f"A fault ended this direction: {type(error).__name__}: {error}.", name)
            self.working[name].stop()

    async def _tick(self) -> None:
        said = ""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - the talk key, the loops and the screen need the next look
                fault = f"A fault in the call: {type(error).__name__}: {error}."
                if fault != said:
                    said = fault
                    self._note("error", fault, None)

    def _look(self) -> None:
        if self._key.passed(time.monotonic()):
            self._turn_key(talking=False)
        self._look_for_loops()
        self._look_at_recording()
        self._view.ticked()

    def stop(self) -> None:
        """End the call."""
        self._stopping.set()

    # --- from the directions -----------------------------------------------------------------------------------------------

    def _listener(self, name: DirectionName) -> DirectionListener:
        def captured(audio: Int16, at_s: float) -> None:
            self._guard.captured(name, pcm.to_float(audio), WIRE_RATE, at_s)

        def heard(audio: Int16, at_s: float) -> None:
            self._heard(name, audio, at_s)

        def played(piece: SoundPiece) -> None:
            self._played(name, piece)

        def settled(side: Literal["source", "target"], line: CaptionLine) -> None:
            if self._recorder is not None:
                self._recorder.line(name, side, line)

        return DirectionListener(
            note=lambda level, message: self._note(level, message, name),
            changed=lambda: self._view.changed(name),
            captured=captured,
            heard=heard,
            played=played,
            settled=settled,
        )

    def _heard(self, name: DirectionName, audio: Int16, at_s: float) -> None:
        if self._recorder is not None:
            self._recorder.captured(name, audio, at_s)
        if self._costs.sent(len(audio) / WIRE_RATE):
            self._note("warning", f"{self._costs.said}.", None)
        if self._costs.over_cap and not self._capped:
            self._capped = True
            self._note("error", f"{self._costs.said}: nothing more is translated.", None)
            self.stop()

    def _played(self, name: DirectionName, piece: SoundPiece) -> None:
        self._guard.played(name, pcm.to_float(piece.audio), piece.rate, piece.at_s)
        if self._recorder is not None:
            self._recorder.played(name, piece.audio, piece.rate, piece.at_s)

    def _look_for_loops(self) -> None:
        sounding = {name: each.sound.speaking for name, each in self.working.items()}
        for found in self._guard.look(time.monotonic(), sounding):
            self._note("error", found.message, found.captured_by)
        for name, direction in self.working.items():
            direction.close_for("loop", self._guard.closes(name, time.monotonic()))

    def _look_at_recording(self) -> None:
        if self._recorder is None or self.recording is None:
            return
        if self._recorder.failed:
            self.recording = None
            self._note("error", f"The recording has ended: {self._recorder.failed}", None)
        elif self._recorder.left_out_s and self._recorded_whole:
            self._recorded_whole = False
            self._note("warning", "The disk is too slow for the recording: parts of the sound are missing in it.", None)

    def _note(self, level: NoteLevel, message: str, name: DirectionName | None) -> None:
        self._noted += 1
        note = CallNote(self._noted, level, message, time.monotonic(), name)
        self._notes.append(note)
        if self._recorder is not None:
            self._recorder.note(note)
        self._view.noted(note)

    def tell(self, level: NoteLevel, message: str) -> None:
        """A note for the user, from any thread; before `run()`, for its beginning."""
        loop = self._loop
        if loop is None:
            self._early.append((level, message))
            return
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._note, level, message, None)

    # --- keys --------------------------------------------------------------------------------------------------------------

    def toggle_mute(self, name: DirectionName) -> None:
        """Send silence instead of that speaker, or no longer."""
        if (direction := self.working.get(name)) is not None:
            direction.close_for("muted", not direction.muted)

    def set_languages(self, mine: str, theirs: str) -> None:
        """Translate between these from now on."""
        for name, direction in self.working.items():
            direction.set_languages(*((mine, theirs) if name == "forward" else (theirs, mine)))

    def set_voice(self, name: DirectionName, voice: str) -> None:
        """Speak the translations of that direction in this voice."""
        direction = self.working.get(name)
        if direction is None:
            return
        if direction.plan.converter is None and not direction.plan.route.voices_change:
            self._note("warning", "This kind of session has no voice to choose.", name)
            return
        if direction.plan.converter is not None and direction.plan.converter.resolve_voice(voice) is None:
            known = ", ".join(sorted(direction.plan.converter.info.voices))
            self._note("warning", f"There is no voice {voice!r}; there are: {known}.", name)
            return
        direction.set_voice(voice)

    def toggle_push_to_talk(self) -> None:
        """Let a key open the microphone, or have it open all the while."""
        self.push_to_talk = not self.push_to_talk
        self._key.reset()
        self.talking = not self.push_to_talk
        self._key_changed()

    def press_key(self) -> None:
        """The talk key, pressed or repeated."""
        if self.push_to_talk:
            change = self._key.pressed(time.monotonic())
            if change is not None:
                self._turn_key(talking=change == "down")

    def _turn_key(self, *, talking: bool) -> None:
        self.talking = talking
        self._key_changed()

    def _key_changed(self) -> None:
        if (forward := self.working.get("forward")) is not None:
            forward.close_for("key", not self.talking)

    def toggle_panic(self) -> None:
        """The user's raw voice goes to the call, or the translation again."""
        if (forward := self.working.get("forward")) is not None:
            self.panic = not self.panic
            forward.set_raw(self.panic)
            what = "Your own voice goes to the call." if self.panic else "The translation goes to the call again."
            self._note("warning", what, "forward")
