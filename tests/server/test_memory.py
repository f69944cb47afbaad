"""Whatever a session was doing and however it ends, all of it dies at once: nothing waits for the garbage collector."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from parley.config import Config
from parley.core.policy.assistant import Assistant
from parley.core.policy.policy import Answer, Decided, Said
from parley.core.words.errors import InvariantBroken
from parley.engines.ports import (
    ChatEvent,
    ChatRequest,
    PauseContext,
    Samples,
    SpeechChunk,
    SpeechRequest,
    TextDelta,
    ToolCallDelta,
)
from parley.runtime.loop_slices import of_running_loop
from parley.server.app import create_app
from parley.server.lifetime import Uvicorn, listen
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, FakeTurnJudge, FakeVoiceActivity, Hold
from tests.server.harness import PATIENCE_S, Engines, configured, loaded
from tests.server.test_mcp import KEY, Library, library

PER_SESSION = ("parley.core.", "parley.runtime.", "parley.server.", "parley.wire.", "parley.audio.")
"""Modules whose objects belong to one session, as far as they are made after the server has started."""

OF_LIBRARIES = ("WireProtocol", "H11Protocol")


RUNNING: dict[type, str] = {CoroutineType: "cr_code", GeneratorType: "gi_code", AsyncGeneratorType: "ag_code"}


def made_since_the_freeze() -> Counter[str]:
    """What is alive of a session's objects, and of its running code, by kind."""
    found: Counter[str] = Counter()
    for one in gc.get_objects():
        kind = type(one)
        if kind in RUNNING:
            code = getattr(one, RUNNING[kind])
            if "/parley/" in code.co_filename:
                found[f"{kind.__name__} {code.co_qualname}"] += 1
        elif str(kind.__module__).startswith(PER_SESSION) or kind.__name__ in OF_LIBRARIES:
            found[kind.__name__] += 1
    return found


@contextmanager
def without_the_collector() -> Iterator[None]:
    """Log records hold tracebacks, and tracebacks hold what broke: nothing may keep them here."""
    logger = logging.getLogger("parley")
    propagate, logger.propagate = logger.propagate, False
    quiet = logging.NullHandler()
    logger.addHandler(quiet)
    of_running_loop()  # made once for a loop, at its first use
    gc.collect()
    gc.freeze()  # for good: later collections need not walk the thousands of objects that collecting the tests made
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        logger.removeHandler(quiet)
        logger.propagate = propagate


class BreakableVoiceActivity(FakeVoiceActivity):
    """A model that cannot score any more once it is `broken`."""

    broken = False

    def score(self, slots: Any, frames: Samples) -> Samples:
        if self.broken:
            raise RuntimeError("the voice model broke")
        return super().score(slots, frames)


class BreakableModel(FakeModel):
    """A model that raises an unexpected exception while it is `broken`."""

    broken = False

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        yield TextDelta("Well, ")
        if self.broken:
            raise RuntimeError("the model broke")
        async for event in super().reply(request):
            yield event


class BreakableSynthesizer(FakeSynthesizer):
    """A voice that raises an unexpected exception while it is `broken`."""

    broken = False

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        async for chunk in super().speak(request):
            if self.broken:
                raise RuntimeError("the voice broke")
            yield chunk


class HoldableTurnJudge(FakeTurnJudge):
    """A judge that keeps a question as long as it has a `hold`."""

    hold: Hold | None = None

    async def judge(self, pause: PauseContext) -> float:
        if self.hold is not None:
            await self.hold.pass_through()
        return await super().judge(pause)


class BreakablePolicy(Assistant):
    """A policy of one's own, with a bug that shows when it is asked about the word `bug`."""

    def turn_ended(self, said: Said) -> tuple[Decided, ...]:
        if "bug" in said.text:
            raise InvariantBroken("a bug")
        return (Answer(),)

    def may_speculate(self, said: Said) -> bool:
        return False


@dataclass
class Server:
    """A server with engines that can be held and broken."""

    vad: BreakableVoiceActivity
    judge: HoldableTurnJudge
    stt: FakeRecognizer
    llm: BreakableModel
    tts: BreakableSynthesizer
    uvicorn: Uvicorn
    url: str
    books: Library | None = None


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[Server]:
    vad, judge = BreakableVoiceActivity(), HoldableTurnJudge()
    llm, tts = BreakableModel(["of course."]), BreakableSynthesizer()
    stt = FakeRecognizer(*["hello there"] * 9)
    open_engines = loaded(config, Engines(vad=vad, turn=judge, stt=stt, llm=llm, tts=tts))
    app = create_app(config, open_engines, policy=BreakablePolicy())
    started = asyncio.Event()
    server = app.server(started.set)
    listener = listen(config.server)
    running = asyncio.create_task(server.serve_on(listener))
    await started.wait()
    try:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/v1/realtime"
        yield Server(vad, judge, stt, llm, tts, server, url)
    finally:
        server.leave()
        server.leave()
        await running
        listener.close()
        await open_engines.close()


class Client:
    """One client: what it sends, and the types of the events it receives."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def until(self, *kinds: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            async for message in self.socket:
                if any(f'"type":"{kind}"' in str(message) for kind in kinds):
                    return
        raise AssertionError(f"closed before {kinds}")

    async def speak(self, silence_ms: int = 1000) -> None:
        times = np.arange(24 * 600) / 24_000
        tone = (8000 * np.sin(2 * np.pi * 300 * times)).astype("<i2").tobytes()
        audio = bytes(48 * 200) + tone + bytes(48 * silence_ms)
        for at in range(0, len(audio), 4800):
            await self.send("input_audio_buffer.append", audio=base64.b64encode(audio[at : at + 4800]).decode())

    async def configure(self, **session: Any) -> None:
        await self.send("session.update", session={"type": "realtime", **session})
        await self.until("session.updated")

    async def write(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        await self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await self.send("response.create")


# --- what a session was doing -----------------------------------------------------------------------------------------


async def nothing(server: Server, client: Client) -> None:
    """It has only begun."""


async def talked(server: Server, client: Client) -> None:
    await client.speak()
    await client.until("response.done")


async def wrote(server: Server, client: Client) -> None:
    await client.configure(output_modalities=["text"])
    await client.write("Hello?")
    await client.until("response.done")


async def cleaned(server: Server, client: Client) -> None:
    await client.configure(audio={"input": {"noise_reduction": {"type": "far_field"}}})
    await talked(server, client)


async def speaking(server: Server, client: Client) -> None:
    await client.speak(silence_ms=0)
    await client.until("input_audio_buffer.speech_started")


async def interrupting(server: Server, client: Client) -> None:
    """A reply was cut off by the next turn."""
    server.llm.requests.clear()
    server.llm.replies[:] = [["Well, ", hold := Hold()], ["All right."]]
    await client.speak()
    await hold.reached.wait()
    await client.speak()
    await client.until("response.done")
    await client.until("response.done")


async def generating(server: Server, client: Client) -> None:
    server.llm.replies[:] = [["Once upon a time. ", hold := Hold()]]
    await client.write("Tell me a story.")
    await hold.reached.wait()


async def synthesizing(server: Server, client: Client) -> None:
    server.tts.script["stop"] = hold = Hold()
    server.llm.replies[:] = [["Now stop here."]]
    await client.write("Go on.")
    await hold.reached.wait()


async def judging(server: Server, client: Client) -> None:
    """The turn judge has been asked about a pause and has not answered."""
    server.judge.hold = hold = Hold()
    await client.configure(audio={"input": {"turn_detection": {"type": "semantic_vad"}}})
    await client.speak(silence_ms=200)
    await hold.reached.wait()


async def failing(server: Server, client: Client) -> None:
    """The reply's model and its voice have failed with unexpected exceptions."""
    for broken in (server.llm, server.tts):
        broken.broken = True
        await client.write("Hello?")
        await client.until("response.done")
        broken.broken = False


async def listing_tools(server: Server, client: Client) -> None:
    assert server.books is not None
    tool = {"type": "mcp", "server_label": "books", "server_url": server.books.url, "authorization": KEY}
    tool["require_approval"] = "never"
    await client.send("session.update", session={"type": "realtime", "tools": [tool]})
    await client.until("mcp_list_tools.completed")


async def calling_a_tool(server: Server, client: Client) -> None:
    await listing_tools(server, client)
    assert server.books is not None
    server.books.hold.clear()
    server.llm.replies[:] = [[ToolCallDelta(0, "call_1", "find", '{"title":"Ulysses"}')]]
    await client.write("Where is it?")
    await server.books.began.wait()


async def refused_tools(server: Server, client: Client) -> None:
    assert server.books is not None
    tool = {"type": "mcp", "server_label": "books", "server_url": server.books.url, "authorization": "wrong"}
    await client.send("session.update", session={"type": "realtime", "tools": [tool]})
    await client.until("mcp_list_tools.failed")


# --- how it ends ------------------------------------------------------------------------------------------------------


async def client_closes(server: Server, client: Client) -> None:
    await client.socket.close()


async def connection_breaks(server: Server, client: Client) -> None:
    raw = client.socket.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.transport.abort()


async def client_breaks_the_protocol(server: Server, client: Client) -> None:
    client.socket.transport.write(b"\xff\xff\xff\xff\xff\xff\xff\xff")
    assert await closed(client) == 1002


async def core_breaks(server: Server, client: Client) -> None:
    server.stt.answers[:] = ["a bug"] * 9
    await client.send("input_audio_buffer.clear")
    await client.speak()
    assert await closed(client) == 1011


async def voice_model_breaks(server: Server, client: Client) -> None:
    server.vad.broken = True
    await client.speak()
    assert await closed(client) == 1011


async def server_stops(server: Server, client: Client) -> None:
    server.uvicorn.leave()
    server.uvicorn.leave()
    assert await closed(client) in (1001, 1012)


async def session_expires(server: Server, client: Client) -> None:
    assert await closed(client) == 1001


async def closed(client: Client) -> int | None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await client.socket.recv()
    except ConnectionClosed as ended:
        return ended.rcvd.code if ended.rcvd else None


Step = Callable[[Server, Client], Awaitable[None]]

DOINGS: list[Step] = [
    nothing,
    talked,
    wrote,
    cleaned,
    speaking,
    judging,
    interrupting,
    generating,
    synthesizing,
    failing,
]
ENDS: list[Step] = [
    client_closes,
    client_breaks_the_protocol,
    core_breaks,
    voice_model_breaks,
    server_stops,
]


async def a_session_leaves_nothing(server: Server, doing: Step, end: Step) -> None:
    with without_the_collector():
        socket = await connect(server.url)
        client = Client(socket)
        await doing(server, client)
        await end(server, client)
        await socket.wait_closed()
        for kept in (
            server.llm.requests,
            server.llm.replies,
            server.tts.requests,
            server.tts.script,
            server.stt.streams,
            server.judge.asked,
        ):
            kept.clear()
        server.judge.hold = None
        client.socket = socket = None  # type: ignore[assignment]
        await gone()


async def gone(*kinds: str) -> None:
    """Wait until nothing (of these kinds) is alive that was made since the freeze."""
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_S / 4
    while left := {kind: count for kind, count in made_since_the_freeze().items() if not kinds or kind in kinds}:
        if loop.time() > until:
            raise AssertionError(f"alive after the end: {left}")
        await asyncio.sleep(0)


@pytest.mark.slow
@pytest.mark.parametrize("doing", DOINGS, ids=lambda step: step.__name__)
async def test_a_broken_connection_leaves_nothing_behind_at_any_stage(doing: Step) -> None:
    async with serving(configured()) as server:
        await a_session_leaves_nothing(server, doing, connection_breaks)


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS, ids=lambda step: step.__name__)
@pytest.mark.parametrize("doing", [talked, generating], ids=lambda step: step.__name__)
async def test_nothing_of_a_session_outlives_its_end(doing: Step, end: Step) -> None:
    async with serving(configured()) as server:
        await a_session_leaves_nothing(server, doing, end)


async def test_nothing_of_a_session_outlives_its_longest_time() -> None:
    async with serving(configured(session_minutes=0.01)) as server:
        await a_session_leaves_nothing(server, generating, session_expires)


@pytest.mark.slow
@pytest.mark.parametrize("doing", [listing_tools, calling_a_tool, refused_tools], ids=lambda step: step.__name__)
async def test_nothing_of_a_session_with_tools_of_an_mcp_server_outlives_it(doing: Step) -> None:
    async with library() as books, serving(configured()) as server:
        server.books = books
        # The packages of MCP are imported with the first connection.
        await a_session_leaves_nothing(server, doing, connection_breaks)
        books.hold.set()


async def test_nothing_of_a_traced_session_outlives_it(tmp_path: Path) -> None:
    async with serving(configured(trace_dir=tmp_path)) as server:
        await a_session_leaves_nothing(server, generating, core_breaks)


async def test_finished_turns_and_replies_are_freed_while_their_session_runs() -> None:
    async with serving(configured()) as server:
        with without_the_collector():
            client = Client(await connect(server.url))
            await talked(server, client)
            await interrupting(server, client)
            await failing(server, client)
            server.stt.streams.clear()
            await gone("_Turn", "_Attempt", "Attempt", "Response", "Resampler", "coroutine _Attempt.run")
        await client.socket.close()


async def test_a_refused_handshake_leaves_nothing() -> None:
    async with serving(configured(api_keys=("sk-right",))) as server:
        with without_the_collector():
            with pytest.raises(InvalidStatus):
                await connect(server.url)
            await gone()
