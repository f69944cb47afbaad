"""`openai` 1.99.9, `client.beta.realtime`: as applications of 2025 use it, configured with nothing but the server's address."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI
from openai.resources.beta.realtime.realtime import AsyncRealtimeConnection
from openai.types.beta.realtime import RealtimeServerEvent

from tests.clients.chat_endpoint import STORY, ChatEndpoint
from tests.clients.conftest import Server, chunks

PATIENCE_S = 40
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[AsyncRealtimeConnection]:
    client = AsyncOpenAI(api_key="none", base_url=server.http, websocket_base_url=f"ws://{server.host}/v1")
    async with client, client.beta.realtime.connect(model="gpt-4o-realtime-preview") as connection:
        yield connection


async def until(connection: AsyncRealtimeConnection, kind: str) -> list[RealtimeServerEvent]:
    """The events up to the first of this type."""
    events = []
    async with asyncio.timeout(PATIENCE_S):
        async for event in connection:
            events.append(event)
            if event.type == kind:
                return events
    raise AssertionError(f"the connection ended before {kind}; came: {types(events)}")


def types(events: list[Any]) -> list[str]:
    return [event.type for event in events]


def transcript(events: list[Any]) -> str:
    return "".join(event.delta for event in events if event.type == "response.audio_transcript.delta")


def audio(events: list[Any]) -> bytes:
    return b"".join(base64.b64decode(event.delta) for event in events if event.type == "response.audio.delta")


async def say(connection: AsyncRealtimeConnection, text: str) -> None:
    item: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await connection.conversation.item.create(item=item)


async def test_a_session_opens_flat_and_is_configured(server: Server) -> None:
    async with connected(server) as connection:
        first = await connection.recv()
        assert first.type == "session.created"
        assert first.session.modalities == ["audio", "text"]
        assert first.session.input_audio_format == "pcm16"
        assert first.session.temperature == 0.8
        assert (await connection.recv()).type == "conversation.created"
        session: Any = {"voice": "shimmer", "modalities": ["text"], "temperature": 0.7, "turn_detection": None}
        await connection.session.update(session=session)
        updated = (await until(connection, "session.updated"))[-1]
        assert updated.type == "session.updated"
        assert (updated.session.voice, updated.session.modalities) == ("shimmer", ["text"])
        assert updated.session.temperature == 0.7
        assert updated.session.turn_detection is None


async def test_a_text_message_is_answered_in_speech(server: Server) -> None:
    async with connected(server) as connection:
        await say(connection, "Good morning.")
        await connection.response.create()
        events = await until(connection, "response.done")
        assert len(audio(events)) > 24_000  # half a second
        assert transcript(events).startswith("You said: Good morning")
        created = [event for event in events if event.type == "conversation.item.created"]
        assert [event.item.role for event in created] == ["user", "assistant"]
        done: Any = events[-1]
        assert done.response.status == "completed"
        assert done.response.output[0].content[0].type == "audio"
        assert done.response.output[0].content[0].transcript == transcript(events)
        assert done.response.usage.total_tokens > 0


async def test_a_reply_in_text_has_the_betas_events(server: Server, chat: ChatEndpoint) -> None:
    async with connected(server) as connection:
        await say(connection, "Good morning.")
        response: Any = {"modalities": ["text"], "temperature": 0.9}
        await connection.response.create(response=response)
        events = await until(connection, "response.done")
        assert {"response.text.delta", "response.text.done"} <= set(types(events))
        assert audio(events) == b""
        done: Any = events[-1]
        assert done.response.output[0].content[0].type == "text"
        assert done.response.temperature == 0.9
    assert chat.requests[-1]["temperature"] == 0.9


async def test_recorded_speech_is_transcribed_and_answered(server: Server, speech: Callable[[str], bytes]) -> None:
    async with connected(server) as connection:
        session: Any = {"input_audio_transcription": {"model": "whisper-1"}}
        await connection.session.update(session=session)
        for chunk in chunks(speech("weather_question")):
            await connection.input_audio_buffer.append(audio=base64.b64encode(chunk).decode())
        events = await until(connection, "response.done")
        order = [kind for kind in types(events) if kind.startswith("input_audio_buffer.")]
        assert order == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
        ]
        heard = [e for e in events if e.type == "conversation.item.input_audio_transcription.completed"]
        assert heard
        assert heard[0].transcript
        assert transcript(events).startswith("You said")


async def test_a_tool_is_called_once_and_its_answer_spoken(server: Server) -> None:
    async with connected(server) as connection:
        session: Any = {"tools": [WEATHER], "tool_choice": "auto"}
        await connection.session.update(session=session)
        await say(connection, "What is the weather in Paris?")
        await connection.response.create()
        events = await until(connection, "response.done")
        calls = [event for event in events if event.type == "response.function_call_arguments.done"]
        assert [call.arguments for call in calls] == ['{"city": "Paris"}']
        added = [event for event in events if event.type == "response.output_item.done"]
        assert (added[0].item.type, added[0].item.name) == ("function_call", "weather")
        item: Any = {"type": "function_call_output", "call_id": calls[0].call_id, "output": "sunny in Paris"}
        await connection.conversation.item.create(item=item)
        await connection.response.create()
        events = await until(connection, "response.done")
        assert transcript(events) == "The tool says: sunny in Paris."


async def test_talking_over_the_answer_stops_it_and_keeps_what_was_heard(
    server: Server, speech: Callable[[str], bytes], chat: ChatEndpoint
) -> None:
    async with connected(server) as connection:
        session: Any = {"instructions": "STORY"}
        await connection.session.update(session=session)
        await say(connection, "Tell me a story.")
        await connection.response.create()
        events = await until(connection, "response.audio.delta")
        item_id = events[-1].item_id  # type: ignore[union-attr]
        for chunk in chunks(speech("weather_question")):
            await connection.input_audio_buffer.append(audio=base64.b64encode(chunk).decode())
        events = await until(connection, "response.done")
        done: Any = events[-1]
        assert (done.response.status, done.response.status_details.reason) == ("cancelled", "turn_detected")
        assert types(events).index("input_audio_buffer.speech_started") < types(events).index("response.done")
        await connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=100)
        assert (await until(connection, "conversation.item.truncated"))[-1]
        await until(connection, "response.created")
        await connection.response.cancel()
        await until(connection, "response.done")
    heard = "".join(str(message["content"]) for message in chat.last_messages if message["role"] == "assistant")
    assert len(heard) < len("".join(STORY)) / 2


async def test_an_error_names_the_betas_field_and_the_clients_event(server: Server) -> None:
    async with connected(server) as connection:
        unknown: Any = {"type": "session.update", "event_id": "mine", "session": {"voice": "unknown-voice"}}
        await connection.send(unknown)
        error: Any = (await until(connection, "error"))[-1].error  # type: ignore[union-attr]
        assert (error.type, error.code) == ("invalid_request_error", "invalid_value")
        assert (error.param, error.event_id) == ("session.voice", "mine")
        foreign: Any = {"type": "session.update", "session": {"output_modalities": ["text"]}}
        await connection.send(foreign)
        error = (await until(connection, "error"))[-1].error  # type: ignore[union-attr]
        assert (error.code, error.param) == ("unknown_parameter", "session.output_modalities")
        await connection.response.cancel()
        error = (await until(connection, "error"))[-1].error  # type: ignore[union-attr]
        assert error.code == "response_cancel_not_active"
        await say(connection, "Still there?")
        await connection.response.create()
        assert transcript(await until(connection, "response.done")).startswith("You said: Still there")


async def test_an_ephemeral_key_opens_the_session_that_it_was_made_for(server: Server) -> None:
    async with AsyncOpenAI(api_key="none", base_url=server.http) as client:
        made = await client.beta.realtime.sessions.create(
            model="gpt-4o-realtime-preview", voice="shimmer", modalities=["text"], temperature=0.7
        )
    assert made.client_secret.value.startswith("ek_")
    assert (made.voice, made.modalities, made.temperature) == ("shimmer", ["text"], 0.7)
    browser = AsyncOpenAI(api_key=made.client_secret.value, websocket_base_url=f"ws://{server.host}/v1")
    async with browser, browser.beta.realtime.connect(model="gpt-4o-realtime-preview") as connection:
        first = await connection.recv()
        assert first.type == "session.created"
        assert (first.session.voice, first.session.modalities) == ("shimmer", ["text"])


async def test_an_ephemeral_key_of_a_transcription_session_is_made(server: Server) -> None:
    async with AsyncOpenAI(api_key="none", base_url=server.http) as client:
        made = await client.beta.realtime.transcription_sessions.create(input_audio_format="g711_ulaw")
    assert made.client_secret.value.startswith("ek_")
    assert made.input_audio_format == "g711_ulaw"
