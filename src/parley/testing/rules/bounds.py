"""Limits and the end: 11 (every buffer is within its limit) and 12 (nothing after Closed)."""

from __future__ import annotations

from parley.core.words.effects import CloseLink, Effect, JudgePause, Tell
from parley.core.words.events import LinkClosed
from parley.core.words.items import InputAudio, Message, OutputAudio
from parley.core.words.limits import (
    AUDIO_DELTA_BYTES,
    JUDGE_AUDIO_MS,
    MAX_RESPONSE_TEXT,
    MAX_RETRIEVED_AUDIO_BYTES,
    MAX_SIDE_RESPONSES,
)
from parley.core.words.notices import ItemRetrieved, OutputAudioDelta, ResponseCreated, ResponseDone
from parley.testing.rules.base import Handlers, Rule, Step
from parley.testing.rules.response_lifecycle import ResponseLifecycle


class Bounds(Rule):
    """11: every buffer whose size is visible outside is within its limit."""

    law = "11"

    def __init__(self, responses: ResponseLifecycle) -> None:
        self._responses = responses

    def effect_handlers(self) -> Handlers:
        return {
            OutputAudioDelta: self._delta,
            ItemRetrieved: self._retrieved,
            JudgePause: self._judged,
            ResponseCreated: self._created,
            ResponseDone: self._done,
        }

    def _delta(self, notice: OutputAudioDelta) -> None:
        self.require(len(notice.audio) <= AUDIO_DELTA_BYTES, f"an audio delta of {len(notice.audio)} bytes")

    def _retrieved(self, notice: ItemRetrieved) -> None:
        if isinstance(notice.item, Message):
            parts = [part for part in notice.item.content if isinstance(part, InputAudio | OutputAudio)]
            size = sum(len(part.audio or b"") for part in parts)
            self.require(size <= MAX_RETRIEVED_AUDIO_BYTES, f"a retrieved item with {size} bytes of audio")

    def _judged(self, effect: JudgePause) -> None:
        most = JUDGE_AUDIO_MS * effect.format.bytes_per_ms
        self.require(len(effect.audio) <= most, f"the turn judge is given {len(effect.audio)} bytes, more than {most}")

    def _created(self, notice: ResponseCreated) -> None:
        side = [record for record in self._responses.open if not record.in_conversation]
        self.require(len(side) <= MAX_SIDE_RESPONSES, f"{len(side)} out-of-band responses at once")

    def _done(self, notice: ResponseDone) -> None:
        size = len(self._responses.by_id[notice.response.id].sent_text)
        self.require(size <= MAX_RESPONSE_TEXT, f"a response of {size} characters")


class Closing(Rule):
    """12: nothing after Closed: the link ends once and no effect follows."""

    law = "12"

    def __init__(self) -> None:
        self.closed = False
        self._closing = False

    def before(self, step: Step) -> None:
        if self.closed:
            self.require(not step.effects, f"after the end came {step.effects[:3]}")

    def after(self, step: Step) -> None:
        if not step.effects and type(step.event) is not LinkClosed:
            return
        for effect in step.effects:
            self._effect(effect)
        if self._closing or isinstance(step.event, LinkClosed):
            self.closed = True

    def _effect(self, effect: Effect) -> None:
        if isinstance(effect, Tell):
            self.require(not self._closing, f"sent after the link was closed: {effect.notice}")
        elif isinstance(effect, CloseLink):
            self.require(not self._closing, "the link is closed twice")
            self._closing = True
