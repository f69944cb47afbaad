"""The order of responses, and of a response and the speech that stops it."""

from __future__ import annotations

from parley.core.words.notices import InputSpeechStarted, ResponseCreated, ResponseDone
from parley.testing.rules.base import Handlers, Rule, Step
from parley.testing.rules.input import Arrived
from parley.testing.rules.response_lifecycle import ResponseLifecycle


class SpeechFirst(Rule):
    """4.7: when speech stops a reply, `speech_started` is sent before everything that follows from it."""

    law = "order 4.7"

    def __init__(self, arrived: Arrived) -> None:
        self._arrived = arrived
        self._started = False

    def effect_handlers(self) -> Handlers:
        return {InputSpeechStarted: self._on_started, ResponseDone: self._on_done}

    def after(self, step: Step) -> None:
        self._started = False

    def _on_started(self, notice: InputSpeechStarted) -> None:
        self._started = True

    def _on_done(self, notice: ResponseDone) -> None:
        if notice.response.reason == "turn_detected":
            detection = self._arrived.settings.turn_detection
            wanted = detection is not None and detection.interrupt_response
            self.require(wanted, f"response {notice.response.id} was stopped by speech, which the settings forbid")
            self.require(
                self._started,
                f"response {notice.response.id} was stopped by speech, and no speech_started was sent first",
            )


class OneAtATime(Rule):
    """1: at most one response in the default conversation at a time."""

    law = "1"

    def __init__(self, responses: ResponseLifecycle) -> None:
        self._responses = responses

    def effect_handlers(self) -> Handlers:
        return {ResponseCreated: self._created}

    def _created(self, notice: ResponseCreated) -> None:
        running = [record.id for record in self._responses.open if record.in_conversation]
        self.require(len(running) <= 1, f"responses {running} run at once in the default conversation")
