"""WebSocket clients written by hand after the beta's documentation: an assistant, a browser's subprotocols, a transcription client."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.clients.chat_endpoint import ChatEndpoint
from tests.clients.conftest import Server, chunks

PATIENCE_S = 40
HEADERS = {"Authorization": "Bearer none", "OpenAI-Beta": "realtime=v1"}
GA_WORDS = (
    "response.output_audio",
    "response.output_text",
    '"output_audio"',
    '"output_text"',
    "output_modalities",
    "conversation.item.added",
    "conversation.item.done",
    "audio/pcm",
)

Json = dict[str, Any]


class Client:
    """Sends and receives events as JSON, and keeps all that came."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.frames: list[str] = []

    async def send(self, kind: str, **members: object) -> None:
        await self._socket.send(json.dumps({"type": kind, **members}))

    async def until(self, kind: str) -> list[Json]:
        """The events up to the first of this type."""
        events: list[Json] = []
        async with asyncio.timeout(PATIENCE_S):
            while not events or events[-1]["type"] != kind:
                frame = await self._socket.recv()
                assert isinstance(frame, str)
                self.frames.append(frame)
                events.append(json.loads(frame))
        return events

    async def speak(self, pcm: bytes) -> None:
        for chunk in chunks(pcm):
            await self.send("input_audio_buffer.append", audio=base64.b64encode(chunk).decode())


@asynccontextmanager
async def dialled(url: str, **options: Any) -> AsyncIterator[Client]:
    async with connect(url, **({"additional_headers": HEADERS} | options)) as socket:
        client = Client(socket)
        yield client
        assert [word for word in GA_WORDS if any(word in frame for frame in client.frames)] == []


async def test_an_assistant_answers_calls_its_tool_and_is_interrupted(
    server: Server, speech: Callable[[str], bytes]
) -> None:
    async with dialled(f"{server.realtime}?model=gpt-4o-realtime-preview-2024-12-17") as client:
        await client.until("session.created")
        tool = {"type": "function", "name": "weather", "parameters": {"type": "object", "required": ["city"]}}
        await client.send(
            "session.update",
            session={
                "modalities": ["text", "audio"],
                "instructions": "STORY",
                "voice": "alloy",
                "input_audio_format": "pcm16",
                "output_audio_format": "g711_ulaw",
                "input_audio_transcription": {"model": "whisper-1"},
                "turn_detection": {"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 500},
                "tools": [tool],
                "tool_choice": "auto",
                "temperature": 0.8,
                "max_response_output_tokens": "inf",
            },
        )
        session = (await client.until("session.updated"))[-1]["session"]
        assert (session["output_audio_format"], session["tools"][0]["name"]) == ("g711_ulaw", "weather")

        await client.speak(speech("weather_question"))
        events = await client.until("response.done")
        call = next(event for event in events if event["type"] == "response.function_call_arguments.done")
        assert json.loads(call["arguments"]) == {"city": "Paris"}
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "rain"}
        await client.send("conversation.item.create", item=output)
        await client.send("response.create", response={"tool_choice": "none"})
        events = await client.until("response.done")
        words = "".join(event["delta"] for event in events if event["type"] == "response.audio_transcript.delta")
        assert words == "The tool says: rain."

        ask = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]}
        await client.send("conversation.item.create", item=ask)
        await client.send("response.create", response={"tool_choice": "none"})
        events = await client.until("response.audio.delta")
        await client.send("response.cancel")
        done = (await client.until("response.done"))[-1]["response"]
        assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
        await client.send("conversation.item.retrieve", item_id=events[-1]["item_id"])
        item = (await client.until("conversation.item.retrieved"))[-1]["item"]
        assert item["content"][0]["type"] == "audio"


async def test_an_assistants_text_of_an_earlier_session_is_taken_and_the_gas_refused(
    server: Server, chat: ChatEndpoint
) -> None:
    async with dialled(f"{server.realtime}?model=gpt-4o-realtime-preview") as client:
        for role, part, words in (("user", "input_text", "I am Ada."), ("assistant", "text", "Hello, Ada.")):
            item = {"type": "message", "role": role, "content": [{"type": part, "text": words}]}
            await client.send("conversation.item.create", item=item)
            created = (await client.until("conversation.item.created"))[-1]
            assert created["item"]["content"] == item["content"]
        await client.send("response.create")
        await client.until("response.done")
        asked = [message["content"] for message in chat.last_messages if message["role"] != "system"]
        assert asked == ["I am Ada.", "Hello, Ada."]
        wrong = {"type": "message", "role": "assistant", "content": [{"type": "input_text", "text": "x"}]}
        await client.send("conversation.item.create", item=wrong, event_id="mine")
        error = (await client.until("error"))[-1]["error"]
        assert (error["param"], error["event_id"]) == ("item.content[0].type", "mine")


async def test_a_browser_is_answered_with_its_subprotocol(server: Server) -> None:
    offered = [Subprotocol(name) for name in ("realtime", "openai-insecure-api-key.none", "openai-beta.realtime-v1")]
    async with dialled(
        f"{server.realtime}?model=gpt-4o-realtime-preview", additional_headers={}, subprotocols=offered
    ) as client:
        created = (await client.until("session.created"))[-1]
        assert created["session"]["modalities"] == ["audio", "text"]


@pytest.mark.parametrize("manual", [False, True])
async def test_a_transcription_client_gets_words_and_no_replies(
    server: Server, speech: Callable[[str], bytes], manual: bool
) -> None:
    async with dialled(f"{server.realtime}?intent=transcription") as client:
        created = (await client.until("transcription_session.created"))[-1]["session"]
        assert created["object"] == "realtime.transcription_session"
        await client.send(
            "transcription_session.update",
            session={
                "input_audio_format": "pcm16",
                "input_audio_transcription": {"model": "whisper-1", "language": "en", "prompt": ""},
                "turn_detection": None if manual else {"type": "server_vad", "silence_duration_ms": 500},
                "input_audio_noise_reduction": None,
            },
        )
        await client.until("transcription_session.updated")
        await client.speak(speech("weather_question"))
        if manual:
            await client.send("input_audio_buffer.commit")
        events = await client.until("conversation.item.input_audio_transcription.completed")
        assert events[-1]["transcript"]
        kinds = [event["type"] for event in events]
        assert kinds.index("input_audio_buffer.committed") < kinds.index("conversation.item.created")
        assert not [kind for kind in kinds if kind.startswith("response.")]
        await client.send("response.create", event_id="mine")
        error = (await client.until("error"))[-1]["error"]
        assert error["event_id"] == "mine"
