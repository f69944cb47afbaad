"""Pipecat's OpenAIRealtimeLLMService in a pipeline with its context aggregators; any `error` event would end it for good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMRunFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

from tests.clients.chat_endpoint import STORY, ChatEndpoint
from tests.clients.conftest import Server, chunks

PATIENCE_S = 40


class Ear(FrameProcessor):
    """Keeps what passes."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self.changed = asyncio.Condition()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.frames.append(frame)
        async with self.changed:
            self.changed.notify_all()
        await self.push_frame(frame, direction)

    def all(self, kind: type[Any]) -> list[Any]:
        return [frame for frame in self.frames if isinstance(frame, kind)]


class Call:
    def __init__(self, llm: OpenAIRealtimeLLMService, context: LLMContext) -> None:
        self.llm = llm
        self.context = context
        pair = LLMContextAggregatorPair(context)
        # Transcripts travel upstream, audio and its words downstream.
        self.up, self.down = Ear(), Ear()
        self.worker = PipelineWorker(
            Pipeline([pair.user(), self.up, llm, self.down, pair.assistant()]),
            cancel_on_idle_timeout=False,
            enable_rtvi=False,
        )
        self.started = asyncio.Event()

        @self.worker.event_handler("on_pipeline_started")
        async def on_pipeline_started(worker: PipelineWorker, frame: Frame) -> None:
            self.started.set()

    async def until(self, what: str, condition: Callable[[], bool]) -> None:
        async def met(ear: Ear) -> None:
            async with ear.changed:
                await ear.changed.wait_for(condition)

        waits = [asyncio.create_task(met(ear)) for ear in (self.up, self.down)]
        done, pending = await asyncio.wait(waits, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        went_by = [type(frame).__name__ for frame in self.down.frames if not isinstance(frame, InputAudioRawFrame)]
        assert done, f"waited in vain for {what}; went by: {went_by}"
        self.unharmed()

    def unharmed(self) -> None:
        errors = [frame.error for ear in (self.up, self.down) for frame in ear.all(ErrorFrame)]
        assert errors == []

    async def say(self, pcm: bytes) -> None:
        for chunk in chunks(pcm, 20):
            await self.worker.queue_frame(InputAudioRawFrame(audio=chunk, sample_rate=24_000, num_channels=1))

    @property
    def words(self) -> str:
        return "".join(frame.text for frame in self.down.all(TTSTextFrame))


@asynccontextmanager
async def call(
    server: Server,
    *,
    instructions: str = "Repeat.",
    messages: list[Any] | None = None,
    tools: Any = None,
    harmed: bool = False,
    **audio_input: Any,
) -> AsyncIterator[Call]:
    properties = events.SessionProperties(
        audio=events.AudioConfiguration(
            input=events.AudioInput(transcription=events.InputAudioTranscription(), **audio_input)
        )
    )
    llm = OpenAIRealtimeLLMService(
        api_key="none",
        base_url=server.realtime,
        settings=OpenAIRealtimeLLMService.Settings(
            model="gpt-realtime", system_instruction=instructions, session_properties=properties
        ),
    )
    context = LLMContext(messages or [], tools) if tools else LLMContext(messages or [])
    held = Call(llm, context)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(held.worker)
    running = asyncio.create_task(runner.run())
    try:
        await asyncio.wait_for(held.started.wait(), PATIENCE_S)
        yield held
        if not harmed:
            held.unharmed()
    finally:
        await held.worker.queue_frame(EndFrame())
        await asyncio.wait_for(running, PATIENCE_S)


async def test_a_context_is_answered_in_speech(server: Server) -> None:
    async with call(server, messages=[{"role": "user", "content": "Good morning."}]) as held:
        await held.worker.queue_frame(LLMRunFrame())
        await held.until("the reply's end", lambda: len(held.down.all(LLMFullResponseEndFrame)) > 0)
        assert sum(len(frame.audio) for frame in held.down.all(TTSAudioRawFrame)) > 24_000
        assert "You said: Good morning" in held.words


@pytest.mark.parametrize("detection", [events.TurnDetection(), events.SemanticTurnDetection()])
async def test_recorded_speech_is_transcribed_and_answered(
    server: Server, speech: Callable[[str], bytes], detection: Any
) -> None:
    async with call(server, turn_detection=detection) as held:
        await held.worker.queue_frame(LLMRunFrame())
        await held.until("the first reply's end", lambda: len(held.down.all(LLMFullResponseEndFrame)) > 0)
        before = len(held.down.all(TTSAudioRawFrame))
        await held.say(speech("weather_question") + bytes(48_000 * 8))  # semantic_vad may wait up to 8 s
        await held.until("a transcript", lambda: bool(held.up.all(TranscriptionFrame)))
        await held.until("a reply", lambda: len(held.down.all(TTSAudioRawFrame)) > before)
        assert held.up.all(TranscriptionFrame)[0].text


async def test_a_tool_is_called_once_and_its_answer_spoken(server: Server) -> None:
    asked: list[str] = []

    async def weather(params: FunctionCallParams) -> None:
        asked.append(params.arguments["city"])
        await params.result_callback({"weather": f"sunny in {params.arguments['city']}"})

    schema = FunctionSchema(
        name="weather",
        description="Tell the weather of a city.",
        properties={"city": {"type": "string"}},
        required=["city"],
        handler=weather,
    )
    question = [{"role": "user", "content": "What is the weather in Paris?"}]
    async with call(server, messages=question, tools=ToolsSchema(standard_tools=[schema])) as held:
        await held.worker.queue_frame(LLMRunFrame())
        await held.until("the spoken answer with the tool's output", lambda: "sunny in Paris" in held.words)
    assert asked == ["Paris"]


async def test_talking_over_the_answer_stops_it_and_keeps_what_was_heard(
    server: Server, speech: Callable[[str], bytes], chat: ChatEndpoint
) -> None:
    async with call(
        server,
        instructions="STORY",
        messages=[{"role": "user", "content": "Tell me a story."}],
        turn_detection=events.TurnDetection(),
    ) as held:
        await held.worker.queue_frame(LLMRunFrame())
        await held.until("audio", lambda: bool(held.down.all(TTSAudioRawFrame)))
        asked = len(chat.requests)
        await held.say(speech("weather_question"))
        await held.until("an interruption", lambda: bool(held.down.all(InterruptionFrame)))
        await held.until("the next reply's request", lambda: len(chat.requests) > asked)
        heard = "".join(str(message["content"]) for message in chat.last_messages if message["role"] == "assistant")
        assert len(heard) < len("".join(STORY)) / 2


async def test_turns_driven_by_the_client_are_answered(server: Server, speech: Callable[[str], bytes]) -> None:
    """`turn_detection=False`: the client clears, commits and asks by itself; none of it may end in an `error`."""
    async with call(server, turn_detection=False) as held:
        await held.worker.queue_frame(LLMRunFrame())
        await held.until("the first reply's end", lambda: len(held.down.all(LLMFullResponseEndFrame)) > 0)
        before = len(held.down.all(TTSAudioRawFrame))
        await held.worker.queue_frame(InterruptionFrame())
        await held.until("the interruption to be sent", lambda: bool(held.down.all(InterruptionFrame)))
        question = speech("weather_question")
        await held.say(question)
        await held.until("the audio to be sent", lambda: len(held.down.all(InputAudioRawFrame)) * 960 >= len(question))
        await held.llm.send_client_event(events.InputAudioBufferCommitEvent())
        await held.llm.send_client_event(events.ResponseCreateEvent())
        await held.until("a reply", lambda: len(held.down.all(TTSAudioRawFrame)) > before)
        await held.until("a transcript", lambda: bool(held.up.all(TranscriptionFrame)))


async def test_an_item_is_retrieved_and_an_unknown_one_refused(server: Server) -> None:
    async with call(server, messages=[{"role": "user", "content": "Good morning."}]) as held:
        created: list[str] = []

        @held.llm.event_handler("on_conversation_item_created")
        async def on_conversation_item_created(service: Any, item_id: str, item: Any) -> None:
            created.append(item_id)

        await held.worker.queue_frame(LLMRunFrame())
        await held.until("the reply's end", lambda: len(held.down.all(LLMFullResponseEndFrame)) > 0)
        item = await asyncio.wait_for(held.llm.retrieve_conversation_item(created[0]), PATIENCE_S)
        assert item.content[0].text == "Good morning."
        with pytest.raises(Exception, match="item_nowhere"):
            await asyncio.wait_for(held.llm.retrieve_conversation_item("item_nowhere"), PATIENCE_S)


async def test_an_error_reaches_the_pipeline_in_the_servers_words(server: Server) -> None:
    async with call(server, messages=[{"role": "user", "content": "Good morning."}], harmed=True) as held:
        await held.worker.queue_frame(LLMRunFrame())
        await held.until("the reply's end", lambda: len(held.down.all(LLMFullResponseEndFrame)) > 0)
        await held.llm.send_client_event(events.ConversationItemDeleteEvent(item_id="nothing"))
        async with held.up.changed, asyncio.timeout(PATIENCE_S):
            await held.up.changed.wait_for(lambda: bool(held.up.all(ErrorFrame)))
        assert "'nothing'" in held.up.all(ErrorFrame)[0].error
