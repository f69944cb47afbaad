"""Conversations of the stock `openai` client (async) with scripted engines: each flow of the protocol, over a real socket."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from parley.engines.ports import ToolCallDelta
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, Hold
from tests.server.harness import Engines, Talk, running, talking

RATE = 24_000
VOICE = (8000 * np.sin(np.arange(RATE) / 20)).astype("<i2").tobytes()
"""A second that the fake voice activity takes for speech."""

PAUSE = bytes(RATE * 2)
"""A second of silence."""

REPLY_TAIL = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
]


async def push(talk: Talk, audio: bytes) -> None:
    for at in range(0, len(audio), 960):
        chunk = base64.b64encode(audio[at : at + 960]).decode()
        await talk.send(type="input_audio_buffer.append", audio=chunk)


async def write(talk: Talk, text: str, **item: Any) -> None:
    content = [{"type": "input_text", "text": text}]
    await talk.send(
        type="conversation.item.create", item={"type": "message", "role": "user", "content": content, **item}
    )
    await talk.until("conversation.item.done")


async def configure(talk: Talk, **session: Any) -> Any:
    await talk.send(type="session.update", session={"type": "realtime", **session})
    return (await talk.until("session.updated")).session


def spoken(talk: Talk) -> bytes:
    return b"".join(base64.b64decode(event.delta) for event in talk.of("response.output_audio.delta"))


@pytest.mark.proves(
    "conversation.item.create",
    "item",
    "item.content",
    "item.content[].text",
    "item.content[].type",
    "item.role",
    "item.type",
    state="honoured",
)
@pytest.mark.proves("response.create", "response", state="honoured")
async def test_a_written_question_gets_a_written_answer() -> None:
    engines = Engines(llm=FakeModel(["Par", "is."]))
    async with running(engines=engines) as server, talking(server) as talk:
        await configure(talk, output_modalities=["text"])
        await write(talk, "What is the capital of France?")
        talk.events.clear()
        await talk.send(type="response.create")
        done = await talk.until("response.done")
    text = "".join(event.delta for event in talk.of("response.output_text.delta"))
    assert text == talk.of("response.output_text.done")[0].text == "Paris."
    assert done.response.status == "completed"
    assert done.response.usage.total_tokens == done.response.usage.input_tokens + done.response.usage.output_tokens
    kinds = [kind for kind in talk.kinds() if kind not in ("response.output_text.delta", "rate_limits.updated")]
    assert kinds[:4] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
    ]
    assert kinds[4:6] == ["response.output_text.done", "response.content_part.done"]
    assert kinds[-1] == "response.done"
    assert engines.llm.requests[0].messages[-1].text == "What is the capital of France?"


@pytest.mark.proves("input_audio_buffer.append", "audio", state="honoured")
@pytest.mark.proves("session.update", "session.audio.input.transcription", state="honoured")
async def test_a_spoken_turn_gets_a_spoken_answer() -> None:
    engines = Engines(stt=FakeRecognizer(*["What time is it?"] * 4), llm=FakeModel(["Half past nine."]))
    async with running(engines=engines) as server, talking(server) as talk:
        await configure(talk, audio={"input": {"transcription": {"model": "gpt-4o-transcribe"}}})
        await push(talk, PAUSE + VOICE + PAUSE)
        done = await talk.until("response.done")
        if not talk.of("conversation.item.input_audio_transcription.completed"):
            await talk.until("conversation.item.input_audio_transcription.completed")
    kinds = talk.kinds()
    turn = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
    at = [
        kinds.index(kind) for kind in [*turn, "conversation.item.added", "conversation.item.done", "response.created"]
    ]
    assert at == sorted(at)
    started, stopped, committed = (talk.of(kind)[0] for kind in turn)
    assert started.item_id == stopped.item_id == committed.item_id
    assert abs(started.audio_start_ms - 700) <= 64, "a second of silence, less 300 ms of padding"
    assert abs(stopped.audio_end_ms - 2500) <= 64, "where the voice ends, and 500 ms of silence"
    heard = talk.of("conversation.item.input_audio_transcription.completed")[0]
    assert (heard.item_id, heard.transcript) == (committed.item_id, "What time is it?")
    assert done.response.output[0].content[0].transcript == "Half past nine."
    assert len(spoken(talk)) == 3 * 100 * 48, "100 ms for each of three words"
    assert [kind for kind in kinds if kind in REPLY_TAIL] == REPLY_TAIL


@pytest.mark.proves("input_audio_buffer.commit", state="honoured")
@pytest.mark.proves("session.update", "session.audio.input.turn_detection", state="honoured")
async def test_a_manual_turn_is_answered_only_when_asked() -> None:
    engines = Engines(stt=FakeRecognizer("Good morning."), llm=FakeModel(["Good morning to you."]))
    async with running(engines=engines) as server, talking(server) as talk:
        await configure(talk, audio={"input": {"turn_detection": None}})
        await push(talk, VOICE)
        await talk.send(type="input_audio_buffer.commit")
        await talk.until("conversation.item.done")
        assert "response.created" not in talk.kinds()
        await talk.send(type="response.create")
        assert (await talk.until("response.done")).response.status == "completed"
    assert engines.llm.requests[0].messages[-1].text == "Good morning."


TOOL = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.mark.proves("conversation.item.create", "item.call_id", "item.output", state="honoured")
@pytest.mark.proves(
    "session.update",
    "session.tools",
    "session.tools[].name",
    "session.tools[].description",
    "session.tools[].parameters",
    "session.tools[].type",
    "session.tool_choice",
    state="honoured",
)
async def test_a_tool_is_called_and_its_output_answered() -> None:
    call = [
        ToolCallDelta(0, "call_w", "weather"),
        ToolCallDelta(0, arguments='{"city":'),
        ToolCallDelta(0, arguments='"Paris"}'),
    ]
    engines = Engines(llm=FakeModel(call, ["Sunny."]))
    async with running(engines=engines) as server, talking(server) as talk:
        await configure(talk, tools=[TOOL], tool_choice="auto", output_modalities=["text"])
        await write(talk, "Weather in Paris?")
        await talk.send(type="response.create")
        done = await talk.until("response.done")
        (item,) = done.response.output
        assert (item.type, item.name, item.call_id) == ("function_call", "weather", "call_w")
        assert item.arguments == '{"city":"Paris"}'
        kinds = talk.kinds()
        assert kinds.index("conversation.item.added", kinds.index("response.created")) < kinds.index(
            "response.function_call_arguments.done"
        )
        assert not any(kind.startswith("response.content_part") for kind in kinds)
        output = {"type": "function_call_output", "call_id": "call_w", "output": '{"sky":"blue"}'}
        await talk.send(type="conversation.item.create", item=output)
        await talk.send(type="response.create")
        assert (await talk.until("response.output_text.done")).text == "Sunny."
        await talk.until("response.done")
    last = engines.llm.requests[1].messages
    assert [message.role for message in last[-3:]] == ["user", "assistant", "tool"]
    assert (last[-1].call_id, last[-1].text) == ("call_w", '{"sky":"blue"}')


@pytest.mark.proves("response.cancel", "event_id", state="honoured")
async def test_a_cancelled_reply_ends_once_and_says_nothing_more() -> None:
    hold = Hold()
    engines = Engines(llm=FakeModel(["One sentence. Another", hold, " sentence."], ["Next."]))
    async with running(engines=engines) as server, talking(server) as talk:
        await talk.send(type="response.create")
        await talk.until("response.output_audio.delta")
        await hold.reached.wait()
        await talk.send(type="response.cancel")
        done = await talk.until("response.done")
        assert (done.response.status, done.response.status_details.reason) == ("cancelled", "client_cancelled")
        assert done.response.output[0].status == "incomplete"
        hold.event.set()
        talk.events.clear()
        await talk.send(type="response.cancel", event_id="again")
        error = await talk.until("error")
        assert (error.error.code, error.error.event_id) == ("response_cancel_not_active", "again")
        assert error.error.message.startswith("Cancellation failed")
        assert talk.kinds() == ["error"] or set(talk.kinds()) == {"error", "rate_limits.updated"}
        await talk.send(type="response.create")
        assert (await talk.until("response.done")).response.status == "completed"
    assert engines.llm.running == 0


@pytest.mark.proves("response.create", "event_id", state="honoured")
async def test_a_second_response_while_one_runs_is_refused() -> None:
    hold = Hold()
    engines = Engines(llm=FakeModel(["Well, ", hold, "yes."]))
    async with running(engines=engines) as server, talking(server) as talk:
        await talk.send(type="response.create")
        await talk.until("response.created")
        await talk.send(type="response.create", event_id="second")
        error = await talk.until("error")
        assert (error.error.code, error.error.event_id) == ("conversation_already_has_active_response", "second")
        hold.event.set()
        assert (await talk.until("response.done")).response.status == "completed"


@pytest.mark.proves(
    "conversation.item.truncate", "item_id", "content_index", "audio_end_ms", "event_id", state="honoured"
)
async def test_talking_over_the_answer_stops_it_and_the_conversation_keeps_what_was_heard() -> None:
    hold = Hold()
    engines = Engines(
        stt=FakeRecognizer(*["Wait."] * 4),
        llm=FakeModel(["one two three four five six seven eight. It was", hold, " never said."], ["All right."]),
        tts=FakeSynthesizer(word_ms=500),
    )
    async with running(engines=engines) as server, talking(server) as talk:
        await write(talk, "Count.")
        await talk.send(type="response.create")
        item = await talk.until("response.output_item.added")
        await hold.reached.wait()
        talk.events.clear()
        await push(talk, VOICE)
        done = await talk.until("response.done")
        assert (done.response.status, done.response.status_details.reason) == ("cancelled", "turn_detected")
        assert talk.kinds().index("input_audio_buffer.speech_started") < talk.kinds().index("response.done")
        # The client played 1.2 s: two words and a piece of the third.
        await talk.send(
            type="conversation.item.truncate", item_id=item.item.id, content_index=0, audio_end_ms=1200, event_id="t"
        )
        truncated = await talk.until("conversation.item.truncated")
        assert (truncated.item_id, truncated.audio_end_ms) == (item.item.id, 1200)
        talk.events.clear()
        await push(talk, PAUSE)
        assert (await talk.until("response.done")).response.status == "completed"
    kept = [message for message in engines.llm.requests[1].messages if message.role == "assistant"]
    assert [message.text.strip() for message in kept] == ["one two"]
    assert engines.llm.requests[1].messages[-1].text == "Wait."


async def test_truncating_more_than_there_is_is_an_error_that_names_the_field() -> None:
    async with running() as server, talking(server) as talk:
        await talk.send(type="response.create")
        done = await talk.until("response.done")
        item_id = done.response.output[0].id
        await talk.send(
            type="conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=99_000, event_id="long"
        )
        error = await talk.until("error")
        assert (error.error.param, error.error.event_id) == ("audio_end_ms", "long")
        await talk.send(type="conversation.item.truncate", item_id="item_nobody", content_index=0, audio_end_ms=0)
        assert (await talk.until("error")).error.code == "item_truncate_invalid_item_id"


@pytest.mark.proves("conversation.item.create", "item.id", "previous_item_id", state="honoured")
@pytest.mark.proves("conversation.item.retrieve", "item_id", "event_id", state="honoured")
@pytest.mark.proves("conversation.item.delete", "item_id", state="honoured")
async def test_items_keep_their_ids_and_order_and_can_be_read_and_deleted() -> None:
    async with running() as server, talking(server) as talk:
        await write(talk, "second", id="item_b")
        content = [{"type": "input_text", "text": "first"}]
        await talk.send(
            type="conversation.item.create",
            previous_item_id="root",
            item={"id": "item_a", "type": "message", "role": "user", "content": content},
        )
        added = await talk.until("conversation.item.added")
        assert (added.item.id, added.previous_item_id) == ("item_a", None)
        await talk.until("conversation.item.done")
        await talk.send(
            type="conversation.item.create",
            previous_item_id="item_a",
            item={"id": "m" * 32, "type": "message", "role": "system", "content": content},
        )
        between = await talk.until("conversation.item.added")
        assert (between.item.id, between.previous_item_id) == ("m" * 32, "item_a")
        await talk.send(type="conversation.item.retrieve", item_id="item_b")
        assert (await talk.until("conversation.item.retrieved")).item.content[0].text == "second"
        await talk.send(type="conversation.item.delete", item_id="item_b")
        assert (await talk.until("conversation.item.deleted")).item_id == "item_b"
        await talk.send(type="conversation.item.retrieve", item_id="item_b", event_id="gone")
        gone = await talk.until("error")
        assert (gone.error.code, gone.error.event_id) == ("item_retrieve_invalid_item_id", "gone")
        await talk.send(
            type="conversation.item.create",
            item={"id": "item_a", "type": "message", "role": "user", "content": content},
        )
        assert (await talk.until("error")).error.code == "item_create_duplicate_item_id"


async def test_a_spoken_item_can_be_read_back_with_its_audio() -> None:
    async with running() as server, talking(server) as talk:
        await talk.send(type="response.create")
        done = await talk.until("response.done")
        await talk.send(type="conversation.item.retrieve", item_id=done.response.output[0].id)
        item = (await talk.until("conversation.item.retrieved")).item
    assert base64.b64decode(item.content[0].audio) == spoken(talk)


@pytest.mark.proves(
    "response.create",
    "response.conversation",
    "response.metadata",
    "response.instructions",
    "response.input",
    "response.input[].content",
    "response.input[].content[].text",
    "response.input[].content[].type",
    "response.input[].role",
    "response.input[].type",
    state="honoured",
)
async def test_a_side_response_runs_with_the_main_one_and_leaves_no_trace_in_the_conversation() -> None:
    hold = Hold()
    engines = Engines(llm=FakeModel(["The main ", hold, "answer."], ["positive"], ["Done."]))
    async with running(engines=engines) as server, talking(server) as talk:
        await write(talk, "I love this.")
        await talk.send(type="response.create")
        await hold.reached.wait()
        talk.events.clear()
        await talk.send(
            type="response.create",
            response={
                "conversation": "none",
                "output_modalities": ["text"],
                "metadata": {"purpose": "mood"},
                "instructions": "Name the mood.",
                "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "mood?"}]}],
            },
        )
        done = await talk.until("response.done")
        assert done.response.metadata == {"purpose": "mood"}
        assert done.response.conversation_id is None
        assert done.response.output[0].content[0].text == "positive"
        side = [event for event in talk.events if getattr(event, "response_id", "") == done.response.id]
        assert side
        assert not talk.of("conversation.item.added")
        hold.event.set()
        assert (await talk.until("response.done")).response.status == "completed"
        await talk.send(type="response.create")
        await talk.until("response.done")
    texts = [message.text for message in engines.llm.requests[2].messages]
    assert "positive" not in texts
    assert [message.text for message in engines.llm.requests[1].messages if message.role == "user"] == ["mood?"]


async def test_a_transcription_session_writes_down_and_never_answers() -> None:
    engines = Engines(stt=FakeRecognizer(*["Dictated words."] * 6))
    async with running(engines=engines) as server, talking(server, intent="transcription") as talk:
        assert talk.events[0].session.type == "transcription"
        await push(talk, PAUSE + VOICE + PAUSE)
        heard = await talk.until("conversation.item.input_audio_transcription.completed")
        assert heard.transcript == "Dictated words."
        deltas = talk.of("conversation.item.input_audio_transcription.delta")
        assert "".join(delta.delta for delta in deltas) in ("", "Dictated words.")
        await talk.send(type="response.create", event_id="never")
        assert (await talk.until("error")).error.event_id == "never"
        assert not any(kind.startswith("response.") for kind in talk.kinds())
    assert engines.llm.requests == []


@pytest.mark.proves(
    "session.update", "session.audio.input.format.type", "session.audio.output.format.type", state="honoured"
)
async def test_telephone_audio_goes_both_ways() -> None:
    engines = Engines(stt=FakeRecognizer(*["Hello?"] * 4), llm=FakeModel(["Hello."]))
    async with running(engines=engines) as server, talking(server) as talk:
        form = {"type": "audio/pcmu"}
        session = await configure(talk, audio={"input": {"format": form}, "output": {"format": form}})
        assert session.audio.input.format.type == "audio/pcmu"
        loud, quiet = bytes([0x10, 0x90]) * 4000, bytes([0xFF]) * 8000
        for audio in (loud, quiet):
            for at in range(0, 8000, 160):
                chunk = base64.b64encode(audio[at : at + 160]).decode()
                await talk.send(type="input_audio_buffer.append", audio=chunk)
        await talk.until("response.done")
    assert len(spoken(talk)) == 800, "a word of 100 ms at 8 kHz, a byte a sample"


async def test_a_model_that_fails_fails_its_response_and_not_the_session() -> None:
    engines = Engines(llm=FakeModel(["Well, ", RuntimeError("boom")], ["Better now."]))
    async with running(engines=engines) as server, talking(server) as talk:
        await talk.send(type="response.create")
        failed = (await talk.until("response.done")).response
        assert failed.status == "failed"
        assert failed.status_details.error.code
        await talk.send(type="response.create")
        assert (await talk.until("response.done")).response.status == "completed"
