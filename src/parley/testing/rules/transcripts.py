"""What is known of the user's words: which recogniser streams live, what they said, and what the client was told of it.

Laws kept here: every recogniser stream is opened once and ends once, is fed what arrived, and answers one item; transcription deltas
only append and the completed transcript begins with them; one completed or failed per item, and only where the client asked.
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
from parley.testing.rules.base import Hearing, Rule, Step
from parley.testing.rules.conversation import ConversationOrder
from parley.testing.rules.input import Arrived, Stretch


@dataclass(slots=True)
class Stream:
    """One recogniser stream. `texts` are all the transcripts it has given so far, `final` the last word, `over` its end."""

    turn: TurnId
    bytes_fed: int = 0
    stretch: Stretch | None = None
    offset: int = 0
    flushes: list[FlushId] = field(default_factory=list)
    answered: int = 0
    """Of the flushes asked for, those up to here are answered or overtaken."""
    item: ItemId | None = None
    finished: bool = False
    over: bool = False
    texts: list[str] = field(default_factory=list)
    resolved: str | None = None
    """The turn's words, once they are settled."""
    failed: bool = False
    brought: bool = False
    """The audio came with an item of the client's, not through the microphone."""

    @property
    def going_on(self) -> bool:
        """Whether its turn is still being spoken; that its recogniser has failed does not end a turn."""
        return not (self.finished or self.item or (self.over and not self.failed) or self.brought)

    @property
    def kept(self) -> bool:
        """Whether its audio was committed: a turn whose recogniser had failed may be dropped for good or with its item."""
        return self.finished and (not self.failed or self.item is not None)

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be known of its words."""
        return self.over


class Streams(Rule):
    """8, for the ears: a recogniser stream is opened once, fed in order with what arrived, and ends exactly once."""

    law = "8"

    def __init__(self, arrived: Arrived) -> None:
        self.by_turn: dict[TurnId, Stream] = {}
        self.by_item: dict[ItemId, Stream] = {}
        self._arrived = arrived
        self._judgements: set[JudgementId] = set()
        self._committed: list[ItemId] = []
        self._ended: list[Stream] = []
        self._event: Event | None = None
        self._brought_item: ItemId | None = None

    @property
    def open(self) -> list[Stream]:
        """Streams of turns that still go on."""
        return [stream for stream in self.by_turn.values() if stream.going_on]

    def before(self, step: Step) -> None:
        self._event = step.event

    def sees(self) -> Hearing:
        return {Transcribed: self._transcribed, TranscriptionFailed: self._failed}

    def hears(self) -> Hearing:
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
        # A turn whose flush is still under way is committed without an end: its answer will do.
        streams = self._ended or [stream for stream in self.open[-1:] if self._committed]
        for item, stream in zip(self._committed, streams, strict=False):
            if stream.item is None and item not in self.by_item:
                stream.item = item
                self.by_item[item] = stream
        self._committed.clear()
        self._ended.clear()
        self._brought_item = None

    def ended(self) -> None:
        """The link is closed: every stream must have been let go."""
        alive = [stream.turn for stream in self.by_turn.values() if not stream.settled]
        self.require(not alive, f"the session ended and left the recogniser streams of turns {alive}")

    def _living(self, turn: TurnId, what: str) -> Stream:
        stream = self.by_turn.get(turn)
        if stream is None:
            self.fail(f"{what} turn {turn}, which was never opened")
        self.require(stream.failed or not (stream.finished or stream.over), f"{what} turn {turn}, which is over")
        return stream

    def _open(self, effect: OpenTranscription) -> None:
        self.require(effect.turn not in self.by_turn, f"turn {effect.turn} is opened twice")
        brought = isinstance(self._event, ItemCreateRequested | ResponseRequested)
        self.by_turn[effect.turn] = Stream(effect.turn, brought=brought)
        waiting = [stream for stream in self.by_turn.values() if not stream.settled]
        self.require(len(waiting) <= MAX_PENDING_TURNS + 1, f"{len(waiting)} turns wait for their transcript", "11")

    def _feed(self, effect: Transcribe) -> None:
        stream = self._living(effect.turn, "transcribe")
        self.require(effect.audio != b"", f"turn {effect.turn} is fed nothing")
        if stream.brought:
            pass
        elif stream.bytes_fed == 0:
            self._place(stream, effect.audio)
        elif stream.stretch is not None:
            at = stream.offset + stream.bytes_fed
            expected = bytes(stream.stretch.audio[at : at + len(effect.audio)])
            self.require(expected == effect.audio, f"turn {effect.turn} is fed what did not arrive there", "10")
        stream.bytes_fed += len(effect.audio)

    def _place(self, stream: Stream, audio: bytes) -> None:
        """Find where the turn's first audio arrived; known only where those bytes arrived once."""
        stretch = self._arrived.stretches[-1]
        self.require(audio in stretch.audio, f"turn {stream.turn} is fed what never arrived", "10")
        if (offset := stretch.audio.find(audio)) == stretch.audio.rfind(audio):
            stream.stretch, stream.offset = stretch, offset
            for other in self.by_turn.values():
                if other is not stream and other.kept and other.stretch is stretch:
                    apart = offset >= other.offset + other.bytes_fed or offset + len(audio) <= other.offset
                    self.require(apart, f"turns {other.turn} and {stream.turn} hold the same audio", "10")

    def _flush(self, effect: FlushTranscription) -> None:
        stream = self._living(effect.turn, "flush")
        known = any(effect.flush in other.flushes for other in self.by_turn.values())
        self.require(not known, f"flush {effect.flush} is asked for twice")
        stream.flushes.append(effect.flush)

    def _finish(self, effect: FinishTranscription) -> None:
        stream = self._living(effect.turn, "finish")
        stream.finished = True
        if not stream.brought:
            self._ended.append(stream)
        elif self._brought_item is not None:
            stream.item = self._brought_item
            self.by_item[self._brought_item] = stream

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
        self.require(effect.judgement not in self._judgements, f"judgement {effect.judgement} is asked for twice")
        self._judgements.add(effect.judgement)

    def _commit(self, told: InputCommitted) -> None:
        self._committed.append(told.item_id)

    def _added(self, told: ItemAdded) -> None:
        if isinstance(self._event, ItemCreateRequested):
            self._brought_item = told.item.id

    def _retrieved(self, told: ItemRetrieved) -> None:
        stream = self.by_item.get(told.item.id)
        if stream is None or stream.stretch is None or not isinstance(told.item, Message):
            return
        for part in told.item.content:
            if isinstance(part, InputAudio) and part.audio:
                own = bytes(stream.stretch.audio[stream.offset : stream.offset + len(part.audio)])
                self.require(
                    own == part.audio, f"{told.item.id} was retrieved with audio that did not arrive there", "10"
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


class TranscriptionTold(Rule):
    """10 and 4.2, for the words: deltas append and are kept, one completed or failed per item, and only when asked for."""

    law = "order 4.2"

    def __init__(self, arrived: Arrived, streams: Streams, conversation: ConversationOrder) -> None:
        self._conversation = conversation
        self.ended: dict[tuple[ItemId, int], str | None] = {}
        self._arrived = arrived
        self._streams = streams
        self._committed: dict[ItemId, bool] = {}
        self._deltas: dict[tuple[ItemId, int], str] = {}
        self._known: set[ItemId] = set()

    def hears(self) -> Hearing:
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
            not missing, f"the transcripts of {missing} were asked for and never came, nor their failures", "liveness"
        )

    def _commit(self, told: InputCommitted) -> None:
        self._committed[told.item_id] = self._arrived.settings.transcription is not None

    def _started(self, told: InputSpeechStarted) -> None:
        self._known.add(told.item_id)

    def _added(self, told: ItemAdded) -> None:
        self._known.add(told.item.id)

    def _open(
        self, told: TranscriptionDelta | TranscriptionCompleted | TranscriptionFailedNotice, what: str
    ) -> tuple[ItemId, int]:
        """The part that `told` is about: known to the client, and its words not settled yet."""
        part = told.item_id, told.content_index
        self.require(part not in self.ended, f"{what} of {told.item_id} after its transcription's end")
        self.require(told.item_id in self._known, f"{what} of {told.item_id}, of which the client has not heard")
        return part

    def _delta(self, told: TranscriptionDelta) -> None:
        part = self._open(told, "a transcription delta")
        self.require(told.delta != "", f"an empty transcription delta of {told.item_id}")
        self._deltas[part] = self._deltas.get(part, "") + told.delta

    def _completed(self, told: TranscriptionCompleted) -> None:
        part = self._open(told, "transcription.completed")
        deltas = self._deltas.get(part, "")
        self.require(
            told.transcript.startswith(deltas), f"the deltas said {deltas!r}, the transcript {told.transcript!r}"
        )
        self.require(told.seconds >= 0, f"{told.seconds} s transcribed")
        stream = self._streams.by_item.get(told.item_id)
        if stream is not None:
            self.require(
                told.transcript in stream.texts, f"told {told.transcript!r}, the recogniser said {stream.texts}"
            )
        self.ended[part] = told.transcript

    def _failed(self, told: TranscriptionFailedNotice) -> None:
        self.ended[self._open(told, "transcription.failed")] = None
