"""The order between responses, and between a response and what stops it."""

from __future__ import annotations

from parley.core.words.notices import InputSpeechStarted, ResponseCreated, ResponseDone
from parley.testing.rules.base import Hearing, Rule, Step
from parley.testing.rules.input import Arrived
from parley.testing.rules.response_lifecycle import Ledgers


class SpeechFirst(Rule):
    """4.7: when speech stops a reply, the client learns of the speech before it learns of anything that follows from it."""

    law = "order 4.7"

    def __init__(self, arrived: Arrived) -> None:
        self._arrived = arrived
        self._started = False

    def hears(self) -> Hearing:
        return {InputSpeechStarted: self._on_started, ResponseDone: self._on_done}

    def after(self, step: Step) -> None:
        self._started = False

    def _on_started(self, told: InputSpeechStarted) -> None:
        self._started = True

    def _on_done(self, told: ResponseDone) -> None:
        if told.response.reason == "turn_detected":
            detection = self._arrived.settings.turn_detection
            wanted = detection is not None and detection.interrupt_response
            self.require(wanted, f"response {told.response.id} was stopped by speech; the settings say it shall not be")
            self.require(self._started, f"response {told.response.id} was stopped by speech that was not told first")


class OneAtATime(Rule):
    """1: at most one response in the default conversation at a time."""

    law = "1"

    def __init__(self, ledgers: Ledgers) -> None:
        self._ledgers = ledgers

    def hears(self) -> Hearing:
        return {ResponseCreated: self._created}

    def _created(self, told: ResponseCreated) -> None:
        running = [ledger.id for ledger in self._ledgers.open if ledger.in_conversation]
        self.require(len(running) <= 1, f"responses {running} run at once in the default conversation")
