"""Calls of Twilio's Media Streams: whole conversations with a player of its documented messages, and who may call."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import httpx
import pytest
import websockets.asyncio.client as ws
from websockets.exceptions import InvalidStatus

from parley.config import Config
from parley.engines.ports import ToolCallDelta
from parley.server.access.access import Grant
from parley.server.calls import OpenCall
from parley.server.links.twilio import gate as twilio_gate
from parley.server.links.twilio import stream as twilio_stream
from parley.server.links.twilio.marks import LOST_S, MARK_SAMPLES, MarkReports
from parley.server.links.twilio.signature import sign
from parley.server.refusals import Refusal
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer
from tests.runtime.rig import settled
from tests.server.harness import Engines, Running, Talk, configured, running
from tests.server.raw_client import voice
from tests.server.test_pacing import HandMovedLoop
from tests.server.twilio_player import CALL, PCMU, TOKEN, TwilioPlayer, calling


def talkative(*answers: Any, word_ms: int = 40) -> Engines:
    return Engines(
        stt=FakeRecognizer(*["What time is it?"] * 20),
        llm=FakeModel(*[[answer] for answer in answers]),
        tts=FakeSynthesizer(word_ms=word_ms),
    )


@asynccontextmanager
async def attached(server: Running, call_id: str) -> AsyncIterator[Talk]:
    """A backend that attaches to a call, once it runs."""
    await settled(lambda: not isinstance(server.app.calls.find(call_id, Grant()), Refusal))
    async with server.client() as client, client.realtime.connect(call_id=call_id) as connection:
        talk = Talk(connection)
        assert (await talk.next()).type == "session.created"
        yield talk


def telephone(config: Config | None = None, **settings: Any) -> Config:
    config = config or configured()
    return replace(config, telephony=replace(config.telephony, **settings))


async def test_a_whole_conversation_with_a_greeting_a_tool_an_interruption_keys_and_an_end() -> None:
    engines = talkative(
        "Hello, how can I help?",
        ToolCallDelta(0, "call_1", "get_time", "{}"),
        "It is nine and the bus leaves at ten past ten.",
        "You pressed five.",
        word_ms=150,
    )
    async with running(telephone(keypad_pause_ms=200), engines) as server, calling(server) as call:
        await call.start(voice="marin", language="en", booking="42")
        await call.until(lambda: call.played_ms >= 740)
        assert call.played_ms == pytest.approx(750, abs=15), "five words: the agent speaks first"
        tool = {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}}
        async with attached(server, CALL) as backend:
            await backend.send(type="session.update", session={"type": "realtime", "tools": [tool]})
            await call.ask()
            wanted = await backend.until("response.function_call_arguments.done")
            output = {"type": "function_call_output", "call_id": wanted.call_id, "output": "9:00"}
            await backend.send(type="conversation.item.create", item=output)
            await backend.send(type="response.create")
            await call.until(lambda: call.played_ms >= 750 + 400)
            await call.say(voice(PCMU, 0.3))
            await call.until(lambda: call.clears == 1)
            played_ms = call.played_ms - 750
            cut = await backend.until("conversation.item.truncated")
            assert played_ms - 200 <= cut.audio_end_ms <= played_ms + 20, "to the last mark that came back"
            assert backend.of("output_audio_buffer.cleared")
            heard_at_clear = call.played_ms
            await asyncio.sleep(0.1)
            assert call.played_ms == heard_at_clear, "nothing follows a clear"
            engines.stt.answers.clear()
            await call.press("5")
            assert (await backend.until("input_audio_buffer.dtmf_event_received")).event == "5"
            item = (await backend.until("conversation.item.done")).item
            while item.role != "user" or item.content[0].type != "input_text":
                item = (await backend.until("conversation.item.done")).item
            assert item.content[0].text.endswith(": 5")
            await backend.until("output_audio_buffer.stopped")
        assert call.played_ms - heard_at_clear == pytest.approx(450, abs=20)
        await call.stop()
        await call.until(lambda: call.close_code is not None)
        assert call.close_code == 1000
        await settled(lambda: not len(server.app.sessions))
        assert len(server.app.calls) == 0
    assert engines.tts.requests[0].voice == "marin"
    assert len(call.marks) == len(call.of("mark"))
    assert {len(message["media"]["payload"]) for message in call.of("media")} <= {216, *range(4, 216, 4)}


async def test_garbage_does_not_end_a_call() -> None:
    async with running(engines=talkative("Yes.")) as server, calling(server) as call:
        await call.start(first="caller")
        for frame in (
            "{", "[]", '"x"', "\x00", "null", '{"event":5}', '{"event":"media"}', '{"event":"media","media":{"payload":"%%"}}',
            '{"event":"mark","mark":{}}', '{"event":"mark","mark":{"name":"parley-99"}}', '{"event":"dtmf","dtmf":{"digit":"12"}}',
            '{"event":"future","future":{}}', b"\xff\xfe", "x" * 40_000, json.dumps({"event": "x", "x": "y" * 100_000}),
        ):  # fmt: skip
            await call.connection.send(frame)
        await call.start(first="agent")
        await call.say(b"")
        await call.ask()
        await call.until(lambda: call.played_ms >= 40)
        assert call.close_code is None
        assert len(server.app.sessions) == 1


async def test_a_call_that_breaks_off_leaves_nothing() -> None:
    engines = talkative("One two three four five six seven eight nine ten.", word_ms=200)
    async with running(engines=engines) as server:
        async with calling(server) as call:
            await call.start()
            await call.until(lambda: call.played_ms >= 100)
            call.connection.transport.abort()
        await settled(lambda: not len(server.app.sessions))
        assert len(server.app.calls) == 0
        async with calling(server) as early:
            await early.stop()
            await early.connection.close()
        async with calling(server) as early:
            await early.start()
            await early.stop()
            await early.until(lambda: early.close_code is not None)
        await settled(lambda: not len(server.app.sessions))


async def test_marks_that_never_come_back_do_not_keep_a_reply_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley.server.links.twilio.marks.LOST_S", 0.2)
    async with running(engines=talkative("One two.")) as server, calling(server) as call:
        call.loses_marks = True
        await call.start(first="caller")
        async with attached(server, CALL) as backend:
            await call.ask()
            await backend.until("output_audio_buffer.stopped")
        assert call.played_ms == pytest.approx(80, abs=5)


# --- the marks, on invented time -----------------------------------------------------------------------------------------


class Marked:
    """Mark reports, with what they send and report."""

    def __init__(self) -> None:
        self.loop = HandMovedLoop()
        self.marks: list[str] = []
        self.clears = 0
        self.played = 0
        self.reports = MarkReports(self.marks.append, self._clear, self._play, self.loop)

    def _clear(self) -> None:
        self.clears += 1

    def _play(self, samples: int) -> None:
        self.played += samples


def test_only_marks_that_come_back_count_and_only_before_a_clear() -> None:
    one = Marked()
    for _ in range(3):
        one.reports.sent(MARK_SAMPLES, last=False)
    one.reports.sent(10, last=True)
    assert len(one.marks) == 4
    one.reports.marked(one.marks[1])
    assert one.played == 2 * MARK_SAMPLES, "a mark stands for all before it"
    one.reports.marked(one.marks[0])
    one.reports.marked("parley-77")
    one.reports.cleared()
    for name in one.marks:
        one.reports.marked(name)
    assert (one.played, one.clears) == (2 * MARK_SAMPLES, 1)
    one.reports.sent(20, last=True)
    one.reports.marked(one.marks[-1])
    assert one.played == 2 * MARK_SAMPLES + 20


def test_a_lost_mark_is_given_up_after_its_audios_time_although_more_is_said() -> None:
    one = Marked()
    one.reports.sent(MARK_SAMPLES, last=False)
    one.reports.passed(MARK_SAMPLES)
    for _ in range(round(LOST_S / 0.1) + 2):
        one.reports.sent(MARK_SAMPLES, last=False)
        one.loop.run(0.1)
        one.reports.passed(MARK_SAMPLES)
    assert one.played >= MARK_SAMPLES
    one.reports.close()
    assert not one.loop.waits


# --- who may call --------------------------------------------------------------------------------------------------------


async def refused(server: Running, path: str = "/v1/telephony/twilio", **headers: str) -> dict[str, Any]:
    with pytest.raises(InvalidStatus) as caught:
        async with ws.connect(f"{server.ws}{path}", additional_headers=headers):
            pass
    response = caught.value.response
    return {"status": response.status_code, **json.loads(response.body or b"{}")["error"]}


async def rejected(call: TwilioPlayer, **parameters: str) -> int | None:
    """The close code of a call that begins with these parameters."""
    await call.start(**parameters)
    await call.until(lambda: call.close_code is not None)
    return call.close_code


async def test_a_key_comes_in_the_path_or_as_a_parameter_and_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(configured(api_keys=("sk-phone-key",)), talkative("Hello.")) as server:
        assert (await refused(server, "/v1/telephony/twilio/sk-other-key"))["code"] == "invalid_api_key"
        async with calling(server) as call:
            assert await rejected(call) == 1008
        async with calling(server) as call:
            assert await rejected(call, key="sk-other-key") == 1008
        assert len(server.app.sessions) == 0
        for path, parameters in (("/sk-phone-key", {}), ("", {"key": "sk-phone-key"})):
            async with calling(server, f"/v1/telephony/twilio{path}") as call:
                await call.start(**parameters)
                await call.until(lambda call=call: call.played_ms >= 40)
    shown = [one.getMessage() for one in caplog.records]
    assert any("invalid_api_key" in line for line in shown)
    assert not any("-key" in line for line in shown)


async def test_a_client_secret_opens_the_call_it_was_made_for() -> None:
    async with running(configured(api_keys=("sk-phone-key",)), talkative("Hello.")) as server:
        async with server.client("sk-phone-key") as client:
            session: Any = {"type": "realtime", "instructions": "You are a dentist."}
            secret = (await client.realtime.client_secrets.create(session=session)).value
        async with calling(server) as call:
            await call.start(key=secret)
            await call.until(lambda: call.played_ms >= 40)
            opened = server.app.calls.find(CALL, server.app.access.grant("sk-phone-key", "session"))  # type: ignore[arg-type]
            assert isinstance(opened, OpenCall)
        async with calling(server) as call:
            assert await rejected(call, key=secret, instructions="You are a pirate.") == 1008


async def test_what_a_call_cannot_have_ends_it_before_it_begins(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running() as server:
        for parameters in ({"voice": "nobody"}, {"pipeline": "gpt-9"}, {"first": "nobody"}, {"language": "??"}):
            async with calling(server) as call:
                assert await rejected(call, **parameters) == 1008
        assert len(server.app.sessions) == 0
    assert "nobody" in caplog.text
    async with running() as server:  # of one reason, a line a minute is logged
        async with calling(server) as call:
            start = {"streamSid": "MZ1", "mediaFormat": {"encoding": "audio/x-l16", "sampleRate": 16000, "channels": 1}}
            await call.send("start", start=start)
            await call.until(lambda: call.close_code is not None)
        assert len(server.app.sessions) == 0
    assert "audio/x-mulaw" in caplog.text


async def test_a_call_that_names_another_takes_nothing_from_it_and_writes_no_lines_into_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with running() as server, calling(server) as first:
        await first.start(first="caller")
        await settled(lambda: isinstance(server.app.calls.find(CALL, Grant()), OpenCall))
        victim = server.app.calls.find(CALL, Grant())
        assert isinstance(victim, OpenCall)
        for sid in (CALL, victim.id, "CA1\nERROR all is lost", "x" * 9_000):
            async with calling(server) as call:
                await call.send(
                    "start", start={"streamSid": "MZ2", "callSid": sid, "customParameters": {"first": "caller"}}
                )
                await settled(lambda: len(server.app.sessions) == 2)
                for id in (CALL, victim.id):
                    assert server.app.calls.find(id, Grant()) is victim
            await settled(lambda: len(server.app.sessions) == 1)
    assert "all is lost" not in caplog.text
    assert "xxx" not in caplog.text


async def test_connections_that_do_not_begin_are_bounded_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio_stream, "START_S", 1.0)
    monkeypatch.setattr(twilio_gate, "MOST_WAITING", 6)
    async with running() as server:
        waiting = [await ws.connect(f"{server.ws}/v1/telephony/twilio") for _ in range(3)]
        assert (await refused(server))["code"] == "too_many_calls"
        await asyncio.wait_for(asyncio.gather(*(one.wait_closed() for one in waiting)), 10)
        assert {one.close_code for one in waiting} == {1008}
        async with calling(server) as call:
            await call.start(first="caller")
            await settled(lambda: len(server.app.sessions) == 1)


async def test_where_a_token_is_set_everything_must_be_signed() -> None:
    config = telephone(
        configured(api_keys=("sk-phone-key",)), twilio_auth_token=TOKEN, public_url="https://voice.example.com"
    )
    url = "wss://voice.example.com/v1/telephony/twilio"
    async with running(config, talkative("Hello.")) as server:
        for headers in (
            {},
            {"X-Twilio-Signature": ""},
            {"X-Twilio-Signature": sign("other", url)},
            {"X-Twilio-Signature": "ü"},
        ):
            assert (await refused(server, **headers))["code"] == "invalid_signature"
        assert (await refused(server, "/v1/telephony/twilio/sk-phone-key"))["code"] == "invalid_signature"
        for signed in (url, f"{url}/", url.replace("wss", "https")):
            async with calling(server, signed=signed) as call:
                await call.start()
                await call.until(lambda call=call: call.played_ms >= 40)
                grant = server.app.access.grant("sk-phone-key", "session")
                assert isinstance(grant, Grant)
                assert isinstance(server.app.calls.find(CALL, grant), OpenCall), "the calls are the settings' key's"
        async with calling(server, signed=url) as call:
            assert await rejected(call, key="sk-wrong") == 1008


async def test_calls_without_a_key_of_their_own_need_an_account() -> None:
    config = telephone(configured(insecure=False, api_keys=("k-1",)), twilio_auth_token=TOKEN, key_name="phone")
    async with running(config) as server:
        signature = sign(TOKEN, f"wss://{server.host}/v1/telephony/twilio")
        error = await refused(server, **{"X-Twilio-Signature": signature})
        assert error["code"] == "no_account"
        assert "telephony.key_name" in error["message"]


async def test_the_webhook_answers_with_twiml_that_connects_the_call() -> None:
    config = telephone(twilio_auth_token=TOKEN, public_url="https://voice.example.com")
    form = [("CallSid", CALL), ("From", "+15551234567"), ("Digits", ""), ("SpeechResult", "a&b=ü")]
    async with running(config) as server, httpx.AsyncClient() as client:

        async def post(query: str = "", signature: str | None = None) -> httpx.Response:
            path = f"/v1/telephony/twilio/voice{query}"
            good = sign(TOKEN, f"https://voice.example.com{path}", form)
            return await client.post(
                f"{server.http}{path}",
                content=urlencode(form),
                headers={
                    "content-type": "application/x-www-form-urlencoded",
                    "x-twilio-signature": good if signature is None else signature,
                },
            )

        answer = await post("?voice=marin&instructions=Say%20%22hi%22%20%26%20%3Cbye%3E")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/xml")
        stream = ElementTree.fromstring(answer.text).find("./Connect/Stream")
        assert stream is not None
        assert stream.get("url") == "wss://voice.example.com/v1/telephony/twilio"
        parameters = {one.get("name"): one.get("value") for one in stream.findall("Parameter")}
        assert parameters == {"voice": "marin", "instructions": 'Say "hi" & <bye>'}
        assert TOKEN not in answer.text
        assert (await post(signature="AAAA")).status_code == 403
        unknown = await post("?vioce=marin")
        assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "vioce")
        assert (await post("?first=me")).json()["error"]["param"] == "first"
        too_long = await client.post(f"{server.http}/v1/telephony/twilio/voice", content=b"a=" + b"b" * 70_000)
        assert too_long.status_code == 413
    async with running() as server, httpx.AsyncClient() as client:
        closed = await client.post(f"{server.http}/v1/telephony/twilio/voice")
        assert (closed.status_code, closed.json()["error"]["code"]) == (403, "telephony_not_configured")
        assert (await client.get(f"{server.http}/v1/telephony/twilio")).status_code == 426


def test_a_signature_is_twilios() -> None:
    """The example of Twilio's documentation of request validation."""
    form = [
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675310"),
        ("Digits", "1234"),
        ("From", "+14158675310"),
        ("To", "+18005551212"),
    ]
    url = "https://example.com/myapp.php?foo=1&bar=2"
    assert sign("12345", url, form) == sign("12345", url, reversed(form))
    assert sign("12345", url, form) == "L/OH5YylLD5NRKLltdqwSvS0BnU="
