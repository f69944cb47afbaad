"""The words that may still change: sent only to a client that asked for them, and never left standing behind their turn."""

from __future__ import annotations

from parley.core.words.effects import CloseLink
from parley.core.words.events import LinkClosed
from parley.core.words.ids import ItemId
from parley.core.words.limits import MAX_UNSTABLE_TEXT
from parley.core.words.notices import (
    InputCommitted,
    SessionUpdated,
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionFailedNotice,
)
from parley.core.words.settings import UNSTABLE_WORDS
from parley.core.words.unstable_transcript import UnstableTranscript
from parley.testing.rules.base import Handlers, Rule, Step
from parley.testing.rules.input import Arrived
from parley.testing.rules.transcripts import Streams

_Part = tuple[ItemId, int]


class UnstableWords(Rule):
    """4.2, for unstable words: asked for, changed, within their bound, and ended with the turn that they are of."""

    law = "order 4.2"

    def __init__(self, arrived: Arrived, streams: Streams) -> None:
        self._arrived = arrived
        self._streams = streams
        self._shown: dict[_Part, str] = {}
        self._committed: set[ItemId] = set()
        self._ended: set[_Part] = set()

    def effect_handlers(self) -> Handlers:
        return {
            UnstableTranscript: self._show,
            TranscriptionDelta: self._end,
            TranscriptionCompleted: self._final,
            TranscriptionFailedNotice: self._final,
            InputCommitted: self._commit,
            SessionUpdated: self._settled,
        }

    def after(self, step: Step) -> None:
        over = isinstance(step.event, LinkClosed) or any(isinstance(effect, CloseLink) for effect in step.effects)
        if self._shown and not over and not self._streams.open:
            left = [item for item, _ in self._shown if item not in self._committed]
            self.require(not left, f"the words of {left} stand, and their turn was discarded")

    def _show(self, notice: UnstableTranscript) -> None:
        part = notice.item_id, notice.content_index
        settings = self._arrived.settings
        asked = UNSTABLE_WORDS in settings.include and settings.transcription is not None
        self.require(asked, f"unstable words of {notice.item_id}, which were not asked for")
        self.require(part not in self._ended, f"unstable words of {notice.item_id} after its transcript")
        self.require(notice.text != self._shown.get(part, ""), f"unstable words of {notice.item_id} twice")
        self.require(len(notice.text) <= MAX_UNSTABLE_TEXT, f"{len(notice.text)} characters of unstable words", "11")
        self._shown[part] = notice.text
        if not notice.text:
            del self._shown[part]

    def _end(self, notice: TranscriptionDelta) -> None:
        self._shown.pop((notice.item_id, notice.content_index), None)

    def _final(self, notice: TranscriptionCompleted | TranscriptionFailedNotice) -> None:
        part = notice.item_id, notice.content_index
        self._shown.pop(part, None)
        self._ended.add(part)

    def _commit(self, notice: InputCommitted) -> None:
        self._committed.add(notice.item_id)

    def _settled(self, notice: SessionUpdated) -> None:
        if UNSTABLE_WORDS not in notice.settings.include or notice.settings.transcription is None:
            self._shown.clear()
