"""Limits of a held attempt: it exists only in a pause and has no visible effect."""

from __future__ import annotations

from parley.core.words.effects import CallTool, Play, Tell
from parley.core.words.events import GenerationEvent, GenerationFinished, VoiceScored
from parley.core.words.ids import AttemptId
from parley.core.words.limits import MAX_HELD_BYTES
from parley.core.words.notices import (
    ContentPartAdded,
    ContentPartDone,
    FunctionArgumentsDelta,
    FunctionArgumentsDone,
    McpArgumentsDelta,
    McpArgumentsDone,
    OutputAudioDelta,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTranscriptDelta,
)
from parley.core.words.settings import OwnerSettings
from parley.testing.rules.attempts import AttemptLifecycle, End, StartedAttempt, voice_threshold
from parley.testing.rules.base import Handlers, Rule, Step
from parley.testing.rules.input import Arrived
from parley.testing.rules.transcripts import Streams

_CONTENT: frozenset[type] = frozenset(
    {
        OutputAudioDelta,
        OutputTextDelta,
        OutputTranscriptDelta,
        OutputItemAdded,
        OutputItemDone,
        ContentPartAdded,
        ContentPartDone,
        FunctionArgumentsDelta,
        FunctionArgumentsDone,
        McpArgumentsDelta,
        McpArgumentsDone,
    }
)
"""The notices that are sent while a response is generated."""


class HeldInAPause(Rule):
    """4: a held attempt exists only in a pause of a turn; returning voice ends it."""

    law = "4"

    VOICED_FRAMES = 3
    """Consecutive voiced frames that cannot be taken for noise."""

    def __init__(self, attempts: AttemptLifecycle, streams: Streams, arrived: Arrived, owner: OwnerSettings) -> None:
        self._attempts = attempts
        self._streams = streams
        self._arrived = arrived
        self._owner = owner
        self._voiced = 0

    def event_handlers(self) -> Handlers:
        return {VoiceScored: self._scored}

    def _scored(self, event: VoiceScored) -> None:
        self._voiced = self._voiced + 1 if event.probability >= voice_threshold(self._arrived) else 0

    def after(self, step: Step) -> None:
        if not self._attempts.by_id:
            return
        held = self._attempts.held
        if not held:
            return
        self.require(len(held) == 1, f"{len(held)} attempts are held at once")
        attempt = held[0]
        self.require(self._owner.speculation, f"attempt {attempt.id} is held although speculation is off")
        self.require(bool(self._streams.open), f"attempt {attempt.id} is held outside a turn")
        self.require(self._voiced < self.VOICED_FRAMES, f"attempt {attempt.id} is held while the user speaks")
        self.require(len(attempt.audio) <= MAX_HELD_BYTES, f"{len(attempt.audio)} bytes are held", "11")


class HeldIsSilent(Rule):
    """5: a held attempt sends and plays nothing."""

    law = "5"

    def __init__(self, attempts: AttemptLifecycle) -> None:
        self._attempts = attempts
        self._quiet: StartedAttempt | None = None

    def before(self, step: Step) -> None:
        event = step.event
        self._quiet = None
        if isinstance(event, GenerationEvent):
            attempt = self._attempts.by_id.get(event.attempt)
            if attempt is None or attempt.response is None or attempt.end is End.CANCELLED:
                if attempt is not None and attempt.filler and isinstance(event, GenerationFinished):
                    return  # it is whole, and begins to be heard
                self._check(step, event.attempt, known=attempt is not None and attempt.alive)

    def _check(self, step: Step, attempt: AttemptId, *, known: bool) -> None:
        for effect in step.effects:
            silent = not isinstance(effect, Play | CallTool) and not (
                isinstance(effect, Tell) and type(effect.notice) in _CONTENT
            )
            what = "held" if known else "dead"
            self.require(silent, f"the {what} attempt {attempt} caused {effect}")
