"""Calls of Asterisk's AudioSocket: conversations with a player of the protocol, and what is no call."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.config import Config
from parley.server.access.access import Grant
from parley.server.calls import OpenCall
from parley.server.links.audiosocket import connection as audiosocket_connection
from parley.server.links.audiosocket import listener as audiosocket_listener
from parley.server.links.audiosocket.frames import AUDIO, AudioSocketReader, frame
from parley.server.links.audiosocket.stalls import CallerStalls
from tests.runtime.rig import settled
from tests.server.audiosocket_player import CALL, asterisk
from tests.server.harness import configured, running
from tests.server.raw_client import silence, voice
from tests.server.test_pacing import HandMovedLoop
from tests.server.test_twilio import attached, talkative, telephone


def listening(config: Config | None = None, **settings: Any) -> Config:
    return telephone(config, audiosocket=("127.0.0.1", 0), **settings)


async def test_a_whole_conversation_with_a_greeting_an_interruption_keys_and_a_hangup() -> None:
    engines = talkative(
        "Hello, how can I help?", "It is nine and the bus leaves at ten past ten.", "You pressed one two.", word_ms=100
    )
    async with running(listening(keypad_pause_ms=5_000), engines) as server, asterisk(server) as call:
        call.begin()
        async with attached(server, CALL) as backend:
            await backend.until("output_audio_buffer.stopped")
            await call.until(lambda: call.heard_ms >= 500)
            assert call.heard_ms == 500
            call.ask()
            await call.until(lambda: call.heard_ms >= 500 + 300)
            call.say(voice(call.form, 0.3))
            cut = await backend.until("conversation.item.truncated")
            heard_ms = call.heard_ms
            assert heard_ms - 500 - 80 <= cut.audio_end_ms <= heard_ms - 500 + 20, "what was heard, but for the lead"
            await asyncio.sleep(0.1)
            assert call.heard_ms <= heard_ms + 20, "it stops at once"
            engines.stt.answers.clear()
            call.press("12#")
            for key in "12#":
                assert (await backend.until("input_audio_buffer.dtmf_event_received")).event == key
            item = (await backend.until("conversation.item.done")).item
            while item.role != "user" or item.content[0].type != "input_text":
                item = (await backend.until("conversation.item.done")).item
            assert item.content[0].text.endswith(": 12#")
            await backend.until("output_audio_buffer.stopped")
        call.hang_up()
        await call.until(lambda: call.ended)
        await settled(lambda: not len(server.app.sessions))
        assert len(server.app.calls) == 0
    assert {len(payload) for _, kind, payload in call.frames if kind == 0x10} == {320}, (
        "frames of 20 ms, as Asterisk's own"
    )


@pytest.mark.parametrize("kind", [0x11, 0x12, 0x13, 0x15, 0x18])
async def test_a_wider_call_is_answered_as_wide(kind: int) -> None:
    engines = talkative("Yes.", word_ms=60)
    async with running(listening(), engines) as server, asterisk(server, kind) as call:
        call.begin()
        call.say(silence(call.form, 0.1))
        await call.until(lambda: call.heard_ms >= 60)
        call.ask()
        await call.until(lambda: call.heard_ms >= 120)
    assert call.heard_ms == 120
    heard = call.form.decode(call.audio)
    assert float(abs(heard).max()) == pytest.approx(0.3, abs=0.06)
    assert len(engines.stt.streams[0].audio) / 16_000 == pytest.approx(1.4, abs=0.2)


async def test_what_is_no_call_is_refused_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audiosocket_connection, "UUID_S", 0.5)
    monkeypatch.setattr(audiosocket_listener, "MOST_WAITING", 6)
    caplog.set_level(logging.INFO)
    async with running(listening()) as server:
        for data in (
            b"GET / HTTP/1.1\r\n\r\n" + bytes(0x4745),
            frame(0x10, bytes(320)),
            frame(0x01, b"short"),
            frame(0x00),
            b"",
        ):
            async with asterisk(server) as call:
                call.writer.write(data)
                await call.until(lambda call=call: call.ended)
                assert call.frames[-1][1:] == (0xFF, b""), "an error, by which the dialplan knows"
        assert len(server.app.sessions) == 0
        idle = [await asyncio.open_connection(*server.calls) for _ in range(3)] if server.calls else []
        async with asterisk(server) as call:
            await call.until(lambda: call.ended)
        for reader, writer in idle:
            assert await asyncio.wait_for(reader.read(), 5) == frame(0xFF)
            writer.close()
        async with asterisk(server) as call:
            call.begin()
            await settled(lambda: len(server.app.sessions) == 1)
    assert "too_many_calls" in caplog.text
    assert "request_timeout" in caplog.text


async def test_only_calls_of_known_uuids_are_taken_where_some_are_named() -> None:
    config = listening(configured(api_keys=("sk-a", "sk-b")), audiosocket_uuids=(CALL,))
    async with running(config, talkative("Hello.")) as server:
        async with asterisk(server) as call:
            call.begin("40325ec2-5efd-4bd3-805f-53576e581d14")
            await call.until(lambda: call.ended)
        assert len(server.app.sessions) == 0
        async with asterisk(server) as call:
            call.begin()
            await call.until(lambda: call.heard_ms >= 40)
            owner, other = (server.app.access.grant(key, "session") for key in ("sk-a", "sk-b"))
            assert isinstance(owner, Grant)
            assert isinstance(other, Grant)
            assert isinstance(server.app.calls.find(CALL, owner), OpenCall), "the calls are the first key's"
            assert not isinstance(server.app.calls.find(CALL, other), OpenCall)


async def test_unknown_frames_and_bad_keys_do_not_end_a_call_and_errors_do() -> None:
    async with running(listening(), talkative("Hello.")) as server, asterisk(server) as call:
        call.begin()
        call.writer.write(frame(0x02) + frame(0x77, b"later") + frame(0x03) + frame(0x03, b"\xff") + frame(0x10))
        call.writer.write(frame(0x10, b"\x01"))
        await call.until(lambda: call.heard_ms >= 40)
        assert len(server.app.sessions) == 1
        call.writer.write(frame(0xFF, b"\x04"))
        await call.until(lambda: call.ended)
        await settled(lambda: not len(server.app.sessions))


async def test_a_call_ends_with_the_server() -> None:
    async with running(listening(), talkative("Hello.")) as server, asterisk(server) as call:
        call.begin()
        await call.until(lambda: call.heard_ms >= 20)
        server.server.leave()
        await call.until(lambda: call.ended)
        assert call.frames[-1][1:] == (0xFF, b"")
        assert call.heard_ms >= 40, "the reply may end"


async def test_a_flood_is_read_more_slowly() -> None:
    config = listening(configured(messages_per_second=100), speaks_first="caller")
    async with running(config) as server, asterisk(server) as call:
        call.begin()
        await settled(lambda: len(server.app.calls) == 1)
        for _ in range(300):
            call.writer.write(frame(0x10, bytes(320)))
        call.press("7")
        async with attached(server, CALL) as backend:
            began = asyncio.get_running_loop().time()
            await backend.until("input_audio_buffer.dtmf_event_received")
            assert asyncio.get_running_loop().time() - began > 1.0, (
                "300 frames at 100 a second, the first of them at once"
            )


async def test_a_caller_of_whom_nothing_comes_is_answered_and_asterisk_kept_waiting() -> None:
    """Silence suppression: the turn ends though no audio follows it."""
    engines = talkative("Yes.", word_ms=60)
    async with running(listening(speaks_first="caller"), engines) as server, asterisk(server) as call:
        call.begin()
        call.say(voice(call.form, 0.6))
        await call.until(lambda: call.heard_ms >= 60)
        spoken = len(call.frames)
        await call.until(lambda: len(call.frames) >= spoken + 2)
    rest = call.frames[spoken:]
    assert {(kind, payload) for _, kind, payload in rest if kind in AUDIO} == {(0x10, bytes(320))}


async def test_a_hang_up_of_the_server_is_no_error() -> None:
    async with running(listening(), talkative("Hello.")) as server, asterisk(server) as call:
        call.begin()
        await call.until(lambda: call.heard_ms >= 40)
        found = server.app.calls.find(CALL, Grant())
        assert isinstance(found, OpenCall)
        found.link.hang_up()
        await call.until(lambda: call.ended)
        assert call.frames[-1][1:] == (0x00, b"")


async def test_the_log_says_who_ended_a_call(caplog: pytest.LogCaptureFixture) -> None:
    """Asterisk closes the connection, and resets it where it has not read all."""
    caplog.set_level(logging.INFO)
    async with running(listening(), talkative("Hello. " * 100)) as server:
        for reset in (False, True):
            async with asterisk(server) as call:
                call.begin()
                await call.until(lambda call=call: call.heard_ms >= 40)
                if reset:
                    call.writer.transport.abort()
            await settled(lambda: not len(server.app.sessions))
    assert caplog.text.count(": Asterisk closed the connection") == 2


class Stalls:
    """`CallerStalls` on invented time; `heard` and `said` are when silence was heard and said, in seconds."""

    def __init__(self) -> None:
        self.loop = HandMovedLoop()
        self.began = self.loop.time()
        self.heard: list[float] = []
        self.said: list[float] = []
        self.stalls = CallerStalls(self.loop, lambda: self.heard.append(self._now), self._say)

    @property
    def _now(self) -> float:
        return round(self.loop.time() - self.began, 3)

    def _say(self) -> None:
        self.said.append(self._now)
        self.stalls.said()


def test_silence_is_heard_in_a_stall_and_never_beside_audio() -> None:
    one = Stalls()
    for _ in range(50):
        one.loop.run(0.02)
        one.stalls.heard()
    one.loop.run(0.19)
    assert not one.heard
    one.loop.run(0.12)
    assert one.heard == pytest.approx([1.22, 1.24, 1.26, 1.28, 1.30])
    one.stalls.heard()
    one.loop.run(0.19)
    assert len(one.heard) == 5
    one.loop.run(0.06)
    assert len(one.heard) == 7, "the next stall"
    one.stalls.close()
    one.loop.run(5)
    assert len(one.heard) == 7
    assert not one.loop.waits


def test_silence_is_said_where_both_sides_are_silent() -> None:
    one = Stalls()
    one.loop.run(0.9)
    one.stalls.said()
    one.loop.run(0.9)
    assert not one.said, "the server was speaking"
    one.loop.run(1.2)
    assert one.said == pytest.approx([1.9, 2.9], abs=0.021)
    one.stalls.close()
    heard = Stalls()
    for _ in range(100):
        heard.loop.run(0.02)
        heard.stalls.heard()
    assert not heard.said, "the caller's audio keeps the call"
    heard.stalls.close()


@given(
    frames=st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=8),
    sizes=st.lists(st.integers(1, 90)),
)
def test_frames_are_read_however_they_are_split(frames: list[tuple[int, bytes]], sizes: list[int]) -> None:
    wire = b"".join(frame(kind, payload) for kind, payload in frames)
    reader, read, at = AudioSocketReader(), [], 0
    for size in [*sizes, len(wire) + 1]:
        reader.push(wire[at : at + size])
        while whole := reader.next():
            read.append(whole)
        at += size
    assert read == frames
