"""A session under test: the test posts events, the scene keeps the clock and collects the effects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from parley.core.policy.policy import Policy
from parley.core.policy.turn_rules import Rules
from parley.core.session import Session
from parley.core.spec import SessionSpec
from parley.core.words.effects import (
    CancelGeneration,
    Effect,
    FlushTranscription,
    ListTools,
    OpenTranscription,
    StartGeneration,
    Tell,
)
from parley.core.words.events import (
    AudioArrived,
    ClauseStarted,
    Event,
    GenerationFinished,
    SpeechGenerated,
    SpokenWord,
    TimePassed,
    ToolsListed,
    Transcribed,
    VoiceScored,
)
from parley.core.words.ids import AttemptId, FlushId, TurnId
from parley.core.words.items import Item, McpTool
from parley.core.words.notices import ItemRetrieved, Notice
from parley.core.words.settings import Capabilities, OwnerSettings, Settings

MS = 1_000_000
FRAME_MS = 32

SPECULATING = OwnerSettings(speculation=True, speculate_after_ms=200)
"""Speculation begins after a pause of 200 ms."""

MCP_ALLOWED = Capabilities(tool_server_urls=("*",))
"""The client may name any MCP server."""

T = TypeVar("T")


@dataclass
class Scene:
    """Drive `session` in steps of 32 ms of audio; `now` is in nanoseconds, `position` in 24 kHz samples."""

    settings: Settings = field(default_factory=Settings)
    owner: OwnerSettings = field(default_factory=OwnerSettings)
    capabilities: Capabilities = field(default_factory=Capabilities)
    playback: Literal["remote", "paced"] = "remote"
    policy: Policy | None = None
    rules: Rules | None = None
    now: int = 1_000 * MS
    position: int = 0
    effects: list[Effect] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = Session(
            SessionSpec(
                seed=b"scene",
                settings=self.settings,
                owner=self.owner,
                capabilities=self.capabilities,
                playback=self.playback,
                now_ns=self.now,
                policy=self.policy,
                rules=self.rules,
            )
        )
        self.effects += self.session.start()

    def happens(self, *events: Event) -> list[Effect]:
        """Handle the events at the current time; returns their effects."""
        caused = [effect for event in events for effect in self.session.handle(event, self.now)]
        self.effects += caused
        return caused

    def hears(self, ms: int, voice: float) -> list[Effect]:
        """About `ms` of audio arrives, with this voice probability in each frame."""
        caused: list[Effect] = []
        for _ in range(max(1, round(ms / FRAME_MS))):
            self.position += 768
            self.now += FRAME_MS * MS
            caused += self.happens(AudioArrived(bytes(1536)), VoiceScored(self.position, voice))
            caused += self.passes(0)
        return caused

    def passes(self, ms: int) -> list[Effect]:
        """Time passes without audio; the session is called at its deadlines."""
        caused: list[Effect] = []
        end = self.now + ms * MS
        while (deadline := self.session.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            before = self.session.next_deadline()
            caused += self.happens(TimePassed())
            if self.session.next_deadline() == before:
                break
        self.now = max(self.now, end)
        return caused

    def says(self, text: str, ms: int = 640) -> list[Effect]:
        """The user speaks and is silent until the turn ends; the transcript arrives."""
        caused = self.hears(ms, 0.9)
        caused += self.hears(self._silence_ms() + 64, 0.0)
        return caused + self.happens(Transcribed(self.turn(), text))

    def pauses(self, text: str, ms: int = 640) -> list[Effect]:
        """The user speaks and pauses; the transcript so far arrives."""
        caused = self.hears(ms, 0.9)
        caused += self.hears(256, 0.0)
        return caused + self.happens(Transcribed(self.turn(), text, flush=self.flush()))

    def lists(self, *tools: McpTool) -> list[Effect]:
        """The MCP server that was asked last lists these tools."""
        return self.happens(ToolsListed(self.last(ListTools).listing, tools))

    def _silence_ms(self) -> int:
        return getattr(self.session.settings.turn_detection, "silence_duration_ms", 500)

    def turn(self) -> TurnId:
        """The turn opened last."""
        return self.last(OpenTranscription).turn

    def flush(self) -> FlushId:
        return self.last(FlushTranscription).flush

    def attempt(self) -> AttemptId:
        """The attempt started last."""
        return self.last(StartGeneration).attempt

    def answers(self, *clauses: tuple[str, int], words: bool = False, finish: bool = True) -> list[Effect]:
        """The engines generate these clauses, each (text, milliseconds of audio)."""
        attempt = self.attempt()
        caused: list[Effect] = []
        for text, ms in clauses:
            timed = _evenly(text, ms) if words else ()
            caused += self.happens(ClauseStarted(attempt, text), SpeechGenerated(attempt, bytes(48 * ms), timed))
        if finish:
            caused += self.happens(GenerationFinished(attempt))
        return caused

    def all(self, kind: type[T]) -> list[T]:
        """Every effect of this kind so far."""
        return of(self.effects, kind)

    def last(self, kind: type[T]) -> T:
        """The newest effect of this kind."""
        return self.all(kind)[-1]

    def notices(self, kind: type[T]) -> list[T]:
        """Every notice of this kind so far."""
        return of(notices(self.effects), kind)

    def item(self, item_id: str) -> Item:
        """The item as the client retrieves it."""
        from parley.core.words.events import ItemRetrieveRequested
        from parley.core.words.ids import ItemId

        (retrieved,) = (
            notice
            for notice in notices(self.happens(ItemRetrieveRequested(ItemId(item_id))))
            if isinstance(notice, ItemRetrieved)
        )
        return retrieved.item


def of(values: Iterable[object], kind: type[T]) -> list[T]:
    """The effects or notices of this kind, in order."""
    return [value for value in values if isinstance(value, kind)]


def notices(effects: Iterable[Effect]) -> list[Notice]:
    """The notices among the effects, in order."""
    return [effect.notice for effect in effects if isinstance(effect, Tell)]


def kinds(effects: Iterable[Effect]) -> list[str]:
    """The class names of the notices."""
    return [type(notice).__name__ for notice in notices(effects)]


def cancelled(effects: Iterable[Effect]) -> list[AttemptId]:
    return [effect.attempt for effect in effects if isinstance(effect, CancelGeneration)]


def _evenly(text: str, ms: int) -> tuple[SpokenWord, ...]:
    words, position, timed = text.split(), 0, []
    for index, word in enumerate(words):
        position = text.index(word, position) + len(word)
        timed.append(SpokenWord(position, (index + 1) * ms * 24 // len(words)))
    return tuple(timed)
