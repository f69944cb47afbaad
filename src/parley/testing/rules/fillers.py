"""Fillers: what is said while a reply is awaited, and only then.

Laws kept here: a filler says one of the owner's phrases, begins in silence, after the wait that the owner set, and never over a reply
that sounds; no more of them for one turn than the owner allows, and none where the session speaks unasked.
"""

from __future__ import annotations

from parley.core.words.effects import Play
from parley.core.words.events import ResponseRequested
from parley.core.words.ids import ItemId
from parley.core.words.notices import (
    IdleTimeoutTriggered,
    InputCommitted,
    InputSpeechStarted,
    OutputAudioDelta,
    OutputTranscriptDelta,
    ResponseCreated,
    ResponseDone,
)
from parley.core.words.settings import OwnerSettings
from parley.testing.rules.base import Handlers, Rule, Step
from parley.testing.rules.listener import HeardAudio
from parley.testing.rules.response_lifecycle import ResponseLifecycle


class FillersInSilence(Rule):
    """What is said while a reply is awaited."""

    law = "filler"

    def __init__(self, responses: ResponseLifecycle, listener: HeardAudio, owner: OwnerSettings) -> None:
        self._responses = responses
        self._listener = listener
        self._owner = owner
        self._told = 0
        self._before_ns: int | None = None
        self._now_ns = 0
        self._silent = True
        self._idle: ItemId | None = None
        """The silence that the session answers by itself."""
        self._unasked = False

    def before(self, step: Step) -> None:
        self._now_ns = step.now_ns
        self._silent = self._listener.silent
        if isinstance(step.event, ResponseRequested):
            self._unasked = False

    def effect_handlers(self) -> Handlers:
        return {
            ResponseCreated: self._created,
            OutputTranscriptDelta: self._words,
            OutputAudioDelta: self._sound,
            Play: self._play,
            ResponseDone: self._done,
            IdleTimeoutTriggered: self._timed_out,
            InputCommitted: self._committed,
            InputSpeechStarted: self._speech,
        }

    def _created(self, notice: ResponseCreated) -> None:
        if not self._responses.by_id[notice.response.id].filler:
            return
        fillers, main = self._owner.fillers, self._responses.main
        self._told += 1
        self.require(not self._unasked, f"the filler {notice.response.id} bridges a wait that nobody has")
        self.require(self._silent, f"the filler {notice.response.id} begins while something is heard")
        self.require(self._told <= fillers.most, f"{self._told} fillers in a row, {fillers.most} are allowed")
        if self._before_ns is not None:
            waited_ms = (self._now_ns - self._before_ns) / 1e6
            self.require(waited_ms >= fillers.interval_ms, f"fillers follow each other after {waited_ms:.0f} ms")
        self._before_ns = self._now_ns
        mode = None if main is None else main.created.modality
        self.require(mode != "text", f"a filler for the text response {main}")

    def _words(self, notice: OutputTranscriptDelta) -> None:
        record = self._responses.by_id[notice.at.response_id]
        if record.filler:
            phrases = {phrase for one in self._owner.fillers.phrases for phrase in one.phrases}
            self.require(notice.delta in phrases, f"the filler {record.id} says {notice.delta!r}")
        elif record.in_conversation:
            self._answered()

    def _sound(self, notice: OutputAudioDelta) -> None:
        if self._responses.by_id[notice.at.response_id].in_conversation:
            self._answered()

    def _play(self, effect: Play) -> None:
        if self._responses.by_id[effect.response].in_conversation:
            self._answered()

    def _done(self, notice: ResponseDone) -> None:
        if notice.response.conversation_id is not None:
            self._answered()

    def _timed_out(self, notice: IdleTimeoutTriggered) -> None:
        self._idle = notice.item_id

    def _committed(self, notice: InputCommitted) -> None:
        self._answered()
        self._unasked = notice.item_id == self._idle

    def _speech(self, notice: InputSpeechStarted) -> None:
        self._answered()

    def _answered(self) -> None:
        self._told, self._before_ns, self._unasked = 0, None, False
