"""LiveKit's openai RealtimeModel, as its AgentSession drives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents import llm
from livekit.plugins.openai.realtime import RealtimeModel, RealtimeSession
from openai.types.beta.realtime.session import TurnDetection

from tests.clients.chat_endpoint import STORY, ChatEndpoint
from tests.clients.conftest import Server, chunks

PATIENCE_S = 40


@dataclass
class Heard:
    text: str = ""
    samples: int = 0
    calls: list[llm.FunctionCall] = field(default_factory=list)
    message_ids: list[str] = field(default_factory=list)


async def listen(generation: llm.GenerationCreatedEvent) -> Heard:
    """A whole reply: its words, its audio, its calls."""
    heard = Heard()

    async def words(message: llm.MessageGeneration) -> None:
        async for text in message.text_stream:
            heard.text += str(text)

    async def audio(message: llm.MessageGeneration) -> None:
        async for frame in message.audio_stream:
            heard.samples += frame.samples_per_channel

    async def messages() -> None:
        async for message in generation.message_stream:
            heard.message_ids.append(message.message_id)
            await asyncio.gather(words(message), audio(message))

    async def calls() -> None:
        async for call in generation.function_stream:
            heard.calls.append(call)

    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(messages(), calls())
    return heard


class Talk:
    def __init__(self, session: RealtimeSession) -> None:
        self.session = session
        self.errors: list[Any] = []
        self.generations: asyncio.Queue[llm.GenerationCreatedEvent] = asyncio.Queue()
        self.transcripts: asyncio.Queue[llm.InputTranscriptionCompleted] = asyncio.Queue()
        self.speech: asyncio.Queue[str] = asyncio.Queue()
        self.events: list[dict[str, Any]] = []
        session.on("error", self.errors.append)
        session.on("generation_created", self.generations.put_nowait)
        session.on("input_audio_transcription_completed", self._transcribed)
        session.on("input_speech_started", lambda event: self.speech.put_nowait("started"))
        session.on("input_speech_stopped", lambda event: self.speech.put_nowait("stopped"))
        session.on("openai_server_event_received", self.events.append)

    def _transcribed(self, event: llm.InputTranscriptionCompleted) -> None:
        if event.is_final:
            self.transcripts.put_nowait(event)

    async def next(self, queue: asyncio.Queue[Any]) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            return await queue.get()

    def say(self, pcm: bytes) -> None:
        for chunk in chunks(pcm, 20):
            self.session.push_audio(rtc.AudioFrame(chunk, 24_000, 1, len(chunk) // 2))

    async def ask(self, text: str) -> llm.GenerationCreatedEvent:
        context = self.session.chat_ctx.copy()
        context.add_message(role="user", content=text)
        await self.session.update_chat_ctx(context)
        async with asyncio.timeout(PATIENCE_S):
            return await self.session.generate_reply()


@asynccontextmanager
async def talk(server: Server, instructions: str = "Repeat.", **options: Any) -> AsyncIterator[Talk]:
    async with aiohttp.ClientSession() as http:
        model = RealtimeModel(
            model="gpt-realtime",
            base_url=server.http,
            api_key="none",
            modalities=["audio"],
            http_session=http,
            **options,
        )
        session = model.session()
        held = Talk(session)
        try:
            await session.update_instructions(instructions)
            yield held
            assert held.errors == []
            assert [event for event in held.events if event["type"] == "error"] == []
        finally:
            await session.aclose()
            await model.aclose()


async def test_a_reply_asked_for_is_spoken(server: Server) -> None:
    async with talk(server) as held:
        heard = await listen(await held.ask("Good morning."))
        assert "You said: Good morning" in heard.text
        assert heard.samples > 12_000  # half a second


async def test_recorded_speech_is_transcribed_and_answered(server: Server, speech: Callable[[str], bytes]) -> None:
    detection = TurnDetection(type="server_vad", silence_duration_ms=500)
    async with talk(server, turn_detection=detection) as held:
        held.say(speech("weather_question"))
        assert await held.next(held.speech) == "started"
        assert await held.next(held.speech) == "stopped"
        heard = await listen(await held.next(held.generations))
        assert heard.samples
        assert (await held.next(held.transcripts)).transcript


async def test_recorded_speech_is_answered_with_the_clients_own_defaults(
    server: Server, speech: Callable[[str], bytes]
) -> None:
    async with talk(server) as held:
        held.say(speech("weather_question") + bytes(48_000 * 8))  # semantic_vad may wait up to 8 s
        heard = await listen(await held.next(held.generations))
        assert heard.samples


async def test_a_tool_is_called_once_and_its_answer_spoken(server: Server) -> None:
    @llm.function_tool
    async def weather(city: str) -> str:
        """Tell the weather of a city."""
        return f"sunny in {city}"

    async with talk(server) as held:
        await held.session.update_tools([weather])
        heard = await listen(await held.ask("What is the weather in Paris?"))
        (call,) = heard.calls
        assert (call.name, call.arguments) == ("weather", '{"city": "Paris"}')
        context = held.session.chat_ctx.copy()
        context.insert(
            llm.FunctionCallOutput(call_id=call.call_id, name="weather", output="sunny in Paris", is_error=False)
        )
        await held.session.update_chat_ctx(context)
        async with asyncio.timeout(PATIENCE_S):
            heard = await listen(await held.session.generate_reply())
        assert "sunny in Paris" in heard.text


async def test_the_chat_context_is_replaced_and_shortened(server: Server, chat: ChatEndpoint) -> None:
    async with talk(server) as held:
        await listen(await held.ask("My name is Ada."))
        assert [item.type for item in held.session.chat_ctx.items] == ["message", "message"]
        context = llm.ChatContext.empty()
        context.add_message(role="user", content="My name is Grace.")
        context.add_message(role="assistant", content="Hello Grace.")
        context.add_message(role="user", content="What is my name?")
        await held.session.update_chat_ctx(context)
        async with asyncio.timeout(PATIENCE_S):
            await listen(await held.session.generate_reply())
        asked = [str(message["content"]) for message in chat.last_messages if message["role"] != "system"]
        assert len(asked) == 3
        assert "Grace" in asked[0]
        assert not any("Ada" in text for text in asked)


async def test_interrupting_and_truncating_keeps_what_was_heard(server: Server, chat: ChatEndpoint) -> None:
    async with talk(server, "STORY") as held:
        generation = await held.ask("Tell me a story.")
        async with asyncio.timeout(PATIENCE_S):
            message = await anext(aiter(generation.message_stream))
            heard = await anext(aiter(message.audio_stream))
        held.session.interrupt()
        heard_ms = heard.samples_per_channel * 1000 // 24_000
        held.session.truncate(message_id=message.message_id, modalities=["audio"], audio_end_ms=heard_ms)
        await listen(await held.ask("Go on."))
        said = "".join(str(message["content"]) for message in chat.last_messages if message["role"] == "assistant")
        assert len(said) < len("".join(STORY)) / 2


async def test_talking_over_the_answer_stops_it(server: Server, speech: Callable[[str], bytes]) -> None:
    detection = TurnDetection(type="server_vad", silence_duration_ms=500, create_response=True, interrupt_response=True)
    async with talk(server, "STORY", turn_detection=detection) as held:
        generation = await held.ask("Tell me a story.")
        async with asyncio.timeout(PATIENCE_S):
            message = await anext(aiter(generation.message_stream))
            await anext(aiter(message.audio_stream))
        assert await held.next(held.generations) is generation
        held.say(speech("weather_question"))
        assert await held.next(held.speech) == "started"
        await held.next(held.generations)
        done = [event["response"]["status"] for event in held.events if event["type"] == "response.done"]
        assert done[0] == "cancelled"


async def test_an_error_reaches_the_client_and_the_session_goes_on(server: Server) -> None:
    async with talk(server) as held:
        errors: asyncio.Queue[Any] = asyncio.Queue()
        held.session.on("error", errors.put_nowait)
        held.session.update_options(speed=9.0)
        error = await held.next(errors)
        assert error.error.body.param == "session.audio.output.speed"
        assert error.recoverable
        heard = await listen(await held.ask("Good morning."))
        assert "You said: Good morning" in heard.text
        held.errors.clear()
        held.events.clear()
