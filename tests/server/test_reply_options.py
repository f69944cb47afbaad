"""Each option of how a session replies, set by the stock client over a real socket, reaches the engines and the listener."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from parley.engines.ports import ChatEnd, ForceTool, ImagePart, ToolCall, ToolCallDelta
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, Hold
from tests.server.harness import Engines, Talk, configured, running, talking
from tests.server.test_conversation import TOOL, configure, spoken, write

UPDATE = "session.update"
CREATE = "response.create"
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJggg=="
IMAGES = "where the model takes images; elsewhere refused by name"


async def reply(talk: Talk, **response: Any) -> Any:
    """Ask for a reply with these options; the finished response."""
    await talk.send(type="response.create", response=response)
    return (await talk.until("response.done")).response


def heard_ms(talk: Talk) -> float:
    return len(spoken(talk)) / 48


@pytest.mark.proves(UPDATE, "session.audio.output.speed", state="honoured")
async def test_speed_is_how_fast_the_voice_speaks() -> None:
    engines = Engines(tts=FakeSynthesizer())
    async with running(engines=engines) as server, talking(server) as talk:
        for speed in (0.5, 1.5):
            await configure(talk, audio={"output": {"speed": speed}})
            await reply(talk)
            assert engines.tts.requests[-1].speed == speed


@pytest.mark.proves(UPDATE, "session.audio.output.voice", state="honoured")
@pytest.mark.proves(CREATE, "response.audio.output.voice", state="honoured")
async def test_the_voice_is_the_sessions_or_the_responses_own() -> None:
    engines = Engines(tts=FakeSynthesizer(voices=("alloy", "marin", "cedar")))
    async with running(engines=engines) as server, talking(server) as talk:
        await configure(talk, audio={"output": {"voice": "marin"}})
        side = await reply(talk, conversation="none", audio={"output": {"voice": "cedar"}})
        assert (side.audio.output.voice, engines.tts.requests[-1].voice) == ("cedar", "cedar")
        main = await reply(talk)
        assert (main.audio.output.voice, engines.tts.requests[-1].voice) == ("marin", "marin")
        await talk.send(
            type="session.update", event_id="v", session={"type": "realtime", "audio": {"output": {"voice": "cedar"}}}
        )
        error = (await talk.until("error")).error
    assert (error.code, error.event_id) == ("cannot_update_voice", "v")


@pytest.mark.proves(CREATE, "response.audio.output.format", "response.audio.output.format.type", state="honoured")
@pytest.mark.proves(UPDATE, "session.audio.output.format.type", state="honoured")
@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
async def test_a_voice_for_the_telephone_decodes_to_the_same_tone(kind: str) -> None:
    from parley.audio import g711

    decode = g711.decode_mulaw if kind == "audio/pcmu" else g711.decode_alaw
    async with running() as server, talking(server) as talk:
        await configure(talk, audio={"output": {"format": {"type": kind}}})
        await reply(talk)
        samples = decode(np.frombuffer(spoken(talk), np.uint8)).astype(np.float64)
        assert len(samples) == 2 * 800, "two words of 100 ms"
        loudest = np.argmax(np.abs(np.fft.rfft(samples))) * 8000 / len(samples)
        assert abs(loudest - 440) < 10
        talk.events.clear()
        await reply(talk, audio={"output": {"format": {"type": "audio/pcm", "rate": 24000}}})
        assert heard_ms(talk) == 200


@pytest.mark.proves(UPDATE, "session.instructions", "session.output_modalities", state="honoured")
@pytest.mark.proves(
    CREATE, "response.instructions", "response.output_modalities", "response.metadata", state="honoured"
)
async def test_instructions_and_modality_are_the_sessions_or_the_responses_own() -> None:
    engines = Engines()
    async with running(engines=engines) as server, talking(server) as talk:
        await configure(talk, instructions="Speak like a pirate.", output_modalities=["text"])
        assert (await reply(talk)).output[0].content[0].type == "output_text"
        assert "pirate" in engines.llm.requests[-1].messages[0].text
        done = await reply(talk, instructions="Whisper.", output_modalities=["audio"], metadata={"a": "b"})
        assert (done.output[0].content[0].type, done.metadata) == ("output_audio", {"a": "b"})
        assert "Whisper." in engines.llm.requests[-1].messages[0].text
        assert "pirate" not in engines.llm.requests[-1].messages[0].text


@pytest.mark.proves(UPDATE, "session.tools", "session.tool_choice", "session.parallel_tool_calls", state="honoured")
@pytest.mark.proves(CREATE, "response.tools", "response.tool_choice", "response.parallel_tool_calls", state="honoured")
@pytest.mark.proves(UPDATE, "session.tool_choice.type", "session.tool_choice.name", state="honoured")
@pytest.mark.proves(CREATE, "response.tool_choice.type", "response.tool_choice.name", state="honoured")
@pytest.mark.proves(CREATE, *(f"response.tools[].{name}" for name in TOOL), state="honoured")
@pytest.mark.parametrize(
    ("choice", "asked"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "weather"}, ForceTool("weather")),
    ],
)
async def test_the_tool_choice_reaches_the_model(choice: Any, asked: object) -> None:
    engines = Engines()
    async with running(engines=engines) as server, talking(server) as talk:
        await configure(talk, tools=[TOOL], tool_choice=choice, parallel_tool_calls=False)
        await reply(talk)
        request = engines.llm.requests[-1]
        assert (request.tool_choice, request.parallel_tool_calls) == (asked, False)
        assert [(tool.name, tool.description) for tool in request.tools] == [("weather", "The weather in a city.")]
        assert '"city"' in request.tools[0].parameters
        other = {**TOOL, "name": "time"}
        await reply(talk, tools=[other], tool_choice="auto", parallel_tool_calls=True)
        request = engines.llm.requests[-1]
        assert (request.tools[0].description, '"city"' in request.tools[0].parameters) == (TOOL["description"], True)
        assert ([tool.name for tool in request.tools], request.parallel_tool_calls) == (["time"], True)


async def test_a_tool_choice_that_names_no_tool_is_refused_by_name() -> None:
    async with running() as server, talking(server) as talk:
        choice = {"type": "function", "name": "nothing"}
        await talk.send(type="response.create", event_id="c", response={"tools": [TOOL], "tool_choice": choice})
        error = (await talk.until("error")).error
    assert (error.param, error.event_id) == ("response.tool_choice", "c")


async def test_two_calls_may_be_answered_in_the_other_order() -> None:
    calls = [ToolCallDelta(0, "call_a", "weather", '{"city":"A"}'), ToolCallDelta(1, "call_b", "weather", "{}")]
    engines = Engines(llm=FakeModel(calls, ["Both are sunny."]))
    async with running(engines=engines) as server, talking(server) as talk:
        await configure(talk, tools=[TOOL], output_modalities=["text"])
        assert [item.call_id for item in (await reply(talk)).output] == ["call_a", "call_b"]
        for call in ("call_b", "call_a"):
            output = {"type": "function_call_output", "call_id": call, "output": f"sun for {call}"}
            await talk.send(type="conversation.item.create", item=output)
            await talk.until("conversation.item.done")
        assert (await reply(talk)).output[0].content[0].text == "Both are sunny."
    outcomes = {
        message.call_id: message.text for message in engines.llm.requests[-1].messages if message.role == "tool"
    }
    assert outcomes == {"call_a": "sun for call_a", "call_b": "sun for call_b"}


@pytest.mark.proves(UPDATE, "session.max_output_tokens", state="honoured")
@pytest.mark.proves(CREATE, "response.max_output_tokens", state="honoured")
async def test_the_token_limit_reaches_the_model_and_ends_incomplete() -> None:
    engines = Engines(llm=FakeModel(["One two", ChatEnd("length")]))
    async with running(engines=engines) as server, talking(server) as talk:
        await configure(talk, max_output_tokens=7)
        cut = await reply(talk)
        assert (cut.status, cut.status_details.reason) == ("incomplete", "max_output_tokens")
        assert cut.output[0].status == "incomplete"
        await reply(talk, max_output_tokens=3)
        await reply(talk, max_output_tokens="inf")
    assert [request.max_tokens for request in engines.llm.requests] == [7, 3, None]


@pytest.mark.proves(UPDATE, "session.reasoning.effort", state="honoured")
@pytest.mark.proves(CREATE, "response.reasoning.effort", state="honoured")
async def test_the_reasoning_effort_reaches_the_model() -> None:
    engines = Engines()
    async with running(engines=engines) as server, talking(server) as talk:
        await configure(talk, reasoning={"effort": "high"})
        await reply(talk)
        await reply(talk, reasoning={"effort": "low"})
    assert [request.reasoning_effort for request in engines.llm.requests] == ["high", "low"]


@pytest.mark.proves(
    "conversation.item.create", "item.content[].image_url", "item.content[].detail", state="honoured", note=IMAGES
)
async def test_an_image_reaches_a_model_that_sees_and_is_refused_for_one_that_does_not() -> None:
    content = [
        {"type": "input_image", "image_url": PIXEL, "detail": "low"},
        {"type": "input_text", "text": "What is this?"},
    ]
    item = {"type": "message", "role": "user", "content": content}
    seeing = Engines(llm=FakeModel(["A dot."], images=True))
    async with running(engines=seeing) as server, talking(server) as talk:
        await talk.send(type="conversation.item.create", item=item)
        await talk.until("conversation.item.done")
        await reply(talk)
    assert seeing.llm.requests[0].messages[-1].images == (ImagePart(PIXEL, "low", at=0),)
    async with running() as server, talking(server) as talk:
        await talk.send(type="conversation.item.create", item=item, event_id="i")
        error = (await talk.until("error")).error
    assert error.event_id == "i"
    assert error.param.startswith("item.content[0]")


LONG = "word " * 80


async def remembered(engines: Engines, truncation: Any) -> tuple[Any, list[str]]:
    """Twenty long messages in a context of a thousand tokens: the response, and which of them the model was given."""
    config = configured()
    name = config.default_pipeline
    pipelines = {**config.pipelines, name: replace(config.pipelines[name], context_tokens=1000)}
    async with running(replace(config, pipelines=pipelines), engines) as server, talking(server) as talk:
        shown = await configure(talk, truncation=truncation, output_modalities=["text"], instructions="")
        assert shown.truncation == truncation or shown.truncation.to_dict() == truncation
        for index in range(20):
            await write(talk, f"{index} {LONG}")
        done = await reply(talk)
        given = engines.llm.requests[-1].messages if engines.llm.requests else ()
        return done, [message.text.split()[0] for message in given if message.role == "user"]


@pytest.mark.proves(UPDATE, "session.truncation", "session.truncation.type", state="honoured")
@pytest.mark.proves(UPDATE, "session.truncation.retention_ratio", "session.truncation.token_limits", state="honoured")
@pytest.mark.proves(UPDATE, "session.truncation.token_limits.post_instructions", state="honoured")
async def test_a_long_conversation_is_shortened_as_the_session_says() -> None:
    done, automatic = await remembered(Engines(), "auto")
    assert done.status == "completed"
    assert automatic[-1] == "19"
    assert 5 <= len(automatic) <= 10
    done, half = await remembered(Engines(), {"type": "retention_ratio", "retention_ratio": 0.5})
    assert half == automatic[-len(half) :]
    assert len(half) < len(automatic)
    limits = {"type": "retention_ratio", "retention_ratio": 1.0, "token_limits": {"post_instructions": 250}}
    done, limited = await remembered(Engines(), limits)
    assert limited == ["18", "19"]
    done, nothing = await remembered(Engines(), "disabled")
    assert (done.status, nothing) == ("failed", [])
    assert done.status_details.error.code == "context_length_exceeded"


@pytest.mark.proves(CREATE, "response.conversation", "response.input", "response.input[].id", state="honoured")
async def test_side_responses_run_together_each_with_its_own_input() -> None:
    hold = Hold()
    engines = Engines(llm=FakeModel(["Main ", hold, "answer."], ["a ", hold, "b."], ["c ", hold, "d."], ["e."]))
    async with running(engines=engines) as server, talking(server) as talk:
        await configure(talk, output_modalities=["text"])
        await write(talk, "The sky is blue.", id="fact")
        await write(talk, "And grass is green.")
        await talk.send(type="response.create", response={"metadata": {"name": "main"}})
        for name in ("one", "two"):
            await talk.send(
                type="response.create",
                response={
                    "conversation": "none",
                    "metadata": {"name": name},
                    "input": [{"type": "item_reference", "id": "fact"}] if name == "one" else [],
                },
            )
        while len(talk.of("response.created")) < 3:
            await talk.next()
        assert not talk.of("response.done")
        hold.event.set()
        while len(talk.of("response.done")) < 3:
            await talk.next()
        ends = {done.response.metadata["name"]: done.response for done in talk.of("response.done")}
    assert {name: end.status for name, end in ends.items()} == dict.fromkeys(("main", "one", "two"), "completed")
    assert (ends["main"].conversation_id is None, ends["one"].conversation_id) == (False, None)
    given = [[each.text for each in request.messages if each.role == "user"] for request in engines.llm.requests]
    assert given == [["The sky is blue.", "And grass is green."], ["The sky is blue."], []]


SPEECH = base64.b64encode((8000 * np.sin(np.arange(24_000) / 20)).astype("<i2").tobytes()).decode()
ITEMS: list[dict[str, Any]] = [
    {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be exact."}]},
    {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": SPEECH}]},
    {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": "It is nine."}]},
    {"type": "function_call", "call_id": "call_z", "name": "weather", "arguments": '{"city":"Z"}'},
    {"type": "function_call_output", "call_id": "call_z", "output": "hail"},
    {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": PIXEL, "detail": "high"}]},
]


def read_by_the_model(engines: Engines) -> None:
    """Asserts that ITEMS end the last request: what was said before a call belongs to the call's message."""
    messages = engines.llm.requests[-1].messages[-5:]
    assert [message.role for message in messages] == ["system", "user", "assistant", "tool", "user"]
    assert [message.text for message in messages[:3]] == ["Be exact.", "What time is it?", "It is nine."]
    assert messages[2].tool_calls == (ToolCall("call_z", "weather", '{"city":"Z"}'),)
    assert (messages[3].call_id, messages[3].text) == ("call_z", "hail")
    assert messages[4].images == (ImagePart(PIXEL, "high"),)


AUDIO_AND_CALLS = ("content[].audio", "content[].transcript", "arguments", "name", "call_id", "output")


@pytest.mark.proves("conversation.item.create", *(f"item.{name}" for name in AUDIO_AND_CALLS), state="honoured")
async def test_items_of_every_kind_are_read_by_the_model() -> None:
    engines = Engines(stt=FakeRecognizer(*["What time is it?"] * 3), llm=FakeModel(["Yes."], images=True))
    async with running(engines=engines) as server, talking(server) as talk:
        for item in ITEMS:
            await talk.send(type="conversation.item.create", item=item)
            await talk.until("conversation.item.done")
        await reply(talk)
    read_by_the_model(engines)


@pytest.mark.proves(CREATE, *(f"response.input[].{name}" for name in AUDIO_AND_CALLS), state="honoured")
@pytest.mark.proves(
    CREATE,
    "response.input[].content[].image_url",
    "response.input[].content[].detail",
    state="honoured",
    note=IMAGES,
)
async def test_a_responses_own_input_may_hold_items_of_every_kind() -> None:
    engines = Engines(stt=FakeRecognizer(*["What time is it?"] * 3), llm=FakeModel(["Yes."], images=True))
    async with running(engines=engines) as server, talking(server) as talk:
        assert (await reply(talk, conversation="none", input=ITEMS)).status == "completed"
    read_by_the_model(engines)


@pytest.mark.proves("response.cancel", "response_id", state="honoured")
async def test_a_side_response_is_cancelled_by_its_id_and_the_main_one_goes_on() -> None:
    hold = Hold()
    engines = Engines(llm=FakeModel(["Main ", hold, "answer."], ["aside ", hold, "never"]))
    async with running(engines=engines) as server, talking(server) as talk:
        await talk.send(type="response.create")
        await talk.send(type="response.create", response={"conversation": "none", "input": []})
        while len(talk.of("response.created")) < 2:
            await talk.next()
        side = next(event.response for event in talk.of("response.created") if event.response.conversation_id is None)
        await talk.send(type="response.cancel", response_id=side.id)
        done = (await talk.until("response.done")).response
        assert (done.id, done.status) == (side.id, "cancelled")
        hold.event.set()
        assert (await talk.until("response.done")).response.status == "completed"
