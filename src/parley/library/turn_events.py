"""Renders the account of a session's turns as the library's events.

Laws: only watches; a turn is emitted as `TurnEnded` once its words are known, and again as `ReplyEnded` when its answer was
heard to its end or cut; what was answered is read from the conversation, so that it is what was heard.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence

from parley.core.words.effects import CallTool, Effect
from parley.core.words.events import Event
from parley.core.words.ids import ItemId
from parley.core.words.items import FunctionCall, Item, Message, OutputAudio, OutputText
from parley.core.words.limits import SAMPLE_RATE, SAMPLES_PER_MS
from parley.library import events as voice
from parley.library.events import HeardToken, HeardWord, Turn, TurnFigures, VoiceEvent
from parley.library.tools import arguments_shown
from parley.runtime.turn_records import (
    ReplyDone,
    ReplyPlayed,
    ReplyWritten,
    TurnAnswered,
    TurnChange,
    TurnRecord,
    TurnStarted,
    TurnStopped,
    TurnTranscribed,
    WordsHeard,
)
from parley.runtime.turns import TurnAccount

MAX_TURNS = 1_000
"""Turns that are kept: an hour and more of quick talk."""


class TurnEvents:
    """The `Watcher` of one session. `items` reads its conversation; `emit` takes the events; `first_played` is called when the first
    audio of a reply goes out."""

    def __init__(
        self,
        sample_rate: int,
        items: Callable[[], tuple[Item, ...]],
        emit: Callable[[VoiceEvent], None],
        first_played: Callable[[Turn], None],
    ) -> None:
        self.account = TurnAccount(MAX_TURNS)
        self._rate = sample_rate
        self._items = items
        self._emit = emit
        self._first_played = first_played
        self.steps = 0
        """Steps of the session so far."""
        self._chunks = 0
        self._chunks_counted = 0
        self._chunks_of: dict[int, int] = {}
        self._calls: dict[int, list[voice.ToolCalled]] = {}
        self._done: dict[int, Turn] = {}

    def turns(self) -> tuple[Turn, ...]:
        """The turns so far whose words are known, the answers as far as they have been heard."""
        kept = self.account.turns
        known = (turn for turn in kept if turn.transcript_ns is not None or turn.ending == "request")
        return tuple(self._done.get(turn.number) or self._turn(turn) for turn in known)

    def count_chunk(self) -> None:
        """The session has taken a chunk of its input."""
        self._chunks += 1

    # --- the Watcher --------------------------------------------------------------------------------------------------

    def on_step(self, event: Event | None, now_ns: int, effects: Sequence[Effect], raised: str = "") -> None:
        self.steps += 1
        for change in self.account.on_step(event, time.perf_counter_ns(), effects):
            self._render(change)
        for effect in effects:
            if isinstance(effect, CallTool) and self.account.answering:
                self._call(self.account.answering[-1], effect.name, effect.arguments)

    def dump(self, fault: str) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """The session is over: what was being answered ends here, and what points to the session is dropped."""
        for change in self.account.end():
            self._render(change)
        self._done = {turn.number: turn for turn in self.turns()}
        self._items, self._emit, self._first_played = tuple, _discard_event, _discard_turn

    # --- rendering ----------------------------------------------------------------------------------------------------

    def _render(self, change: TurnChange) -> None:
        match change:
            case TurnStarted(turn=turn) if turn.ending is None:
                self._emit(voice.SpeechStarted(self._position(turn.start_sample)))
            case WordsHeard(text=text):
                self._emit(voice.PartialTranscript(text))
            case TurnStopped(turn=turn):
                self._chunks_of[turn.number] = self._chunks - self._chunks_counted
                self._chunks_counted = self._chunks
                self._emit(voice.SpeechStopped(self._position(turn.end_sample)))
            case TurnTranscribed(turn=turn):
                if turn.fault is not None:
                    self._emit(voice.Failed(*turn.fault))
                self._emit(voice.TurnEnded(self._turn(turn)))
            case ReplyWritten(text=text):
                self._emit(voice.ReplyText(text))
            case ReplyPlayed(turn=turn):
                self._first_played(self._turn(turn))
            case ReplyDone():
                self._finish(change)
            case TurnAnswered(turn=turn):
                self._end(turn)
            case _:
                pass

    def _finish(self, change: ReplyDone) -> None:
        response = change.response
        if response.error is not None:
            self._emit(voice.Failed(response.error.code, response.error.message))
        for item in response.output:
            if isinstance(item, FunctionCall) and item.status == "completed":
                self._call(change.turn, item.name, item.arguments)

    def _call(self, turn: TurnRecord, name: str, arguments: str) -> None:
        call = voice.ToolCalled(name, arguments_shown(arguments))
        self._calls.setdefault(turn.number, []).append(call)
        self._emit(call)

    def _end(self, turn: TurnRecord) -> None:
        """What was heard of the answer is known now, and stays, whatever becomes of its items."""
        done = self._done[turn.number] = self._turn(turn)
        oldest = self.account.turns[0].number if self.account.turns else turn.number
        for kept in (self._done, self._calls, self._chunks_of):
            for number in [number for number in kept if number < oldest]:
                del kept[number]
        self._emit(voice.ReplyEnded(done))

    def _turn(self, turn: TurnRecord) -> Turn:
        heard = turn.recognised
        return Turn(
            number=turn.number,
            heard=turn.transcript,
            start_sample=self._position(turn.start_sample),
            end_sample=self._position(turn.end_sample),
            words=()
            if heard is None
            else tuple(
                HeardWord(word.text, self._at_ms(turn, word.start_ms), self._at_ms(turn, word.end_ms))
                for word in heard.words
            ),
            language="" if heard is None else heard.language,
            chunks=self._chunks_of.get(turn.number, 0),
            answered=self._heard([item for reply in turn.replies for item in reply.items]),
            written="".join(delta for reply in turn.replies for delta in reply.written).strip(),
            interrupted=turn.interrupted,
            calls=tuple(self._calls.get(turn.number, ())),
            figures=_figures(turn),
            confidence=None if heard is None else heard.confidence,
            tokens=() if heard is None or not heard.logprobs else _tokens(heard.logprobs),
        )

    def _position(self, sample: int) -> int:
        return sample * self._rate // SAMPLE_RATE

    def _at_ms(self, turn: TurnRecord, ms: float) -> int:
        return self._position(turn.start_sample + round(ms * SAMPLES_PER_MS))

    def _heard(self, ids: Sequence[ItemId]) -> str:
        if not ids:
            return ""
        texts = (_text(item) for item in self._items() if item.id in ids)
        return " ".join(text for text in texts if text)


def _figures(turn: TurnRecord) -> TurnFigures:
    def first(times: Sequence[int | None]) -> float | None:
        known = [time_ns for time_ns in times if time_ns is not None]
        return round((min(known) - turn.ended_ns) / 1e6, 2) if known else None

    done = [reply.done_ns for reply in turn.replies if reply.done_ns is not None]
    return TurnFigures(
        turn.pause_ms,
        first([turn.transcript_ns]),
        first([reply.first_words_ns for reply in turn.replies]),
        first([reply.sent_ns for reply in turn.replies]),
        first([max(done)]) if done else None,
    )


def _tokens(logprobs: str) -> tuple[HeardToken, ...]:
    return tuple(HeardToken(row["token"], row["logprob"]) for row in json.loads(logprobs))


def _discard_event(event: VoiceEvent) -> None:
    """Replaces the receiver of events after the session's end."""


def _discard_turn(turn: Turn) -> None:
    """Replaces `first_played` after the session's end."""


def _text(item: Item) -> str:
    if not isinstance(item, Message):
        return ""
    texts = (
        part.transcript if isinstance(part, OutputAudio) else part.text
        for part in item.content
        if isinstance(part, OutputAudio | OutputText)
    )
    return "".join(texts).strip()
