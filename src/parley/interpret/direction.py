"""One direction of the call: what one person says, to the ear of the other.

    DirectionSound -> captured pieces -> voice activity -> LinkRun (the session in use)
    LinkRun -> texts, audio -> RunningText, VoiceChange -> DirectionSound

Laws:
- Independent: nothing here waits for the other direction, and a failure ends this one alone.
- Speech that cannot be sent waits for at most `STALE_S`; what is older is dropped, counted and said. It is never sent in a burst later.
- Sessions are replaced before they expire, in a pause where there is one; a lost one is replaced with growing delays.
- A closed direction (muted, key not held, its own output heard) sends silence, not nothing: a server that waits for a pause gets one.
Does not know: devices, screens, the other direction.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np

from parley.audio import pcm
from parley.audio.short_resampling import ShortResampler
from parley.audio.types import Int16, Samples
from parley.engines.ports import VoiceActivityModel, VoiceConverter
from parley.interpret.captions import RunningText
from parley.interpret.figures import DirectionAccount
from parley.interpret.link_run import LinkRun
from parley.interpret.ports import (
    WIRE_RATE,
    CaptionLine,
    DirectionFigures,
    DirectionState,
    RouteWishes,
    TranslationRoute,
)
from parley.interpret.sound import DirectionSound, OriginalMix, SoundPiece
from parley.interpret.speech_gate import SpeechGate
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

STALE_S: Final = 3.0
SEND_MS: Final = 20.0
"""Audio in one message."""

RETRY_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Between attempts to reach a lost server; the last one repeats."""

SETTLED_S: Final = 10.0
"""After a link that lasted so long, `RETRY_S` starts from the beginning."""

LAST_WORDS_S: Final = 5.0
"""How long the end of the call waits for the translation of what was just said."""

HANDOVER_S: Final = 20.0
"""How long a session that another one has replaced may take for its last translations."""

LOOK_S: Final = 0.1

Closing = Literal["muted", "key", "loop"]
"""Why nothing of the speaker is sent."""


@dataclass(frozen=True, slots=True)
class DirectionPlan:
    """What a direction does. `spoken` False: captions only. `converter` None: the voice of the server; `voice` is the profile otherwise."""

    name: DirectionName
    route: TranslationRoute
    wishes: RouteWishes
    spoken: bool = True
    mix: OriginalMix = field(default_factory=OriginalMix)
    converter: VoiceConverter | None = None
    profile: str = ""


@dataclass(frozen=True, slots=True)
class DirectionListener:
    """What the interpreter wants to know. All are called on the event loop."""

    note: Callable[[NoteLevel, str], None]
    changed: Callable[[], None]
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
        self._ear = _Ear(vad)
        self._closed: set[Closing] = set()
        self._collected: list[Int16] = []
        self._collected_ms = 0.0
        self._pending: deque[tuple[Int16, float]] = deque()
        self._run: LinkRun | None = None
        self._retiring: list[LinkRun] = []
        self._new_session = False
        """Whether the user has asked for something that needs another session."""
        self._ever_open = False
        self._failed = ""
        self._words_at_s = self._audio_at_s = 0.0
        self._dropped_out_s = 0.0
        self._stopping = asyncio.Event()
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
        if self._failed:
            return "stopped"
        if self.device_names is None:
            return "no device"
        if self.plan.mix.raw:
            return "raw voice"
        if self._closed:
            return "muted"
        if self._run is None or not self._run.opened.is_set():
            return "reconnecting" if self._ever_open else "starting"
        if self.sound.speaking:
            return "speaking"
        return "translating" if self._words_at_s > self._audio_at_s else "listening"

    # --- running -----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Translate until `stop()`. A failure that no other attempt can mend is noted, and ends this direction alone."""
        self.sound.listen_on(asyncio.get_running_loop())
        changing = None if self._change is None else asyncio.create_task(self._change.run())
        try:
            await self._keep_links()
        finally:
            self._ear.close()
            self._source.end()
            self._target.end()
            if changing is not None:
                changing.cancel()
            for run in (*self._retiring, *([] if self._run is None else [self._run])):
                run.end()

    def stop(self) -> None:
        """End the call: what was just said is still translated, for `LAST_WORDS_S`."""
        self._stopping.set()

    async def _keep_links(self) -> None:
        """One session after another."""
        attempt = 0
        while not self._stopping.is_set() and not self._failed:
            began_s = time.monotonic()
            self._run = self._started(None)
            await self._serve()
            if self._stopping.is_set() or self._failed:
                return
            attempt = 0 if time.monotonic() - began_s >= SETTLED_S else attempt
            await self._within(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1

    def _started(self, predecessor: LinkRun | None) -> LinkRun:
        run = LinkRun(self.plan.route, self.wishes, self._apply, predecessor)
        run.start()
        return run

    async def _serve(self) -> None:
        """Until the session in use is over, through any number of handovers."""
        while True:
            run = self._run
            assert run is not None
            assert run.task is not None
            if not run.opened.is_set():
                opening = asyncio.create_task(run.opened.wait())
                stopping = asyncio.create_task(self._stopping.wait())
                await asyncio.wait((run.task, opening, stopping), return_when=asyncio.FIRST_COMPLETED)
                opening.cancel()
                stopping.cancel()
                if run.opened.is_set():
                    self._opened()
            await asyncio.wait((run.task,), timeout=LOOK_S)
            if run.over:
                self._ended(run)
                return
            if self._stopping.is_set():
                await self._finish(run)
                return
            if self._new_session or run.wants_successor(time.monotonic(), speaking=self._ear.speaking):
                await self._hand_over(run)
            self._look_after_retiring()

    def _opened(self) -> None:
        """The session is there: send what waited and is not too old."""
        if self._ever_open:
            self._account.reconnected()
            self._listener.note("note", "The connection is back.")
        self._ever_open = True
        self._drop_stale(time.monotonic())
        while self._pending and self._run is not None:
            self._run.send(*self._pending.popleft())
        self._listener.changed()

    def _ended(self, run: LinkRun) -> None:
        """Say why, and whether another attempt makes sense."""
        assert run.task is not None
        error = None if run.task.cancelled() else run.task.exception()
        if error is not None:
            self._fail(f"A fault ended the session: {type(error).__name__}: {error}.")
        elif run.failure is not None and not run.failure.again:
            self._fail(f"{run.failure.message} {run.failure.remedy}".strip())
        elif run.ended is not None and not run.ended.again:
            self._fail(f"The server ended the session for good: {run.ended.why}.")
        elif run.opened.is_set():
            why = run.ended.why if run.ended is not None else "the connection broke"
            self._listener.note("warning", f"The session is lost ({why}); connecting again.")
        elif run.failure is not None:
            self._listener.note("warning", f"{run.failure.message} Trying again.")
        self._listener.changed()

    def _fail(self, message: str) -> None:
        self._failed = message
        self._listener.note("error", message)

    @property
    def failed(self) -> str:
        """Why this direction has ended; "" while it has not."""
        return self._failed

    async def _finish(self, run: LinkRun) -> None:
        """The last words."""
        self._flush_collected(time.monotonic())
        run.retire()
        if run.task is not None and run.opened.is_set():
            await asyncio.wait((run.task,), timeout=LAST_WORDS_S)

    async def _hand_over(self, run: LinkRun) -> None:
        """Open the next session beside this one, then send everything to that."""
        self._new_session = False
        successor = self._started(run)
        assert successor.task is not None
        opening = asyncio.create_task(successor.opened.wait())
        await asyncio.wait((successor.task, opening), return_when=asyncio.FIRST_COMPLETED)
        opening.cancel()
        if not successor.opened.is_set():
            # This session goes on until its end; then the usual way to another one begins.
            await self._within(RETRY_S[-1])
            return
        run.retire()
        self._retiring.append(run)
        asyncio.get_running_loop().call_later(HANDOVER_S, run.end)
        self._run = successor

    def _look_after_retiring(self) -> None:
        for run in [each for each in self._retiring if each.over]:
            self._retiring.remove(run)
        if not self._retiring and self._run is not None:
            self._run.release()

    async def _within(self, seconds: float) -> None:
        """Wait, but not beyond `stop()`."""
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((stopping,), timeout=seconds)
        stopping.cancel()

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
        run = self._run
        if run is None or run.link is None:
            self._pending.append((audio, at_s))
            self._drop_stale(at_s)
        else:
            run.send(audio, at_s)
            if skipped_s := run.link.skipped_s():
                self._dropped(skipped_s, "the server does not read fast enough")
        link = None if run is None else run.link
        for edge in edges:
            if edge == "began":
                self._account.speech_began(at_s - self._ear.late_s)
                if link is not None:
                    link.speech_began()
            else:
                self._account.speech_ended(at_s - self._ear.pause_s)
                if link is not None:
                    link.speech_ended()

    def _drop_stale(self, now_s: float) -> None:
        dropped_s = 0.0
        while self._pending and self._pending[0][1] < now_s - STALE_S:
            audio, _ = self._pending.popleft()
            dropped_s += len(audio) / WIRE_RATE
        if dropped_s:
            self._dropped(dropped_s, "there is no connection")

    def _dropped(self, seconds: float, why: str) -> None:
        before = self._dropped_out_s
        self._dropped_out_s += seconds
        self._account.dropped(seconds)
        if before == 0.0 or int(before / 5) != int(self._dropped_out_s / 5):
            self._listener.note("warning", f"Speech is being left out, {self._dropped_out_s:.0f} s so far: {why}.")

    # --- from the link -----------------------------------------------------------------------------------------------------

    def _apply(self, run: LinkRun, update: RouteUpdate) -> None:
        now_s = time.monotonic()
        match update:
            case SourceText(text, unstable, ends):
                self._source.add(text, unstable, ends, now_s)
                if text.strip() or unstable.strip():
                    self._words_at_s = now_s
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
        marks = tuple(f"check {each}" for each in clause.differences)
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
        before_s = self.sound.dropped_s
        self.sound.push(audio, time.monotonic(), until_s)
        if self.sound.dropped_s > before_s:
            self._account.dropped(self.sound.dropped_s - before_s)

    def _on_played(self, at_s: float, until_s: float | None) -> None:
        self._account.played(at_s, until_s)
        self._listener.changed()

    def _conversion_failed(self, message: str) -> None:
        self._listener.note("warning", f"The voice converter fails ({message}); the translation is heard unconverted.")

    # --- changes -----------------------------------------------------------------------------------------------------------

    def set_languages(self, source: str, target: str) -> None:
        """From now on. A target is changed in the open session; another source opens a new one."""
        changed = source != self.wishes.source
        self.wishes.source, self.wishes.target = source, target
        self._new_session = self._new_session or changed
        if not changed and self._run is not None and self._run.link is not None:
            self._run.link.set_target(target)
        self._listener.changed()

    def set_voice(self, voice: str) -> None:
        """From the next sentence on."""
        self.wishes.voice = voice
        if self._change is not None:
            self._change.voice = voice
        elif self._run is not None and self._run.link is not None:
            self._run.link.set_voice(voice)


class _Ear:
    """The speaker's pauses: audio at 24 kHz in, edges out."""

    def __init__(self, vad: VoiceActivityModel) -> None:
        self._vad = vad
        self._slot = vad.allocate()
        self._rate = vad.info.sample_rate
        self._resampler = ShortResampler(WIRE_RATE, self._rate)
        self._held: Samples = np.zeros(0, np.float32)
        self._gate = SpeechGate(1000 * vad.frame_samples / self._rate)

    @property
    def speaking(self) -> bool:
        return self._gate.speaking

    @property
    def pause_s(self) -> float:
        """How late an end is told."""
        return self._gate.pause_ms / 1000

    @property
    def late_s(self) -> float:
        """How late a beginning is told."""
        return self._gate.begin_ms / 1000

    def push(self, audio: Int16) -> list[Literal["began", "ended"]]:
        self._held = np.concatenate([self._held, self._resampler.push(pcm.to_float(audio))])
        edges: list[Literal["began", "ended"]] = []
        frame = self._vad.frame_samples
        while len(self._held) >= frame:
            score = self._vad.score([self._slot], self._held[None, :frame])
            self._held = self._held[frame:]
            if (edge := self._gate.push(float(score[0]))) is not None:
                edges.append(edge)
        return edges

    def close(self) -> None:
        self._vad.release(self._slot)
