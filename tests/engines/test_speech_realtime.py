"""Answers from an upstream Realtime server: what it is sent, what it remembers, and its faults."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest

from parley.engines.ports import (
    ChatEnd,
    ChatMessage,
    DialogueEvent,
    DialogueRequest,
    EngineError,
    EngineUnavailable,
    ForceTool,
    Samples,
    SpeechModel,
    SpokenDelta,
    TokenUsage,
    Tool,
    ToolCall,
    ToolCallDelta,
)
from parley.engines.speech.realtime import RealtimeSpeechModel, create
from parley.engines.speech.realtime_dialects import NEVER_ANSWERS
from tests.engines.speech_server import Script, SpeechConnection, SpeechServer, well
from tests.runtime.rig import WAIT_S, settled

RATE = 24_000
KEY = "sk-very-secret-key"
TONE = base64.b64encode(bytes(4_800)).decode()
"""A tenth of a second."""
BRIEF = ChatMessage("system", "Be brief.")


class Share:
    """A conversation that a test has."""


def tone(seconds: float, rate: int = RATE) -> Samples:
    return (0.3 * np.sin(np.arange(round(seconds * rate)) / 8)).astype(np.float32)


@asynccontextmanager
async def opened(server: SpeechServer, **options: object) -> AsyncIterator[RealtimeSpeechModel]:
    engine = create("m", {"base_url": server.url, "api_key": KEY, **options})
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()
        async with asyncio.timeout(WAIT_S):
            for connection in server.connections:
                await connection.closed.wait()


async def ask(engine: SpeechModel, *messages: ChatMessage, **fields: Any) -> list[DialogueEvent]:
    request = DialogueRequest(fields.pop("audio", tone(0.5)), (BRIEF, *messages), **fields)
    async with asyncio.timeout(WAIT_S):
        return [event async for event in engine.reply(request)]


async def fails(engine: SpeechModel, **fields: Any) -> EngineError:
    with pytest.raises(EngineError) as raised:
        await ask(engine, **fields)
    assert KEY not in str(raised.value)
    return raised.value


def text(events: list[DialogueEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, SpokenDelta))


def seconds(events: list[DialogueEvent]) -> float:
    return sum(len(event.audio) / event.sample_rate for event in events if isinstance(event, SpokenDelta))


# --- a turn ------------------------------------------------------------------------------------------------------------------


async def test_a_turn_is_appended_committed_and_answered() -> None:
    server = SpeechServer()
    tools = (Tool("f", "Does it."),)
    async with server.running(), opened(server) as engine:
        assert isinstance(engine, SpeechModel)
        events = await ask(
            engine, audio=tone(2.3), tools=tools, tool_choice=ForceTool("f"), voice="marin", max_tokens=90
        )
    assert text(events) == "All right."
    assert seconds(events) == pytest.approx(0.4)
    assert events[-1] == ChatEnd("stop", TokenUsage(30, 12, 20))
    probe, used = server.connections
    assert "response.create" not in probe.kinds(), "opening costs nothing"
    assert used.path == "/v1/realtime?model=m"
    assert used.headers["authorization"] == f"Bearer {KEY}"
    assert "sk-" not in str(used.events)
    assert len(used.audio) == round(2.3 * RATE) * 2
    assert [len(event["audio"]) <= 64_000 for event in used.of("input_audio_buffer.append")] == [True] * 3
    settings = used.settings
    assert (settings["instructions"], settings["output_modalities"]) == ("Be brief.", ["audio"])
    assert settings["audio"]["input"]["turn_detection"] is None
    assert settings["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": RATE}, "voice": "marin"}
    assert settings["tools"][0]["parameters"] == {"type": "object", "properties": {}}
    (asked,) = used.of("response.create")
    assert asked["response"] == {
        "output_modalities": ["audio"],
        "tool_choice": {"type": "function", "name": "f"},
        "max_output_tokens": 90,
    }


async def test_a_short_turn_is_filled_up_and_none_is_not_committed() -> None:
    server = SpeechServer()
    async with server.running(), opened(server) as engine:
        await ask(engine, audio=tone(0.02))
        await ask(engine, ChatMessage("user", "Typed."), audio=tone(0))
    assert len(server.connections[1].audio) == 4_800
    assert server.connections[2].kinds().count("input_audio_buffer.commit") == 0
    assert [item["content"][0]["text"] for item in server.connections[2].items if item.get("content")] == ["Typed."]


async def test_text_alone_is_asked_for_as_text() -> None:
    async def written(connection: SpeechConnection, asked: dict[str, Any]) -> None:
        item = await connection.message()
        for word in ("Hello", " there"):
            await connection.send(
                "response.output_text.delta", response_id=connection.response, item_id=item, delta=word
            )
        await connection.done()

    server = SpeechServer([written])
    async with server.running(), opened(server) as engine:
        events = await ask(engine, text_only=True)
    assert (text(events), seconds(events)) == ("Hello there", 0)
    assert server.connections[1].of("response.create")[0]["response"]["output_modalities"] == ["text"]


async def test_calls_come_back_as_calls_and_outputs_go_as_items() -> None:
    async def calls(connection: SpeechConnection, asked: dict[str, Any]) -> None:
        item = {"id": "item_f", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": ""}
        place = {"response_id": connection.response, "item_id": "item_f", "output_index": 0}
        await connection.send("response.output_item.added", item=item, **place)
        await connection.send("response.function_call_arguments.delta", delta='{"a"', call_id="call_1", **place)
        done = {**item, "arguments": '{"a": 1}'}
        await connection.send("response.output_item.done", item=done, **place)
        await connection.done()

    server, share = SpeechServer([calls, well]), Share()
    async with server.running(), opened(server) as engine:
        events = await ask(engine, transcript="Do it.", share=share)
        made = ChatMessage("assistant", tool_calls=(ToolCall("call_1", "f", '{"a": 1}'),))
        output = ChatMessage("tool", "42", call_id="call_1")
        await ask(engine, ChatMessage("user", "Do it."), made, output, audio=tone(0), share=share)
    deltas = [event for event in events if isinstance(event, ToolCallDelta)]
    assert (deltas[0].call_id, deltas[0].name) == ("call_1", "f")
    assert "".join(delta.arguments for delta in deltas) == '{"a": 1}'
    assert events[-1] == ChatEnd("tool_calls", TokenUsage(30, 12, 20))
    assert len(server.connections) == 2
    (created,) = server.connections[1].of("conversation.item.create")
    assert {**created["item"], "id": ""} == {
        "id": "",
        "type": "function_call_output",
        "call_id": "call_1",
        "output": "42",
    }


async def test_text_without_a_transcript_is_shown_at_the_end() -> None:
    async def unspoken(connection: SpeechConnection, asked: dict[str, Any]) -> None:
        item = await connection.message()
        place = {"response_id": connection.response, "item_id": item}
        await connection.send("response.output_text.delta", delta="Hello.", **place)
        await connection.send("response.output_audio.delta", delta=TONE, **place)
        await connection.done()

    server = SpeechServer([unspoken])
    async with server.running(), opened(server) as engine:
        events = await ask(engine)
    assert text(events) == "Hello."
    assert seconds(events) == pytest.approx(0.1)


# --- what the upstream remembers -------------------------------------------------------------------------------------------------


async def test_only_what_is_new_is_sent_and_what_was_not_heard_is_cut() -> None:
    server, share = SpeechServer(), Share()
    first = ChatMessage("user", "First.")
    async with server.running(), opened(server) as engine:
        await ask(engine, transcript="First.", share=share)
        await ask(engine, first, ChatMessage("assistant", "All", heard_ms=170), transcript="Second.", share=share)
        kept = (first, ChatMessage("assistant", "All", heard_ms=170), ChatMessage("user", "Second."))
        await ask(engine, *kept, transcript="Third.", share=share)
    _, used = server.connections
    assert used.kinds().count("session.update") == 2, "settings are sent when they change"
    assert not used.of("conversation.item.create")
    (cut,) = used.of("conversation.item.truncate")
    assert (cut["item_id"], cut["audio_end_ms"]) == ("item_a1", 170)
    (deleted,) = used.of("conversation.item.delete")
    assert deleted["item_id"] == "item_a2", "nothing of the second answer was heard"
    assert [item["id"] for item in used.items] == ["item_u0", "item_a1", "item_u2", "item_u3", "item_a3"]


async def test_a_conversation_that_became_another_is_written_anew_behind_what_is_the_same() -> None:
    server, share = SpeechServer(), Share()
    async with server.running(), opened(server) as engine:
        await ask(engine, transcript="First.", share=share)
        other = (ChatMessage("user", "First."), ChatMessage("assistant", "I said something else."))
        await ask(engine, *other, transcript="Second.", share=share)
    used = server.connections[1]
    texts = [item["content"][0]["text"] for item in used.items if item.get("content")]
    assert texts == ["I said something else."]
    assert used.items[0]["id"] == "item_u0"


async def test_an_upstream_that_lost_an_item_gets_the_conversation_on_a_new_connection() -> None:
    server, share = SpeechServer(), Share()
    async with server.running(), opened(server) as engine:
        await ask(engine, transcript="First.", share=share)
        server.connections[1].items.clear()
        events = await ask(engine, ChatMessage("user", "Another."), transcript="Second.", share=share)
    assert text(events) == "All right."
    assert len(server.connections) == 3
    assert [item["content"][0]["text"] for item in server.connections[2].items if item.get("content")] == ["Another."]


async def test_an_answer_that_is_given_up_is_cancelled_and_its_rest_ignored() -> None:
    async def endless(connection: SpeechConnection, asked: dict[str, Any]) -> None:
        item = await connection.message()
        await connection.say(item, "One", 200)
        await connection.cancelled.wait()
        await connection.say(item, " two", 200)
        await connection.done("cancelled", {"type": "cancelled", "reason": "client_cancelled"})

    server, share = SpeechServer([endless, well]), Share()
    async with server.running(), opened(server) as engine:
        async with aclosing(
            engine.reply(DialogueRequest(tone(0.3), (BRIEF,), transcript="Go.", share=share))
        ) as events:
            async for event in events:
                if isinstance(event, SpokenDelta) and len(event.audio):
                    break
        said = (ChatMessage("user", "Go."), ChatMessage("assistant", "One", heard_ms=150))
        assert text(await ask(engine, *said, transcript="Stop.", share=share)) == "All right."
    used = server.connections[1]
    assert len(server.connections) == 2
    assert used.of("conversation.item.truncate")[0]["audio_end_ms"] == 150
    kinds = used.kinds()
    assert kinds.index("response.cancel") < kinds.index("conversation.item.truncate") < len(kinds) - 1


# --- turn detection, voices ------------------------------------------------------------------------------------------------------


async def test_an_upstream_that_keeps_its_turn_detection_is_kept_from_answering() -> None:
    server = SpeechServer(detection=lambda wanted: "turn_detection cannot be null" if wanted is None else wanted)
    async with server.running(), opened(server) as engine:
        await ask(engine)
    listening = server.connections[1].settings["audio"]["input"]
    assert listening == {"turn_detection": NEVER_ANSWERS, "format": {"type": "audio/pcm", "rate": RATE}}


@pytest.mark.parametrize("kept", ["turn_detection cannot be changed", {"type": "server_vad", "create_response": True}])
async def test_an_upstream_that_answers_by_itself_is_not_used(kept: object) -> None:
    server = SpeechServer(detection=lambda wanted: kept)
    async with server.running():
        with pytest.raises(EngineUnavailable, match="answers turns by itself") as raised:
            async with opened(server):
                pass
    assert raised.value.code == "turn_detection_refused"


async def test_another_voice_is_another_connection() -> None:
    server, share = SpeechServer(), Share()
    async with server.running(), opened(server, voices=["ada", "bob"], voice="bob") as engine:
        for voice in ("ada", "ada", ""):
            await ask(engine, transcript="Hm.", share=share, voice=voice)
        assert engine.resolve_voice("alloy") is None
    voices = [connection.settings["audio"]["output"]["voice"] for connection in server.connections]
    assert voices == ["bob", "ada", "bob"]


async def test_without_known_voices_the_server_s_own_is_used_and_said() -> None:
    server = SpeechServer()
    async with server.running(), opened(server, dialect="parley") as engine:
        assert engine.resolve_voice("") == "default"
        assert "own voice" in engine.notice
        await ask(engine)
    assert "voice" not in str(server.connections[1].settings)


# --- dialects --------------------------------------------------------------------------------------------------------------------


async def test_the_beta_dialect_has_its_own_shapes() -> None:
    async def old(connection: SpeechConnection, asked: dict[str, Any]) -> None:
        item = await connection.message()
        place = {"response_id": connection.response, "item_id": item}
        await connection.send("response.audio_transcript.delta", delta="Hello.", **place)
        await connection.send("response.audio.delta", delta=TONE, **place)
        await connection.done()

    server = SpeechServer([old], strict=False)
    async with server.running(), opened(server, dialect="beta") as engine:
        events = await ask(engine, ChatMessage("assistant", "Before."))
    assert text(events) == "Hello."
    assert seconds(events) == pytest.approx(0.1)
    used = server.connections[1]
    assert used.headers["openai-beta"] == "realtime=v1"
    assert used.settings["modalities"] == ["audio", "text"]
    assert used.settings["turn_detection"] is None
    assert used.items[0]["content"] == [{"type": "text", "text": "Before."}]


async def test_a_server_without_items_gets_a_session_for_each_turn_and_the_conversation_as_instructions() -> None:
    server, share = SpeechServer(strict=False), Share()

    def committed(number: int) -> bool:
        there = len(server.connections) > number
        return there and server.connections[number].kinds().count("input_audio_buffer.commit") == 2

    async def answered() -> None:
        for number in (1, 2):
            await settled(partial(committed, number))
            connection = server.connections[number]
            await connection.send("transcription.delta", delta="Hello.")
            await connection.send("response.audio.delta", delta=TONE)
            await connection.send("response.audio.done")
            await connection.send(
                "transcription.done", text="Hello.", usage={"prompt_tokens": 5, "completion_tokens": 2}
            )

    async with server.running(), opened(server, dialect="vllm-omni") as engine:
        assert engine.info.sample_rate == 16_000
        task = asyncio.create_task(answered())
        events = await ask(engine, audio=tone(0.5, 16_000), share=share, transcript="Hi.")
        said = (ChatMessage("user", "Hi."), ChatMessage("assistant", "Hello."))
        await ask(engine, *said, audio=tone(0.5, 16_000), share=share, transcript="Again.")
        await task
    assert (text(events), events[-1]) == ("Hello.", ChatEnd("stop", TokenUsage(5, 2)))
    _, first, second = server.connections
    assert first.of("input_audio_buffer.commit")[1]["final"] is True
    assert "response.create" not in first.kinds()
    assert first.events[0]["model"] == "m"
    assert second.settings["instructions"] == "Be brief.\n\nThe conversation so far:\nuser: Hi.\nassistant: Hello."


async def test_a_model_that_decides_itself_when_to_answer_is_not_used() -> None:
    with pytest.raises(EngineUnavailable, match="the model itself decides when to answer"):
        await create("m", {"base_url": "http://127.0.0.1:9/v1", "dialect": "minicpm-o"}).open()


# --- faults ----------------------------------------------------------------------------------------------------------------------


def refused(code: str, message: str = "No.", kind: str = "invalid_request_error") -> Script:
    async def script(connection: SpeechConnection, asked: dict[str, Any]) -> None:
        await connection.error(code, message, kind)

    return script


def failed(code: str) -> Script:
    async def script(connection: SpeechConnection, asked: dict[str, Any]) -> None:
        await connection.done(
            "failed", {"type": "failed", "error": {"type": "server_error", "code": code, "message": "No."}}
        )

    return script


async def leaves(connection: SpeechConnection, asked: dict[str, Any]) -> None:
    await connection.socket.close(1011)


async def leaves_in_the_middle(connection: SpeechConnection, asked: dict[str, Any]) -> None:
    await connection.say(await connection.message(), "One", 200)
    await connection.socket.close(1011)


async def never(connection: SpeechConnection, asked: dict[str, Any]) -> None:
    await connection.closed.wait()


async def stops(connection: SpeechConnection, asked: dict[str, Any]) -> None:
    await connection.say(await connection.message(), "One", 200)
    await connection.closed.wait()


async def garbage(connection: SpeechConnection, asked: dict[str, Any]) -> None:
    await connection.socket.send("<html>")


async def no_sound(connection: SpeechConnection, asked: dict[str, Any]) -> None:
    await connection.send("response.output_audio.delta", response_id=connection.response, item_id="x", delta="&&&")


async def cuts(connection: SpeechConnection, asked: dict[str, Any]) -> None:
    await connection.done("cancelled", {"type": "cancelled", "reason": "turn_detected"})


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, {"error": {"code": "invalid_api_key", "message": f"Incorrect key {KEY}."}}, "invalid_api_key"),
        (429, {"error": {"code": "rate_limit_exceeded", "message": "Slow down."}}, "rate_limit_exceeded"),
        (404, {"error": {"code": "model_not_found", "message": "No model m."}}, "model_not_found"),
        (404, "nothing here", "invalid_base_url"),
        (500, "oh", "server_error"),
    ],
)
async def test_a_handshake_that_is_refused_says_why(status: int, body: object, code: str) -> None:
    server = SpeechServer(refuses=(status, body))
    async with server.running():
        with pytest.raises(EngineUnavailable) as raised:
            async with opened(server):
                pass
    assert raised.value.code == code
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    ("script", "code", "connections"),
    [
        (refused("rate_limit_exceeded"), "rate_limit_exceeded", 2),
        (refused("model_not_found"), "model_not_found", 2),
        (refused("insufficient_quota"), "insufficient_quota", 2),
        (refused("odd", kind="server_error"), "server_error", 2),
        (failed("rate_limit_exceeded"), "rate_limit_exceeded", 2),
        (refused("session_expired", "Your session hit the maximum duration."), "invalid_request", 3),
        (leaves, "connection_failed", 3),
        (leaves_in_the_middle, "connection_failed", 2),
        (garbage, "server_error", 2),
        (no_sound, "server_error", 2),
        (cuts, "server_error", 2),
    ],
)
async def test_a_fault_has_a_name_and_a_connection_is_made_again_at_most_once(
    script: Script, code: str, connections: int
) -> None:
    server = SpeechServer([script])
    async with server.running(), opened(server) as engine:
        assert (await fails(engine)).code == code
        assert len(server.connections) == connections
        server.scripts[:] = [well]
        assert text(await ask(engine)) == "All right.", "the next turn is answered"


@pytest.mark.parametrize("script", [leaves, refused("session_expired", "Your session hit the maximum duration.")])
async def test_an_answer_that_has_not_begun_is_asked_for_again_on_a_new_connection(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    server, share = SpeechServer([well, script, well]), Share()
    with caplog.at_level(logging.INFO):
        async with server.running(), opened(server) as engine:
            await ask(engine, transcript="First.", share=share)
            said = (ChatMessage("user", "First."), ChatMessage("assistant", "All right."))
            assert text(await ask(engine, *said, transcript="Secret words.", share=share)) == "All right."
    assert len(server.connections) == 3
    assert len(server.connections[2].of("conversation.item.create")) == 2, "the conversation is written again"
    assert "Asking the Realtime server again" in caplog.text
    assert "Secret" not in caplog.text
    assert KEY not in caplog.text


async def chatters(connection: SpeechConnection, asked: dict[str, Any]) -> None:
    while not connection.closed.is_set():
        await connection.send("rate_limits.updated", rate_limits=[])
        await asyncio.sleep(0)


@pytest.mark.parametrize("script", [never, stops, chatters])
async def test_a_server_that_says_nothing_is_not_waited_for_for_ever(script: Script) -> None:
    server = SpeechServer([script])
    async with server.running(), opened(server, timeout_s=0.2, idle_timeout_s=0.2) as engine:
        assert (await fails(engine)).code == "timeout"


async def test_a_server_that_does_not_greet_is_not_waited_for_for_ever() -> None:
    server = SpeechServer(greets=False)
    async with server.running():
        with pytest.raises(EngineUnavailable) as raised:
            async with opened(server, timeout_s=0.2):
                pass
    assert raised.value.code == "timeout"


async def test_nobody_there_and_no_model_are_said() -> None:
    with pytest.raises(EngineUnavailable, match="the connection was refused"):
        await create("m", {"base_url": "http://127.0.0.1:9/v1"}).open()
    with pytest.raises(EngineUnavailable, match="No model is named"):
        await create("", {"base_url": "http://127.0.0.1:9/v1"}).open()
    with pytest.raises(EngineUnavailable, match="OpenAI wants an API key"):
        await create("gpt-realtime", {"base_url": "https://api.openai.com/v1"}).open()
    with pytest.raises(ValueError, match="dialect"):
        create("m", {"dialect": "klingon"})


# --- sessions --------------------------------------------------------------------------------------------------------------------


async def test_no_more_sessions_are_open_than_were_allowed() -> None:
    server, shares = SpeechServer(), [Share() for _ in range(4)]
    async with server.running(), opened(server, max_sessions=2) as engine:
        await asyncio.gather(*(ask(engine, share=share) for share in shares))
        open_now = [connection for connection in server.connections if not connection.closed.is_set()]
        await settled(lambda: sum(not connection.closed.is_set() for connection in server.connections) <= 2)
    assert len(open_now) <= 3  # (one may be saying goodbye)
    assert len(server.connections) == 5


async def test_two_answers_of_one_conversation_at_once_do_not_meet() -> None:
    server, share = SpeechServer(), Share()
    async with server.running(), opened(server) as engine:
        one, other = await asyncio.gather(*(ask(engine, transcript=said, share=share) for said in ("A.", "B.")))
        assert text(one) == text(other) == "All right."
        said = (ChatMessage("user", "A."), ChatMessage("assistant", "All right."))
        assert text(await ask(engine, *said, transcript="C.", share=share)) == "All right."
    assert len(server.connections) == 3


async def test_a_session_that_soon_expires_is_replaced_before_the_next_turn() -> None:
    server, share = SpeechServer(session={"expires_at": 1}), Share()
    async with server.running(), opened(server) as engine:
        await ask(engine, share=share)
        await ask(engine, share=share)
    assert len(server.connections) == 3


async def test_a_session_is_closed_when_nobody_asks_and_when_its_conversation_is_gone() -> None:
    server, share = SpeechServer(), Share()
    async with server.running(), opened(server, idle_s=0.05) as engine:
        await ask(engine, share=share)
        async with asyncio.timeout(WAIT_S):
            await server.connections[1].closed.wait()
    async with server.running(), opened(server, idle_s=3600) as engine:
        await ask(engine, share=share)
        used = server.connections[-1]
        del share
        async with asyncio.timeout(WAIT_S):
            await used.closed.wait()
