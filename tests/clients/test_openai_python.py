"""The `openai` package for Python: calls and a backend attached to one, sessions over a WebSocket, audio over HTTP."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from tests.clients.chat_endpoint import STORY, ChatEndpoint
from tests.clients.conftest import Server, chunks
from tests.clients.pages import wav
from tests.server.caller import Caller, calling

PATIENCE_S = 40

WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Tell the weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def message(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


# --- calls ---------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def called(server: Server, **session: Any) -> AsyncIterator[tuple[Caller, AsyncOpenAI, str]]:
    """A call that the stock client has made; its client, and its id."""
    client = AsyncOpenAI(base_url=server.http, api_key="none")

    async def made(offer: str) -> tuple[str, str]:
        create = client.realtime.calls.with_raw_response.create
        response = await create(sdp=offer, session={"type": "realtime", "model": "gpt-realtime", **session})
        return response.parse().text, response.headers["location"]

    async with client, calling(server, made=made) as caller, asyncio.timeout(PATIENCE_S):
        yield caller, client, caller.location.rpartition("/")[2]


def heard_of(chat: ChatEndpoint) -> str:
    return "".join(str(one["content"]) for one in chat.last_messages if one["role"] == "assistant")


async def test_a_call_is_answered_interrupted_and_hung_up(
    server: Server, speech: Callable[[str], bytes], chat: ChatEndpoint
) -> None:
    detection = {"type": "server_vad", "interrupt_response": True, "create_response": False}
    async with called(server, instructions="STORY", audio={"input": {"turn_detection": detection}}) as (
        caller,
        client,
        id,
    ):
        assert (await caller.until("session.created")).session.instructions == "STORY"
        caller.send(type="response.create")
        await caller.hears(500)
        caller.voice.say(np.repeat(np.frombuffer(speech("weather_question"), "<i2"), 2))
        cut = await caller.until("conversation.item.truncated")
        assert 0 < cut.audio_end_ms < 8_000
        caller.send(type="conversation.item.create", item=message("Go on."))
        caller.send(type="response.create")
        await caller.until("output_audio_buffer.started")
        assert heard_of(chat)
        assert len(heard_of(chat)) < len("".join(STORY)) / 2
        caller.send(type="session.update", event_id="mine", session={"type": "realtime", "nonsense": 1})
        error = (await caller.until("error")).error
        assert (error.event_id, error.param) == ("mine", "session.nonsense")
        await client.realtime.calls.hangup(id)
        with pytest.raises(NotFoundError) as refused:
            await client.realtime.calls.hangup(id)
        assert refused.value.code == "call_id_not_found"


async def test_a_backend_attached_to_a_call_answers_its_tool(server: Server) -> None:
    async with called(server) as (caller, client, id), client.realtime.connect(call_id=id) as backend:
        await backend.session.update(session={"type": "realtime", "tools": [WEATHER]})
        caller.send(type="conversation.item.create", item=message("What is the weather in Paris?"))
        caller.send(type="response.create")
        async for event in backend:
            assert event.type != "error", event
            if event.type == "response.function_call_arguments.done":
                output = {"type": "function_call_output", "call_id": event.call_id, "output": "It is sunny in Paris"}
                await backend.conversation.item.create(item=output)
            elif event.type == "response.done":
                if event.response.output[0].type == "message":
                    break
                await backend.response.create()
        await caller.until("output_audio_buffer.started")
        await caller.hears(500)
        said = await caller.until("output_audio_buffer.stopped") and caller.of("response.output_audio_transcript.done")
        assert "sunny in Paris" in said[-1].transcript


def test_an_offer_that_is_none_is_refused_by_name(server: Server) -> None:
    with pytest.raises(BadRequestError) as refused:
        OpenAI(base_url=server.http, api_key="none", max_retries=0).realtime.calls.create(sdp="v=0")
    assert refused.value.code == "invalid_offer"


# --- sessions over a WebSocket -------------------------------------------------------------------------------------------


@asynccontextmanager
async def session(server: Server, **settings: Any) -> AsyncIterator[AsyncRealtimeConnection]:
    async with (
        AsyncOpenAI(base_url=server.http, api_key="none") as client,
        client.realtime.connect(model="gpt-realtime") as connection,
        asyncio.timeout(PATIENCE_S),
    ):
        assert (await connection.recv()).type == "session.created"
        await connection.session.update(session={"type": "realtime", **settings})
        assert (await connection.recv()).type == "session.updated"
        yield connection


async def ask(connection: AsyncRealtimeConnection, text: str) -> None:
    await connection.conversation.item.create(item=message(text))
    await connection.response.create()


async def until(connection: AsyncRealtimeConnection, kind: str) -> Any:
    while (event := await connection.recv()).type != kind:
        assert event.type != "error", event
    return event


async def test_a_session_talks_calls_a_tool_and_survives_an_error(server: Server) -> None:
    async with session(server, tools=[WEATHER]) as connection:
        await ask(connection, "What is the weather in Paris?")
        call = await until(connection, "response.function_call_arguments.done")
        assert json.loads(call.arguments) == {"city": "Paris"}
        await until(connection, "response.done")
        await connection.response.cancel(event_id="nothing_to_cancel")
        error = (await until_error(connection)).error
        assert (error.code, error.event_id) == ("response_cancel_not_active", "nothing_to_cancel")
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "It is sunny in Paris"}
        await connection.conversation.item.create(item=output)
        await connection.response.create()
        assert len(await audio(connection)) > 24_000  # half a second


async def test_talking_over_the_answer_stops_it_and_keeps_what_was_heard(
    server: Server, speech: Callable[[str], bytes], chat: ChatEndpoint
) -> None:
    detection = {"type": "server_vad", "interrupt_response": True, "create_response": False}
    async with session(server, instructions="STORY", audio={"input": {"turn_detection": detection}}) as connection:
        await ask(connection, "Tell me a story.")
        delta = await until(connection, "response.output_audio.delta")
        for chunk in chunks(speech("weather_question")):
            await connection.input_audio_buffer.append(audio=b64encode(chunk).decode())
        done = await until(connection, "response.done")
        assert (done.response.status, done.response.status_details.reason) == ("cancelled", "turn_detected")
        await connection.conversation.item.truncate(item_id=delta.item_id, content_index=0, audio_end_ms=400)
        await until(connection, "conversation.item.truncated")
        await ask(connection, "Go on.")
        await until(connection, "response.output_audio.delta")
    assert len(heard_of(chat)) < len("".join(STORY)) / 2


async def until_error(connection: AsyncRealtimeConnection) -> Any:
    while (event := await connection.recv()).type != "error":
        pass
    return event


async def audio(connection: AsyncRealtimeConnection) -> bytes:
    """Base64 of all that is said in the next response."""
    spoken = ""
    while (event := await connection.recv()).type != "response.done":
        spoken += event.delta if event.type == "response.output_audio.delta" else ""
    return spoken.encode()


# --- audio over HTTP -----------------------------------------------------------------------------------------------------


@pytest.fixture
def client(server: Server) -> OpenAI:
    return OpenAI(base_url=server.http, api_key="none", max_retries=0)


def recorded(pcm: bytes) -> tuple[str, bytes]:
    return "question.wav", wav(pcm)


def test_text_is_spoken_in_a_stream(client: OpenAI) -> None:
    speaking = client.audio.speech.with_streaming_response
    with speaking.create(model="tts-1", voice="alloy", input="Good morning.", response_format="pcm") as response:
        assert len(b"".join(response.iter_bytes())) > 24_000
    with pytest.raises(BadRequestError) as refused:
        client.audio.speech.create(model="tts-1", voice="nobody", input="Good morning.")
    assert refused.value.param == "voice"


def test_a_recording_is_written_down_whole_in_words_and_in_a_stream(
    client: OpenAI, speech: Callable[[str], bytes]
) -> None:
    def question() -> tuple[str, bytes]:
        return recorded(speech("weather_question"))

    create = client.audio.transcriptions.create
    text = create(model="whisper-1", file=question()).text
    assert "weather" in text
    timed = create(model="whisper-1", file=question(), response_format="verbose_json", timestamp_granularities=["word"])
    assert [word.word for word in timed.words or ()] == text.split()
    events = list(create(model="gpt-4o-transcribe", file=question(), stream=True))
    assert (events[-1].type, events[-1].text) == ("transcript.text.done", text)
    with pytest.raises(BadRequestError) as refused:
        create(model="whisper-1", file=("question.wav", b"nothing"))
    assert refused.value.param == "file"


def test_a_recording_is_translated_into_english(client: OpenAI, speech: Callable[[str], bytes]) -> None:
    made = client.audio.translations.create(model="whisper-1", file=recorded(speech("weather_question")))
    assert "weather" in made.text.lower()


def test_a_voice_that_no_engine_here_can_make_is_refused_in_words(
    client: OpenAI, speech: Callable[[str], bytes]
) -> None:
    consents = client.audio.voice_consents.list()
    assert consents.data == []
    with pytest.raises(BadRequestError) as refused:
        client.audio.voices.create(name="Ada", consent="cons_none", audio_sample=recorded(speech("hello_world")))
    assert refused.value.message
