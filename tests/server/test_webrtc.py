"""Calls over WebRTC, by a stock client (aiortc) over real sockets: conversation, tool, interruption, error, hang-up, translation."""

from __future__ import annotations

import gc
import weakref

import httpx
import numpy as np
import pytest

from parley.engines.ports import ToolCallDelta
from parley.server.links.webrtc import call
from parley.server.realtime_session import RealtimeSession
from parley.server.refusals import Refusal
from parley.testing.fakes import FakeModel, FakeRecognizer, Pause
from tests.server.caller import RATE, Caller, calling, comes_true
from tests.server.harness import PATIENCE_S, Engines, Running, configured, loaded, running
from tests.server.offers import an_offer
from tests.server.test_translation_sessions import engines as translating

VOICE = (9000 * np.sin(np.arange(RATE * 6 // 10) * 2 * np.pi * 500 / RATE)).astype(np.int16)
"""600 ms that the fake voice activity takes for speech."""

LONG = ["one two three four five six seven eight nine ten " * 4]
"""Four seconds of speech."""


@pytest.mark.proves("output_audio_buffer.started", state="sent")
@pytest.mark.proves("output_audio_buffer.stopped", state="sent")
async def test_a_spoken_turn_gets_a_spoken_answer() -> None:
    engines = Engines(stt=FakeRecognizer(*["What time is it?"] * 4), llm=FakeModel(["Half past nine."]))
    async with running(engines=engines) as server, calling(server) as caller:
        assert (await caller.next()).type == "session.created"
        caller.send(type="session.update", session={"type": "realtime", "audio": {"input": {"transcription": {}}}})
        await caller.until("session.updated")
        caller.voice.say(VOICE)
        await caller.until("output_audio_buffer.stopped")
        await caller.hears(250)
        kinds = caller.kinds()
        assert "response.output_audio.delta" not in kinds, "the audio goes as media"
        order = [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "response.created",
            "response.content_part.added",
            "output_audio_buffer.started",
            "response.output_audio.done",
            "response.done",
            "output_audio_buffer.stopped",
        ]
        assert [kind for kind in kinds if kind in order] == order
        response = caller.of("response.created")[0].response.id
        assert caller.of("output_audio_buffer.started")[0].response_id == response
        heard = caller.of("conversation.item.input_audio_transcription.completed")
        assert [event.transcript for event in heard] == ["What time is it?"]
        assert 250 < caller.speech_ms < 380, "100 ms for each of three words"
    assert len(server.app.calls) == 0


async def test_a_tool_is_called_and_its_answer_is_spoken() -> None:
    llm = FakeModel([ToolCallDelta(0, "call_1", "clock", "{}")], ["It is noon."])
    tool = {"type": "function", "name": "clock", "description": "", "parameters": {"type": "object"}}
    session = {"type": "realtime", "tools": [tool]}
    async with running(engines=Engines(llm=llm)) as server, calling(server, session=session) as caller:
        assert (await caller.next()).session.tools[0].name == "clock"
        caller.send(type="response.create")
        called = await caller.until("response.function_call_arguments.done")
        await caller.until("response.done")
        output = {"type": "function_call_output", "call_id": called.call_id, "output": "12:00"}
        caller.send(type="conversation.item.create", item=output)
        caller.send(type="response.create")
        await caller.until("output_audio_buffer.started")
        done = await caller.until("response.done")
        assert done.response.output[0].content[0].transcript == "It is noon."


@pytest.mark.proves("output_audio_buffer.cleared", state="sent")
@pytest.mark.parametrize("making", [False, True])
async def test_an_interrupted_reply_is_cut_to_what_was_sent(making: bool) -> None:
    llm = FakeModel([*LONG, Pause(30)] if making else LONG, ["Yes?"])
    async with running(engines=Engines(llm=llm)) as server, calling(server) as caller:
        caller.send(type="response.create")
        await caller.until("output_audio_buffer.started")
        await caller.hears(700)
        caller.voice.say(VOICE)
        cleared = await caller.until("output_audio_buffer.cleared")
        cut = await caller.until("conversation.item.truncated")
        done = await caller.until("response.done") if not caller.of("response.done") else caller.of("response.done")[0]
        assert (done.response.id, done.response.status) == (cleared.response_id, "cancelled" if making else "completed")
        heard_ms = caller.speech_ms
        assert cut.audio_end_ms < 2_500, "of four seconds"
        # aiortc's client decodes 80 ms later than it receives.
        assert abs(cut.audio_end_ms - heard_ms) <= 140
        before = caller.kinds().index("input_audio_buffer.speech_started")
        assert before < caller.kinds().index("output_audio_buffer.cleared")


@pytest.mark.proves("output_audio_buffer.clear", state="honoured")
async def test_a_client_clears_the_output_and_hears_no_more() -> None:
    async with running(engines=Engines(llm=FakeModel(LONG))) as server, calling(server) as caller:
        caller.send(type="response.create")
        started = await caller.until("output_audio_buffer.started")
        await caller.hears(300)
        caller.send(type="response.cancel")
        caller.send(type="output_audio_buffer.clear")
        assert (await caller.until("output_audio_buffer.cleared")).response_id == started.response_id
        await caller.listens(160)
        assert np.abs(await caller.listens(200)).max() < 300


async def test_what_cannot_be_read_is_answered_with_an_error_and_the_call_goes_on() -> None:
    async with running() as server, calling(server) as caller:
        caller.channel.send("this is no event")
        assert (await caller.until("error")).error.type == "invalid_request_error"
        caller.send(type="session.update", event_id="mine", session={"type": "realtime", "nonsense": 1})
        error = (await caller.until("error")).error
        assert (error.event_id, error.param) == ("mine", "session.nonsense")
        caller.channel.send(b'{"type":"response.create"}')
        await caller.until("output_audio_buffer.stopped")


async def test_long_messages_arrive_whole_and_in_their_order() -> None:
    async with running() as server, calling(server) as caller:
        words = "word " * 8_000
        for text in (words, "short"):
            content = [{"type": "input_text", "text": text}]
            item = {"type": "message", "role": "user", "content": content}
            caller.send(type="conversation.item.create", item=item)
        first = await caller.until("conversation.item.added")
        second = await caller.until("conversation.item.added")
        assert (first.item.content[0].text, second.item.content[0].text) == (words, "short")
        assert second.previous_item_id == first.item.id


@pytest.mark.parametrize("how", ["delete", "hangup"])
async def test_a_call_is_hung_up_by_its_id(how: str) -> None:
    async with running() as server, calling(server) as caller, httpx.AsyncClient() as http:
        await caller.next()
        url = server.http + caller.location
        assert caller.location.startswith("/v1/realtime/calls/rtc_")
        answered = await (http.delete(url) if how == "delete" else http.post(f"{url}/hangup"))
        assert answered.status_code == 200
        assert len(server.app.sessions) == len(server.app.calls) == 0
        await comes_true(lambda: caller.connection.connectionState == "closed")
        again = await http.delete(url)
        assert (again.status_code, again.json()["error"]["code"]) == (404, "call_id_not_found")


async def test_a_caller_that_hangs_up_ends_its_session() -> None:
    async with running() as server:
        async with calling(server) as caller:
            await caller.next()
            assert len(server.app.sessions) == 1
        await comes_true(lambda: len(server.app.sessions) == 0)


async def test_a_call_that_is_over_leaves_nothing_behind() -> None:
    async with running() as server:
        gc.disable()
        try:
            async with calling(server) as caller:
                caller.send(type="response.create")
                await caller.until("output_audio_buffer.stopped")
                (session,) = server.app.sessions
                assert isinstance(session, RealtimeSession)
                parts = (session, session._driver, session._driver.session)
                left: list[weakref.ref[object]] = [weakref.ref(part) for part in parts]
                del parts
                del session
            await comes_true(lambda: not len(server.app.webrtc))
            assert [one() for one in left] == [None] * 3, "without the garbage collector"
        finally:
            gc.enable()


async def test_the_words_of_a_call_are_translated_and_spoken() -> None:
    config = configured()
    path, query = "/v1/realtime/translations/calls", ""
    audio = {"output": {"language": "x-bench"}, "input": {"transcription": {"model": "whisper-1"}}}
    session = {"model": "gpt-realtime-translate", "audio": audio}
    async with (
        running(config, loaded(config, translating(*["Good day."] * 8))) as server,
        calling(server, path=path, query=query, session=session) as caller,
    ):
        assert (await caller.translated()).get("type") == "session.created"
        caller.voice.say(VOICE)
        texts = ""
        while "yad" not in texts:
            event = await caller.translated()
            texts += event.get("delta", "") if event["type"] == "session.output_transcript.delta" else ""
        await caller.hears(150)
        assert not [event for event in caller.raw if "audio.delta" in event["type"]]
        caller.send(type="session.close")
        while (await caller.translated())["type"] != "session.closed":
            pass
        await comes_true(lambda: len(server.app.sessions) == 0)


async def test_a_caller_without_a_channel_talks() -> None:
    engines = Engines(stt=FakeRecognizer(*["Hello."] * 4), llm=FakeModel(["Hello to you."]))
    async with running(engines=engines) as server, calling(server, channel=False) as caller:
        await comes_true(lambda: caller.connection.connectionState == "connected")
        caller.voice.say(VOICE)
        await caller.hears(250)


async def vanish(caller: Caller) -> None:
    """No more packets, and no goodbye: the client's machine is off."""
    connection = caller.connection.getSenders()[0].transport.transport._connection
    for protocol in connection._protocols:
        protocol.transport.abort()


async def test_a_caller_that_vanishes_is_let_go(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(call, "LOST_S", 0.5)
    monkeypatch.setattr(call, "LOOK_S", 0.1)
    async with running() as server, calling(server) as caller:
        await caller.next()
        await vanish(caller)
        with caplog.at_level("INFO"):
            await comes_true(lambda: len(server.app.sessions) == 0)
        assert "nothing was heard of the client" in caplog.text


async def test_a_call_that_nobody_comes_to_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(call, "CONNECT_S", 0.3)
    async with running() as server:
        with caplog.at_level("INFO"):
            answered = await offered(server)
            assert answered.status_code == 201
            assert len(server.app.sessions) == 1
            await comes_true(lambda: len(server.app.sessions) == 0)
        assert "no connection was made within" in caplog.text


async def test_a_caller_that_neither_speaks_nor_has_a_channel_is_let_go(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(call, "UNUSED_S", 0.3)
    monkeypatch.setattr(call, "LOOK_S", 0.1)
    async with running() as server, calling(server, channel=False, speaks=False) as caller:
        with caplog.at_level("INFO"):
            await comes_true(lambda: len(server.app.sessions) == 0)
        assert "neither spoke nor had a channel" in caplog.text
        assert caller.connection.connectionState in ("connected", "closed")


async def test_a_server_that_stops_ends_its_calls() -> None:
    async with running() as server, calling(server) as caller:
        await caller.next()
        server.server.leave()
        await comes_true(lambda: caller.connection.connectionState == "closed")
        assert len(server.app.sessions) == 0


async def test_a_revoked_key_ends_its_call_and_says_why() -> None:
    async with (
        running(configured(api_keys=("key-of-settings",))) as server,
        calling(server, key="key-of-settings") as caller,
    ):
        await caller.next()
        for session in server.app.sessions:
            session.access_ended(Refusal(401, "invalid_api_key", "The key was revoked."))
        assert (await caller.until("error")).error.code == "invalid_api_key"
        await comes_true(lambda: len(server.app.sessions) == 0)


async def offered(server: Running) -> httpx.Response:
    """The answer to an offer whose client never comes."""
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        headers = {"content-type": "application/sdp"}
        return await http.post(f"{server.http}/v1/realtime/calls", content=an_offer(), headers=headers)
