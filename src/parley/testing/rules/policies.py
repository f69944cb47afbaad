"""What follows a finished turn: a transcript always, a reply where the policy and the settings ask for one.

Laws kept here: a transcription session never answers (protocol 4.10), and liveness: when nothing is running, every turn that needed a
reply has one.
"""

from __future__ import annotations

from dataclasses import dataclass

from parley.core.words.effects import StartGeneration
from parley.core.words.events import (
    CancelRequested,
    ClearRequested,
    CommitRequested,
    SessionUpdateRequested,
    WindDownRequested,
)
from parley.core.words.ids import ItemId
from parley.core.words.notices import ErrorRaised, InputCommitted, InputSpeechStopped, ResponseCreated
from parley.testing.rules.base import Handlers, Rule, Step
from parley.testing.rules.input import Arrived
from parley.testing.rules.transcripts import Streams


class OnlyTranscripts(Rule):
    """4.10: a transcription session never generates a response."""

    law = "order 4.10"

    def __init__(self, arrived: Arrived) -> None:
        self._arrived = arrived

    def effect_handlers(self) -> Handlers:
        return {StartGeneration: self._never, ResponseCreated: self._never}

    def _never(self, effect: StartGeneration | ResponseCreated) -> None:
        silent = self._arrived.settings.kind == "transcription"
        self.require(not silent, f"in a transcription session: {effect}")


@dataclass(slots=True)
class PendingReply:
    """The last turn that needs a reply, until it has one or a client event makes the reply optional."""

    item: ItemId


class TurnsAnswered(Rule):
    """Liveness: the last turn that voice activity ended with `create_response` is answered, unless the client changed its request."""

    law = "liveness"

    def __init__(self, arrived: Arrived, streams: Streams) -> None:
        self._arrived = arrived
        self._streams = streams
        self._pending: PendingReply | None = None
        self._stopped: ItemId | None = None
        self._by_client = False

    def event_handlers(self) -> Handlers:
        return {
            CancelRequested: self._excused,
            ClearRequested: self._excused,
            SessionUpdateRequested: self._excused,
            WindDownRequested: self._excused,
        }

    def effect_handlers(self) -> Handlers:
        return {
            ErrorRaised: self._on_error,
            InputSpeechStopped: self._on_stopped,
            InputCommitted: self._on_committed,
            ResponseCreated: self._on_created,
        }

    def _excused(self, event: CancelRequested | ClearRequested | SessionUpdateRequested | WindDownRequested) -> None:
        self._pending = None

    def before(self, step: Step) -> None:
        self._by_client = isinstance(step.event, CommitRequested)

    def _on_error(self, notice: ErrorRaised) -> None:
        if notice.kind == "rate_limit_error":
            self._pending = None  # the client knows why there is no reply

    def _on_stopped(self, notice: InputSpeechStopped) -> None:
        self._stopped = notice.item_id

    def _on_committed(self, notice: InputCommitted) -> None:
        detection = self._arrived.settings.turn_detection
        answered = detection is not None and detection.create_response
        if (
            notice.item_id == self._stopped
            and not self._by_client
            and answered
            and self._arrived.settings.kind == "realtime"
        ):
            self._pending = PendingReply(notice.item_id)

    def _on_created(self, notice: ResponseCreated) -> None:
        if notice.response.conversation_id is not None:
            self._pending = None

    @property
    def reply_pending(self) -> bool:
        """Whether the last turn still needs its reply."""
        stream = self._streams.by_item.get(self._pending.item) if self._pending is not None else None
        return stream is not None and bool((stream.resolved or "").strip())

    def finish(self, quiet: bool) -> None:
        if quiet and self._pending is not None:
            self.require(not self.reply_pending, f"the turn {self._pending.item} needed a reply and never got one")
