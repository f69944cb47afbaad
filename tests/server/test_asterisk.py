"""Calls through a real Asterisk, with the dialplan of docs/telephony.md: skipped where the program `asterisk` is not installed."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import numpy as np
import pytest

from parley.config import Config
from parley.server.links.media_format import MediaFormat
from parley.testing.fakes import FakeModel
from tests.server.asterisk_daemon import AsteriskDaemon, asterisk_daemon, missing, spoken_ms
from tests.server.harness import PATIENCE_S, Engines, Running, Talk, configured, running
from tests.server.raw_client import voice
from tests.server.test_audiosocket import listening
from tests.server.test_spoken import Speech, engines_with
from tests.server.test_twilio import talkative

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

TONE = np.frombuffer(voice(MediaFormat("pcm16", 8_000), 0.8), "<i2")
"""What the scripted engines take for speech."""

WAYS = {"the application": "100", "the channel driver": "200"}
"""The numbers of the documented dialplan, by what they use."""


ENDED = {"100": "Parley: SUCCESS", "200": "Parley: ANSWER"}
"""What the dialplan logs of a call that the server has ended as it should."""


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "parley.server")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another program does."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - another program's state
            await asyncio.sleep(0.02)


@asynccontextmanager
async def calling(
    config: Config, engines: Engines, number: str, caller: str
) -> AsyncIterator[tuple[Running, AsteriskDaemon]]:
    """A server with scripted engines, and an Asterisk in which `caller` has called `number`."""
    async with running(config, engines) as server:
        assert server.calls is not None
        async with asterisk_daemon(server.calls[1], TONE, 8_000) as daemon:
            await daemon.call(number, caller)
            yield server, daemon


@asynccontextmanager
async def attached(server: Running, log: pytest.LogCaptureFixture) -> AsyncIterator[Talk]:
    """A backend that attaches to the call by the UUID that the log names."""
    await until(lambda: " is the call " in log.text and len(server.app.calls) == 1)
    uuid = re.findall(r" is the call ([0-9a-f-]{36})", log.text)[-1]
    async with server.client() as client, client.realtime.connect(call_id=uuid) as connection:
        talk = Talk(connection)
        assert (await talk.next()).type == "session.created"
        yield talk


@pytest.mark.parametrize("number", WAYS.values(), ids=WAYS)
async def test_a_question_is_understood_and_the_answer_heard(
    number: str, speech: Speech, caplog: pytest.LogCaptureFixture
) -> None:
    """Recorded speech, recognised and answered aloud; the caller talks over the second answer."""
    model = FakeModel(["It is sunny in Paris today."], ["This is a very long answer. " * 20], ["Yes?"])
    config = listening(speaks_first="caller")
    question, rate = speech("weather_question")
    async with running(config, await engines_with(model)(config)) as server:
        assert server.calls is not None
        async with asterisk_daemon(server.calls[1], question, rate) as daemon:
            await daemon.call(number, "asks")
            async with attached(server, caplog) as backend:
                asked = await backend.until("conversation.item.input_audio_transcription.completed")
                assert "paris" in asked.transcript.lower() or "weather" in asked.transcript.lower()
                await backend.until("output_audio_buffer.stopped")
                await daemon.caller_does("asks")
                await backend.until("output_audio_buffer.started")
                await daemon.caller_does("asks")
                cut = await backend.until("conversation.item.truncated")
                await backend.until("output_audio_buffer.stopped")
            await daemon.caller_hangs_up()
            await daemon.over()
            await until(lambda: not len(server.app.sessions))
            heard_ms = spoken_ms(daemon.heard())
    kept = [message.text for message in model.requests[-1].messages if message.role == "assistant"]
    assert kept[0] == model.replies[0][0], "the first answer was heard whole"
    assert len(kept[1]) < len(str(model.replies[1][0])) / 2, "the second was cut"
    assert 500 < heard_ms < 4_000 + cut.audio_end_ms, "two answers, one of them cut"


async def test_keys_reach_the_server(caplog: pytest.LogCaptureFixture) -> None:
    engines = talkative("You pressed one two.")
    async with (
        calling(listening(speaks_first="caller"), engines, "100", "presses") as (server, _),
        attached(server, caplog) as backend,
    ):
        item = (await backend.until("conversation.item.done")).item
        assert item.content[0].text.endswith(": 12#")
        await backend.until("output_audio_buffer.stopped")


@pytest.mark.parametrize("number", WAYS.values(), ids=WAYS)
async def test_the_server_hangs_up_and_the_dialplan_goes_on(number: str, caplog: pytest.LogCaptureFixture) -> None:
    async with calling(listening(speaks_first="caller"), talkative("Good bye."), number, "asks") as (server, daemon):
        async with attached(server, caplog) as backend:
            await backend.until("output_audio_buffer.stopped")
            call_id = re.findall(r"(rtc_\w+) is the call", caplog.text)[-1]
            async with httpx.AsyncClient() as client:
                answer = await client.post(f"{server.http}/v1/realtime/calls/{call_id}/hangup")
            assert answer.status_code == 200
        await daemon.over()
        assert spoken_ms(daemon.heard()) == pytest.approx(80, abs=40), "two words of 40 ms"
        assert ENDED[number] in daemon.log()


@pytest.mark.parametrize("number", WAYS.values(), ids=WAYS)
async def test_a_caller_hangs_up(number: str, caplog: pytest.LogCaptureFixture) -> None:
    async with calling(listening(), talkative("Hello. " * 200), number, "listens") as (server, daemon):
        await until(lambda: len(server.app.calls) == 1)
        await daemon.caller_hangs_up()
        await until(lambda: not len(server.app.sessions))
        await daemon.over()
    assert ": Asterisk closed the connection" in caplog.text


@pytest.mark.parametrize("number", WAYS.values(), ids=WAYS)
async def test_a_caller_who_falls_silent_for_the_network_is_answered_and_kept(
    number: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Telephones that suppress silence send nothing in a pause, and a call on hold sends nothing at all."""
    config = listening(speaks_first="caller")
    async with (
        calling(config, talkative("Yes."), number, "asks_and_is_silent") as (server, daemon),
        attached(server, caplog) as backend,
    ):
        await backend.until("output_audio_buffer.stopped")
        await asyncio.sleep(3)
        assert len(server.app.calls) == 1, "Asterisk ends a call on which nothing is sent for two seconds"
        await daemon.caller_does("presses")
        await backend.until("input_audio_buffer.dtmf_event_received")


@pytest.mark.parametrize("number", WAYS.values(), ids=WAYS)
async def test_a_dialplan_goes_on_where_no_server_is(number: str) -> None:
    async with asterisk_daemon(1, TONE, 8_000) as daemon:
        await daemon.call(number, "listens")
        await daemon.over()
        assert ("Parley: FAILED" if number == "100" else "Parley: CHANUNAVAIL") in daemon.log()


async def test_a_call_whose_uuid_is_not_named_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    named = "40325ec2-5efd-4bd3-805f-53576e581d13"
    config = listening(configured(api_keys=("sk-a",)), audiosocket_uuids=(named,))
    async with calling(config, talkative("Hello. " * 200), "100", "listens") as (server, daemon):
        await until(lambda: "The call's UUID is not in telephony.audiosocket_uuids" in caplog.text)
        await daemon.over()
        assert "Parley: FAILED" in daemon.log()
        await daemon.call("300", "listens")
        await until(lambda: len(server.app.calls) == 1)
