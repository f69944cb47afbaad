"""A user with a client: speaks, hesitates, coughs, interrupts and types; the client behaves as clients do, correctly and incorrectly.

Laws: everything the client sends goes through its uplink, everything it receives comes through its downlink; both keep the order and may
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
    SpeechStarted,
    SpeechStopped,
)
from parley.core.words.settings import Settings
from parley.testing.actors.environment import Environment, GroundTruth, SpokenWord, piece
from parley.testing.actors.odd_requests import another_pipeline, odd_request

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
"""What tools return: short, half of a small context, and more than a small context holds."""


@dataclass(frozen=True, slots=True)
class UserTraits:
    """How the user and the client behave. Chances in 0..1, times in milliseconds."""

    acts: int = 3
    chunk_ms: int = 100
    odd_chunks: bool = False
    hesitates: float = 0.3
    coughs: float = 0.1
    backchannels: float = 0.15
    interrupts: float = 0.3
    types: float = 0.15
    odd_requests: float = 0.2
    truncates: float = 0.6
    truncates_wrongly: float = 0.2
    answers_tools: float = 0.9
    changes_pipeline: float = 0.0
    asks: float = 0.0
    """The client asks for a reply when the user's speech has stopped, whether or not the session makes one."""
    latency_ms: float = 15
    stalls: float = 0.05


class LinkDirection:
    """One direction of the link: in order, with a varying latency and occasional stalls."""

    def __init__(self, env: Environment, traits: UserTraits) -> None:
        self._env = env
        self._traits = traits
        self._clear_ns = 0
        self.broken = False

    def carry(self, arrive: Callable[[], None]) -> None:
        rng = self._env.rng
        delay = self._traits.latency_ms * (0.5 + rng.random())
        if rng.random() < self._traits.stalls * 0.1:
            delay += 500 * rng.random()
            self._env.counts["stalls"] += 1
        due = max(self._clear_ns, self._env.now_ns + int(delay * 1e6))
        self._clear_ns = due
        self._env.at((due - self._env.now_ns) / 1e6, lambda: None if self.broken else arrive())


class SimulatedUser:
    """Acts a number of times, then stops; the microphone stays open a little longer."""

    TAIL_MS = 3_000

    def __init__(self, env: Environment, truth: GroundTruth, traits: UserTraits, settings: Settings) -> None:
        self.env = env
        self.traits = traits
        self.settings = settings
        self.items: list[ItemId] = []
        self.responses: list[ResponseId] = []
        self.over = False
        self._truth = truth
        self._up = LinkDirection(env, traits)
        self._down = LinkDirection(env, traits)
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
        """Send a client event, usually with an event id."""
        if not isinstance(event, AudioArrived) and self.env.rng.random() < 0.8:
            self._sent_events += 1
            event = replace(event, event_id=ClientEventId(f"evt_{self._sent_events}"))
        self._up.carry(lambda: self.env.post(event))

    def receive(self, notice: Notice) -> None:
        """Take a notice from the session; it arrives after the link's latency."""
        self._down.carry(lambda: self._on_notice(notice))

    def disconnect(self) -> None:
        """Close the link: nothing arrives any more, in either direction."""
        self.over = True
        self._up.broken = True
        self._down.broken = True

    # --- the acts

    def begin(self) -> None:
        if self.env.rng.random() < self.traits.changes_pipeline:
            for _ in range(self.env.rng.randint(1, 2)):
                self.send(SessionUpdateRequested(another_pipeline(self.env.rng)))
        self._microphone()
        self.env.at(200 + self.env.rng.random() * 500, self._act)

    def _act(self) -> None:
        if self.over:
            return
        rng, traits = self.env.rng, self.traits
        if self._acts_left == 0:
            self.env.at(self.TAIL_MS, self._stop)
            return
        self._acts_left -= 1
        draw = rng.random()
        wait = 1_200.0
        if draw < traits.odd_requests:
            odd_request(self)
            wait = 300
        elif draw < traits.odd_requests + traits.types:
            self._type()
        elif draw < traits.odd_requests + traits.types + traits.coughs:
            wait += self._voice(200 + rng.randrange(250), [])
        elif draw < traits.odd_requests + traits.types + traits.coughs + traits.backchannels:
            wait += self._voice(350, [rng.choice(_BACKCHANNELS)])
        elif self.settings.turn_detection is None:
            wait += self._push_to_talk()
        else:
            wait += self._say()
        if rng.random() < traits.interrupts:
            wait *= 0.5
        self.env.at(wait + rng.random() * 1_500, self._act)

    def _stop(self) -> None:
        self.over = True

    def _say(self) -> float:
        rng = self.env.rng
        words = [rng.choice(_VOCABULARY) for _ in range(1 + rng.randrange(6))]
        cut = rng.randrange(len(words) + 1)
        if rng.random() >= self.traits.hesitates or cut in (0, len(words)):
            return self._voice(len(words) * 280, words)
        first = self._voice(cut * 280, words[:cut])
        pause = 150 + rng.randrange(700)
        self.env.at(first + pause, lambda: self._rest(words[cut:]))
        return first + pause + 280 * (len(words) - cut)

    def _rest(self, words: list[str]) -> None:
        self._voice(len(words) * 280, words)

    def _voice(self, length_ms: int, words: list[str]) -> float:
        """Speak from now on, as ground truth for the microphone; returns the length in milliseconds."""
        self.env.counts["utterances"] += 1
        start = max(self._samples_sent, self._speaking_until)
        end = start + length_ms * 24
        self._speaking_until = end
        self._truth.voiced.append((start, end))
        for place, word in enumerate(words):
            first = start + (end - start) * place // len(words)
            last = start + (end - start) * (place + 1) // len(words)
            self._truth.words.append(SpokenWord(word, first, last))
        return length_ms

    def _push_to_talk(self) -> float:
        rng = self.env.rng
        length = self._say() if rng.random() < 0.9 else 20.0
        release = length + self.traits.chunk_ms + 20
        if rng.random() < 0.1:
            self.env.at(release, lambda: self.send(ClearRequested()))
            return release
        self.env.at(release, lambda: self.send(CommitRequested()))
        if rng.random() < 0.85:
            self.env.at(release + 1, lambda: self.send(ResponseRequested()))
        return release

    def _type(self) -> None:
        self.env.counts["typed"] += 1
        words = " ".join(self.env.rng.choice(_VOCABULARY) for _ in range(4))
        self.send(ItemCreateRequested(Message(ItemId(""), "user", (InputText(words),))))
        self.send(ResponseRequested())

    # --- the microphone

    def _microphone(self) -> None:
        if self.over:
            return
        length = self.traits.chunk_ms
        format = self.settings.input_format
        size = length * format.bytes_per_ms
        first, sent = self._truth.sent.setdefault(format, (self._samples_sent, bytearray()))
        if first + format.samples(len(sent)) != self._samples_sent:
            sent.clear()
            self._truth.sent[format] = (self._samples_sent, sent)
        audio = piece(1, self._bytes_sent, size)
        self._bytes_sent += size
        sent += audio
        self._samples_sent += format.samples(size)
        if self.traits.odd_chunks:
            split = self.env.rng.randrange(1, size)
            self.send(AudioArrived(audio[:split]))
            self.send(AudioArrived(audio[split:]))
        else:
            self.send(AudioArrived(audio))
        self.env.at(length, self._microphone)

    # --- what the client receives

    def _on_notice(self, notice: Notice) -> None:
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
                self.env.counts[f"error {code}"] += 1
            case ResponseCreated(response=view):
                self.env.counts["responses"] += 1
                self.responses.append(view.id)
                if view.conversation_id is not None:
                    self._main = view.id
            case ResponseDone(response=view):
                self.env.counts[f"done {view.status}"] += 1
                self._main = None if view.id == self._main else self._main
                calls = [item for item in view.output if isinstance(item, FunctionCall)]
                if calls and view.status == "completed":
                    self._run_tools(calls)
            case OutputAudioDelta():
                self._play(notice)
            case SpeechStarted():
                self._interrupted()
            case SpeechStopped() if self.env.rng.random() < self.traits.asks:
                self.send(ResponseRequested())
            case ItemTruncated(item_id=item_id):
                if self.env.rng.random() < 0.5:
                    self.send(ItemRetrieveRequested(item_id))
            case _:
                pass

    def _play(self, notice: OutputAudioDelta) -> None:
        item = notice.at.item_id
        length = len(notice.audio) / self.settings.output_format.bytes_per_ms
        if item != self._playing_item:
            self._playing_item = item
            self._played_from_ns = max(self._free_ns, float(self.env.now_ns))
        self._item_ms[item] = self._item_ms.get(item, 0.0) + length
        self._free_ns = max(self._free_ns, float(self.env.now_ns)) + length * 1e6

    def _interrupted(self) -> None:
        rng, now = self.env.rng, float(self.env.now_ns)
        item = self._playing_item
        if item is None or self._free_ns <= now:
            return
        self.env.counts["interruptions"] += 1
        sent = self._item_ms[item]
        heard = min(max(0.0, (now - self._played_from_ns) / 1e6), sent)
        self._free_ns = now
        if rng.random() < self.traits.truncates_wrongly:
            heard = rng.choice([0.0, sent, sent + 500, 1e6])
        if rng.random() < self.traits.truncates:
            self.send(ItemTruncateRequested(item, 0, int(heard)))

    def _decide(self, request: ItemId) -> None:
        rng = self.env.rng
        if rng.random() < self.traits.answers_tools:
            decision = McpApprovalResponse(ItemId(""), request, rng.random() < 0.7)
            self.env.counts["decisions"] += 1
            self.env.at(rng.random() * 500, lambda: self.send(ItemCreateRequested(decision)))

    def _run_tools(self, calls: list[FunctionCall]) -> None:
        rng = self.env.rng
        if rng.random() >= self.traits.answers_tools:
            return
        rng.shuffle(calls)
        delay = 0.0
        for call in calls:
            delay += rng.random() * 300
            output = ItemCreateRequested(FunctionCallOutput(ItemId(""), call.call_id, rng.choice(_OUTPUTS)))
            self.env.at(delay, partial(self.send, output))
        self.env.at(delay + 5, lambda: self.send(ResponseRequested()))

    def cancel(self) -> None:
        """Cancel a response, of this conversation or not, by id or without."""
        self.send(CancelRequested(self.env.rng.choice([None, self._main, *self.responses[-2:]])))
