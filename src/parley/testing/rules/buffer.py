"""The notices about the server's own playback."""

from __future__ import annotations

from parley.core.words.events import OutputClearRequested
from parley.core.words.ids import ResponseId
from parley.core.words.notices import OutputBufferCleared, OutputBufferStarted, OutputBufferStopped
from parley.testing.rules.base import Handlers, Rule, Step


class BufferNotices(Rule):
    """4.13: where the server plays, each response's buffer starts once and ends once: stopped when drained, or cleared."""

    law = "order 4.13"

    def __init__(self, playback: str) -> None:
        self._paced = playback == "paced"
        self._started: set[ResponseId] = set()
        self._ended: set[ResponseId] = set()
        self._asked = False

    def effect_handlers(self) -> Handlers:
        return {OutputBufferStarted: self._start, OutputBufferStopped: self._end, OutputBufferCleared: self._end}

    def before(self, step: Step) -> None:
        self._asked = isinstance(step.event, OutputClearRequested)

    def _start(self, notice: OutputBufferStarted) -> None:
        self.require(self._paced, "output_audio_buffer.started where the client plays")
        self.require(notice.response_id not in self._started, f"the playback of {notice.response_id} started twice")
        self._started.add(notice.response_id)

    def _end(self, notice: OutputBufferStopped | OutputBufferCleared) -> None:
        if self._asked and notice.response_id not in self._started:
            return
        self.require(notice.response_id in self._started, f"{notice}, and its playback never started")
        self.require(notice.response_id not in self._ended, f"the playback of {notice.response_id} ended twice")
        self._ended.add(notice.response_id)

    def finish(self, quiet: bool) -> None:
        left = self._started - self._ended
        self.require(not (quiet and left), f"the playback of {left} never ended")
