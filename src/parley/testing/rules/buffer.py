"""What the client is told of the server's own playback."""

from __future__ import annotations

from parley.core.words.events import OutputClearRequested
from parley.core.words.ids import ResponseId
from parley.core.words.notices import OutputBufferCleared, OutputBufferStarted, OutputBufferStopped
from parley.testing.rules.base import Hearing, Rule, Step


class BufferNotices(Rule):
    """4.13: where the server plays, each response's buffer starts once and ends once: stopped when drained, or cleared."""

    law = "order 4.13"

    def __init__(self, playback: str) -> None:
        self._paced = playback == "paced"
        self._started: set[ResponseId] = set()
        self._ended: set[ResponseId] = set()
        self._asked = False

    def hears(self) -> Hearing:
        return {OutputBufferStarted: self._start, OutputBufferStopped: self._end, OutputBufferCleared: self._end}

    def before(self, step: Step) -> None:
        self._asked = isinstance(step.event, OutputClearRequested)

    def _start(self, told: OutputBufferStarted) -> None:
        self.require(self._paced, "output_audio_buffer.started where the client plays")
        self.require(told.response_id not in self._started, f"the playback of {told.response_id} started twice")
        self._started.add(told.response_id)

    def _end(self, told: OutputBufferStopped | OutputBufferCleared) -> None:
        if self._asked and told.response_id not in self._started:
            return
        self.require(told.response_id in self._started, f"{told} and it never started")
        self.require(told.response_id not in self._ended, f"the playback of {told.response_id} ended twice")
        self._ended.add(told.response_id)

    def finish(self, quiet: bool) -> None:
        left = self._started - self._ended
        self.require(not (quiet and left), f"the playback of {left} never ended")
