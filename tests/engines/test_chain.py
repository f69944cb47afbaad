"""A chain asks the next engine when one fails before its first piece, lets the one that failed rest, and promises what all can do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from parley.engines.fallback import ChainMember, FallbackLimits, read_members
from parley.engines.llm.chain import ModelChain, create
from parley.engines.ports import (
    LLM,
    ChatEnd,
    ChatEvent,
    ChatMessage,
    ChatRequest,
    Engine,
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineSpec,
    EngineUnavailable,
    LanguageModel,
    Stage,
    TextDelta,
)

HELLO = ChatRequest((ChatMessage("user", "Hello"),))
DOWN = EngineError("It is down.", "Start it.", code="connection_failed")


@dataclass
class Model:
    """A model of a test: says its name, or fails as it is told to."""

    name: str
    images: bool = False
    fault: Exception | None = None
    breaks: Exception | None = None
    opens: EngineError | None = None
    closes: Exception | None = None
    waits: asyncio.Event | None = None
    asked: int = 0
    opened: int = 0
    left: int = 0
    closed: bool = False
    needs: tuple[str, ...] = ("httpx2",)
    came: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    """What was asked of it: "open" and "reply"."""

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("llm", self.name, "A test's.", needs=self.needs, images=self.images)

    async def open(self) -> None:
        self.opened += 1
        self.came.put_nowait("open")
        if self.opens is not None:
            raise self.opens

    async def close(self) -> None:
        if self.closes is not None:
            raise self.closes
        await asyncio.sleep(0)
        self.closed = True

    async def is_asked(self, times: int, what: str = "reply") -> None:
        """Wait until it was asked for that so often."""
        while times:
            times -= await self.came.get() == what

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        self.asked += 1
        self.came.put_nowait("reply")
        try:
            if self.waits is not None:
                await self.waits.wait()
            if self.fault is not None:
                raise self.fault
            yield TextDelta(self.name)
            if self.breaks is not None:
                raise self.breaks
            yield ChatEnd("stop")
        finally:
            self.left += 1


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def chain(*models: Model, clock: Clock | None = None, first_s: float = 30.0) -> ModelChain:
    members: list[ChainMember[LanguageModel]] = [ChainMember(model.name, model) for model in models]
    made = ModelChain(members, FallbackLimits(first_s=first_s, retry_s=5, max_retry_s=15), clock or Clock())
    await made.open()
    return made


async def said(engine: LanguageModel) -> str:
    return "".join([event.text async for event in engine.reply(HELLO) if isinstance(event, TextDelta)])


@pytest.mark.parametrize(
    "fault",
    [
        EngineUnavailable("No.", code="connection_failed"),
        EngineError("Slow.", code="timeout"),
        EngineError("Busy.", code="rate_limit_exceeded"),
        EngineError("Broken.", code="server_error"),
        RuntimeError("a fault of the package"),
    ],
)
async def test_the_next_is_asked_when_one_fails_before_its_first_piece(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Model("a", fault=fault), Model("b")
    engine = await chain(first, second)
    assert isinstance(engine, LanguageModel)
    with caplog.at_level(logging.WARNING):
        assert await said(engine) == "b"
    assert "language model: b answers, as a failed" in caplog.text
    assert (engine.members[0].failures, engine.members[1].answers) == (1, 1)


async def test_a_refusal_of_the_request_is_reported_and_no_other_is_asked() -> None:
    first, second = Model("a", fault=EngineRefused("A bad schema.", code="invalid_value")), Model("b")
    engine = await chain(first, second)
    with pytest.raises(EngineRefused, match="schema"):
        await said(engine)
    assert second.asked == 0
    first.fault = None
    assert await said(engine) == "a"


async def test_a_failure_after_the_first_piece_is_reported_and_the_next_request_goes_to_the_other() -> None:
    first, second = Model("a", breaks=DOWN), Model("b")
    engine = await chain(first, second)
    stream = engine.reply(HELLO)
    assert await anext(stream) == TextDelta("a")
    with pytest.raises(EngineError, match="It is down"):
        await anext(stream)
    assert second.asked == 0
    assert await said(engine) == "b"


async def test_one_that_failed_rests_longer_each_time_and_comes_back() -> None:
    clock, first, second = Clock(), Model("a", fault=DOWN), Model("b")
    engine = await chain(first, second, clock=clock)
    asked = []
    for _ in range(30):
        await said(engine)
        asked.append(first.asked)
        clock.now += 1
    # After 5, 10 and 15 s (the longest rest).
    assert [at for at in range(30) if asked[at] > (asked[at - 1] if at else 0)] == [0, 5, 15]
    first.fault = None
    clock.now += 15
    assert await said(engine) == "a"
    first.fault = DOWN
    await said(engine)
    assert engine.members[0].pause_s == 5


async def test_one_request_tries_an_engine_again_while_the_others_go_on() -> None:
    clock, first, second = Clock(), Model("a", fault=DOWN), Model("b")
    engine = await chain(first, second, clock=clock)
    await said(engine)
    clock.now += 5
    first.fault, first.waits = None, asyncio.Event()
    trying = asyncio.ensure_future(said(engine))
    await first.is_asked(2)
    assert await said(engine) == "b"
    assert first.asked == 2
    first.waits.set()
    assert await trying == "a"
    assert await said(engine) == "a"


async def test_where_all_rest_they_are_asked_all_the_same_and_the_first_ones_code_is_reported() -> None:
    first, second = Model("a", fault=DOWN), Model("b", fault=EngineError("Full.", code="rate_limit_exceeded"))
    engine = await chain(first, second)
    for _ in range(2):
        with pytest.raises(EngineError) as caught:
            await said(engine)
        assert caught.value.code == "connection_failed"
        assert "a: It is down." in caught.value.message
        assert "b: Full." in caught.value.message
        assert caught.value.remedy == "Start it."
    assert (first.asked, second.asked) == (2, 2)
    assert engine.fault is not None
    second.fault = None
    assert await said(engine) == "b"
    assert engine.fault is None


async def test_a_slow_engine_is_left_only_where_another_is_ready() -> None:
    first, second = Model("a", waits=asyncio.Event()), Model("b")
    engine = await chain(first, second, first_s=0.01)
    assert await said(engine) == "b"
    assert first.left == 1
    error = engine.members[0].error
    assert error is not None
    assert error.code == "timeout"
    # The other one now fails: the slow one is given the time that it takes.
    second.fault = DOWN
    waiting = asyncio.ensure_future(said(engine))
    await first.is_asked(2)
    assert first.waits is not None
    first.waits.set()
    assert await waiting == "a"


async def test_an_engine_that_cannot_be_closed_keeps_no_other_from_it() -> None:
    first, second = Model("a", closes=RuntimeError("a fault of the package")), Model("b")
    engine = await chain(first, second)
    with pytest.raises(RuntimeError, match="a fault of the package"):
        await engine.close()
    assert second.closed


async def test_an_engine_that_can_be_neither_opened_nor_closed_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    first, second = Model("a", opens=DOWN, closes=RuntimeError("a fault of the package")), Model("b")
    engine = await chain(first, second)
    assert await said(engine) == "b"
    assert "a could not be closed after it failed to open" in caplog.text


@pytest.mark.parametrize("begun", [False, True])
async def test_leaving_closes_the_stream_of_the_engine_and_is_no_failure(begun: bool) -> None:
    first, second = Model("a", waits=None if begun else asyncio.Event()), Model("b")
    engine = await chain(first, second)
    stream = engine.reply(HELLO)
    if begun:
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
    else:
        task = asyncio.ensure_future(anext(stream))
        await first.is_asked(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (first.left, second.asked, engine.members[0].failures) == (1, 0, 0)


# --- opening ---


async def test_it_opens_where_one_engine_does_and_opens_the_others_later() -> None:
    clock, first, second = Clock(), Model("a", opens=DOWN), Model("b")
    engine = await chain(first, second, clock=clock)
    assert engine.notice.startswith("Language model: b.")
    assert "a cannot be used now: It is down. Start it." in engine.notice
    assert await said(engine) == "b"
    first.opens = None
    clock.now += 5
    assert await said(engine) == "b"
    await first.is_asked(2, "open")
    await asyncio.sleep(0)  # (it is open once that call has returned)
    assert await said(engine) == "a"
    assert first.opened == 2
    await engine.close()
    assert first.closed
    assert second.closed


async def test_where_none_opens_the_first_ones_reason_and_remedy_are_reported() -> None:
    first, second = Model("a", opens=DOWN), Model("b", opens=EngineError("No key.", code="invalid_api_key"))
    with pytest.raises(EngineUnavailable, match="No key") as caught:
        await chain(first, second)
    assert caught.value.code == "connection_failed"
    assert caught.value.remedy == "Start it."
    assert first.closed


async def test_it_promises_what_all_can_do() -> None:
    sees, blind = Model("a", images=True, needs=("x",)), Model("b", needs=("y",))
    assert (await chain(sees, Model("c", images=True))).info.images
    info = (await chain(sees, blind)).info
    assert not info.images
    assert (info.stage, info.name, info.needs) == ("llm", "a or b", ("x", "y"))
    assert "a, then b" in info.summary


# --- configuration ---


def test_each_engine_has_a_table_of_its_own() -> None:
    made: list[EngineSpec] = []

    def make(stage: Stage[LanguageModel], spec: EngineSpec) -> Engine:
        made.append(spec)
        return Model(f"{spec.name}:{spec.model}")

    options = {"first_s": 3, "openai": {"timeout_s": 9}, "openai:b": {"base_url": "http://b"}}
    members, limits = read_members(LLM, "openai:a, openai:b,ollama:c", options, make)
    assert [member.name for member in members] == ["openai:a", "openai:b", "ollama:c"]
    assert [dict(spec.options) for spec in made] == [
        {"timeout_s": 9},
        {"timeout_s": 9, "base_url": "http://b"},
        {},
    ]
    assert limits == FallbackLimits(first_s=3)


def test_wrong_names_and_options_are_named() -> None:
    with pytest.raises(ValueError, match="base_url"):
        create("openai:a, ollama:b", {"base_url": "http://x"})
    with pytest.raises(ValueError, match="named twice"):
        create("ollama:b, ollama:b", {})
    with pytest.raises(EngineUnavailable, match="olama"):
        create("openai:a, olama:b", {})


async def test_a_chain_without_engines_says_how_to_name_some() -> None:
    with pytest.raises(EngineUnavailable, match="names no engine"):
        await create("", {}).open()
