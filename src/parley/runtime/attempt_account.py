"""The attempts at replies in a session's account: when each was asked for, wrote and spoke, and whether a speculative one was won.

Laws: pure; at most one attempt is held; what the core says of an attempt is taken as it is said. Knows nothing of turns.
"""

from __future__ import annotations

from parley.core.words.effects import CancelGeneration, Effect, ReleaseGeneration, StartGeneration
from parley.core.words.events import (
    ClauseStarted,
    Event,
    FirstTokenGenerated,
    GenerationFailed,
    GenerationFinished,
    SpeechGenerated,
    TextGenerated,
    ToolCallStarted,
)
from parley.core.words.ids import AttemptId, ResponseId
from parley.core.words.work import Utterance
from parley.runtime.turn_records import AttemptRecord, AttemptSpoken, AttemptWritten, SpeculationEnded, TurnChange


class AttemptAccount:
    """The attempts that are alive or held. What changes is appended to `out`, which belongs to the account of the turns."""

    def __init__(self, out: list[TurnChange]) -> None:
        self.by_id: dict[AttemptId, AttemptRecord] = {}
        self._out = out
        self._lost = 0

    def on_event(self, event: Event, now_ns: int) -> None:
        """What a model or a voice has made, at `now_ns`."""
        match event:
            case FirstTokenGenerated(attempt=attempt_id):
                attempt = self.by_id.get(attempt_id)
                if attempt is not None and attempt.first_token_ns is None:
                    attempt.first_token_ns = now_ns
            case TextGenerated() | ClauseStarted() | ToolCallStarted():
                attempt = self.by_id.get(event.attempt)
                if attempt is not None and attempt.first_text_ns is None:
                    attempt.first_text_ns = now_ns
                    self._out.append(AttemptWritten(attempt))
            case SpeechGenerated(attempt=attempt_id):
                attempt = self.by_id.get(attempt_id)
                if attempt is not None and attempt.first_audio_ns is None:
                    attempt.first_audio_ns = now_ns
                    self._out.append(AttemptSpoken(attempt))
            case GenerationFinished(attempt=attempt_id) | GenerationFailed(attempt=attempt_id):
                attempt = self.by_id.get(attempt_id)
                if attempt is not None:
                    attempt.over = True
                    if attempt.response is not None:
                        del self.by_id[attempt_id]
            case _:
                pass

    def on_effect(self, effect: Effect, now_ns: int) -> AttemptRecord | None:
        """What the core asks of an attempt; returns the record of one that it starts."""
        match effect:
            case StartGeneration(work=Utterance(), response=None):
                pass  # a filler is no attempt at a reply
            case StartGeneration(attempt=attempt_id, response=response):
                if response is None:
                    self.drop_held()
                started = AttemptRecord(attempt_id, effect.format, now_ns, response is None, response)
                self.by_id[attempt_id] = started
                return started
            case ReleaseGeneration(attempt=attempt_id, response=response):
                held = self.by_id.get(attempt_id)
                if held is not None:
                    held.response = response
                    self._out.append(SpeculationEnded(held, won=True))
            case CancelGeneration(attempt=attempt_id):
                cancelled = self.by_id.pop(attempt_id, None)
                if cancelled is not None and cancelled.response is None:
                    self._lose(cancelled)
            case _:
                pass
        return None

    def take(self, response: ResponseId) -> tuple[AttemptRecord | None, int]:
        """For a response that begins: the attempt released for it, if any, and how many speculative ones were dropped before it."""
        won = next((attempt for attempt in self.by_id.values() if attempt.response == response), None)
        if won is None:
            self.drop_held()
        elif won.over:
            del self.by_id[won.id]
        lost, self._lost = self._lost, 0
        return won, lost

    def drop_held(self) -> None:
        """An attempt that was held and made to its end is dropped without being cancelled: another took its place."""
        for attempt in [attempt for attempt in self.by_id.values() if attempt.response is None]:
            del self.by_id[attempt.id]
            self._lose(attempt)

    def _lose(self, attempt: AttemptRecord) -> None:
        self._lost += 1
        self._out.append(SpeculationEnded(attempt, won=False))
