"""The raw audio stream over real sockets: conversations in every format, interruptions, what events are sent, who is refused."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx
import pytest
import websockets.asyncio.client as ws
from websockets.exceptions import InvalidStatus

from parley.engines.ports import ToolCallDelta
from parley.server.access.access import Grant
from parley.server.calls import OpenCall
from parley.server.links.media_format import Encoding, MediaFormat
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer
from tests.runtime.rig import settled
from tests.server.harness import Engines, Running, configured, running
from tests.server.raw_client import RawClient, silence, streaming, voice

PCM16K = MediaFormat("pcm16", 16_000)


def talkative(*answers: str, word_ms: int = 20) -> Engines:
    """Engines that hear anything, and answer these."""
    return Engines(
        stt=FakeRecognizer(*["What time is it?"] * 20),
        llm=FakeModel(*[[answer] for answer in answers]),
        tts=FakeSynthesizer(word_ms=word_ms),
    )


async def ask(client: RawClient, form: MediaFormat, *sizes: int) -> None:
    await client.push(silence(form, 0.5) + voice(form, 0.6) + silence(form, 0.8), *sizes)


@pytest.mark.parametrize(
    ("encoding", "rate", "sizes"),
    [
        ("pcm16", 16_000, (1, 640, 3, 7)),
        ("pcm16", 24_000, (960,)),
        ("pcm16", 44_100, (333,)),
        ("pcmu", 8_000, (160,)),
        ("pcma", 8_000, (1, 999)),
        ("float32", 48_000, (4_095, 2, 1)),
    ],
)
async def test_a_question_in_any_format_is_answered_in_it(
    encoding: Encoding, rate: int, sizes: tuple[int, ...]
) -> None:
    form = MediaFormat(encoding, rate)
    engines = talkative("Half past nine.")
    async with running(engines=engines) as server, streaming(server, format=encoding, rate=rate) as client:
        await ask(client, form, *sizes)
        stopped = await client.until("output_audio_buffer.stopped")
        assert stopped["response_id"] == client.of("response.created")[0]["response"]["id"]
        heard = client.of("conversation.item.input_audio_transcription.completed")
        assert [event["transcript"] for event in heard] == ["What time is it?"]
        assert [event["transcript"] for event in client.of("response.output_audio_transcript.done")] == [
            "Half past nine."
        ]
    assert not client.of("error")
    spoken_ms = len(client.audio) / form.sample_bytes / rate * 1000
    assert spoken_ms == pytest.approx(60, abs=6), "20 ms for each of three words, and the rest of the filter"
    level = float(abs(form.decode(client.audio)).max())
    assert level == pytest.approx(0.3, abs=0.06)
    stream = engines.stt.streams[0]
    assert len(stream.audio) / 16_000 == pytest.approx(0.3 + 0.6 + 0.5, abs=0.15), "no sample was lost or doubled"
    order = [kind for kind in client.order if kind == "audio" or kind.startswith("output_audio_buffer")]
    assert order[0] == "output_audio_buffer.started"
    assert order[-1] == "output_audio_buffer.stopped"


@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
async def test_telephone_audio_goes_through_untouched(encoding: Encoding) -> None:
    engines = talkative("Yes.")
    async with running(engines=engines) as server, streaming(server, format=encoding, events="all") as client:
        created = await client.until("session.created")
        assert created["session"]["audio"]["input"]["format"] == {"type": f"audio/{encoding}"}
        assert created["session"]["audio"]["output"]["format"] == {"type": f"audio/{encoding}"}


async def test_an_interruption_stops_the_audio_at_once_and_cuts_the_reply_to_what_was_heard() -> None:
    engines = talkative("One two three four five six seven eight nine ten.", "Yes?", word_ms=300)
    async with (
        running(engines=engines) as server,
        streaming(server, rate=16_000, events="all", lead_ms=120) as client,
    ):
        await ask(client, PCM16K)
        await client.until_bytes(32 * 500)
        await client.push(voice(PCM16K, 0.3))
        cleared = await client.until("output_audio_buffer.cleared")
        sent_ms = len(client.audio) / 32
        cut = await client.until("conversation.item.truncated")
        assert cleared["response_id"] == client.of("response.created")[0]["response"]["id"]
        assert cut["audio_end_ms"] == pytest.approx(sent_ms - 120, abs=25), "what was sent, less the lead"
        await client.push(silence(PCM16K, 0.8))
        await client.until("output_audio_buffer.started")
        assert len(client.audio) / 32 == sent_ms, "nothing of the old reply comes after it was cleared"
        await client.send(type="conversation.item.retrieve", item_id=cut["item_id"])
        item = (await client.until("conversation.item.retrieved"))["item"]
        assert item["content"][0]["transcript"] in ("One", "One two")


async def test_which_events_come_is_the_devices_choice() -> None:
    async with running(engines=talkative("Half past nine.")) as server:
        kinds: dict[str, list[str]] = {}
        for events in ("none", "basic", "all"):
            async with streaming(server, rate=16_000, events=events) as client:
                await ask(client, PCM16K)
                await client.until("audio")
                while events != "none" and "output_audio_buffer.stopped" not in client.order:
                    await client.next()
                kinds[events] = [kind for kind in client.order if kind != "audio"]
    assert kinds["none"] == []
    assert kinds["basic"][:2] == ["session.created", "parley.call.created"]
    assert "response.output_audio_transcript.delta" not in kinds["basic"]
    assert "response.output_audio_transcript.delta" in kinds["all"]
    assert set(kinds["basic"]) < set(kinds["all"])
    assert not any(kind.endswith("audio.delta") for kind in kinds["all"])


async def test_what_a_device_does_not_take_is_not_even_written() -> None:
    async with (
        running(engines=talkative("Half past nine.")) as server,
        streaming(server, rate=16_000, events="basic") as client,
    ):
        await ask(client, PCM16K)
        await client.until("output_audio_buffer.stopped")
    numbers = [int(event["event_id"][-9:]) for event in client.events if "event_id" in event]
    assert numbers == list(range(1, len(numbers) + 1)), "the encoder counts what it writes"


async def test_any_event_may_be_sent_as_text_and_tools_are_called_and_answered() -> None:
    engines = talkative("unused")
    engines.llm.replies = [[ToolCallDelta(0, "call_1", "get_time", "{}")], ["It is nine."]]
    tool = {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}}
    async with running(engines=engines) as server, streaming(server, rate=16_000) as client:
        await client.send(
            type="session.update", session={"type": "realtime", "tools": [tool], "instructions": "x" * 20_000}
        )
        updated = await client.until("session.updated")
        assert len(updated["session"]["instructions"]) == 20_000, "a long text frame is no audio"
        await ask(client, PCM16K)
        call = await client.until("response.function_call_arguments.done")
        assert call["name"] == "get_time"
        answer = {"type": "function_call_output", "call_id": call["call_id"], "output": "9:00"}
        await client.send(type="conversation.item.create", item=answer)
        await client.send(type="response.create")
        await client.until("output_audio_buffer.stopped")
        await client.send(type="no.such.event")
        error = await client.until("error")
        assert error["error"]["code"] == "invalid_value"
    assert len(client.audio) / 32 == pytest.approx(60, abs=6)


async def test_audio_may_come_in_one_frame_of_megabytes_or_in_fragments() -> None:
    engines = talkative("Yes.")
    async with running(engines=engines) as server, streaming(server, rate=16_000) as client:
        await client.connection.send(silence(PCM16K, 30) + voice(PCM16K, 0.6) + silence(PCM16K, 0.8))
        await client.until("output_audio_buffer.stopped")
        started = client.of("input_audio_buffer.speech_started")[0]
        assert started["audio_start_ms"] == pytest.approx(29_700, abs=64)
        spoken = voice(PCM16K, 0.6)
        await client.connection.send([spoken[:1_001], spoken[1_001:1_002], spoken[1_002:]])
        await client.push(silence(PCM16K, 0.8))
        await client.until("output_audio_buffer.stopped")
    assert [event["transcript"] for event in client.of("response.output_audio_transcript.done")] == ["Yes."] * 2


async def test_a_call_is_found_by_its_id_while_it_runs_and_can_be_ended() -> None:
    async with running() as server, streaming(server) as client:
        call_id = (await client.until("parley.call.created"))["call_id"]
        assert call_id.startswith("rtc_")
        call = server.app.calls.find(call_id, Grant())
        assert isinstance(call, OpenCall)
        call.link.hang_up()
        assert await client.until_closed() == 1000
        await settled(lambda: not len(server.app.calls))
        assert len(server.app.sessions) == 0


async def test_a_reply_may_end_when_the_server_stops() -> None:
    engines = talkative("One two three four five.", word_ms=100)
    async with running(configured(shutdown_grace_s=5.0), engines) as server, streaming(server, rate=16_000) as client:
        await ask(client, PCM16K)
        await client.until("audio")
        server.server.leave()
        assert await client.until_closed() == 1001
    assert len(client.audio) / 32 == pytest.approx(500, abs=6)


async def refused(server: Running, query: str = "", **headers: str) -> dict[str, Any]:
    with pytest.raises(InvalidStatus) as caught:
        async with ws.connect(f"{server.ws}/v1/audio/stream{query}", additional_headers=headers):
            pass
    response = caught.value.response
    return {"status": response.status_code, **json.loads(response.body or b"{}")["error"]}


@pytest.mark.parametrize(
    ("query", "param", "said"),
    [
        ("?rate=7999", "rate", "8000"),
        ("?rate=x", "rate", "48000"),
        ("?rate=-1", "rate", "48000"),
        ("?rate=%D9%A8", "rate", "48000"),
        ("?format=mp3", "format", "float32"),
        ("?events=some", "events", "basic"),
        ("?lead_ms=1", "lead_ms", "40"),
        ("?lead_ms=99999", "lead_ms", "5000"),
        ("?language=!!", "language", "language"),
        ("?voice=nobody", "voice", "nobody"),
        ("?model=default&pipeline=bench", "model", "leave one out"),
        ("?pipeline=gpt-9", "model", "gpt-9"),
        ("?sample_rate=8000", "sample_rate", "rate"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(query: str, param: str, said: str) -> None:
    async with running() as server:
        error = await refused(server, query)
        assert (error["status"] in (400, 404), error["param"]) == (True, param)
        assert said in error["message"]
        assert len(server.app.sessions) == 0


async def test_keys_pages_hosts_and_limits_are_those_of_every_session(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(configured(api_keys=("sk-secret-raw",), max_sessions=1)) as server:
        assert (await refused(server))["code"] == "invalid_api_key"
        assert (await refused(server, "?key=sk-wrong-raw"))["code"] == "invalid_api_key"
        assert (await refused(server, "?key=sk-secret-raw", Authorization="Bearer sk-wrong-raw"))["status"] == 401
        assert (await refused(server, "?key=sk-secret-raw", Origin="https://evil.example"))[
            "code"
        ] == "origin_not_allowed"
        port = int(server.host.partition(":")[2])
        with pytest.raises(InvalidStatus, match="403"):
            await ws.connect(f"ws://evil.example:{port}/v1/audio/stream?key=sk-secret-raw", host="127.0.0.1")
        async with streaming(server, key="sk-secret-raw") as client:
            await client.until("session.created")
            assert (await refused(server, "?key=sk-secret-raw"))["code"] == "session_limit_reached"
        await settled(lambda: not len(server.app.sessions))
        async with streaming(server, headers={"Authorization": "Bearer sk-secret-raw"}) as client:
            await client.until("session.created")
    shown = [
        one.getMessage() for one in caplog.records if one.name.startswith("parley") or one.levelno >= logging.WARNING
    ]
    assert any("is refused: 401 invalid_api_key" in line for line in shown)
    assert not any("-raw" in line for line in shown)


async def test_a_path_below_it_is_not_there_and_a_plain_request_is_told_of_the_websocket() -> None:
    async with running() as server, httpx.AsyncClient() as client:
        answer = await client.get(f"{server.http}/v1/audio/stream")
        assert answer.status_code == 426
        with pytest.raises(InvalidStatus) as caught:
            async with ws.connect(f"{server.ws}/v1/audio/stream/more"):
                pass
        assert caught.value.response.status_code == 404


async def test_a_device_that_stops_reading_is_sent_no_more_than_its_socket_holds() -> None:
    engines = talkative("One two three four five six seven eight nine ten.", word_ms=60)
    async with running(engines=engines) as server, streaming(server, rate=16_000, events="all") as client:
        call_id = (await client.until("parley.call.created"))["call_id"]
        call = server.app.calls.find(call_id, Grant())
        assert isinstance(call, OpenCall)
        await ask(client, PCM16K)
        await client.until("audio")
        server_link: Any = call.link
        server_link.congested(True)
        await asyncio.sleep(0.3)
        held_at = len(client.audio) / 32
        server_link.congested(False)
        await client.until("output_audio_buffer.stopped")
        assert held_at < 300
        assert len(client.audio) / 32 == pytest.approx(600, abs=6)
