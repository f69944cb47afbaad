"""What is answered where replies are cached: the same again for the same question, and nothing that a tool, a sound or an image decides."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from parley.engines.ports import (
    AudioPart,
    ChatEnd,
    ChatEvent,
    ChatMessage,
    ChatRequest,
    EngineError,
    EngineSpec,
    ImagePart,
    TextDelta,
    TokenUsage,
    Tool,
    ToolCall,
    ToolCallDelta,
)
from parley.runtime.cache_metrics import CacheMetrics
from parley.runtime.engine_caches import EngineCaches
from parley.runtime.generation.streams import closing
from parley.runtime.response_cache import MAX_ANSWER_CHARS, CachedLanguageModel, ResponseCache
from parley.testing.fakes import FakeModel

QUESTION = ChatRequest((ChatMessage("system", "Be brief."), ChatMessage("user", "When do you open?")))


class Days:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def cached(
    model: FakeModel, *, lifetime_s: float = 60, most: int = 8
) -> tuple[CachedLanguageModel, ResponseCache, Days]:
    clock = Days()
    cache = ResponseCache(lifetime_s, most, clock)
    return cache.cached(model, EngineSpec("fake", "m")), cache, clock


async def answer(model: CachedLanguageModel, request: ChatRequest = QUESTION) -> list[ChatEvent]:
    return [event async for event in model.reply(request)]


async def test_the_same_question_gets_the_same_pieces_without_the_model() -> None:
    fake = FakeModel(["At ", "nine.", ChatEnd("stop", TokenUsage(9, 2))])
    model, _, _ = cached(fake)
    first = await answer(model)
    assert await answer(model) == first == [TextDelta("At "), TextDelta("nine."), ChatEnd("stop", TokenUsage(9, 2))]
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(QUESTION, messages=(*QUESTION.messages, ChatMessage("assistant", "At nine."))),
        replace(QUESTION, messages=(ChatMessage("system", "Be brief"), QUESTION.messages[1])),
        replace(QUESTION, messages=(ChatMessage("user", "Be brief."), QUESTION.messages[1])),
        replace(QUESTION, temperature=0.5),
        replace(QUESTION, max_tokens=10),
        replace(QUESTION, reasoning_effort="low"),
        replace(QUESTION, language="de"),
        replace(QUESTION, json_schema="{}"),
    ],
    ids=["history", "instructions", "role", "temperature", "limit", "effort", "language", "schema"],
)
async def test_another_question_is_answered_by_the_model(other: ChatRequest) -> None:
    fake = FakeModel(["At nine."])
    model, _, _ = cached(fake)
    await answer(model)
    await answer(model, other)
    assert len(fake.requests) == 2


async def test_another_model_gives_its_own_answer() -> None:
    cache = ResponseCache(60, 8)
    one, two = FakeModel(["One."]), FakeModel(["Two."])
    await answer(cache.cached(one, EngineSpec("fake", "one")))
    assert (await answer(cache.cached(two, EngineSpec("fake", "two"))))[0] == TextDelta("Two.")
    assert (await answer(cache.cached(two, EngineSpec("fake", "one", {"seed": 1}))))[0] == TextDelta("Two.")


CALL = ToolCall("call_1", "opening_hours", "{}")


@pytest.mark.parametrize(
    "request_",
    [
        replace(QUESTION, tools=(Tool("opening_hours", "When the shop opens."),)),
        ChatRequest((*QUESTION.messages, ChatMessage("assistant", tool_calls=(CALL,)))),
        ChatRequest((*QUESTION.messages, ChatMessage("tool", "nine", call_id="call_1"))),
        ChatRequest((ChatMessage("user", "Hm?", audio=(AudioPart(b"\0\0", 24_000, 0, 3),)),)),
        ChatRequest((ChatMessage("user", "This?", images=(ImagePart("https://example.com/now.jpg"),)),)),
    ],
    ids=["tools", "calls", "outcomes", "audio", "images"],
)
async def test_what_more_than_words_decides_is_never_kept(request_: ChatRequest) -> None:
    fake = FakeModel(["At nine."])
    model, cache, _ = cached(fake)
    await answer(model, request_)
    await answer(model, request_)
    assert len(fake.requests) == 2
    assert not len(cache)
    assert cache.counts.passed == 2


@pytest.mark.parametrize(
    "script",
    [
        ["At ni", ChatEnd("length")],
        ["I will not", ChatEnd("content_filter")],
        [ToolCallDelta(0, "c", "t", "{}"), ChatEnd("tool_calls")],
        ["Hm", ToolCallDelta(0, "c", "t", "{}"), ChatEnd("stop")],
        [ChatEnd("stop")],
        ["x" * (MAX_ANSWER_CHARS + 1)],
    ],
    ids=["length", "filter", "call", "text and call", "nothing", "too long"],
)
async def test_only_a_whole_text_is_kept(script: list[str | ChatEnd | ToolCallDelta]) -> None:
    model, cache, _ = cached(FakeModel(script))
    await answer(model)
    assert not len(cache)


async def test_an_answer_that_failed_or_was_left_is_not_kept() -> None:
    fake = FakeModel(["At ", EngineError("gone", code="connection_failed")], ["At ", "nine."])
    model, cache, _ = cached(fake)
    with pytest.raises(EngineError):
        await answer(model)
    async with closing(model.reply(QUESTION)) as events:
        await anext(aiter(events))
    assert not len(cache)
    assert not fake.running


async def test_an_answer_expires() -> None:
    fake = FakeModel(["At nine."])
    model, _, clock = cached(fake, lifetime_s=60)
    await answer(model)
    clock.now = 59.9
    await answer(model)
    assert len(fake.requests) == 1
    clock.now = 60
    await answer(model)
    assert len(fake.requests) == 2


async def test_the_least_recently_used_answers_go_first() -> None:
    fake = FakeModel(["Yes."])
    model, cache, _ = cached(fake, most=2)
    first, second, third = (ChatRequest((ChatMessage("user", text),)) for text in ("a", "b", "c"))
    for request in (first, second, first, third):
        await answer(model, request)
    assert len(cache) == 2
    asked = len(fake.requests)
    await answer(model, first)
    assert len(fake.requests) == asked
    await answer(model, second)
    assert len(fake.requests) == asked + 1


async def test_a_kept_answer_lets_others_go_on_between_its_pieces() -> None:
    model, _, _ = cached(FakeModel([f"{number} " for number in range(100)]))
    await answer(model)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    await answer(model)
    beside.cancel()
    assert turns >= 100


async def test_prometheus_is_shown_how_often_it_answers() -> None:
    model, cache, _ = cached(FakeModel(["At nine."]))
    await answer(model)
    await answer(model)
    registry = CollectorRegistry()
    registry.register(CacheMetrics(EngineCaches(None, cache)))
    shown = generate_latest(registry).decode()
    assert 'parley_response_cache_prompts_total{outcome="hit"} 1.0' in shown
    assert 'parley_response_cache_prompts_total{outcome="miss"} 1.0' in shown
    assert "parley_response_cache_replies 1.0" in shown
    assert "speech_cache" not in shown
