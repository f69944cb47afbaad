"""What a conversational synthesizer is given of the conversation: sound that was made and heard, and nothing else."""

from __future__ import annotations

from parley.core.words.effects import StartGeneration
from parley.core.words.events import ClauseStarted
from parley.core.words.ids import AttemptId
from parley.core.words.limits import MAX_HEARD_CONTEXT_MS, SAMPLES_PER_MS
from parley.core.words.settings import Capabilities
from parley.core.words.work import HeardTurn
from parley.testing.rules.attempts import AttemptLifecycle
from parley.testing.rules.base import Handlers, Rule, Step
from parley.testing.rules.listener import TOLERANCE, HeardAudio


class HeardContext(Rule):
    """7 for the context of a synthesizer: of each clause the beginning that was heard, within the limit."""

    law = "7"

    def __init__(self, attempts: AttemptLifecycle, listener: HeardAudio, capabilities: Capabilities) -> None:
        self._attempts = attempts
        self._listener = listener
        self._wanted = capabilities.conversational
        self._named: dict[str, tuple[AttemptId, int]] = {}
        self._count: dict[AttemptId, int] = {}
        self._started: list[StartGeneration] = []

    def event_handlers(self) -> Handlers:
        return {ClauseStarted: self._clause}

    def effect_handlers(self) -> Handlers:
        return {StartGeneration: self._started.append}

    def _clause(self, event: ClauseStarted) -> None:
        number = self._count.get(event.attempt, 0)
        self._count[event.attempt] = number + 1
        if event.id:
            self._named[event.id] = event.attempt, number

    def after(self, step: Step) -> None:
        for effect in self._started:
            self._check(effect)
        self._started.clear()

    def _check(self, effect: StartGeneration) -> None:
        self.require(self._wanted or not effect.heard, "a synthesizer that is not conversational is given a context")
        length = sum(turn.format.samples(len(turn.audio)) for turn in effect.heard)
        self.require(length <= MAX_HEARD_CONTEXT_MS * SAMPLES_PER_MS, f"the context has {length} samples")
        heard: dict[AttemptId, int] = {}
        for turn in effect.heard:
            self.require(bool(turn.audio), f"the turn {turn.id} of the context has no sound")
            if turn.id in self._named:
                attempt, samples = self._check_clause(turn)
                heard[attempt] = heard.get(attempt, 0) + samples
        for track in self._listener.tracks.values():
            samples = heard.get(track.attempt.id, 0)
            alone = sum(other.attempt is track.attempt for other in self._listener.tracks.values()) == 1
            if track.cut is not None and alone and track.attempt.resumed is None:
                most = track.cut + TOLERANCE
                self.require(
                    samples <= most, f"{samples} samples of {track.item} are in the context, {most} were heard"
                )

    def _check_clause(self, turn: HeardTurn) -> tuple[AttemptId, int]:
        """Whether the turn is the beginning of what was made for the clause; its attempt, and how many samples it has."""
        attempt_id, number = self._named[turn.id]
        attempt = self._attempts.by_id[attempt_id]
        clause = attempt.clauses[number]
        start = turn.format.size(clause.start)
        made = bytes(attempt.audio[start : start + turn.format.size(clause.samples)])
        self.require(made.startswith(turn.audio), f"the sound of {turn.id} in the context is not what was made for it")
        self.require(clause.text.strip().startswith(turn.text), f"the words of {turn.id} in the context are others")
        return attempt_id, turn.format.samples(len(turn.audio))
