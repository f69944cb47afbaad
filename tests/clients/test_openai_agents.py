"""`openai-agents` for Python: a RealtimeSession configured with nothing but the URL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from agents import function_tool
from agents.realtime import (
    OpenAIRealtimeSIPModel,
    RealtimeAgent,
    RealtimeModelConfig,
    RealtimeRunner,
    RealtimeSession,
    RealtimeSessionEvent,
)
from agents.realtime.items import AssistantMessageItem, UserMessageItem

from tests.clients.chat_endpoint import STORY, ChatEndpoint
from tests.clients.conftest import Server, chunks
from tests.server.caller import calling

PATIENCE_S = 40


async def opened(server: Server, agent: RealtimeAgent[None], **settings: Any) -> RealtimeSession:
    return await RealtimeRunner(agent).run(
        model_config={
            "url": f"{server.realtime}?model=gpt-realtime",
            "api_key": "none",
            "initial_model_settings": settings,
        }
    )


async def until(
    session: RealtimeSession,
    last: Callable[[RealtimeSessionEvent], bool],
    seen: list[RealtimeSessionEvent] | None = None,
) -> list[RealtimeSessionEvent]:
    """Events up to the one asked for; the client's own error events (an event of ours that failed its validation) fail the test."""
    seen = [] if seen is None else seen
    async with asyncio.timeout(PATIENCE_S):
        async for event in session:
            seen.append(event)
            assert event.type != "error", event.error
            if event.type == "raw_model_event":
                assert event.data.type not in ("error", "exception"), event.data
            if last(event):
                return seen
    raise AssertionError("the session ended by itself")


def turn_ended(event: RealtimeSessionEvent) -> bool:
    return event.type == "raw_model_event" and event.data.type == "turn_ended"


def raw_types(events: list[RealtimeSessionEvent]) -> list[str]:
    return [
        event.data.data["type"]
        for event in events
        if event.type == "raw_model_event" and event.data.type == "raw_server_event"
    ]


def audio_of(events: list[RealtimeSessionEvent]) -> bytes:
    return b"".join(event.audio.data for event in events if event.type == "audio")


def history(events: list[RealtimeSessionEvent]) -> list[Any]:
    """The client's last view of the conversation."""
    for event in reversed(events):
        if event.type == "history_updated":
            return event.history
    return []


def users_words(events: list[RealtimeSessionEvent]) -> str:
    return " ".join(spoken(item) for item in history(events) if isinstance(item, UserMessageItem)).strip()


def spoken(item: Any) -> str:
    parts = (getattr(part, "transcript", None) or getattr(part, "text", None) or "" for part in item.content)
    return " ".join(parts)


async def test_a_text_message_is_answered_in_speech(server: Server) -> None:
    async with await opened(server, RealtimeAgent(name="echo", instructions="Repeat.")) as session:
        await session.send_message("Good morning.")
        events = await until(session, turn_ended)
        assert len(audio_of(events)) > 24_000  # half a second
        assistant = [item for item in history(events) if isinstance(item, AssistantMessageItem)]
        assert "You said: Good morning" in spoken(assistant[-1])


async def test_a_conversation_is_remembered(server: Server, chat: ChatEndpoint) -> None:
    async with await opened(server, RealtimeAgent(name="echo", instructions="Repeat.")) as session:
        await session.send_message("My name is Ada.")
        events = await until(session, turn_ended)
        await session.send_message("And yours?")
        events = await until(session, turn_ended, events)
    asked = [
        (message["role"], str(message["content"])) for message in chat.last_messages if message["role"] != "system"
    ]
    assert [role for role, _ in asked] == ["user", "assistant", "user"]
    assert "Ada" in asked[0][1]
    assert "You said" in asked[1][1]
    roles = [item.role for item in history(events) if item.type == "message"]
    assert roles == ["user", "assistant", "user", "assistant"]


@pytest.mark.parametrize("detection", ["server_vad", "semantic_vad"])
async def test_recorded_speech_is_answered(server: Server, speech: Callable[[str], bytes], detection: str) -> None:
    agent: RealtimeAgent[None] = RealtimeAgent(name="echo", instructions="Repeat.")
    async with await opened(server, agent, turn_detection={"type": detection, "interrupt_response": True}) as session:
        for chunk in chunks(speech("weather_question") + bytes(48_000 * 8)):  # semantic_vad may wait up to 8 s
            await session.send_audio(chunk)
        events = await until(session, turn_ended)
        assert audio_of(events)
        types = raw_types(events)
        assert types.index("input_audio_buffer.speech_started") < types.index("input_audio_buffer.speech_stopped")
        if not users_words(events):
            events = await until(session, lambda event: bool(users_words([event])), events)
    users = [item for item in history(events) if isinstance(item, UserMessageItem)]
    assert len(users) == 1


async def test_a_tool_is_called_once_and_its_answer_spoken(server: Server, chat: ChatEndpoint) -> None:
    asked: list[str] = []

    @function_tool
    def weather(city: str) -> str:
        """Tell the weather of a city."""
        asked.append(city)
        return f"It is sunny in {city}"

    async with await opened(server, RealtimeAgent(name="helper", instructions="Help.", tools=[weather])) as session:
        await session.send_message("What is the weather in Paris?")
        events = await until(session, lambda event: event.type == "tool_end")
        events = await until(session, lambda event: turn_ended(event) and bool(audio_of(events)), events)
    assert asked == ["Paris"]
    assert [message["role"] for message in chat.last_messages if message["role"] != "system"][-2:] == [
        "assistant",
        "tool",
    ]
    assistant = [item for item in history(events) if isinstance(item, AssistantMessageItem)]
    assert "sunny in Paris" in spoken(assistant[-1])


async def test_talking_over_the_answer_stops_it_and_keeps_what_was_heard(
    server: Server, speech: Callable[[str], bytes], chat: ChatEndpoint
) -> None:
    agent: RealtimeAgent[None] = RealtimeAgent(name="teller", instructions="STORY")
    detection = {"type": "server_vad", "interrupt_response": True, "create_response": False}
    async with await opened(server, agent, turn_detection=detection) as session:
        await session.send_message("Tell me a story.")
        events = await until(session, lambda event: event.type == "audio")
        for chunk in chunks(speech("weather_question")):
            await session.send_audio(chunk)
        events = await until(session, lambda event: event.type == "audio_interrupted", events)
        events = await until(session, lambda event: "conversation.item.truncated" in raw_types([event]), events)
        if not any(turn_ended(event) for event in events):
            events = await until(session, turn_ended, events)
        await session.send_message("Go on.")
        await until(session, lambda event: event.type == "audio")
    heard = [str(message["content"]) for message in chat.last_messages if message["role"] == "assistant"]
    assert len("".join(heard)) < len("".join(STORY)) / 2


async def test_interrupting_by_hand_stops_the_answer(server: Server) -> None:
    # Where the server interrupts by itself, this client leaves the cancelling to it.
    detection = {"type": "server_vad", "interrupt_response": False}
    agent: RealtimeAgent[None] = RealtimeAgent(name="teller", instructions="STORY")
    async with await opened(server, agent, turn_detection=detection) as session:
        await session.send_message("Tell me a story.")
        events = await until(session, lambda event: event.type == "audio")
        await session.interrupt()
        events = await until(session, turn_ended, events)
        done = [
            event.data.data["response"]
            for event in events
            if event.type == "raw_model_event"
            and event.data.type == "raw_server_event"
            and event.data.data["type"] == "response.done"
        ]
        assert [response["status"] for response in done] == ["cancelled"]
        assert done[0]["status_details"]["reason"] == "client_cancelled"


async def test_a_backend_attached_to_a_call_runs_its_tool(server: Server) -> None:
    asked: list[str] = []

    @function_tool
    def weather(city: str) -> str:
        """Tell the weather of a city."""
        asked.append(city)
        return f"It is sunny in {city}"

    agent: RealtimeAgent[None] = RealtimeAgent(name="helper", instructions="Help.", tools=[weather])
    async with calling(server, path="/realtime/calls") as caller:
        call = caller.location.rpartition("/")[2]
        runner = RealtimeRunner(agent, model=OpenAIRealtimeSIPModel())
        config: RealtimeModelConfig = {"url": f"{server.realtime}?call_id={call}", "call_id": call, "api_key": "none"}
        async with await runner.run(model_config=config) as session:
            await session.send_message("What is the weather in Paris?")
            events = await until(session, lambda event: event.type == "tool_end")
            answered = "output_audio_buffer.stopped"
            await until(session, lambda event: answered in raw_types([event]), events)
        assert asked == ["Paris"]
        assert not audio_of(events), "the audio of a call travels as its media"
        assert abs(caller.heard).max() > 1000, "the caller heard the answer"
        assert "sunny in Paris" in " ".join(
            one.transcript for one in caller.of("response.output_audio_transcript.done")
        )
        assert not caller.of("error")
