"""The transcripts of the user's turns: the recogniser streams, their results, and the notices about them.

Laws kept here: every recogniser stream is opened once and ends once, is fed what arrived, and belongs to one item; transcription deltas
only append and the completed transcript begins with them; one completed or failed per item, and only where the client asked for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from parley.core.words.effects import (
    DropTranscription,
    FinishTranscription,
    FlushTranscription,
    JudgePause,
    OpenTranscription,
    Transcribe,
)
from parley.core.words.events import Event, ItemCreateRequested, ResponseRequested, Transcribed, TranscriptionFailed
from parley.core.words.ids import FlushId, ItemId, JudgementId, TurnId
from parley.core.words.items import InputAudio, Message
from parley.core.words.limits import MAX_PENDING_TURNS
from parley.core.words.notices import (
    InputCommitted,
    InputSpeechStarted,
    ItemAdded,
    ItemRetrieved,
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionFailedNotice,
)
from parley.testing.rules.base import Handlers, Rule, Step
from parley.testing.rules.conversation import ConversationOrder
from parley.testing.rules.input import Arrived, Stretch


@dataclass(slots=True)
class Stream:
    """One recogniser stream. `texts` are all the transcripts it has given so far; `over` says that no more follow."""

    turn: TurnId
    bytes_fed: int = 0
    stretch: Stretch | None = None
    offset: int = 0
    flushes: list[FlushId] = field(default_factory=list)
    answered: int = 0
    """Of the flushes requested, those up to this index are answered or superseded."""
    item: ItemId | None = None
    finished: bool = False
    over: bool = False
    texts: list[str] = field(default_factory=list)
    resolved: str | None = None
    """The turn's final transcript, once known."""
    failed: bool = False
    from_client: bool = False
    """The audio came with an item of the client, not from the microphone."""

    @property
    def active(self) -> bool:
        """Whether its turn is still being spoken; a failed recogniser does not end the turn."""
        return not (self.finished or self.item or (self.over and not self.failed) or self.from_client)

    @property
    def kept(self) -> bool:
        """Whether its audio was committed; a turn whose recogniser failed may be dropped with or without an item."""
        return self.finished and (not self.failed or self.item is not None)

    @property
    def settled(self) -> bool:
        """Whether its transcript can no longer change."""
        return self.over


class Streams(Rule):
    """8, for recognition: a recogniser stream is opened once, fed in order with what arrived, and ends exactly once."""

    law = "8"

    def __init__(self, arrived: Arrived) -> None:
        self.by_turn: dict[TurnId, Stream] = {}
        self.by_item: dict[ItemId, Stream] = {}
        self._arrived = arrived
        self._judgements: set[JudgementId] = set()
        self._committed: list[ItemId] = []
        self._ended: list[Stream] = []
        self._event: Event | None = None
        self._client_item: ItemId | None = None

    @property
    def open(self) -> list[Stream]:
        """Streams of turns that are still being spoken."""
        return [stream for stream in self.by_turn.values() if stream.active]

    def before(self, step: Step) -> None:
        self._event = step.event

    def event_handlers(self) -> Handlers:
        return {Transcribed: self._transcribed, TranscriptionFailed: self._failed}

    def effect_handlers(self) -> Handlers:
        return {
            OpenTranscription: self._open,
            Transcribe: self._feed,
            FlushTranscription: self._flush,
            FinishTranscription: self._finish,
            DropTranscription: self._drop,
            JudgePause: self._judge,
            InputCommitted: self._commit,
            ItemAdded: self._added,
            ItemRetrieved: self._retrieved,
        }

    def after(self, step: Step) -> None:
        # A turn whose flush is still pending is committed without an end: the flush result serves as its transcript.
        streams = self._ended or [stream for stream in self.open[-1:] if self._committed]
        for item, stream in zip(self._committed, streams, strict=False):
            if stream.item is None and item not in self.by_item:
                stream.item = item
                self.by_item[item] = stream
        self._committed.clear()
        self._ended.clear()
        self._client_item = None

    def ended(self) -> None:
        """The link is closed: every stream must have ended."""
        alive = [stream.turn for stream in self.by_turn.values() if not stream.settled]
        self.require(not alive, f"the session ended with open recogniser streams of turns {alive}")

    def _living(self, turn: TurnId, what: str) -> Stream:
        stream = self.by_turn.get(turn)
        if stream is None:
            self.fail(f"{what} turn {turn}, which was never opened")
        self.require(stream.failed or not (stream.finished or stream.over), f"{what} turn {turn}, which has ended")
        return stream

    def _open(self, effect: OpenTranscription) -> None:
        self.require(effect.turn not in self.by_turn, f"turn {effect.turn} is opened twice")
        from_client = isinstance(self._event, ItemCreateRequested | ResponseRequested)
        self.by_turn[effect.turn] = Stream(effect.turn, from_client=from_client)
        waiting = [stream for stream in self.by_turn.values() if not stream.settled]
        self.require(len(waiting) <= MAX_PENDING_TURNS + 1, f"{len(waiting)} turns wait for their transcript", "11")

    def _feed(self, effect: Transcribe) -> None:
        stream = self._living(effect.turn, "transcribe")
        self.require(effect.audio != b"", f"turn {effect.turn} is fed nothing")
        if stream.from_client:
            pass
        elif stream.bytes_fed == 0:
            self._place(stream, effect.audio)
        elif stream.stretch is not None:
            at = stream.offset + stream.bytes_fed
            expected = bytes(stream.stretch.audio[at : at + len(effect.audio)])
            self.require(expected == effect.audio, f"turn {effect.turn} is fed audio that did not arrive there", "10")
        stream.bytes_fed += len(effect.audio)

    def _place(self, stream: Stream, audio: bytes) -> None:
        """Find where the turn's first audio arrived; known only where those bytes arrived once."""
        stretch = self._arrived.stretches[-1]
        self.require(audio in stretch.audio, f"turn {stream.turn} is fed audio that never arrived", "10")
        if (offset := stretch.audio.find(audio)) == stretch.audio.rfind(audio):
            stream.stretch, stream.offset = stretch, offset
            for other in self.by_turn.values():
                if other is not stream and other.kept and other.stretch is stretch:
                    apart = offset >= other.offset + other.bytes_fed or offset + len(audio) <= other.offset
                    self.require(apart, f"turns {other.turn} and {stream.turn} hold the same audio", "10")

    def _flush(self, effect: FlushTranscription) -> None:
        stream = self._living(effect.turn, "flush")
        known = any(effect.flush in other.flushes for other in self.by_turn.values())
        self.require(not known, f"flush {effect.flush} is requested twice")
        stream.flushes.append(effect.flush)

    def _finish(self, effect: FinishTranscription) -> None:
        stream = self._living(effect.turn, "finish")
        stream.finished = True
        if not stream.from_client:
            self._ended.append(stream)
        elif self._client_item is not None:
            stream.item = self._client_item
            self.by_item[self._client_item] = stream

    def _drop(self, effect: DropTranscription) -> None:
        stream = self.by_turn.get(effect.turn)
        if stream is None:
            self.fail(f"turn {effect.turn} is dropped, which was never opened")
        self.require(stream.failed or not stream.over, f"turn {effect.turn} is dropped twice or after its transcript")
        stream.over = True
        stream.finished = stream.finished or stream.failed
        if stream.texts and not stream.failed and (self._committed or isinstance(self._event, Transcribed)):
            stream.resolved = stream.texts[-1]
        self._ended.append(stream)

    def _judge(self, effect: JudgePause) -> None:
        self._living(effect.turn, "judge the pause of")
        self.require(effect.judgement not in self._judgements, f"judgement {effect.judgement} is requested twice")
        self._judgements.add(effect.judgement)

    def _commit(self, notice: InputCommitted) -> None:
        self._committed.append(notice.item_id)

    def _added(self, notice: ItemAdded) -> None:
        if isinstance(self._event, ItemCreateRequested):
            self._client_item = notice.item.id

    def _retrieved(self, notice: ItemRetrieved) -> None:
        stream = self.by_item.get(notice.item.id)
        if stream is None or stream.stretch is None or not isinstance(notice.item, Message):
            return
        for part in notice.item.content:
            if isinstance(part, InputAudio) and part.audio:
                own = bytes(stream.stretch.audio[stream.offset : stream.offset + len(part.audio)])
                self.require(
                    own == part.audio, f"{notice.item.id} was retrieved with audio that did not arrive there", "10"
                )

    def _transcribed(self, event: Transcribed) -> None:
        stream = self.by_turn.get(event.turn)
        if stream is None or stream.over or stream.failed:
            return
        if event.flush is None and stream.finished:
            stream.resolved = event.text
            stream.texts.append(event.text)
            stream.over = True
        elif event.flush in stream.flushes[stream.answered :]:
            stream.answered = stream.flushes.index(event.flush) + 1
            stream.texts.append(event.text)

    def _failed(self, event: TranscriptionFailed) -> None:
        stream = self.by_turn.get(event.turn)
        if stream is not None and not stream.over:
            stream.failed = True
            stream.over = True


class TranscriptionNotices(Rule):
    """10 and 4.2, for transcripts: deltas append and are kept, one completed or failed per item, and only when requested."""

    law = "order 4.2"

    def __init__(self, arrived: Arrived, streams: Streams, conversation: ConversationOrder) -> None:
        self._conversation = conversation
        self.ended: dict[tuple[ItemId, int], str | None] = {}
        self._arrived = arrived
        self._streams = streams
        self._committed: dict[ItemId, bool] = {}
        self._deltas: dict[tuple[ItemId, int], str] = {}
        self._known: set[ItemId] = set()

    def effect_handlers(self) -> Handlers:
        return {
            InputSpeechStarted: self._started,
            InputCommitted: self._commit,
            ItemAdded: self._added,
            TranscriptionDelta: self._delta,
            TranscriptionCompleted: self._completed,
            TranscriptionFailedNotice: self._failed,
        }

    def finish(self, quiet: bool) -> None:
        if not quiet or self._arrived.settings.transcription is None:
            return
        here = self._conversation.items
        missing = [
            item for item, asked in self._committed.items() if asked and (item, 0) not in self.ended and item in here
        ]
        self.require(
            not missing,
            f"the transcripts of {missing} were requested, and neither they nor a failure followed",
            "liveness",
        )

    def _commit(self, notice: InputCommitted) -> None:
        self._committed[notice.item_id] = self._arrived.settings.transcription is not None

    def _started(self, notice: InputSpeechStarted) -> None:
        self._known.add(notice.item_id)

    def _added(self, notice: ItemAdded) -> None:
        self._known.add(notice.item.id)

    def _open(
        self, notice: TranscriptionDelta | TranscriptionCompleted | TranscriptionFailedNotice, what: str
    ) -> tuple[ItemId, int]:
        """The part that `notice` is about: known to the client, and without a final transcript."""
        part = notice.item_id, notice.content_index
        self.require(part not in self.ended, f"{what} of {notice.item_id} after its transcription's end")
        self.require(
            notice.item_id in self._known, f"{what} of {notice.item_id}, which was not announced to the client"
        )
        return part

    def _delta(self, notice: TranscriptionDelta) -> None:
        part = self._open(notice, "a transcription delta")
        self.require(notice.delta != "", f"an empty transcription delta of {notice.item_id}")
        self._deltas[part] = self._deltas.get(part, "") + notice.delta

    def _completed(self, notice: TranscriptionCompleted) -> None:
        part = self._open(notice, "transcription.completed")
        deltas = self._deltas.get(part, "")
        self.require(
            notice.transcript.startswith(deltas), f"the deltas said {deltas!r}, the transcript {notice.transcript!r}"
        )
        self.require(notice.seconds >= 0, f"{notice.seconds} s transcribed")
        stream = self._streams.by_item.get(notice.item_id)
        if stream is not None:
            self.require(
                notice.transcript in stream.texts, f"{notice.transcript!r} was sent, the recogniser gave {stream.texts}"
            )
        self.ended[part] = notice.transcript

    def _failed(self, notice: TranscriptionFailedNotice) -> None:
        self.ended[self._open(notice, "transcription.failed")] = None
