"""The account of a session's turns: what was said, where the time went, and what came of each reply.

Laws: pure; watches the core's events and effects and takes no part; holds the last `keep` turns. What the core says is taken as it is
said: which attempt belongs to which response, and whether a speculative one was released. Every rendering of a turn (`/metrics`, the
page's waterfall, `parley.turn.metrics`, the library's events) is made from this account.

Does not know: which clock it is given, or, where the client holds the playback, when the listener heard anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import chain

from parley.core.words.effects import (
    DropTranscription,
    Effect,
    OpenTranscription,
    Play,
    ScoreVoice,
    StartGeneration,
    Tell,
    Transcribe,
)
from parley.core.words.events import (
    AudioArrived,
    AudioPlayed,
    Event,
    ItemCreateRequested,
    PartialTranscribed,
    Transcribed,
    VoiceScored,
)
from parley.core.words.ids import ItemId, ResponseId, TurnId
from parley.core.words.items import FunctionCall, InputText, McpCall, Message
from parley.core.words.limits import SAMPLES_PER_MS
from parley.core.words.notices import (
    ErrorRaised,
    InputCommitted,
    InputSpeechStarted,
    InputSpeechStopped,
    Notice,
    OutputAudioDelta,
    OutputBufferCleared,
    OutputBufferStarted,
    OutputBufferStopped,
    OutputItemAdded,
    OutputTextDelta,
    OutputTranscriptDelta,
    ResponseCreated,
    ResponseDone,
    ResponseView,
    SessionCreated,
    SessionUpdated,
    TranscriptionCompleted,
    TranscriptionFailedNotice,
)
from parley.core.words.settings import AudioFormat
from parley.runtime.attempt_account import AttemptAccount
from parley.runtime.turn_records import (
    TURNS_KEPT,
    VOICED,
    Ending,
    ReplyDone,
    ReplyPlayed,
    ReplyRecord,
    ReplySent,
    ReplyStarted,
    ReplyWritten,
    TurnAnswered,
    TurnChange,
    TurnRecord,
    TurnStarted,
    TurnStopped,
    TurnTranscribed,
    WordsHeard,
)

_EVERY_FRAME = frozenset({ScoreVoice, Transcribe})


class TurnAccount:
    """One session's account. Call `on_step()` for each step, in order; `turns` are the last `keep` turns that have ended."""

    def __init__(self, keep: int = TURNS_KEPT) -> None:
        self.turns: deque[TurnRecord] = deque(maxlen=keep)
        self.begun = 0
        """Turns begun so far."""
        self.answering: list[TurnRecord] = []
        """Turns whose replies are made or heard, in order: a typed turn is answered while the reply before it still plays."""
        self._out: list[TurnChange] = []
        self.attempts = AttemptAccount(self._out)
        self._format = AudioFormat.PCM16
        self._format_began = 0
        self._bytes = 0
        self._committed = 0
        self._voiced_to: int | None = None
        self._opened: TurnId | None = None
        self._speaking: TurnRecord | None = None
        self._words = ""
        self._recognised: Transcribed | None = None
        self._typed: str | None = None
        self._unanswered: TurnRecord | None = None
        self._going_on: TurnRecord | None = None
        self._live: set[ResponseId] = set()
        self._sounding: set[ResponseId] = set()

    @property
    def received(self) -> int:
        """Samples of input audio so far (24 kHz)."""
        return self._format_began + self._format.samples(self._bytes)

    @property
    def writing(self) -> bool:
        """Whether a response in the conversation is being made."""
        return bool(self._live)

    def reply(self, response: ResponseId) -> tuple[TurnRecord, ReplyRecord] | None:
        """The turn and the reply of this response, while they are kept."""
        for turn in chain(reversed(self.answering), reversed(self.turns)):
            for reply in turn.replies:
                if reply.response == response:
                    return turn, reply
        return None

    def forget_typed(self) -> None:
        """What was typed so far is history: no reply answers it."""
        self._typed = None

    def end(self) -> list[TurnChange]:
        """The session is over: what was being answered ends here."""
        self._live.clear()
        self._sounding.clear()
        self._end_answered()
        return self._taken()

    def on_step(self, event: Event | None, now_ns: int, effects: Sequence[Effect]) -> list[TurnChange]:
        """One step of the session (`event` None: its beginning), at `now_ns`; returns what changed, in order."""
        # Two kinds of event come fifty times a second; they are told apart first, and cheaply.
        if type(event) is AudioArrived:
            self._bytes += len(event.audio)
        elif type(event) is VoiceScored:
            if event.probability >= VOICED:
                self._voiced_to = event.end_sample
        elif event is not None:
            self._on_event(event, now_ns)
        rare = False
        for effect in effects:
            if type(effect) not in _EVERY_FRAME:
                rare = True
                self._on_effect(effect, event, now_ns)
        if type(event) is Transcribed:
            self._resolve(event, now_ns, effects)
        elif type(event) is AudioPlayed:
            self._play(event.samples)
        if rare:
            self._end_answered()
        return self._taken() if self._out else []

    def _taken(self) -> list[TurnChange]:
        if not self._out:
            return []
        out = self._out.copy()
        self._out.clear()
        return out

    # --- events -------------------------------------------------------------------------------------------------------

    def _on_event(self, event: Event, now_ns: int) -> None:
        match event:
            case PartialTranscribed(turn=turn, text=text):
                self._hear(turn, text)
            case Transcribed(turn=turn, text=text, flush=flush):
                self._recognised = event
                if flush is not None:
                    self._hear(turn, text)
            case ItemCreateRequested(item=Message(role="user", content=content)):
                text = " ".join(part.text for part in content if isinstance(part, InputText))
                self._typed = text or self._typed
            case _:
                self.attempts.on_event(event, now_ns)

    def _hear(self, turn_id: TurnId, text: str) -> None:
        turn = self._speaking
        if turn is not None and turn.turn == turn_id and text and text != self._words:
            self._words = text
            self._out.append(WordsHeard(turn, text))

    def _resolve(self, event: Transcribed, now_ns: int, effects: Sequence[Effect]) -> None:
        """A turn's words, where its client is told none: those of a flush count where the core let the recogniser go for them."""
        let_go = any(isinstance(effect, DropTranscription) and effect.turn == event.turn for effect in effects)
        if event.flush is None or let_go:
            for turn in reversed(self.turns):
                if turn.turn == event.turn and turn.transcript_ns is None:
                    self._know(turn, event.text, now_ns)

    def _know(self, turn: TurnRecord, text: str, now_ns: int) -> None:
        turn.transcript, turn.transcript_ns = text, now_ns
        found = self._recognised
        turn.recognised = found if found is not None and (found.turn, found.text) == (turn.turn, text) else None
        self._out.append(TurnTranscribed(turn))

    # --- effects ------------------------------------------------------------------------------------------------------

    def _on_effect(self, effect: Effect, event: Event | None, now_ns: int) -> None:
        match effect:
            case Tell(notice=notice):
                self._on_notice(notice, event, now_ns)
            case Play(response=response):
                self._send(response, now_ns)
            case OpenTranscription(turn=turn, live=True):
                self._opened = turn
            case StartGeneration(response=response):
                started = self.attempts.on_effect(effect, now_ns)
                found = self.reply(response) if response is not None else None
                if found is not None:
                    found[1].attempt = started
            case _:
                self.attempts.on_effect(effect, now_ns)

    def _on_notice(self, notice: Notice, event: Event | None, now_ns: int) -> None:
        match notice:
            case InputSpeechStarted(item_id=item, audio_start_ms=start_ms):
                self._words = ""
                self._speaking = self._start(item, start_ms * SAMPLES_PER_MS)
                self._out.append(TurnStarted(self._speaking))
            case InputSpeechStopped(item_id=item, audio_end_ms=end_ms):
                turn = self._speaking
                self._speaking = None
                if turn is not None and turn.item == item:
                    scored = event.end_sample if isinstance(event, VoiceScored) else self.received
                    self._stop(turn, "voice", scored, now_ns)
                    turn.turn_end_ms = end_ms
                    self._out.append(TurnStopped(turn))
            case InputCommitted(item_id=item):
                self._commit(item, now_ns)
            case TranscriptionCompleted(item_id=item, transcript=text):
                for turn in reversed(self.turns):
                    if turn.item == item:
                        self._know(turn, text, now_ns)
                        break
            case TranscriptionFailedNotice(item_id=item, code=code, message=message):
                for turn in reversed(self.turns):
                    if turn.item == item and turn.transcript_ns is None:
                        turn.fault = code, message
                        self._know(turn, "", now_ns)
                        break
            case ErrorRaised():
                self._typed = None  # no response answers what was typed
            case SessionCreated(settings=settings) | SessionUpdated(settings=settings):
                self._format_began, self._bytes = self.received, 0
                self._format = settings.input_format
            case _:
                self._on_reply_notice(notice, now_ns)

    def _start(self, item: ItemId, start_sample: int) -> TurnRecord:
        self.begun += 1
        self._going_on = None
        return TurnRecord(self.begun, None, item, self._opened, start_sample)

    def _stop(self, turn: TurnRecord, ending: Ending, end_sample: int, now_ns: int) -> None:
        turn.ending, turn.end_sample, turn.ended_ns = ending, end_sample, now_ns
        voiced = self._voiced_to
        if voiced is not None and turn.start_sample < voiced <= end_sample:
            turn.voice_end_sample = voiced
        self._unanswered = turn
        self.turns.append(turn)

    def _commit(self, item: ItemId, now_ns: int) -> None:
        turn = self.turns[-1] if self.turns and self.turns[-1].item == item else None
        if turn is None:
            turn = self._start(item, self._committed)
            self._stop(turn, "commit", self.received, now_ns)
            self._out += (TurnStarted(turn), TurnStopped(turn))
        self._committed = turn.end_sample

    # --- replies ------------------------------------------------------------------------------------------------------

    def _on_reply_notice(self, notice: Notice, now_ns: int) -> None:
        match notice:
            case ResponseCreated(response=response) if response.conversation_id is not None:
                self._begin_reply(response.id, now_ns)
            case OutputItemAdded(response_id=response_id, item=Message(id=item)):
                found = self.reply(response_id)
                if found is not None:
                    found[1].items.append(item)
            case OutputTranscriptDelta(at=at, delta=delta) | OutputTextDelta(at=at, delta=delta):
                found = self.reply(at.response_id)
                if found is not None:
                    turn, reply = found
                    reply.first_words_ns = reply.first_words_ns or now_ns
                    reply.written.append(delta)
                    self._out.append(ReplyWritten(turn, reply, delta))
            case OutputAudioDelta(at=at):
                self._send(at.response_id, now_ns)
            case OutputBufferStarted(response_id=response_id):
                self._sounding.add(response_id)
            case OutputBufferStopped(response_id=response_id):
                self._sounding.discard(response_id)
            case OutputBufferCleared(response_id=response_id):
                self._sounding.discard(response_id)
                found = self.reply(response_id)
                if found is not None:
                    found[1].interrupted = True
            case ResponseDone(response=response):
                self._finish(response, now_ns)
            case _:
                pass

    def _begin_reply(self, response: ResponseId, now_ns: int) -> None:
        turn = self._turn_answered(now_ns)
        self._end_answered(spare=turn)  # the reply before may have ended in this same step
        reply = ReplyRecord(response, now_ns, *self.attempts.take(response))
        turn.replies.append(reply)
        if turn not in self.answering:
            self.answering.append(turn)
        self._live.add(response)
        self._out.append(ReplyStarted(turn, reply))

    def _turn_answered(self, now_ns: int) -> TurnRecord:
        """The turn that a new response answers: what was said last, what was typed, or that of the reply that goes on."""
        typed, self._typed = self._typed, None
        said, self._unanswered = self._unanswered, None
        going_on, self._going_on = self._going_on, None
        if said is not None:
            return said
        if typed is None and going_on is not None:
            return going_on
        self.begun += 1
        turn = TurnRecord(self.begun, "request", ended_ns=now_ns, transcript=typed or "")
        self.turns.append(turn)
        return turn

    def _send(self, response: ResponseId, now_ns: int) -> None:
        found = self.reply(response)
        if found is not None and found[1].sent_ns is None:
            found[1].sent_ns = now_ns
            self._out.append(ReplySent(*found))

    def _play(self, samples: int) -> None:
        turn = next((turn for turn in self.answering if _responses(turn) & self._sounding), None)
        if samples and turn is not None and not turn.played and not self._filler_sounds():
            turn.played = True
            self._out.append(ReplyPlayed(turn))

    def _filler_sounds(self) -> bool:
        """Whether something sounds that is no reply: the reply is heard behind it."""
        return any(self.reply(response) is None for response in self._sounding)

    def _finish(self, response: ResponseView, now_ns: int) -> None:
        self._live.discard(response.id)
        found = self.reply(response.id)
        if found is None:
            return
        turn, reply = found
        reply.done_ns = now_ns
        reply.interrupted |= response.status == "cancelled"
        called = any(
            isinstance(item, FunctionCall | McpCall) and item.status == "completed" for item in response.output
        )
        self._going_on = turn if called and response.status == "completed" else None
        self._out.append(ReplyDone(turn, reply, response))

    def _end_answered(self, spare: TurnRecord | None = None) -> None:
        for turn in list(self.answering):
            if turn is not spare and not _responses(turn) & (self._live | self._sounding):
                self.answering.remove(turn)
                self._out.append(TurnAnswered(turn))


def _responses(turn: TurnRecord) -> set[ResponseId]:
    return {reply.response for reply in turn.replies}
