"""With no model connected, an honest responder answers what was said, and tools can be tried."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from parley.engines.llm.responder import Responder, create
from parley.engines.ports import (
    ChatEnd,
    ChatEvent,
    ChatMessage,
    ChatRequest,
    EngineRefused,
    ForceTool,
    ImagePart,
    LanguageModel,
    TextDelta,
    TokenUsage,
    Tool,
    ToolCall,
    ToolCallDelta,
)

NOW = datetime(2026, 11, 21, 14, 5)
WEATHER = Tool(
    "get_weather",
    "The weather.",
    json.dumps(
        {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
                "exact": {"type": ["boolean", "null"]},
                "source": {"type": "string", "default": "any"},
                "note": {"type": "string"},
                "place": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]},
            },
            "required": ["city", "unit", "days", "exact", "place"],
        }
    ),
)
STOP = Tool("hang_up", "Ends the call.")


def said(*texts: str) -> tuple[ChatMessage, ...]:
    """User and assistant in turn, the user first."""
    return tuple(ChatMessage("assistant" if i % 2 else "user", text) for i, text in enumerate(texts))


async def replied(request: ChatRequest) -> list[ChatEvent]:
    return [event async for event in Responder(now=lambda: NOW).reply(request)]


async def answer(*texts: str) -> str:
    return "".join(e.text for e in await replied(ChatRequest(said(*texts))) if isinstance(e, TextDelta))


async def calls(request: ChatRequest) -> list[ToolCallDelta]:
    events = await replied(request)
    assert isinstance(events[-1], ChatEnd)
    assert events[-1].reason == "tool_calls"
    return [event for event in events if isinstance(event, ToolCallDelta)]


async def test_it_repeats_what_was_said_and_says_what_it_is_once() -> None:
    assert isinstance(create("", {}), LanguageModel)
    first = await answer("My cat is called Minka")
    assert first.startswith("I heard: My cat is called Minka. ")
    assert "not a language model" in first
    assert await answer("x", first, "My cat is called Minka.") == "I heard: My cat is called Minka."
    assert len((await answer("x", "y", "word " * 500)).split()) < 80


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What time is it?", "14:05"),
        ("what's the date today", "Saturday, 21 November 2026"),
        ("Hello there!", "not a language model"),
        ("Who are you?", "PARLEY_LLM_BASE_URL"),
        ("How do I connect a language model?", "PARLEY_LLM_BASE_URL"),
        ("Thank you very much.", "welcome"),
        ("Goodbye!", "Goodbye"),
        ("(inaudible)", "could not make out"),
        ("", "Say something"),
        ("Hello world, this is about time travel", "I heard: Hello world, this is about time travel."),
    ],
)
async def test_it_answers_what_it_can_know(question: str, words: str) -> None:
    assert words in await answer(question)


async def test_it_streams_word_by_word_and_counts_its_words() -> None:
    events = await replied(ChatRequest(said("x y", "z", "Good bread.")))
    assert [e.text for e in events[:-1] if isinstance(e, TextDelta)] == ["I", " heard:", " Good", " bread."]
    assert events[-1] == ChatEnd("stop", TokenUsage(5, 4))


async def test_max_tokens_are_words() -> None:
    events = await replied(ChatRequest(said("Good bread."), max_tokens=2))
    assert events == [TextDelta("I"), TextDelta(" heard:"), ChatEnd("length", TokenUsage(2, 2))]


async def test_a_forced_tool_is_called_with_arguments_that_fit_its_schema() -> None:
    request = ChatRequest(said("In Fahrenheit for 9 days, please"), (STOP, WEATHER), ForceTool("get_weather"))
    (call,) = await calls(request)
    assert (call.name, call.call_id) == ("get_weather", "call_0")
    assert json.loads(call.arguments) == {
        "city": "In Fahrenheit for 9 days, please",
        "unit": "fahrenheit",
        "days": 7,
        "exact": True,
        "source": "any",
        "place": {"lat": 9},
    }


async def test_a_tool_is_called_when_required_or_named_and_never_otherwise() -> None:
    tools = (WEATHER, STOP)
    assert [c.name for c in await calls(ChatRequest(said("Hi"), tools, "required"))] == ["get_weather"]
    assert [c.name for c in await calls(ChatRequest(said("Hang up now"), tools, "required"))] == ["hang_up"]
    assert [c.name for c in await calls(ChatRequest(said("Please hang up."), tools))] == ["hang_up"]
    both = ChatRequest(said("get weather and hang_up"), tools)
    assert [c.name for c in await calls(both)] == ["get_weather", "hang_up"]
    assert len({c.call_id for c in await calls(both)}) == 2
    for text in ("Get the weather, please.", "Could you get me the weather?", "Will you hang this up?"):
        assert len(await calls(ChatRequest(said(text), tools))) == 1, text
    for text in ("Get out of this weather", "I hang my coat, then stand up", "the weather gets worse"):
        assert not any(isinstance(event, ToolCallDelta) for event in await replied(ChatRequest(said(text), tools))), (
            text
        )
    one = ChatRequest(said("get weather and hang up"), tools, parallel_tool_calls=False)
    assert [c.name for c in await calls(one)] == ["get_weather"]
    for choice, text in (("none", "hang up"), ("auto", "nice weather")):
        events = await replied(ChatRequest(said(text), tools, choice))  # type: ignore[arg-type]
        assert not any(isinstance(event, ToolCallDelta) for event in events)


async def test_the_outputs_of_tools_are_read_back_and_ids_never_repeat() -> None:
    history = (
        ChatMessage("user", "get weather"),
        ChatMessage("assistant", tool_calls=(ToolCall("call_0", "get_weather", "{}"), ToolCall("b", "hang_up", "{}"))),
        ChatMessage("tool", "Sunny", call_id="call_0"),
        ChatMessage("tool", "12 degrees", call_id="b"),
    )
    events = await replied(ChatRequest(history, (WEATHER,)))
    text = "".join(e.text for e in events if isinstance(e, TextDelta))
    assert text == "The tool answered: Sunny. The tool answered: 12 degrees."
    again = ChatRequest((*history, *said("get weather")), (WEATHER,))
    assert {c.call_id for c in await calls(again)}.isdisjoint({"call_0", "b"})


@pytest.mark.parametrize(
    ("output", "spoken"),
    [
        ('{"message": "The page is dark now.", "theme": "dark"}', "The page is dark now."),
        ('{"message": "The page is dark now", "theme": "dark"}', "The page is dark now."),
        ('{"rain_mm": 3, "wind": "west"}', "The tool answered: rain mm 3, wind west."),
        ('["milk", "bread"]', "The tool answered: milk, bread."),
        ('{"message": 7, "place": {"lat": 1.5, "roof": null}}', "The tool answered: message 7, place lat 1.5, roof null."),
        ("{}", "The tool answered: nothing."),
        ("{broken", "The tool answered: {broken."),
        ("[" * 5_000 + "]" * 5_000, "The tool answered with data."),
    ],
)  # fmt: skip
async def test_a_tools_data_is_not_spoken_as_json(output: str, spoken: str) -> None:
    history = (
        ChatMessage("user", "get weather"),
        ChatMessage("assistant", tool_calls=(ToolCall("call_0", "get_weather", "{}"),)),
        ChatMessage("tool", output, call_id="call_0"),
    )
    events = await replied(ChatRequest(history, (WEATHER,)))
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == spoken


async def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(EngineRefused, match="no images"):
        await replied(ChatRequest((ChatMessage("user", "See", (ImagePart("data:,"),)),)))
    with pytest.raises(EngineRefused, match="structured"):
        await replied(ChatRequest(said("x"), json_schema="{}"))


async def test_a_schema_that_refers_to_itself_or_is_broken_still_gives_json() -> None:
    nested = '{"type":"object","properties":{"a":' * 30 + '{"type":"string"}' + "}}" * 30
    for schema in (
        "[]",
        "nonsense",
        '{"properties":{"a":{"anyOf":[{"type":"array","items":{},"minItems":99}]}}}',
        nested,
    ):
        (call,) = await calls(ChatRequest(said("x"), (Tool("t", "", schema),), "required"))
        assert isinstance(json.loads(call.arguments), dict)
