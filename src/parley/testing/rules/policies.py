"""What a finished turn owes: a transcript always, a reply where the policy and the settings say so.

Laws kept here: a transcription session never answers (protocol 4.10), and liveness: when all is quiet, every turn that was to be answered
has been.
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
from parley.testing.rules.base import Hearing, Rule, Step
from parley.testing.rules.input import Arrived
from parley.testing.rules.transcripts import Streams


class OnlyTranscripts(Rule):
    """4.10: a transcription session never generates a response."""

    law = "order 4.10"

    def __init__(self, arrived: Arrived) -> None:
        self._arrived = arrived

    def hears(self) -> Hearing:
        return {StartGeneration: self._never, ResponseCreated: self._never}

    def _never(self, effect: StartGeneration | ResponseCreated) -> None:
        silent = self._arrived.settings.kind == "transcription"
        self.require(not silent, f"a session that only transcribes did this: {effect}")


@dataclass(slots=True)
class Owed:
    """The last turn that was to be answered, until it is or something excuses it."""

    item: ItemId


class TurnsAnswered(Rule):
    """Liveness: the last turn that voice activity ended with `create_response` is answered, unless the user's wishes changed."""

    law = "liveness"

    def __init__(self, arrived: Arrived, streams: Streams) -> None:
        self._arrived = arrived
        self._streams = streams
        self._owed: Owed | None = None
        self._stopped: ItemId | None = None
        self._by_client = False

    def sees(self) -> Hearing:
        return {
            CancelRequested: self._excused,
            ClearRequested: self._excused,
            SessionUpdateRequested: self._excused,
            WindDownRequested: self._excused,
        }

    def hears(self) -> Hearing:
        return {
            ErrorRaised: self._on_error,
            InputSpeechStopped: self._on_stopped,
            InputCommitted: self._on_committed,
            ResponseCreated: self._on_created,
        }

    def _excused(self, event: CancelRequested | ClearRequested | SessionUpdateRequested | WindDownRequested) -> None:
        self._owed = None

    def before(self, step: Step) -> None:
        self._by_client = isinstance(step.event, CommitRequested)

    def _on_error(self, told: ErrorRaised) -> None:
        if told.kind == "rate_limit_error":
            self._owed = None  # the client has been told why there is no answer

    def _on_stopped(self, told: InputSpeechStopped) -> None:
        self._stopped = told.item_id

    def _on_committed(self, told: InputCommitted) -> None:
        detection = self._arrived.settings.turn_detection
        answered = detection is not None and detection.create_response
        if (
            told.item_id == self._stopped
            and not self._by_client
            and answered
            and self._arrived.settings.kind == "realtime"
        ):
            self._owed = Owed(told.item_id)

    def _on_created(self, told: ResponseCreated) -> None:
        if told.response.conversation_id is not None:
            self._owed = None

    @property
    def owing(self) -> bool:
        """Whether the last turn still waits for its reply."""
        stream = self._streams.by_item.get(self._owed.item) if self._owed is not None else None
        return stream is not None and bool((stream.resolved or "").strip())

    def finish(self, quiet: bool) -> None:
        if quiet and self._owed is not None:
            self.require(not self.owing, f"the turn {self._owed.item} was to be answered and never was")
