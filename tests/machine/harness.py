"""A session under the checker, for tests that post events by hand; it keeps track of the running work.

Laws: performs no effect but records the work that each has started, so that a test can answer it, or answer for work that has ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from parley.core.session import Session
from parley.core.spec import SessionSpec
from parley.core.words.effects import (
    CallTool,
    CancelGeneration,
    DropTranscription,
    Effect,
    FinishTranscription,
    FlushTranscription,
    JudgePause,
    ListTools,
    OpenTranscription,
    Play,
    ScoreVoice,
    StartGeneration,
    StopPlayback,
    Tell,
)
from parley.core.words.events import (
    AudioArrived,
    Event,
    GenerationFailed,
    GenerationFinished,
    TimePassed,
    Transcribed,
    TranscriptionFailed,
)
from parley.core.words.ids import AttemptId, FlushId, ItemId, JudgementId, ResponseId, TurnId
from parley.core.words.items import McpApprovalRequest
from parley.core.words.notices import ItemAdded, Notice, ResponseCreated
from parley.core.words.settings import Capabilities, OwnerSettings, Settings
from parley.testing.actors.world import piece
from parley.testing.checker import Checker
from parley.testing.rules.base import Step

START_NS = 5_000_000_000
FRAME = 768


@dataclass(slots=True)
class Generation:
    """A running attempt and the progress of its events."""

    started: StartGeneration
    clause: bool = False
    calls: int = 0


@dataclass(slots=True)
class Work:
    """The work that the session has requested and that has not ended."""

    generations: dict[AttemptId, Generation] = field(default_factory=dict)
    streams: set[TurnId] = field(default_factory=set)
    finishing: set[TurnId] = field(default_factory=set)
    flushes: list[tuple[TurnId, FlushId]] = field(default_factory=list)
    judgements: list[tuple[TurnId, JudgementId]] = field(default_factory=list)
    listings: list[ListTools] = field(default_factory=list)
    mcp_calls: list[CallTool] = field(default_factory=list)
    queued: int = 0
    stable: dict[TurnId, str] = field(default_factory=dict)
    scored_to: int = 0
    voice_from: int = -1


class Watched:
    """One session, its checker, its clock and its open work."""

    def __init__(
        self,
        settings: Settings,
        owner: OwnerSettings,
        playback: Literal["remote", "paced"],
        *,
        seed: bytes = b"watched",
    ) -> None:
        capabilities = Capabilities(voices=("alloy", "marin"), tool_server_urls=("*",))
        self.now_ns = START_NS
        self.session = Session(
            SessionSpec(
                seed=seed, settings=settings, owner=owner, capabilities=capabilities, playback=playback, now_ns=START_NS
            )
        )
        self.checker = Checker(settings, owner, capabilities, playback)
        self.work = Work()
        self.items: list[ItemId] = []
        self.responses: list[ResponseId] = []
        self.requests: list[ItemId] = []
        """Approval requests so far."""
        self.steps: list[Step] = []
        self.notices: list[Notice] = []
        self.broken = False
        """The checker has raised; later steps are meaningless."""
        self._bytes = 0
        self._made = 0
        self._step(None, self.session.start())

    def post(self, event: Event) -> list[Effect]:
        """Handle one event at the current time."""
        match event:
            case GenerationFinished(attempt=attempt) | GenerationFailed(attempt=attempt):
                self.work.generations.pop(attempt, None)
            case Transcribed(turn=turn, flush=None) | TranscriptionFailed(turn=turn):
                self.work.streams.discard(turn)
                self.work.finishing.discard(turn)
                self.work.flushes = [flush for flush in self.work.flushes if flush[0] != turn]
            case _:
                pass
        return self._step(event, self.session.handle(event, self.now_ns))

    def say(self, length_ms: int) -> None:
        """Post the microphone's next audio."""
        format = self.session.settings.input_format
        size = length_ms * format.bytes_per_ms
        self.post(AudioArrived(piece(1, self._bytes, size)))
        self._bytes += size

    def sound(self, size: int) -> bytes:
        """The synthesizer's next audio."""
        self._made += size
        return piece(2, self._made, size)

    def wait(self, length_ms: int) -> None:
        """Advance the clock, calling the session at each of its deadlines."""
        end = self.now_ns + length_ms * 1_000_000
        for _ in range(100):
            due = self.session.next_deadline()
            if due is None or due > end:
                break
            self.now_ns = max(self.now_ns, due)
            self.post(TimePassed())
        self.now_ns = max(self.now_ns, end)

    def _step(self, event: Event | None, effects: list[Effect]) -> list[Effect]:
        self.steps.append(Step(event, self.now_ns, tuple(effects)))
        self.broken = True
        self.checker.on_step(event, self.now_ns, effects)
        self.broken = False
        for effect in effects:
            self._remember(effect)
        return effects

    def _remember(self, effect: Effect) -> None:
        work = self.work
        match effect:
            case Tell(notice=notice):
                self.notices.append(notice)
                if isinstance(notice, ItemAdded):
                    self.items.append(notice.item.id)
                    if isinstance(notice.item, McpApprovalRequest):
                        self.requests.append(notice.item.id)
                elif isinstance(notice, ResponseCreated):
                    self.responses.append(notice.response.id)
            case StartGeneration():
                work.generations[effect.attempt] = Generation(effect)
            case CancelGeneration(attempt=attempt):
                work.generations.pop(attempt, None)
            case OpenTranscription(turn=turn):
                work.streams.add(turn)
            case FlushTranscription(turn=turn, flush=flush) if turn in work.streams:
                work.flushes.append((turn, flush))
            case FinishTranscription(turn=turn):
                work.finishing.add(turn)
            case DropTranscription(turn=turn):
                work.streams.discard(turn)
                work.finishing.discard(turn)
            case JudgePause():
                work.judgements.append((effect.turn, effect.judgement))
            case ListTools():
                work.listings.append(effect)
            case CallTool():
                work.mcp_calls.append(effect)
            case ScoreVoice():
                self._to_score(effect)
            case Play():
                work.queued += effect.format.samples(len(effect.audio))
            case StopPlayback():
                work.queued = 0
            case _:
                pass

    def _to_score(self, effect: ScoreVoice) -> None:
        if effect.start_sample != self.work.scored_to:
            self.work.voice_from = effect.start_sample
        self.work.scored_to = effect.start_sample + effect.format.samples(len(effect.audio))
        if self.work.voice_from < 0:
            self.work.voice_from = effect.start_sample


def with_detection(settings: Settings, **changes: object) -> Settings:
    """The settings with some fields replaced (typed loosely for test tables)."""
    return replace(settings, **changes)  # type: ignore[arg-type]
