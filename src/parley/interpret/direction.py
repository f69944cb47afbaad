"""One direction of the call: what one person says, to the ear of the other.

    DirectionSound -> captured pieces -> voice activity -> LinkKeeper (the session in use)
    LinkKeeper -> texts, audio -> RunningText, VoiceChange -> DirectionSound

Laws:
- Independent: nothing here waits for the other direction, and a failure ends this one alone.
- A closed direction (muted, key not held, its own output heard) sends silence, not nothing: a server that waits for a pause gets one.
Does not know: devices, screens, the other direction.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np

from parley.audio.types import Int16
from parley.engines.ports import VoiceActivityModel, VoiceConverter
from parley.interpret.captions import RunningText
from parley.interpret.figures import DirectionAccount
from parley.interpret.link_keeper import LinkHooks, LinkKeeper
from parley.interpret.link_run import LinkRun
from parley.interpret.ports import (
    WIRE_RATE,
    CaptionLine,
    DirectionFigures,
    DirectionState,
    RouteWishes,
    TranslationRoute,
)
from parley.interpret.sound import DirectionSound, MixedOriginal, SoundPiece
from parley.interpret.speaker_lag import SpeakerLag
from parley.interpret.speech_listener import SpeechListener
from parley.interpret.updates import (
    ClauseReport,
    DirectionName,
    Drifted,
    NoteLevel,
    RouteLinkEnded,
    RouteNote,
    RouteUpdate,
    SourceText,
    TargetAudio,
    TargetText,
)
from parley.interpret.voice_change import VoiceChange

SEND_MS: Final = 20.0
"""Audio in one message."""

Closing = Literal["muted", "key", "loop"]
"""Why nothing of the speaker is sent."""


@dataclass(frozen=True, slots=True)
class DirectionPlan:
    """What a direction does. `spoken` False: captions only. `converter` None: the voice of the server; `profile` is the converter's
    voice otherwise."""

    name: DirectionName
    route: TranslationRoute
    wishes: RouteWishes
    spoken: bool = True
    mix: MixedOriginal = field(default_factory=MixedOriginal)
    converter: VoiceConverter | None = None
    profile: str = ""


@dataclass(frozen=True, slots=True)
class DirectionListener:
    """What the interpreter wants to know. All are called on the event loop."""

    note: Callable[[NoteLevel, str], None]
    changed: Callable[[], None]
    captured: Callable[[Int16, float], None]
    """Captured audio, int16 at 24 kHz, and when its last sample was recorded, also while the direction is closed."""
    heard: Callable[[Int16, float], None]
    """Sent audio, int16 at 24 kHz, and when its last sample was recorded: silence while the direction is closed."""
    played: Callable[[SoundPiece], None]
    settled: Callable[[Literal["source", "target"], CaptionLine], None]


class CallDirection:
    """One direction. `run()` until `stop()`; meanwhile devices feed `sound`, and a screen reads the rest (`DirectionShown`)."""

    def __init__(self, plan: DirectionPlan, vad: VoiceActivityModel, listener: DirectionListener) -> None:
        self.name: DirectionName = plan.name
        self.wishes = plan.wishes
        self.plan = plan
        self.sound = DirectionSound(plan.mix, self._on_piece, self._on_played)
        self.device_names: tuple[str, str] | None = None
        """What is open; None: no device."""
        self._listener = listener
        self._source = RunningText(settled=lambda line: listener.settled("source", line))
        self._target = RunningText(settled=lambda line: listener.settled("target", line))
        self._account = DirectionAccount()
        self._ear = SpeechListener(vad)
        self._closed: set[Closing] = set()
        self._collected: list[Int16] = []
        self._collected_ms = 0.0
        self._words_at_s = self._audio_at_s = 0.0
        hooks = LinkHooks(
            self._apply,
            listener.note,
            listener.changed,
            lambda: self._ear.speaking,
            lambda: self._flush_collected(time.monotonic()),
        )
        self._links = LinkKeeper(plan.route, plan.wishes, self._account, hooks)
        self._lag = SpeakerLag()
        self._unheard_s = 0.0
        self._change: VoiceChange | None = None
        if plan.converter is not None:
            self._change = VoiceChange(
                plan.converter, plan.profile, self._deliver, self._conversion_failed, self._account.converted
            )

    # --- for a screen ------------------------------------------------------------------------------------------------------

    @property
    def muted(self) -> bool:
        return "muted" in self._closed

    @property
    def voice(self) -> str:
        return self.wishes.voice if self._change is None else self._change.voice

    @property
    def source(self) -> Sequence[CaptionLine]:
        return self._source.lines

    @property
    def target(self) -> Sequence[CaptionLine]:
        return self._target.lines

    @property
    def devices(self) -> tuple[str, str]:
        return self.device_names or ("none", "none")

    @property
    def levels_dbfs(self) -> tuple[float, float]:
        return self.sound.levels_dbfs

    @property
    def figures(self) -> DirectionFigures:
        return replace(
            self._account.figures(),
            queue_ms=self.sound.queue_ms,
            clocks_ppm=self.sound.clocks_ppm,
            conversion_ms=None if self._change is None else self._change.latency_ms,
        )

    @property
    def state(self) -> DirectionState:
        if self.failed:
            return "stopped"
        if self.device_names is None:
            return "no device"
        if self.plan.mix.raw:
            return "raw voice"
        if self._closed:
            return "muted"
        if self._links.link is None:
            return "reconnecting" if self._links.ever_open else "starting"
        if self.sound.speaking:
            return "speaking"
        return "translating" if self._words_at_s > self._audio_at_s else "listening"

    # --- running -----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Translate until `stop()`. A failure that no other attempt can mend is noted, and ends this direction alone."""
        self.sound.listen_on(asyncio.get_running_loop())
        changing = None if self._change is None else asyncio.create_task(self._change.run())
        try:
            await self._links.run()
        finally:
            self._ear.close()
            self._source.end()
            self._target.end()
            if changing is not None:
                changing.cancel()

    def stop(self) -> None:
        """End the call: what was just said is still translated, for `LAST_WORDS_S`."""
        self._links.stop()

    @property
    def failed(self) -> str:
        """Why this direction has ended; "" while it has not."""
        return self._links.failed

    # --- from the devices --------------------------------------------------------------------------------------------------

    def close_for(self, why: Closing, closed: bool) -> None:
        """Send silence instead of the speaker, for one of the reasons, or no longer."""
        if closed == (why in self._closed):
            return
        (self._closed.add if closed else self._closed.discard)(why)
        self.plan.mix.closed = bool(self._closed - {"key"}) or (not self.plan.mix.raw and bool(self._closed))
        self._listener.changed()

    def set_raw(self, raw: bool) -> None:
        """The speaker's own voice instead of the translation, or no longer."""
        self.plan.mix.raw = raw
        self.plan.mix.closed = bool(self._closed - {"key"}) or (not raw and bool(self._closed))
        if raw:
            self.sound.silence()
        self._listener.changed()

    def _on_piece(self, piece: SoundPiece) -> None:
        if piece.kind == "played":
            self._listener.played(piece)
            return
        self._listener.captured(piece.audio, piece.at_s)
        audio = np.zeros_like(piece.audio) if self._closed else piece.audio
        self._listener.heard(audio, piece.at_s)
        self._collected.append(audio)
        self._collected_ms += 1000 * len(audio) / WIRE_RATE
        if self._collected_ms >= SEND_MS:
            self._flush_collected(piece.at_s)

    def _flush_collected(self, at_s: float) -> None:
        if not self._collected:
            return
        audio = np.concatenate(self._collected)
        self._collected, self._collected_ms = [], 0.0
        edges = self._ear.push(audio)
        self._links.send(audio, at_s)
        link = self._links.link
        for edge in edges:
            if edge == "began":
                self._account.speech_began(at_s - self._ear.late_s)
                if link is not None:
                    link.speech_began()
            else:
                self._account.speech_ended(at_s - self._ear.pause_s)
                if link is not None:
                    link.speech_ended()

    # --- from the link -----------------------------------------------------------------------------------------------------

    def _apply(self, run: LinkRun, update: RouteUpdate) -> None:
        now_s = time.monotonic()
        match update:
            case SourceText(text, unstable, ends):
                self._source.add(text, unstable, ends, now_s)
                if text.strip() or unstable.strip():
                    self._words_at_s = now_s
                if text.strip():
                    self._account.source_text(now_s)
            case TargetText(text, ends):
                self._target.add(text, "", ends, now_s)
                if ends:
                    self._account.clause()
                if text.strip():
                    self._account.target_text(now_s)
                    if not self.plan.spoken:
                        self._audio_at_s = now_s
            case TargetAudio(audio, until_ms):
                self._speak(run, audio, until_ms, now_s)
            case ClauseReport():
                self._mark(update)
            case Drifted(source, _, why, again):
                self._account.drifted()
                if not again:
                    self._target.add(f" {source}", "", True, now_s)
                    self._target.mark(source, (f"not translated: {why}",))
            case RouteNote(level, message):
                self._listener.note(level, message)
            case RouteLinkEnded():
                self._source.end()
                self._target.end()
        self._listener.changed()

    def _mark(self, clause: ClauseReport) -> None:
        self._account.clause()
        marks = clause.differences
        if clause.outcome == "shown":
            self._account.drifted()
            marks = ("not translated",)
        self._target.mark(clause.text, marks)

    def _speak(self, run: LinkRun, audio: Int16, until_ms: float | None, now_s: float) -> None:
        if not self.plan.spoken:
            return
        until_s = run.recorded_at_s(until_ms)
        if np.any(audio):
            self._audio_at_s = now_s
            self._account.target_audio(now_s, until_s)
        if self._change is not None:
            self._change.push(audio, until_s)
        else:
            self._deliver(audio, until_s)

    def _deliver(self, audio: Int16, until_s: float | None) -> None:
        self.sound.push(audio, time.monotonic(), until_s)
        self._count_unheard()

    def _count_unheard(self) -> None:
        """What was dropped since the last look: beyond what the queue holds, or while the device stood still."""
        dropped_s = self.sound.dropped_s
        if dropped_s > self._unheard_s:
            self._account.unheard(dropped_s - self._unheard_s)
            self._unheard_s = dropped_s

    def _on_played(self, at_s: float, until_s: float | None) -> None:
        self._count_unheard()
        self._account.played(at_s, until_s)
        if said := self._lag.played(at_s, until_s):
            self._listener.note("warning" if self._lag.far else "note", said)
        self._listener.changed()

    def _conversion_failed(self, message: str) -> None:
        self._listener.note("warning", f"The voice converter fails ({message}); the translation is heard unconverted.")

    # --- changes -----------------------------------------------------------------------------------------------------------

    def set_languages(self, source: str, target: str) -> None:
        """From now on. A target is changed in the open session; another source opens a new one."""
        changed = source != self.wishes.source
        self.wishes.source, self.wishes.target = source, target
        if changed:
            self._links.renew()
        elif self._links.link is not None:
            self._links.link.set_target(target)
        self._listener.changed()

    def set_voice(self, voice: str) -> None:
        """From the next sentence on; with a converter it is the converter's voice."""
        if self._change is not None:
            self._change.voice = voice
            return
        self.wishes.voice = voice
        if self._links.link is not None:
            self._links.link.set_voice(voice)
