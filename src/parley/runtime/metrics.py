"""Figures for Prometheus: the waterfall of every turn, rendered from the account of each session's turns, and counts of what happened.

Laws: watches, never takes part; a frame of audio touches no metric object; labels are few and bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from parley.core.session import Session
from parley.core.words.effects import Effect, Tell, UsePipeline
from parley.core.words.events import Event, GenerationFailed, SpeechGenerated, TranscriptionFailed
from parley.core.words.ids import AttemptId, SessionId
from parley.core.words.limits import SAMPLE_RATE
from parley.core.words.notices import ErrorRaised, Notice, ResponseDone
from parley.runtime.turn_records import (
    AttemptSpoken,
    AttemptWritten,
    ReplySent,
    SpeculationEnded,
    TurnChange,
    TurnRecord,
    TurnStopped,
    TurnTranscribed,
)
from parley.runtime.turns import TurnAccount

BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Where a talker notices a difference: fine below half a second."""


_COUNTED_EVENTS = frozenset({SpeechGenerated, TranscriptionFailed, GenerationFailed})


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
        self.speculations = Counter(
            "parley_speculations", "Replies started in a pause, by outcome.", ["pipeline", "outcome"], registry=made
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
        self.accounts: dict[SessionId, TurnAccount] = {}
        """The account of the last turns of each session that is open."""

    def watch_lag(self, lag_ms: Callable[[], float]) -> None:
        """Read the tick lag from `lag_ms` whenever the figures are asked for."""
        self._lag.set_function(lag_ms)

    def session(self, pipeline: str, session: Session) -> SessionMetrics:
        """The watcher of one session that begins now."""
        return SessionMetrics(self, pipeline, session)


class SessionMetrics:
    """Watches one session, and keeps the account of its turns. The driver calls `on_step()` for each step and `close()` at the end."""

    def __init__(self, metrics: Metrics, pipeline: str, session: Session) -> None:
        self.account = TurnAccount()
        self._metrics = metrics
        self._pipeline = pipeline
        self._session = session
        self._received_counted = 0
        metrics.accounts[session.id] = self.account
        metrics.sessions.labels(pipeline).inc()

    def on_step(self, event: Event | None, now_ns: int, effects: Sequence[Effect], raised: str = "") -> None:
        """One step: an event (None: the start) and what came of it."""
        if type(event) in _COUNTED_EVENTS:
            self._count_event(event)
        for change in self.account.on_step(event, now_ns, effects):
            self._observe(change)
        for effect in effects:
            if type(effect) is Tell:
                self._count(effect.notice)
            elif type(effect) is UsePipeline:
                self._move(effect.pipeline)

    def _count_event(self, event: Event | None) -> None:
        match event:
            case SpeechGenerated(attempt=attempt_id, audio=audio):
                self._count_generated(attempt_id, audio)
            case TranscriptionFailed(fault=fault):
                self._metrics.errors.labels("transcription", fault.code).inc()
            case GenerationFailed(fault=fault):
                self._metrics.errors.labels("reply", fault.code).inc()
            case _:
                pass

    def dump(self, fault: str) -> None:
        """Nothing is kept of a session that broke."""

    def close(self) -> None:
        """The session is over."""
        self._count_received()
        self._metrics.accounts.pop(self._session.id, None)
        self._metrics.late.labels(self._pipeline).inc(self._session.late_events)
        self._metrics.sessions.labels(self._pipeline).dec()

    def _observe(self, change: TurnChange) -> None:
        """The waterfall of the turns."""
        match change:
            case TurnStopped(turn=TurnRecord(ending="voice") as turn):
                self._metrics.turns.labels(self._pipeline).inc()
                self._count_received()
                if turn.pause_ms is not None:
                    self._metrics.stages.labels(self._pipeline, "endpointing").observe(turn.pause_ms / 1e3)
            case TurnTranscribed(turn=TurnRecord(ending="voice", fault=None) as turn):
                self._stage("transcript", turn.ended_ns, turn.transcript_ns)
            case ReplySent(turn=TurnRecord(ending="voice") as turn, reply=reply) if reply is turn.replies[0]:
                self._stage("reply", turn.ended_ns, reply.sent_ns)
            case AttemptWritten(attempt=attempt):
                self._stage("model", attempt.requested_ns, attempt.first_text_ns)
            case AttemptSpoken(attempt=attempt):
                self._stage("speech", attempt.requested_ns, attempt.first_audio_ns)
            case SpeculationEnded(won=won):
                self._metrics.speculations.labels(self._pipeline, "won" if won else "lost").inc()
            case _:
                pass

    def _stage(self, stage: str, from_ns: int, to_ns: int | None) -> None:
        if to_ns is not None:
            self._metrics.stages.labels(self._pipeline, stage).observe((to_ns - from_ns) / 1e9)

    def _count(self, notice: Notice) -> None:
        metrics = self._metrics
        match notice:
            case ResponseDone(response=response):
                metrics.responses.labels(self._pipeline, response.status).inc()
                if response.reason == "turn_detected":
                    metrics.barge_ins.labels(self._pipeline).inc()
            case ErrorRaised(code=code):
                metrics.errors.labels("client", code).inc()
            case _:
                pass

    def _move(self, pipeline: str) -> None:
        """The session goes on with another pipeline: what is counted from now on is that one's."""
        self._count_received()
        self._metrics.sessions.labels(self._pipeline).dec()
        self._metrics.sessions.labels(pipeline).inc()
        self._pipeline = pipeline

    def _count_generated(self, attempt_id: AttemptId, audio: bytes) -> None:
        attempt = self.account.attempts.by_id.get(attempt_id)
        if attempt is not None:
            seconds = len(audio) / attempt.format.bytes_per_ms / 1e3
            self._metrics.audio.labels(self._pipeline, "generated").inc(seconds)

    def _count_received(self) -> None:
        received = self.account.received
        self._metrics.audio.labels(self._pipeline, "received").inc((received - self._received_counted) / SAMPLE_RATE)
        self._received_counted = received
