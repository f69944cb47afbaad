"""A person with a client: speaks, hesitates, coughs, interrupts, types, and has an app that does what apps do, rightly and wrongly.

Laws: everything the client sends goes through its uplink, everything it learns comes through its downlink; both keep the order and may
stall and burst.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from parley.core.words.events import (
    AudioArrived,
    CancelRequested,
    ClearRequested,
    ClientEvent,
    CommitRequested,
    ItemCreateRequested,
    ItemRetrieveRequested,
    ItemTruncateRequested,
    ResponseRequested,
    SessionUpdateRequested,
)
from parley.core.words.ids import ClientEventId, ItemId, ResponseId
from parley.core.words.items import (
    FunctionCall,
    FunctionCallOutput,
    InputText,
    McpApprovalRequest,
    McpApprovalResponse,
    Message,
)
from parley.core.words.notices import (
    ErrorRaised,
    InputSpeechStarted,
    InputSpeechStopped,
    ItemAdded,
    ItemDeleted,
    ItemDone,
    ItemTruncated,
    Notice,
    OutputAudioDelta,
    ResponseCreated,
    ResponseDone,
    SessionCreated,
    SessionUpdated,
)
from parley.core.words.settings import Settings
from parley.testing.actors.odd_requests import another_pipeline, whim
from parley.testing.actors.world import MicrophoneSound, MicrophoneWord, SimulatedWorld, piece

_VOCABULARY = [
    "I",
    "would",
    "like",
    "to",
    "know",
    "what",
    "the",
    "weather",
    "is",
    "in",
    "Oslo",
    "and",
    "whether",
    "the",
    "trains",
    "run",
    "on",
    "time",
    "today",
    "please",
    "thank",
    "you",
]
_BACKCHANNELS = ("mm-hm", "yeah", "okay")
_OUTPUTS = ('{"degrees": 7}', "some words " * 30, "a page of words " * 200)
"""What tools return; the second is half a small context, the last more than one holds."""


@dataclass(frozen=True, slots=True)
class PersonTraits:
    """What this person and this app are like. Chances in 0..1, times in milliseconds."""

    acts: int = 3
    chunk_ms: int = 100
    odd_chunks: bool = False
    hesitates: float = 0.3
    coughs: float = 0.1
    backchannels: float = 0.15
    interrupts: float = 0.3
    types: float = 0.15
    whims: float = 0.2
    truncates: float = 0.6
    truncates_wrongly: float = 0.2
    answers_tools: float = 0.9
    changes_pipeline: float = 0.0
    asks: float = 0.0
    """... for a reply of its own when the user's speech has stopped, whether or not the session makes one."""
    latency_ms: float = 15
    stalls: float = 0.05


class Line:
    """One direction of the link: in order, with a latency that varies and stalls now and then."""

    def __init__(self, world: SimulatedWorld, traits: PersonTraits) -> None:
        self._world = world
        self._traits = traits
        self._clear_ns = 0
        self.broken = False

    def carry(self, arrive: Callable[[], None]) -> None:
        rng = self._world.rng
        delay = self._traits.latency_ms * (0.5 + rng.random())
        if rng.random() < self._traits.stalls * 0.1:
            delay += 500 * rng.random()
            self._world.counts["stalls"] += 1
        due = max(self._clear_ns, self._world.now_ns + int(delay * 1e6))
        self._clear_ns = due
        self._world.at((due - self._world.now_ns) / 1e6, lambda: None if self.broken else arrive())


class Person:
    """Lives for a number of acts, then falls silent; the microphone stays open a little longer."""

    TAIL_MS = 3_000

    def __init__(self, world: SimulatedWorld, sound: MicrophoneSound, traits: PersonTraits, settings: Settings) -> None:
        self.world = world
        self.traits = traits
        self.settings = settings
        self.items: list[ItemId] = []
        self.responses: list[ResponseId] = []
        self.over = False
        self._sound = sound
        self._up = Line(world, traits)
        self._down = Line(world, traits)
        self._bytes_sent = 0
        self._samples_sent = 0
        self._speaking_until = 0
        self._sent_events = 0
        self._acts_left = traits.acts
        self._main: ResponseId | None = None
        self._playing_item: ItemId | None = None
        self._played_from_ns = 0.0
        self._free_ns = 0.0
        self._item_ms: dict[ItemId, float] = {}

    # --- the link

    def send(self, event: ClientEvent) -> None:
        """Send it; most clients give their events ids, some do not."""
        if not isinstance(event, AudioArrived) and self.world.rng.random() < 0.8:
            self._sent_events += 1
            event = replace(event, event_id=ClientEventId(f"evt_{self._sent_events}"))
        self._up.carry(lambda: self.world.post(event))

    def told(self, notice: Notice) -> None:
        """The session has said this; it will arrive."""
        self._down.carry(lambda: self._learns(notice))

    def hang_up(self) -> None:
        """Nothing arrives any more, in either direction."""
        self.over = True
        self._up.broken = True
        self._down.broken = True

    # --- the life

    def begin(self) -> None:
        if self.world.rng.random() < self.traits.changes_pipeline:
            for _ in range(self.world.rng.randint(1, 2)):
                self.send(SessionUpdateRequested(another_pipeline(self.world.rng)))
        self._microphone()
        self.world.at(200 + self.world.rng.random() * 500, self._act)

    def _act(self) -> None:
        if self.over:
            return
        rng, traits = self.world.rng, self.traits
        if self._acts_left == 0:
            self.world.at(self.TAIL_MS, self._fall_silent)
            return
        self._acts_left -= 1
        draw = rng.random()
        wait = 1_200.0
        if draw < traits.whims:
            whim(self)
            wait = 300
        elif draw < traits.whims + traits.types:
            self._type()
        elif draw < traits.whims + traits.types + traits.coughs:
            wait += self._voice(200 + rng.randrange(250), [])
        elif draw < traits.whims + traits.types + traits.coughs + traits.backchannels:
            wait += self._voice(350, [rng.choice(_BACKCHANNELS)])
        elif self.settings.turn_detection is None:
            wait += self._push_to_talk()
        else:
            wait += self._say()
        if rng.random() < traits.interrupts:
            wait *= 0.5
        self.world.at(wait + rng.random() * 1_500, self._act)

    def _fall_silent(self) -> None:
        self.over = True

    def _say(self) -> float:
        rng = self.world.rng
        words = [rng.choice(_VOCABULARY) for _ in range(1 + rng.randrange(6))]
        cut = rng.randrange(len(words) + 1)
        if rng.random() >= self.traits.hesitates or cut in (0, len(words)):
            return self._voice(len(words) * 280, words)
        first = self._voice(cut * 280, words[:cut])
        pause = 150 + rng.randrange(700)
        self.world.at(first + pause, lambda: self._rest(words[cut:]))
        return first + pause + 280 * (len(words) - cut)

    def _rest(self, words: list[str]) -> None:
        self._voice(len(words) * 280, words)

    def _voice(self, length_ms: int, words: list[str]) -> float:
        """Make a sound from now on; the microphone will pick it up."""
        self.world.counts["utterances"] += 1
        start = max(self._samples_sent, self._speaking_until)
        end = start + length_ms * 24
        self._speaking_until = end
        self._sound.voiced.append((start, end))
        for place, word in enumerate(words):
            first = start + (end - start) * place // len(words)
            last = start + (end - start) * (place + 1) // len(words)
            self._sound.words.append(MicrophoneWord(word, first, last))
        return length_ms

    def _push_to_talk(self) -> float:
        rng = self.world.rng
        length = self._say() if rng.random() < 0.9 else 20.0
        release = length + self.traits.chunk_ms + 20
        if rng.random() < 0.1:
            self.world.at(release, lambda: self.send(ClearRequested()))
            return release
        self.world.at(release, lambda: self.send(CommitRequested()))
        if rng.random() < 0.85:
            self.world.at(release + 1, lambda: self.send(ResponseRequested()))
        return release

    def _type(self) -> None:
        self.world.counts["typed"] += 1
        words = " ".join(self.world.rng.choice(_VOCABULARY) for _ in range(4))
        self.send(ItemCreateRequested(Message(ItemId(""), "user", (InputText(words),))))
        self.send(ResponseRequested())

    # --- the microphone

    def _microphone(self) -> None:
        if self.over:
            return
        length = self.traits.chunk_ms
        format = self.settings.input_format
        size = length * format.bytes_per_ms
        first, sent = self._sound.sent.setdefault(format, (self._samples_sent, bytearray()))
        if first + format.samples(len(sent)) != self._samples_sent:
            sent.clear()
            self._sound.sent[format] = (self._samples_sent, sent)
        audio = piece(1, self._bytes_sent, size)
        self._bytes_sent += size
        sent += audio
        self._samples_sent += format.samples(size)
        if self.traits.odd_chunks:
            split = self.world.rng.randrange(1, size)
            self.send(AudioArrived(audio[:split]))
            self.send(AudioArrived(audio[split:]))
        else:
            self.send(AudioArrived(audio))
        self.world.at(length, self._microphone)

    # --- what the client learns

    def _learns(self, notice: Notice) -> None:
        match notice:
            case ItemAdded(item=item):
                self.items.append(item.id)
            case ItemDone(item=McpApprovalRequest(id=request)):
                self._decide(request)
            case ItemDeleted(item_id=item_id):
                if item_id in self.items:
                    self.items.remove(item_id)
            case SessionCreated(settings=settings) | SessionUpdated(settings=settings):
                self.settings = settings
            case ErrorRaised(code=code):
                self.world.counts[f"error {code}"] += 1
            case ResponseCreated(response=view):
                self.world.counts["responses"] += 1
                self.responses.append(view.id)
                if view.conversation_id is not None:
                    self._main = view.id
            case ResponseDone(response=view):
                self.world.counts[f"done {view.status}"] += 1
                self._main = None if view.id == self._main else self._main
                calls = [item for item in view.output if isinstance(item, FunctionCall)]
                if calls and view.status == "completed":
                    self._run_tools(calls)
            case OutputAudioDelta():
                self._play(notice)
            case InputSpeechStarted():
                self._interrupted()
            case InputSpeechStopped() if self.world.rng.random() < self.traits.asks:
                self.send(ResponseRequested())
            case ItemTruncated(item_id=item_id):
                if self.world.rng.random() < 0.5:
                    self.send(ItemRetrieveRequested(item_id))
            case _:
                pass

    def _play(self, told: OutputAudioDelta) -> None:
        item = told.at.item_id
        length = len(told.audio) / self.settings.output_format.bytes_per_ms
        if item != self._playing_item:
            self._playing_item = item
            self._played_from_ns = max(self._free_ns, float(self.world.now_ns))
        self._item_ms[item] = self._item_ms.get(item, 0.0) + length
        self._free_ns = max(self._free_ns, float(self.world.now_ns)) + length * 1e6

    def _interrupted(self) -> None:
        rng, now = self.world.rng, float(self.world.now_ns)
        item = self._playing_item
        if item is None or self._free_ns <= now:
            return
        self.world.counts["interruptions"] += 1
        sent = self._item_ms[item]
        heard = min(max(0.0, (now - self._played_from_ns) / 1e6), sent)
        self._free_ns = now
        if rng.random() < self.traits.truncates_wrongly:
            heard = rng.choice([0.0, sent, sent + 500, 1e6])
        if rng.random() < self.traits.truncates:
            self.send(ItemTruncateRequested(item, 0, int(heard)))

    def _decide(self, request: ItemId) -> None:
        rng = self.world.rng
        if rng.random() < self.traits.answers_tools:
            decision = McpApprovalResponse(ItemId(""), request, rng.random() < 0.7)
            self.world.counts["decisions"] += 1
            self.world.at(rng.random() * 500, lambda: self.send(ItemCreateRequested(decision)))

    def _run_tools(self, calls: list[FunctionCall]) -> None:
        rng = self.world.rng
        if rng.random() >= self.traits.answers_tools:
            return
        rng.shuffle(calls)
        delay = 0.0
        for call in calls:
            delay += rng.random() * 300
            output = ItemCreateRequested(FunctionCallOutput(ItemId(""), call.call_id, rng.choice(_OUTPUTS)))
            self.world.at(delay, partial(self.send, output))
        self.world.at(delay + 5, lambda: self.send(ResponseRequested()))

    def cancel(self) -> None:
        """Press stop."""
        self.send(CancelRequested(self.world.rng.choice([None, self._main, *self.responses[-2:]])))
