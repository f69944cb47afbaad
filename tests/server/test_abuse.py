"""Hostile and broken clients: each gets an error, and their session, other sessions and memory are unharmed."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import random
import socket
import struct
from typing import Any

import numpy as np
import pytest
from websockets.frames import Frame, Opcode

from parley.core.words.limits import MAX_APPEND_BYTES
from parley.runtime.generation import pacing
from parley.server.links.websocket import connection as link_module
from parley.server.links.websocket.connection import WebSocketLink
from parley.testing.fakes import FakeModel, FakeSynthesizer, Hold
from tests.server.harness import Engines, Running, Talk, running, talking, turn_the_loop

SILENCE = base64.b64encode(bytes(960)).decode()


async def still_lives(talk: Talk) -> None:
    """The session answers what is asked of it now."""
    await talk.send(type="input_audio_buffer.clear")
    await talk.until("input_audio_buffer.cleared")


@pytest.mark.parametrize(
    ("frame", "event_id"),
    [
        ("", None),
        ("not json", None),
        ('{"type":', None),
        ("[]", None),
        ("null", None),
        ('"input_audio_buffer.commit"', None),
        ("{}", None),
        ('{"event_id":"e1"}', "e1"),
        ('{"type":null,"event_id":"e1"}', "e1"),
        ('{"type":7,"event_id":"e1"}', "e1"),
        ('{"type":"session.destroy","event_id":"e1"}', "e1"),
        ('{"type":"response.done","event_id":"e1"}', "e1"),
        ('{"type":"input_audio_buffer.append","event_id":"e1"}', "e1"),
        ('{"type":"input_audio_buffer.append","audio":"====","event_id":"e1"}', "e1"),
        ('{"type":"input_audio_buffer.append","audio":"!!!!","event_id":"e1"}', "e1"),
        ('{"type":"input_audio_buffer.append","audio":[1,2,3],"event_id":"e1"}', "e1"),
        ('{"type":"input_audio_buffer.append","audio":null,"event_id":"e1"}', "e1"),
        ('{"type":"conversation.item.create","item":"hello","event_id":"e1"}', "e1"),
        (
            '{"type":"conversation.item.create","item":{"type":"message","role":"cat","content":[]},"event_id":"e1"}',
            "e1",
        ),
        ('{"type":"conversation.item.delete","item_id":"nobody","event_id":"e1"}', "e1"),
        (
            '{"type":"conversation.item.truncate","item_id":"nobody","content_index":0,"audio_end_ms":-5,"event_id":"e1"}',
            "e1",
        ),
        ('{"type":"session.update","session":{"type":"realtime","audio":7},"event_id":"e1"}', "e1"),
        ('{"type":"response.create","response":{"max_output_tokens":1e999},"event_id":"e1"}', "e1"),
        ('{"type":"response.cancel","event_id":"e1"}', "e1"),
        ('{"type":"input_audio_buffer.commit","event_id":"e1"}', "e1"),
        ("[" * 100_000, None),
        ('{"type":"session.update","session":' + '{"a":' * 50_000, None),
        ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), None),
    ],
)
async def test_a_bad_message_is_answered_with_an_error_and_the_session_goes_on(
    frame: str, event_id: str | None
) -> None:
    async with running() as server, talking(server) as talk:
        await talk.connection.send_raw(frame)
        error = await talk.until("error")
        assert error.error.event_id == event_id
        assert error.error.message
        await still_lives(talk)


async def test_bytes_that_are_not_utf_8_are_answered_with_an_error() -> None:
    async with running() as server, talking(server) as talk:
        await talk.connection.send_raw(b'{"type":"\xff\xfe"}')
        await talk.until("error")
        await still_lives(talk)


async def test_audio_in_odd_bytes_is_put_together_again() -> None:
    engines = Engines()
    rng = random.Random(7)
    tone = (8000 * np.sin(np.arange(24_000) / 20)).astype("<i2").tobytes() + bytes(48_000)
    async with running(engines=engines) as server, talking(server) as talk:
        at = 0
        while at < len(tone):
            size = rng.choice([1, 3, 7, 959, 961, 4801])
            await talk.send(type="input_audio_buffer.append", audio=base64.b64encode(tone[at : at + size]).decode())
            at += size
        await talk.until("input_audio_buffer.committed")
        assert "error" not in talk.kinds()
        started, stopped = (
            talk.of("input_audio_buffer.speech_started")[0],
            talk.of("input_audio_buffer.speech_stopped")[0],
        )
    assert started.audio_start_ms == 0
    assert 1_400 < stopped.audio_end_ms < 1_700


@pytest.mark.slow
async def test_the_largest_legal_append_is_taken_and_a_larger_one_is_an_error() -> None:
    async with running() as server, talking(server) as talk:
        await talk.send(
            type="session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        )
        await talk.until("session.updated")
        await talk.send(type="input_audio_buffer.append", audio=base64.b64encode(bytes(MAX_APPEND_BYTES)).decode())
        await still_lives(talk)
        assert "error" not in talk.kinds()
        too_much = base64.b64encode(bytes(MAX_APPEND_BYTES + 2)).decode()
        await talk.send(type="input_audio_buffer.append", audio=too_much, event_id="big")
        assert (await talk.until("error")).error.event_id == "big"
        await still_lives(talk)


@pytest.mark.slow
async def test_a_flood_of_invalid_messages_is_answered_one_by_one_while_another_session_talks() -> None:
    async with running() as server, talking(server) as beside, talking(server) as talk:
        for number in range(500):
            await talk.send(type="nonsense", event_id=str(number))
        await say(beside, "Are you there?")
        assert (await beside.until("response.done")).response.status == "completed"
        for number in range(500):
            assert (await talk.until("error")).error.event_id == str(number)
        await still_lives(talk)


async def say(talk: Talk, text: str) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await talk.send(type="conversation.item.create", item=item)
    await talk.send(type="response.create")


async def test_a_disconnect_in_the_middle_of_a_reply_leaves_nothing_running() -> None:
    hold = Hold()
    engines = Engines(llm=FakeModel(["Once upon a time. ", hold, "The end."]), tts=FakeSynthesizer())
    async with running(engines=engines) as server, talking(server) as beside:
        before = len(asyncio.all_tasks())
        async with server.client() as client:
            connection = await client.realtime.connect(model="gpt-realtime").enter()
            talk = Talk(connection)
            await say(talk, "Tell me a story.")
            await hold.reached.wait()
            assert engines.llm.running == 1
            raw = connection._connection.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection._connection.transport.abort()
        while len(server.app.sessions) > 1 or engines.llm.running or len(asyncio.all_tasks()) > before:
            await turn_the_loop()
        assert len(engines.vad.slots) == 1
        await still_lives(beside)


async def test_a_stall_of_half_a_second_and_then_a_burst_changes_nothing() -> None:
    """Positions count samples: the same audio gives the same events, whenever it comes."""
    speech = (8000 * np.sin(np.arange(24_000) / 20)).astype("<i2").tobytes()
    audio = bytes(24_000) + speech + bytes(48_000)

    async def hear(burst: bool) -> list[Any]:
        async with running() as server, talking(server) as talk:
            frames = [
                json.dumps(
                    {"type": "input_audio_buffer.append", "audio": base64.b64encode(audio[at : at + 960]).decode()}
                )
                for at in range(0, len(audio), 960)
            ]
            for number, frame in enumerate(frames):
                await talk.connection.send_raw(frame)
                if not burst or number < 20:
                    await turn_the_loop()
            await talk.until("input_audio_buffer.committed")
            started = talk.of("input_audio_buffer.speech_started")[0].audio_start_ms
            stopped = talk.of("input_audio_buffer.speech_stopped")[0].audio_end_ms
            return [started, stopped]

    assert await hear(burst=True) == await hear(burst=False)


@pytest.mark.slow
async def test_sessions_that_come_and_go_leave_no_memory_behind() -> None:
    """Every kind of end, many times; what is alive afterwards does not depend on how often."""
    engines = Engines(llm=FakeModel(["All right."]))

    async def come_and_go(server: Any, times: int) -> None:
        for number in range(times):
            async with talking(server) as talk:
                await say(talk, "Hello?")
                await talk.until("response.done" if number % 2 else "response.created")
                await talk.connection.send_raw("garbage")
        while len(server.app.sessions):
            await turn_the_loop()
        engines.llm.requests.clear()
        engines.tts.requests.clear()

    def parley_objects() -> int:
        gc.collect()
        return sum(str(type(one).__module__).startswith("parley.") for one in gc.get_objects())

    async with running(engines=engines) as server:
        await come_and_go(server, 4)
        before = parley_objects()
        await come_and_go(server, 20)
        assert parley_objects() <= before + 5


async def test_a_client_that_never_reads_a_long_answer_is_closed_and_another_session_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_module, "STALL_S", 0.3)
    monkeypatch.setattr(pacing, "MAX_AHEAD_S", 600)  # more than the kernel keeps for who does not read
    engines = Engines(llm=FakeModel(["one two."], ["Yes."]), tts=FakeSynthesizer(word_ms=300_000))
    loop = asyncio.get_running_loop()
    async with running(engines=engines) as server, talking(server) as beside:
        raw = await handshaken(server)
        links = [link for link in server.server.server_state.connections if isinstance(link, WebSocketLink)]
        await loop.sock_sendall(raw, masked('{"type":"response.create"}'))
        while not (closed := [link for link in links if link._close]):
            await turn_the_loop()
        assert closed[0]._close is not None
        assert closed[0]._close[0] == 1008
        assert closed[0]._outbox_bytes == 0
        engines.tts.word_ms = 100
        await say(beside, "Are you there?")
        assert (await beside.until("response.done")).response.status == "completed"
        raw.close()


async def handshaken(server: Running) -> socket.socket:
    """A client on a session that reads only on request."""
    host, port = server.host.split(":")
    raw = socket.create_connection((host, int(port)))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    request = "GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    request += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    await loop.sock_sendall(raw, request.encode())
    head = b""
    while b"session.created" not in head:
        more = await loop.sock_recv(raw, 65536)
        assert more, head
        head += more
    return raw


def masked(text: str) -> bytes:
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=True)
