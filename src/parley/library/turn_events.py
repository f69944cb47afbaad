"""Tells a session's steps as events for people: watches the core's events and effects, and keeps the account of each turn.

Laws: watches, never takes part; a turn is told as `TurnEnded` once its words are known, and once more as `ReplyEnded` when its answer
was heard to its end or cut; what was answered is read from the conversation itself, so that it is what was heard.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

from parley.core.words.effects import Effect, Play, Tell
from parley.core.words.events import AudioArrived, AudioPlayed, Event, PartialTranscribed, Transcribed, VoiceScored
from parley.core.words.ids import ItemId, ResponseId
from parley.core.words.items import FunctionCall, Item, Message, OutputAudio, OutputText
from parley.core.words.limits import SAMPLE_RATE, SAMPLES_PER_MS
from parley.core.words.notices import (
    ErrorRaised,
    InputCommitted,
    Notice,
    OutputBufferCleared,
    OutputBufferStarted,
    OutputBufferStopped,
    OutputItemAdded,
    OutputTextDelta,
    OutputTranscriptDelta,
    ResponseCreated,
    ResponseDone,
    ResponseView,
    SpeechStarted,
    SpeechStopped,
    TranscriptionCompleted,
    TranscriptionFailedNotice,
)
from parley.library import events as told
from parley.library.events import HeardWord, Turn, TurnFigures, VoiceEvent
from parley.library.tools import arguments_shown

MAX_TURNS = 1_000
"""Turns that are kept: an hour and more of quick talk."""

VOICED = 0.5
"""From this probability a frame counts as voice for the figures."""


@dataclass(slots=True)
class _Open:
    """A turn on its way. Positions are 24 kHz samples, times `perf_counter_ns`."""

    number: int
    start: int = 0
    end: int = 0
    heard: str = ""
    words: tuple[HeardWord, ...] = ()
    language: str = ""
    chunks: int = 0
    items: list[ItemId] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    played: bool = False
    calls: list[told.ToolCalled] = field(default_factory=list)
    responses: set[ResponseId] = field(default_factory=set)
    interrupted: bool = False
    pause_ms: float | None = None
    ended_ns: int = 0
    transcript_ns: int | None = None
    first_text_ns: int | None = None
    first_audio_ns: int | None = None
    reply_ns: int | None = None

    def after(self, at_ns: int | None) -> float | None:
        return None if at_ns is None else round((at_ns - self.ended_ns) / 1e6, 2)


class TurnEvents:
    """The `Watcher` of one session. `items` reads its conversation; `emit` takes what is told; `tools` are the names that are run;
    `first_played` is called when the first audio of a reply goes out.

    Where a response has called tools, the reply goes on until `calls_over()`.
    """

    def __init__(
        self,
        sample_rate: int,
        items: Callable[[], tuple[Item, ...]],
        emit: Callable[[VoiceEvent], None],
        tools: Container[str],
        first_played: Callable[[Turn], None],
    ) -> None:
        self._rate = sample_rate
        self._items = items
        self._emit = emit
        self._tools = tools
        self._first_played = first_played
        self.steps = 0
        self.turns = 0
        """Turns begun so far."""
        self._received = 0
        self._committed = 0
        self._last_voiced = 0
        self._chunks = 0
        self._chunks_told = 0
        self._partial = ""
        self._speaking: ItemId | None = None
        self._by_item: dict[ItemId, _Open] = {}
        self._kept: deque[_Open | Turn] = deque(maxlen=MAX_TURNS)
        self._transcribed: Transcribed | None = None
        self._typed: str | None = None
        self._unanswered: _Open | None = None
        self._replies: list[_Open] = []
        """Turns whose answers are made or heard, in order: a typed turn is answered while the reply before it still plays."""
        self._writing: set[ResponseId] = set()
        self._sounding: set[ResponseId] = set()
        self._calling = False

    @property
    def _answering(self) -> _Open | None:
        """The turn whose answer is made, or was made last and is not heard out."""
        return self._replies[-1] if self._replies else None

    @property
    def writing(self) -> bool:
        """Whether a response is being made."""
        return bool(self._writing)

    def kept(self) -> tuple[Turn, ...]:
        """The turns so far whose words are known, the answers as far as they have been heard."""
        return tuple(self._summary(turn) if isinstance(turn, _Open) else turn for turn in self._kept)

    @property
    def uncommitted(self) -> int:
        """Samples (24 kHz) received since the last turn's end."""
        return self._received - self._committed

    # --- what the machine says ----------------------------------------------------------------------------------------

    def took_chunk(self) -> None:
        self._chunks += 1

    def typed(self, text: str) -> None:
        """What the next reply answers was typed."""
        self._typed = text

    def calls_over(self) -> None:
        """All tools have answered, and the model was asked to go on (or will not be)."""
        self._calling = False
        self._end_if_over()

    # --- the Watcher --------------------------------------------------------------------------------------------------

    def on_step(self, event: Event | None, now_ns: int, effects: Sequence[Effect], raised: str = "") -> None:
        self.steps += 1
        match event:
            case AudioArrived(audio=audio):
                self._received += len(audio) // 2
                return
            case VoiceScored(end_sample=end, probability=probability):
                if probability >= VOICED:
                    self._last_voiced = end
            case AudioPlayed(samples=samples):
                self._play(samples)
            case PartialTranscribed(text=text):
                self._hear_so_far(text)
            case Transcribed(text=text, flush=flush):
                self._transcribed = event
                if flush is not None:
                    self._hear_so_far(text)
            case _:
                pass
        for effect in effects:
            match effect:
                case Tell(notice=notice):
                    self._tell(notice, event)
                case Play():
                    if self._answering is not None and self._answering.first_audio_ns is None:
                        self._answering.first_audio_ns = time.perf_counter_ns()
                case _:
                    pass
        self._end_if_over()

    def dump(self, fault: str) -> None:
        """Nothing is kept here."""

    def close(self) -> None:
        """The session is over: what was being answered ends here, and what points to the session is dropped."""
        self._writing.clear()
        self._sounding.clear()
        self._calling = False
        self._end_if_over()
        self._kept = deque(self.kept(), MAX_TURNS)
        self._items, self._emit, self._first_played = tuple, _untold, _unplayed

    # --- the user -----------------------------------------------------------------------------------------------------

    def _tell(self, notice: Notice, event: Event | None) -> None:
        match notice:
            case SpeechStarted(item_id=item, audio_start_ms=start_ms):
                self._speaking, self._partial = item, ""
                self._begin(item, start_ms * SAMPLES_PER_MS)
                self._emit(told.SpeechStarted(self._position(start_ms * SAMPLES_PER_MS)))
            case SpeechStopped(item_id=item):
                self._speaking = None
                self._end(item, event.end_sample if isinstance(event, VoiceScored) else self._received)
            case InputCommitted(item_id=item):
                if item not in self._by_item:
                    self._begin(item, self._committed)
                    self._end(item, self._received)
                self._committed = self._by_item[item].end
            case TranscriptionCompleted(item_id=item, transcript=text):
                self._understand(item, text)
            case TranscriptionFailedNotice(item_id=item, code=code, message=message):
                self._emit(told.Failed(code, message))
                self._understand(item, "")
            case ErrorRaised(code=code, message=message):
                self._typed = None  # what was typed is answered by no response
                self._emit(told.Failed(code, message))
            case _:
                self._tell_reply(notice)

    def _position(self, sample: int) -> int:
        return sample * self._rate // SAMPLE_RATE

    def _begin(self, item: ItemId, start: int) -> None:
        self.turns += 1
        self._by_item[item] = _Open(self.turns, start)

    def _end(self, item: ItemId, end: int) -> None:
        turn = self._by_item[item]
        turn.end, turn.ended_ns = end, time.perf_counter_ns()
        turn.chunks, self._chunks_told = self._chunks - self._chunks_told, self._chunks
        if turn.start < self._last_voiced <= end:
            turn.pause_ms = (end - self._last_voiced) / SAMPLES_PER_MS
        self._unanswered = turn
        self._emit(told.SpeechStopped(self._position(end)))

    def _hear_so_far(self, text: str) -> None:
        if self._speaking is not None and text and text != self._partial:
            self._partial = text
            self._emit(told.PartialTranscript(text))

    def _understand(self, item: ItemId, text: str) -> None:
        turn = self._by_item.pop(item, None)
        if turn is None:
            return
        turn.heard, turn.transcript_ns = text, time.perf_counter_ns()
        found = self._transcribed
        if found is not None and found.text == text:
            turn.language = found.language
            turn.words = tuple(
                HeardWord(word.text, self._at_ms(turn.start, word.start_ms), self._at_ms(turn.start, word.end_ms))
                for word in found.words
            )
        self._kept.append(turn)
        self._emit(told.TurnEnded(self._summary(turn)))

    def _at_ms(self, start: int, ms: float) -> int:
        return self._position(start + round(ms * SAMPLES_PER_MS))

    # --- the reply ----------------------------------------------------------------------------------------------------

    def _tell_reply(self, notice: Notice) -> None:
        match notice:
            case ResponseCreated(response=response):
                self._answer(response.id)
            case OutputItemAdded(item=Message() as item) if self._answering is not None:
                self._answering.items.append(item.id)
            case OutputTranscriptDelta(delta=delta) | OutputTextDelta(delta=delta):
                if self._answering is not None:
                    if self._answering.first_text_ns is None:
                        self._answering.first_text_ns = time.perf_counter_ns()
                    self._answering.written.append(delta)
                self._emit(told.ReplyText(delta))
            case OutputBufferStarted(response_id=response_id):
                self._sounding.add(response_id)
            case OutputBufferStopped(response_id=response_id):
                self._sounding.discard(response_id)
            case OutputBufferCleared(response_id=response_id):
                self._sounding.discard(response_id)
                for turn in self._replies:
                    turn.interrupted |= response_id in turn.responses
            case ResponseDone(response=response):
                self._done(response)
            case _:
                pass

    def _answer(self, response_id: ResponseId) -> None:
        self._end_if_over()  # the reply before may have ended in this same step
        turn, self._unanswered = self._unanswered, None
        if turn is None and (self._answering is None or self._typed is not None):
            self.turns += 1
            turn = _Open(self.turns, heard=self._typed or "", ended_ns=time.perf_counter_ns())
            self._kept.append(turn)
        if turn is not None:
            if self._replies and not self._replies[-1].responses & (self._writing | self._sounding):
                self._replies[-1].interrupted = True  # it waited for a tool
            self._replies.append(turn)
        self._typed = None
        self._writing.add(response_id)
        self._replies[-1].responses.add(response_id)

    def _play(self, samples: int) -> None:
        turn = next((turn for turn in self._replies if turn.responses & self._sounding), None)
        if samples and turn is not None and not turn.played:
            turn.played = True
            self._first_played(self._summary(turn))

    def _done(self, response: ResponseView) -> None:
        self._writing.discard(response.id)
        turn = next((turn for turn in self._replies if response.id in turn.responses), None)
        if turn is None:
            return
        turn.reply_ns = time.perf_counter_ns()
        turn.interrupted |= response.status == "cancelled"
        if response.error is not None:
            self._emit(told.Failed(response.error.code, response.error.message))
        for item in response.output:
            if isinstance(item, FunctionCall) and item.status == "completed":
                call = told.ToolCalled(item.name, arguments_shown(item.arguments))
                turn.calls.append(call)
                self._emit(call)
                self._calling |= item.name in self._tools

    def _end_if_over(self) -> None:
        for turn in list(self._replies):
            last = turn is self._replies[-1]
            if not (turn.responses & (self._writing | self._sounding) or (last and self._calling)):
                self._replies.remove(turn)
                done = self._summary(turn)
                # What was heard of it is known now, and stays, whatever becomes of its items.
                self._kept = deque((done if kept is turn else kept for kept in self._kept), MAX_TURNS)
                self._emit(told.ReplyEnded(done))

    def _summary(self, turn: _Open) -> Turn:
        return Turn(
            number=turn.number,
            heard=turn.heard,
            start_sample=self._position(turn.start),
            end_sample=self._position(turn.end),
            words=turn.words,
            language=turn.language,
            chunks=turn.chunks,
            answered=self._heard_of(turn.items),
            written="".join(turn.written).strip(),
            interrupted=turn.interrupted,
            calls=tuple(turn.calls),
            figures=TurnFigures(
                turn.pause_ms,
                turn.after(turn.transcript_ns),
                turn.after(turn.first_text_ns),
                turn.after(turn.first_audio_ns),
                turn.after(turn.reply_ns),
            ),
        )

    def _heard_of(self, ids: Sequence[ItemId]) -> str:
        if not ids:
            return ""
        texts = (_text(item) for item in self._items() if item.id in ids)
        return " ".join(text for text in texts if text)


def _untold(event: VoiceEvent) -> None:
    """In place of a session's events, after its end."""


def _unplayed(turn: Turn) -> None:
    """In place of what waits for the first audio, after the session's end."""


def _text(item: Item) -> str:
    if not isinstance(item, Message):
        return ""
    texts = (
        part.transcript if isinstance(part, OutputAudio) else part.text
        for part in item.content
        if isinstance(part, OutputAudio | OutputText)
    )
    return "".join(texts).strip()
