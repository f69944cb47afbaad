"""Sidebands: servers attached to a call that runs. They watch, change the session, answer tools, and hold nothing."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from parley.engines.ports import ToolCallDelta
from parley.runtime.trace import replay
from parley.server.access import key_file
from parley.server.access.access import OPEN, Grant
from parley.server.access.key_file import SCOPES, Key, digest
from parley.server.attached_client import MAX_OF_A_SECRET, MAX_SIDEBANDS, AttachedClient
from parley.server.calls import OpenCall
from parley.server.links.link import EndReason
from parley.server.links.webrtc import call as webrtc_call
from parley.server.realtime_session import RealtimeSession, SessionRequest
from parley.testing.fakes import FakeModel, Hold
from parley.wire.dialect import Dialect
from parley.wire.dialects import GA, TRANSLATIONS
from tests.architecture.test_new_link import ListLink
from tests.runtime.rig import settled
from tests.server.caller import RATE, calling
from tests.server.harness import (
    PATIENCE_S,
    BlockingTalk,
    Engines,
    Running,
    Talk,
    configured,
    running,
    running_in_thread,
)
from tests.server.test_client_secrets import KEY, made
from tests.server.test_handshake import refusal
from tests.server.test_memory import gone, without_the_collector
from tests.server.test_translation_sessions import TALK, UPDATE, serving

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sideband.md").read_text(encoding="utf-8")
HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}}


class CallLink(ListLink):
    """A link that carries audio as media: its session is a call."""

    def call(self, server: Running, grant: Grant | None = None, dialect: Dialect = GA) -> str:
        session = server.app.factory.open(SessionRequest(grant or Grant(), dialect, client="a list"), loudspeaker=self)
        assert isinstance(session, RealtimeSession)
        self.session = session
        session.opened(self)
        self.calls = server.app.calls
        self.id = self.calls.new_id()
        self.calls.enter(OpenCall(self.id, session, self))
        return self.id

    def close(self, reason: EndReason) -> None:
        super().close(reason)
        self.calls.leave(self.id)

    def hang_up(self) -> None:
        self.close("session_closed")


class Heard(ListLink):
    """The link of a sideband that is driven by hand."""

    def attach(self, client: AttachedClient) -> None:
        self.session = client  # type: ignore[assignment]
        client.opened(self)


@asynccontextmanager
async def attached(server: Running, call: str, key: str = "none") -> AsyncIterator[Talk]:
    """A stock client on a call."""
    async with server.client(key) as client, client.realtime.connect(call_id=call) as connection:
        talk = Talk(connection)
        assert (await talk.next()).type == "session.created"
        yield talk


async def close_code(talk: Talk) -> int | None:
    try:
        while True:
            await talk.next()
    except ConnectionClosed as end:
        return end.rcvd.code if end.rcvd else None


def granted(server: Running, key: str) -> Grant:
    grant = server.app.access.grant(key, "session")
    assert isinstance(grant, Grant)
    return grant


def errors(link: ListLink) -> list[str]:
    return [event["error"]["code"] for event in link.events if event["type"] == "error"]


# --- watching, asking, answering ------------------------------------------------------------------------------------------


async def test_a_stock_client_watches_a_call_and_is_sent_no_audio() -> None:
    async with running(engines=Engines(llm=FakeModel(["Good morning."]))) as server:
        link = CallLink()
        call = link.call(server)
        link.client_sends(type="session.update", session={"type": "realtime", "instructions": "Be kind."})
        async with attached(server, call) as talk:
            created = talk.events[0].session
            assert (created.id, created.instructions) == (link.events[0]["session"]["id"], "Be kind."), "as it is now"
            link.client_sends(type="response.create")
            done = await talk.until("response.done")
            assert done.response.status == "completed"
            assert "response.output_audio_transcript.delta" in talk.kinds()
            assert "response.output_audio.delta" not in talk.kinds()
            assert link.audio, "the call itself was spoken to"
            told = talk.kinds()[1:]
            assert told == link.kinds()[link.kinds().index("response.created") :][: len(told)]
        link.hang_up()


@pytest.mark.filterwarnings(
    r"ignore:connect\(\) must be used as a context manager:DeprecationWarning"
)  # the client's own
def test_the_blocking_stock_client_changes_the_session_of_a_call() -> None:
    with running_in_thread() as server:
        link = CallLink()

        async def begin() -> str:
            return link.call(server)

        async def end() -> None:
            link.hang_up()

        loop = server.server._loop
        call = asyncio.run_coroutine_threadsafe(begin(), loop).result(PATIENCE_S)
        with server.sync_client() as client, client.realtime.connect(call_id=call) as connection:
            talk = BlockingTalk(connection)
            talk.until("session.created")
            connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
            assert talk.until("session.updated").session.instructions == "Be brief."
        asyncio.run_coroutine_threadsafe(end(), loop).result(PATIENCE_S)
        assert "session.updated" in link.kinds()


@pytest.mark.proves("conversation.item.retrieved", state="sent", note="to every client of a call")
@pytest.mark.proves("error", state="sent", note="to the client that asked")
async def test_an_error_goes_to_whoever_asked_and_everything_else_to_all() -> None:
    async with running() as server:
        link = CallLink()
        call = link.call(server)
        async with attached(server, call) as one, attached(server, call) as other:
            await one.send(type="response.cancel", event_id="mine")
            await one.send(type="conversation.item.create", item={**HELLO, "id": "greeting"})
            await one.until("conversation.item.done")
            link.client_sends(type="conversation.item.delete", item_id="nothing")
            await other.send(type="conversation.item.retrieve", item_id="greeting")
            for talk in (one, other):
                assert (await talk.until("conversation.item.retrieved")).item.id == "greeting"
            assert [(event.error.code, event.error.event_id) for event in one.of("error")] == [
                ("response_cancel_not_active", "mine")
            ]
            assert not other.of("error")
        assert errors(link) == ["item_delete_invalid_item_id"]
        assert link.kinds()[-1] == "conversation.item.retrieved", "answers go to all, as at OpenAI"
        link.hang_up()


async def test_a_model_that_is_not_there_is_an_error_of_whoever_asked_for_it() -> None:
    async with running() as server:
        link = CallLink()
        async with attached(server, link.call(server)) as talk:
            await talk.send(type="session.update", session={"type": "realtime", "model": "gpt-9"})
            assert (await talk.until("error")).error.code == "model_not_found"
        assert errors(link) == []
        link.hang_up()


@pytest.mark.proves(
    "conversation.item.create", "item.call_id", state="honoured", note="the first of two outputs of a call counts"
)
async def test_a_sideband_answers_a_tool_and_the_second_answer_is_refused() -> None:
    model = FakeModel([ToolCallDelta(0, "call_1", "weather", "{}")], ["It is sunny."])
    async with running(engines=Engines(llm=model)) as server:
        link = CallLink()
        async with attached(server, link.call(server)) as talk:
            await talk.send(type="session.update", session={"type": "realtime", "tools": [WEATHER]})
            await talk.until("session.updated")
            link.client_sends(type="conversation.item.create", item=HELLO)
            link.client_sends(type="response.create")
            called = await talk.until("response.function_call_arguments.done")
            await talk.until("response.done")
            output = {"type": "function_call_output", "call_id": called.call_id, "output": "sunny"}
            await talk.send(type="conversation.item.create", item=output)
            await talk.until("conversation.item.done")
            await talk.send(type="response.create")
            assert (await talk.until("response.done")).response.status == "completed"
            link.client_sends(type="conversation.item.create", item={**output, "output": "rainy"})
            assert errors(link) == ["invalid_tool_call_id"]
            assert "answered already" in link.events[-1]["error"]["message"]
        assert "sunny" in str(model.requests[-1])
        link.hang_up()


async def test_the_backend_of_the_documentation_answers_a_tool_until_the_call_is_over() -> None:
    model = FakeModel([ToolCallDelta(0, "call_1", "stock", '{"article":"bread"}')], ["Three are left."])
    async with running(engines=Engines(llm=model)) as server:
        link = CallLink()
        call = link.call(server)
        sample = PAGE.split("```python\n")[1].split("asyncio.run(")[0].replace("http://127.0.0.1:8765", server.http)
        names: dict[str, Any] = {}
        exec(compile(sample, "sideband.md", "exec"), names)
        backend = asyncio.create_task(names["attend"](call))
        await settled(lambda: "session.updated" in link.kinds())
        link.client_sends(type="conversation.item.create", item=HELLO)
        link.client_sends(type="response.create")
        await settled(lambda: link.kinds().count("response.done") == 2)
        link.hang_up()
        await asyncio.wait_for(backend, PATIENCE_S)
        assert errors(link) == []
        assert "article" in str(model.requests[-1])


async def test_each_client_of_a_call_has_a_dialect_of_its_own() -> None:
    async with running(engines=Engines(llm=FakeModel(["Good morning."]))) as server:
        link = CallLink()
        call = link.call(server)
        headers = {"OpenAI-Beta": "realtime=v1"}
        async with connect(f"{server.ws}/v1/realtime?call_id={call}", additional_headers=headers) as beta:
            link.client_sends(type="response.create")
            kinds = []
            while "response.done" not in kinds:
                kinds.append(json.loads(await asyncio.wait_for(beta.recv(), PATIENCE_S))["type"])
        assert kinds[:2] == ["session.created", "conversation.created"]
        assert "response.audio_transcript.delta" in kinds
        assert not [kind for kind in kinds if "response.output_audio" in kind]
        link.hang_up()


async def test_a_sideband_is_sent_the_reports_of_the_turns() -> None:
    async with running(engines=Engines(llm=FakeModel(["Good morning."]))) as server:
        link = CallLink()
        async with connect(f"{server.ws}/v1/realtime?call_id={link.call(server)}") as sideband:
            session = {"type": "realtime", "include": ["parley.turn.metrics"]}
            await sideband.send(json.dumps({"type": "session.update", "session": session}))
            await settled(lambda: "session.updated" in link.kinds())
            link.client_sends(type="response.create")
            kinds: list[str] = []
            while "parley.turn.metrics" not in kinds:
                kinds.append(json.loads(await asyncio.wait_for(sideband.recv(), PATIENCE_S))["type"])
            assert kinds[-2] == "response.done"
        assert link.kinds().count("parley.turn.metrics") == 1
        link.hang_up()


async def test_a_backend_attached_to_a_call_over_webrtc_outlives_the_channel_of_its_browser() -> None:
    model = FakeModel([ToolCallDelta(0, "call_1", "weather", "{}")], ["It is sunny."])
    async with running(engines=Engines(llm=model)) as server:
        async with calling(server) as caller:
            call = caller.location.rpartition("/")[2]
            async with attached(server, call) as talk:
                await talk.send(type="session.update", session={"type": "realtime", "tools": [WEATHER]})
                await caller.until("session.updated")
                caller.channel.close()
                await talk.send(type="conversation.item.create", item=HELLO)
                await talk.send(type="response.create")
                called = await talk.until("response.function_call_arguments.done")
                await talk.until("response.done")
                output = {"type": "function_call_output", "call_id": called.call_id, "output": "sunny"}
                await talk.send(type="conversation.item.create", item=output)
                await talk.send(type="response.create")
                await talk.until("output_audio_buffer.started")
                await talk.until("output_audio_buffer.stopped")
                assert "response.output_audio.delta" not in talk.kinds()
                assert abs(caller.heard).max() > 1000, "the browser heard the answer"
                await caller.connection.close()
                assert await close_code(talk) == 1000
        assert "response.done" not in caller.kinds()


async def test_a_backend_that_posts_the_offer_with_a_session_may_change_what_it_has_fixed() -> None:
    session = {"type": "realtime", "model": "gpt-realtime", "instructions": "You sell bread."}
    change = {"type": "realtime", "instructions": "You sell cake."}
    async with (
        running(configured(api_keys=(KEY,))) as server,
        calling(server, key=KEY, query="", session=session) as caller,
        attached(server, caller.location.rpartition("/")[2], KEY) as talk,
    ):
        caller.send(type="session.update", session=change)
        assert (await caller.until("error")).error.code == "field_pinned"
        await talk.send(type="session.update", session=change)
        for one in (caller, talk):
            assert (await one.until("session.updated")).session.instructions == "You sell cake."


async def test_a_call_of_a_silent_client_without_a_channel_lasts_as_long_as_a_backend_is_attached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webrtc_call, "UNUSED_S", 0.2)
    monkeypatch.setattr(webrtc_call, "LOOK_S", 0.05)
    async with (
        running(engines=Engines(llm=FakeModel(["Your order is ready at the counter."]))) as server,
        calling(server, speaks=False) as caller,
    ):
        async with attached(server, caller.location.rpartition("/")[2]) as talk:
            caller.channel.close()
            await talk.send(type="response.create")
            await talk.until("output_audio_buffer.stopped")
            assert len(caller.heard) > 0.4 * RATE, "longer than a call that nobody uses"
            assert len(server.app.calls) == 1
        await settled(lambda: len(server.app.calls) == 0)


async def test_a_sideband_watches_a_translation_session() -> None:
    async with serving("Good day.") as server:
        link = CallLink()
        call = link.call(server, dialect=TRANSLATIONS)
        found, error, _ = await refusal(server, f"/v1/realtime?call_id={call}")
        assert (found, error["param"]) == (400, "call_id")
        assert f"/v1/realtime/translations?call_id={call}" in error["message"]
        async with connect(f"{server.ws}/v1/realtime/translations?call_id={call}") as sideband:
            await sideband.send(json.dumps(UPDATE))
            await settled(lambda: "session.updated" in link.kinds())
            for chunk in TALK:
                link.session.hear(chunk)
            link.client_sends(type="session.close")
            kinds: list[str] = []
            with suppress(ConnectionClosed):
                while True:
                    kinds.append(json.loads(await asyncio.wait_for(sideband.recv(), PATIENCE_S))["type"])
        assert kinds[:2] == ["session.created", "session.updated"]
        assert kinds[-1] == "session.closed"
        assert "session.output_transcript.delta" in kinds
        assert "session.output_audio.delta" not in kinds
        assert sideband.close_code == 1000


# --- who may attach -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status", "code", "param"),
    [
        ("call_id=rtc_unknown", 404, "call_id_not_found", "call_id"),
        ("call_id=", 404, "call_id_not_found", "call_id"),
        ("call_id={call}&model=gpt-realtime", 400, "unknown_parameter", "model"),
        ("call_id={call}&intent=transcription", 400, "unknown_parameter", "intent"),
    ],
)
async def test_a_handshake_is_refused_by_name(query: str, status: int, code: str, param: str) -> None:
    async with running() as server:
        link = CallLink()
        found, error, _ = await refusal(server, f"/v1/realtime?{query.format(call=link.call(server))}")
        assert (found, error["code"], error["param"]) == (status, code, param)
        link.hang_up()


async def test_a_call_is_reached_in_the_dialect_of_its_kind_only() -> None:
    async with running() as server:
        link = CallLink()
        call = link.call(server)
        found, error, _ = await refusal(server, f"/v1/realtime/translations?call_id={call}")
        assert (found, error["param"]) == (400, "call_id")
        assert f"/v1/realtime?call_id={call}" in error["message"]
        link.hang_up()


async def test_a_call_of_another_key_is_as_unknown_as_one_that_is_not_there(tmp_path: Path) -> None:
    _, shop = key_file.add(tmp_path / "keys.json", "shop")
    _, bank = key_file.add(tmp_path / "keys.json", "bank")
    async with running(configured(keys_file=tmp_path / "keys.json")) as server:
        link = CallLink()
        call = link.call(server, granted(server, shop))
        answers = []
        for one in (call, "rtc_" + "x" * (len(call) - 4)):
            with pytest.raises(InvalidStatus) as refused:
                await connect(
                    f"{server.ws}/v1/realtime?call_id={one}", additional_headers={"authorization": f"Bearer {bank}"}
                )
            answers.append(
                (refused.value.response.status_code, bytes(refused.value.response.body).replace(one.encode(), b""))
            )
        assert answers[0] == answers[1]
        assert answers[0][0] == 404
        async with server.client("sk-wrong") as client:
            with pytest.raises(InvalidStatus) as unknown:
                async with client.realtime.connect(call_id=call):
                    pass
            assert unknown.value.response.status_code == 401
        async with attached(server, call, shop):
            pass
        link.hang_up()


async def test_a_call_ends_with_its_sidebands_and_a_sideband_without_its_call() -> None:
    async with running() as server:
        link = CallLink()
        call = link.call(server)
        async with attached(server, call) as talk:
            async with attached(server, call):
                assert len(link.session.attached) == 2
            await settled(lambda: len(link.session.attached) == 1)
            assert link.session.watched
            link.client_sends(type="conversation.item.create", item=HELLO)
            await talk.until("conversation.item.done")
            link.session.lost("the phone was hung up")
            server.app.calls.leave(call)
            assert await close_code(talk) == 1000
        found, error, _ = await refusal(server, f"/v1/realtime?call_id={call}")
        assert (found, error["code"]) == (404, "call_id_not_found")


async def test_a_call_has_a_bounded_number_of_sidebands() -> None:
    async with running() as server:
        link = CallLink()
        call = link.call(server)
        url = f"{server.ws}/v1/realtime?call_id={call}"
        connections = [await connect(url) for _ in range(MAX_SIDEBANDS)]
        found, error, headers = await refusal(server, f"/v1/realtime?call_id={call}")
        assert (found, error["code"], error["type"]) == (429, "sideband_limit_reached", "rate_limit_error")
        assert "retry-after" in headers
        await connections.pop().close()
        await settled(lambda: len(link.session.attached) == MAX_SIDEBANDS - 1)
        connections.append(await connect(url))
        assert len(server.app.sessions) == 1, "a sideband takes no place of a session"
        for connection in connections:
            await connection.close()
        link.hang_up()


async def test_a_client_secret_cannot_take_the_place_of_the_backend() -> None:
    async with running(configured(api_keys=(KEY,))) as server:
        secret = (await made(server)).value
        link = CallLink()
        call = link.call(server, granted(server, secret))
        async with AsyncExitStack() as stack:
            for _ in range(MAX_OF_A_SECRET):
                await stack.enter_async_context(attached(server, call, secret))
            with pytest.raises(InvalidStatus) as refused:
                async with attached(server, call, secret):
                    pass
            assert refused.value.response.status_code == 429
            async with attached(server, call, KEY):
                assert len(link.session.attached) == MAX_OF_A_SECRET + 1
        link.hang_up()


async def test_a_sideband_uses_none_of_the_sessions_of_its_key(tmp_path: Path) -> None:
    _, key = key_file.add(tmp_path / "keys.json", "shop", sessions=1)
    async with running(configured(keys_file=tmp_path / "keys.json")) as server:
        link = CallLink()
        call = link.call(server, granted(server, key))
        async with attached(server, call, key):
            pass
        link.hang_up()


# --- what a client secret fixes --------------------------------------------------------------------------------------------


async def test_the_key_may_change_what_its_client_secret_has_fixed_and_the_secret_may_not() -> None:
    session = {"type": "realtime", "model": "gpt-realtime", "instructions": "You sell bread.", "tools": [WEATHER]}
    async with running(configured(api_keys=(KEY,))) as server:
        secret = (await made(server, session=session)).value
        link = CallLink()
        call = link.call(server, granted(server, secret))
        change = {"type": "realtime", "instructions": "You sell cake."}
        async with attached(server, call, secret) as same, attached(server, call, KEY) as backend:
            await same.send(type="session.update", session=change)
            assert (await same.until("error")).error.code == "field_pinned"
            await backend.send(type="session.update", session=change)
            for talk in (same, backend):
                assert (await talk.until("session.updated")).session.instructions == "You sell cake."
            system = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "It is Monday."}]}
            link.client_sends(type="conversation.item.create", item=system)
            assert errors(link) == ["field_pinned"]
            await backend.send(type="conversation.item.create", item=system)
            await backend.until("conversation.item.done")
            link.client_sends(type="session.update", session={"type": "realtime", "instructions": "You sell bread."})
            assert errors(link) == ["field_pinned"] * 2
            link.client_sends(type="session.update", session={"type": "realtime", "tool_choice": "none"})
            assert link.kinds()[-1] == "session.updated", "what is not fixed is the client's still"
        link.hang_up()


async def test_another_client_secret_of_the_key_does_not_reach_the_call() -> None:
    async with running(configured(api_keys=(KEY,))) as server:
        link = CallLink()
        call = link.call(server, granted(server, (await made(server)).value))
        other = (await made(server)).value
        with pytest.raises(InvalidStatus) as refused:
            async with attached(server, call, other):
                pass
        assert refused.value.response.status_code == 404
        link.hang_up()


async def test_a_servers_tools_may_be_named_by_the_key_and_not_by_the_client() -> None:
    shop = {"type": "mcp", "server_label": "shop", "server_url": "http://127.0.0.1:9/mcp", "authorization": "sesame"}
    async with running(configured(api_keys=(KEY,), allowed_mcp_servers=("http://127.0.0.1:9",))) as server:
        link = CallLink()
        call = link.call(server, granted(server, (await made(server)).value))
        async with attached(server, call, KEY) as backend:
            await backend.send(type="session.update", session={"type": "realtime", "tools": [shop]})
            await backend.until("session.updated")
        updated = next(event for event in link.events if event["type"] == "session.updated")
        assert "sesame" not in json.dumps(updated), "the client sees the tools, and no secret"
        link.client_sends(type="session.update", session={"type": "realtime", "tools": [{**shop, "server_label": "x"}]})
        link.client_sends(type="session.update", session={"type": "realtime", "tool_choice": "none"})
        assert errors(link) == ["invalid_value"]
        link.hang_up()


async def test_a_session_that_sends_its_audio_as_messages_is_no_call() -> None:
    async with running() as server:
        link = CallLink()
        link.open(server, GA, paced=False)
        with pytest.raises(ValueError, match="no call"):
            server.app.calls.enter(OpenCall(server.app.calls.new_id(), link.session, link))
        ListLink.close(link, "session_closed")


# --- abuse and ends -------------------------------------------------------------------------------------------------------


@pytest.mark.proves("input_audio_buffer.append", state="honoured", note="refused on a [sideband](sideband.md)")
async def test_garbage_and_audio_are_refused_and_the_call_goes_on() -> None:
    async with running() as server:
        link = CallLink()
        call = link.call(server)
        async with connect(f"{server.ws}/v1/realtime?call_id={call}") as garbage, attached(server, call) as talk:
            for frame in ("{", b"\xff\x00", "[]", '{"type":"no.such.event"}', '{"type":"session.update"}'):
                await garbage.send(frame)
            await garbage.send('{"type":"input_audio_buffer.append","event_id":"loud","audio":"AAAA"}')
            answers = [json.loads(await asyncio.wait_for(garbage.recv(), PATIENCE_S)) for _ in range(7)]
            assert [answer["type"] for answer in answers] == ["session.created"] + ["error"] * 6
            audio = answers[-1]["error"]
            assert (audio["code"], audio["param"], audio["event_id"]) == ("invalid_value", "type", "loud")
            link.client_sends(type="conversation.item.create", item=HELLO)
            await talk.until("conversation.item.done")
            assert not talk.of("error")
        assert errors(link) == []
        link.hang_up()


async def test_a_sideband_that_reads_nothing_is_closed_and_does_not_hold_the_call() -> None:
    async with running(engines=Engines(llm=FakeModel(["Good morning."]))) as server:
        link = CallLink()
        call = link.call(server)
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        host, port = server.host.split(":")
        await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
        deaf = await connect(f"{server.ws}/v1/realtime?call_id={call}", sock=raw, max_queue=1)
        deaf.transport.pause_reading()
        text = {"type": "input_text", "text": "x" * 900_000}
        item = {"type": "message", "role": "user", "id": "long", "content": [text]}
        link.client_sends(type="conversation.item.create", item=item)
        for _ in range(20):
            link.client_sends(type="conversation.item.retrieve", item_id="long")
        link.client_sends(type="response.create")
        await settled(lambda: "response.done" in link.kinds())
        assert link.audio
        deaf.transport.resume_reading()
        with suppress(ConnectionClosed):
            while True:
                await asyncio.wait_for(deaf.recv(), PATIENCE_S)
        assert deaf.close_code == 1008
        await settled(lambda: not link.session.watched)
        link.hang_up()


async def test_the_end_of_the_session_closes_each_sideband_for_its_reason() -> None:
    async with running(configured(session_minutes=0.005)) as server:
        link = CallLink()
        async with attached(server, link.call(server)) as talk:
            assert (await talk.until("error")).error.code == "session_expired"
            assert await close_code(talk) == 1001
        assert link.reason == "session_expired"


async def test_nobody_attaches_while_the_server_stops_and_who_is_attached_hears_the_end() -> None:
    model = FakeModel(["I shall count to ten for you. ", "One", Hold()])
    async with running(engines=Engines(llm=model)) as server:
        link = CallLink()
        call = link.call(server)
        async with attached(server, call) as talk:
            link.client_sends(type="response.create")
            await talk.until("response.output_audio_transcript.delta")
            server.app.sessions.wind_down(lambda: None)
            found, error, _ = await refusal(server, f"/v1/realtime?call_id={call}")
            assert (found, error["code"]) == (503, "server_shutting_down")
            await talk.send(type="response.cancel")
            assert (await talk.until("response.done")).response.status == "cancelled"
            assert await close_code(talk) == 1001
        assert link.reason == "server_shutting_down"


async def test_a_call_that_ends_while_a_client_is_attaching_closes_it() -> None:
    async with running() as server:
        link = CallLink()
        call = link.call(server)
        peer = server.app.gate.accept(f"/v1/realtime?call_id={call}", {"host": server.host}, (), "127.0.0.1")
        assert isinstance(peer, AttachedClient)
        link.hang_up()
        late = Heard()
        late.attach(peer)
        assert (late.reason, late.events) == ("call_ended", [])


async def test_a_sideband_whose_key_is_revoked_is_closed_and_the_call_goes_on() -> None:
    async with running() as server:
        link = CallLink()
        call = link.call(server)
        revoked = SessionRequest(Grant(Key("revoked", digest("sk-revoked"), SCOPES)), GA)
        sideband = Heard()
        sideband.attach(AttachedClient(call, link.session, server.app.sessions, revoked))
        assert sideband.kinds() == ["session.created"]
        assert link.session.grant.key is OPEN
        server.app.end_unallowed()
        assert (sideband.reason, errors(sideband)) == ("access_ended", ["invalid_api_key"])
        assert link.reason is None
        assert not link.session.watched
        link.hang_up()


async def test_a_key_that_is_revoked_ends_the_call_and_says_so_to_each(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    _, key = key_file.add(path, "shop")
    key_file.add(path, "other")
    async with running(configured(keys_file=path)) as server:
        link = CallLink()
        async with attached(server, link.call(server, granted(server, key)), key) as talk:
            key_file.revoke(path, "shop")
            server.app.end_unallowed()
            assert (await talk.until("error")).error.code == "invalid_api_key"
            assert await close_code(talk) == 1008
        assert link.reason == "access_ended"


def assert_owner_asked_and_replays(folder: Path) -> None:
    (path,) = folder.iterdir()
    assert '"asker":"owner"' in path.read_text()
    result = replay(path)
    assert result.mismatch is None
    assert result.events > 3


async def test_what_sidebands_ask_for_is_in_the_trace_and_replays(tmp_path: Path) -> None:
    session = {"type": "realtime", "model": "gpt-realtime", "instructions": "You sell bread."}
    engines = Engines(llm=FakeModel(["Good morning."]))
    async with running(configured(api_keys=(KEY,), trace_dir=tmp_path), engines) as server:
        link = CallLink()
        call = link.call(server, granted(server, (await made(server, session=session)).value))
        async with attached(server, call, KEY) as talk:
            await talk.send(type="session.update", session={"type": "realtime", "instructions": "You sell cake."})
            await talk.send(type="response.create", response={"instructions": "Greet."})
            await talk.until("response.done")
            link.client_sends(type="session.update", session={"type": "realtime", "instructions": "Other."})
        link.hang_up()
    assert_owner_asked_and_replays(tmp_path)


def come_and_go(server: Running, call: str, times: int) -> None:
    """Sidebands that are driven by hand."""
    target, headers = f"/v1/realtime?call_id={call}", {"host": server.host}
    for _ in range(times):
        peer = server.app.gate.accept(target, headers, (), "127.0.0.1")
        assert isinstance(peer, AttachedClient)
        link = Heard()
        link.attach(peer)
        link.client_sends(type="response.cancel")
        peer.lost("it left")
        assert link.kinds() == ["session.created", "error"]
        del link.session


async def test_a_thousand_sidebands_come_and_go_and_leave_nothing() -> None:
    async with running() as server:
        link = CallLink()
        call = link.call(server)
        url = f"{server.ws}/v1/realtime?call_id={call}"
        with without_the_collector():
            for _ in range(10):
                for connection in await asyncio.gather(*[connect(url) for _ in range(MAX_SIDEBANDS)]):
                    connection.transport.abort()
                await settled(lambda: not link.session.watched)
            come_and_go(server, call, 1000)
            del connection
            await gone("AttachedClient", "GatedLink", "WireProtocol", "TurnReports", "FrameEncoder")
        assert link.kinds() == ["session.created"], "the call was told nothing of it"
        link.hang_up()


async def test_an_attached_client_is_gone_when_its_call_is() -> None:
    async with running() as server:
        with without_the_collector():
            link = CallLink()
            call = link.call(server)
            connection = await connect(f"{server.ws}/v1/realtime?call_id={call}")
            await connection.recv()
            link.hang_up()
            with pytest.raises(ConnectionClosed):
                await connection.recv()
            await connection.wait_closed()
            del link.session, connection
            await gone()
