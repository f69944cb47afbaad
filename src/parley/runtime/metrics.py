"""Figures for Prometheus, read off the events and effects of each session: the waterfall of every turn, and what went wrong.

Laws: watches, never takes part; a frame of audio costs two look-ups and an addition, no metric object; labels are few and bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from parley.core.words.effects import (
    CancelGeneration,
    Effect,
    Play,
    ScoreVoice,
    StartGeneration,
    Tell,
    Transcribe,
    UsePipeline,
)
from parley.core.words.events import (
    AudioArrived,
    ClauseStarted,
    Event,
    FirstTokenGenerated,
    GenerationFailed,
    GenerationFinished,
    SpeechGenerated,
    TextGenerated,
    ToolCallStarted,
    Transcribed,
    TranscriptionFailed,
    VoiceScored,
)
from parley.core.words.ids import AttemptId, ResponseId, SessionId
from parley.core.words.limits import SAMPLES_PER_MS
from parley.core.words.notices import (
    ErrorRaised,
    InputCommitted,
    Notice,
    OutputAudioDelta,
    ResponseCreated,
    ResponseDone,
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    TranscriptionCompleted,
)
from parley.core.words.settings import AudioFormat
from parley.runtime.waterfall import SessionTurns, TurnFigures

BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Where a talker notices a difference: fine below half a second."""

VOICED = 0.5
"""The probability from which a frame counts as speech for the waterfall, whatever the session's own threshold."""


_UNWATCHED = frozenset({ScoreVoice, Transcribe})
"""What happens for every frame."""


class Metrics:
    """A server's figures; `registry` is what `/metrics` prints. Call `session()` for each session."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        made = self.registry
        self.sessions = Gauge("parley_sessions", "Sessions that are open.", ["pipeline"], registry=made)
        self.turns = Counter("parley_turns", "Turns of users that ended.", ["pipeline"], registry=made)
        self.responses = Counter(
            "parley_responses", "Responses, by how they ended.", ["pipeline", "status"], registry=made
        )
        self.stages = Histogram(
            "parley_stage_seconds",
            "The waterfall of a turn. endpointing: last voice to end of turn, in audio. transcript, reply: from the end of the "
            "turn to its transcript, to the first audio sent. model, speech: from the request to its first clause, first audio.",
            ["pipeline", "stage"],
            buckets=BUCKETS_S,
            registry=made,
        )
        self.guesses = Counter(
            "parley_guesses", "Replies started in a pause, by outcome.", ["pipeline", "outcome"], registry=made
        )
        self.barge_ins = Counter("parley_barge_ins", "Replies that users talked over.", ["pipeline"], registry=made)
        self.errors = Counter(
            "parley_errors", "Errors, by where they arose and their code.", ["source", "code"], registry=made
        )
        self.audio = Counter(
            "parley_audio_seconds", "Audio received and generated.", ["pipeline", "direction"], registry=made
        )
        self.late = Counter(
            "parley_late_events", "Events that came for work no longer alive.", ["pipeline"], registry=made
        )
        self._lag = Gauge("parley_tick_lag_ms", "How late the event loop runs.", registry=made)
        self.turns_of: dict[SessionId, SessionTurns] = {}
        """The last turns of each session that is open."""

    def watch_lag(self, lag_ms: Callable[[], float]) -> None:
        """Read the tick lag from `lag_ms` whenever the figures are asked for."""
        self._lag.set_function(lag_ms)

    def session(self, pipeline: str, session_id: SessionId) -> SessionMetrics:
        """The watcher of one session that begins now."""
        return SessionMetrics(self, pipeline, session_id)


@dataclass(slots=True)
class _Attempt:
    """An attempt at a reply, as far as it has come."""

    started_ns: int
    format: AudioFormat
    in_pause: bool
    written: bool = False
    spoken: bool = False
    ended: bool = False
    first_token_ns: int | None = None
    first_audio_ns: int | None = None


class SessionMetrics:
    """Watches one session. The driver calls `on_step()` for each step and `close()` at the end."""

    def __init__(self, metrics: Metrics, pipeline: str, session_id: SessionId) -> None:
        self._metrics = metrics
        self._pipeline = pipeline
        self._session_id = session_id
        self._turns = metrics.turns_of[session_id] = SessionTurns()
        self._turn: TurnFigures | None = None
        self._answering: AttemptId | None = None
        self._format = AudioFormat.PCM16
        self._received = 0
        self._voiced_to = 0
        self._speaking = False
        self._turn_ended_ns: int | None = None
        self._transcript_due = False
        self._attempts: dict[AttemptId, _Attempt] = {}
        metrics.sessions.labels(pipeline).inc()

    def on_step(self, event: Event | None, now_ns: int, effects: Sequence[Effect]) -> None:
        """One step: an event (None: the start) and what came of it."""
        match event:
            case AudioArrived(audio=audio):
                self._received += len(audio)
            case VoiceScored(end_sample=end_sample, probability=probability):
                if probability >= VOICED:
                    self._voiced_to = end_sample
            case Transcribed():
                if self._transcript_due and self._turn_ended_ns is not None:
                    self._transcript_due = False
                    self._stage("transcript", now_ns - self._turn_ended_ns)
            case TranscriptionFailed(fault=fault):
                self._metrics.errors.labels("transcription", fault.code).inc()
            case GenerationFailed(attempt=attempt_id, fault=fault):
                self._metrics.errors.labels("reply", fault.code).inc()
                self._finished(attempt_id)
            case GenerationFinished(attempt=attempt_id):
                self._finished(attempt_id)
            case FirstTokenGenerated(attempt=attempt_id):
                self._first_token(attempt_id, now_ns)
            case TextGenerated() | ClauseStarted() | ToolCallStarted():
                self._wrote(event.attempt, now_ns)
            case SpeechGenerated():
                self._spoke(event, now_ns)
            case _:
                pass
        for effect in effects:
            if type(effect) in _UNWATCHED:
                continue
            match effect:
                case Tell(notice=notice):
                    self._told(notice, now_ns, effects)
                case Play():
                    self._replied(now_ns)
                case UsePipeline(pipeline=pipeline):
                    self._move(pipeline)
                case StartGeneration():
                    guessed = self._speaking and not _created(effects)
                    if guessed:
                        self._lost()
                    self._attempts[effect.attempt] = _Attempt(now_ns, effect.format, guessed)
                    if not self._speaking and self._turn is not None and self._turn.requested_ns is None:
                        self._turn.requested_ns = now_ns
                        self._answering = effect.attempt
                case CancelGeneration():
                    attempt = self._attempts.pop(effect.attempt, None)
                    if attempt is not None and attempt.in_pause:
                        self._count_lost()
                case _:
                    pass

    def _move(self, pipeline: str) -> None:
        """The session goes on with another pipeline: what is counted from now on is that one's."""
        self._count_received()
        self._metrics.sessions.labels(self._pipeline).dec()
        self._metrics.sessions.labels(pipeline).inc()
        self._pipeline = pipeline

    def close(self, late_events: int) -> None:
        """The session is over."""
        self._count_received()
        self._metrics.turns_of.pop(self._session_id, None)
        self._metrics.late.labels(self._pipeline).inc(late_events)
        self._metrics.sessions.labels(self._pipeline).dec()

    def _told(self, notice: Notice, now_ns: int, effects: Sequence[Effect]) -> None:
        metrics = self._metrics
        match notice:
            case OutputAudioDelta(at=at):
                self._replied(now_ns)
                if self._turn is not None and self._turn.sent_ns is None and self._turn.response == at.response_id:
                    self._turn.sent_ns = now_ns
            case SpeechStarted():
                self._speaking = True
                self._turn_ended_ns = None
            case SpeechStopped(item_id=item_id, audio_end_ms=audio_end_ms):
                self._speaking = False
                self._turn_ended_ns = now_ns
                self._transcript_due = True
                metrics.turns.labels(self._pipeline).inc()
                silence_ms = max(0.0, audio_end_ms - self._voiced_to / SAMPLES_PER_MS)
                metrics.stages.labels(self._pipeline, "endpointing").observe(silence_ms / 1e3)
                self._count_received()
                self._turns.voice_ended(item_id, audio_end_ms, audio_end_ms - silence_ms, now_ns)
            case InputCommitted(item_id=item_id):
                self._turns.committed(item_id, now_ns)
            case TranscriptionCompleted(item_id=item_id):
                self._turns.transcribed(item_id, now_ns)
            case ResponseCreated(response=view):
                if view.conversation_id is not None:
                    self._settle_guess(view.id, effects)
                    self._turn = self._turns.response_created(view.id, now_ns)
                    self._redeemed()
            case ResponseDone(response=view):
                metrics.responses.labels(self._pipeline, view.status).inc()
                if view.reason == "turn_detected":
                    metrics.barge_ins.labels(self._pipeline).inc()
                self._attempts = {
                    attempt_id: attempt
                    for attempt_id, attempt in self._attempts.items()
                    if attempt.in_pause or not attempt.ended
                }
            case ErrorRaised(code=code):
                metrics.errors.labels("client", code).inc()
            case SessionCreated(settings=settings) | SessionUpdated(settings=settings):
                self._count_received()
                self._format = settings.input_format
            case _:
                pass

    def _stage(self, stage: str, duration_ns: int) -> None:
        self._metrics.stages.labels(self._pipeline, stage).observe(duration_ns / 1e9)

    def _first_token(self, attempt_id: AttemptId, now_ns: int) -> None:
        attempt = self._attempts.get(attempt_id)
        if attempt is not None and attempt.first_token_ns is None:
            attempt.first_token_ns = now_ns
            if self._turn is not None and self._answering == attempt_id:
                self._turn.first_token_ns = now_ns

    def _finished(self, attempt_id: AttemptId) -> None:
        attempt = self._attempts.get(attempt_id)
        if attempt is not None:
            attempt.ended = True

    def _wrote(self, attempt_id: AttemptId, now_ns: int) -> None:
        attempt = self._attempts.get(attempt_id)
        if attempt is not None and not attempt.written:
            attempt.written = True
            self._stage("model", now_ns - attempt.started_ns)

    def _spoke(self, event: SpeechGenerated, now_ns: int) -> None:
        attempt = self._attempts.get(event.attempt)
        if attempt is None:
            return
        self._metrics.audio.labels(self._pipeline, "generated").inc(
            len(event.audio) / attempt.format.bytes_per_ms / 1e3
        )
        if not attempt.spoken:
            attempt.spoken = True
            attempt.first_audio_ns = now_ns
            if self._turn is not None and self._answering == event.attempt:
                self._turn.first_audio_ns = now_ns
            self._stage("speech", now_ns - attempt.started_ns)

    def _replied(self, now_ns: int) -> None:
        if self._turn_ended_ns is not None:
            self._stage("reply", now_ns - self._turn_ended_ns)
            self._turn_ended_ns = None

    def _count_lost(self) -> None:
        self._metrics.guesses.labels(self._pipeline, "lost").inc()
        self._turns.guess_lost()

    def _lost(self) -> None:
        """The guess that is still held was dropped; nobody cancels one that was made to its end."""
        for attempt_id in [attempt_id for attempt_id, attempt in self._attempts.items() if attempt.in_pause]:
            del self._attempts[attempt_id]
            self._count_lost()

    def _settle_guess(self, response: ResponseId, effects: Sequence[Effect]) -> None:
        """A response begins: unless it is the guess, and tells at once what that has made, the guess is lost."""
        begun = any(isinstance(effect, StartGeneration) for effect in effects)
        done = any(
            isinstance(effect, Tell)
            and isinstance(effect.notice, ResponseDone)
            and effect.notice.response.id == response
            for effect in effects
        )
        if begun or (not done and any(attempt.in_pause and attempt.ended for attempt in self._attempts.values())):
            self._lost()

    def _redeemed(self) -> None:
        for attempt_id, attempt in self._attempts.items():
            if attempt.in_pause:
                attempt.in_pause = False
                self._metrics.guesses.labels(self._pipeline, "won").inc()
                if self._turn is not None:
                    self._answering = attempt_id
                    self._turn.won = True
                    self._turn.requested_ns = attempt.started_ns
                    self._turn.first_token_ns = attempt.first_token_ns
                    self._turn.first_audio_ns = attempt.first_audio_ns

    def _count_received(self) -> None:
        self._metrics.audio.labels(self._pipeline, "received").inc(self._received / self._format.bytes_per_ms / 1e3)
        self._received = 0


def _created(effects: Sequence[Effect]) -> bool:
    return any(isinstance(effect, Tell) and isinstance(effect.notice, ResponseCreated) for effect in effects)
