"""A whole server on a free port, with scripted or real engines, and clients that judge every event they receive."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import uvloop
from openai import AsyncOpenAI, OpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection, RealtimeConnection

from parley.config import Config, load
from parley.engines.ports import LLM, STT, TTS, TURN, VAD, Engine, EngineSet, Stage
from parley.runtime.engine_opening import EngineReport
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.runtime.voice_worker import VoiceWorker
from parley.server.app import Application, create_app
from parley.server.lifetime import Uvicorn, listen
from parley.server.links.audiosocket.listener import listen_for_calls
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, FakeTurnJudge, FakeVoiceActivity
from tests.wire.sdk import parse_server_event

PATIENCE_S = 20.0
"""Longer than anything here takes on a busy machine; a test that waits for what never comes ends with it."""


@dataclass
class Engines:
    """The scripted engines of one pipeline."""

    vad: FakeVoiceActivity = field(default_factory=FakeVoiceActivity)
    turn: FakeTurnJudge | None = field(default_factory=FakeTurnJudge)
    stt: FakeRecognizer = field(default_factory=FakeRecognizer)
    llm: FakeModel = field(default_factory=FakeModel)
    tts: FakeSynthesizer = field(default_factory=FakeSynthesizer)

    def as_set(self) -> EngineSet:
        engines: dict[Stage[Any], Engine] = {VAD: self.vad, STT: self.stt, LLM: self.llm, TTS: self.tts}
        return EngineSet(engines if self.turn is None else {**engines, TURN: self.turn})


def configured(**server: Any) -> Config:
    """The default configuration on a free port, with these fields of `[server]` changed."""
    config = load(None, {"port": 0}, {})
    return replace(config, server=replace(config.server, **server))


def loaded(
    config: Config, engines: Engines, failures: Mapping[str, tuple[EngineReport, ...]] | None = None
) -> LoadedEngines:
    """`engines` behind the default pipeline; the others of `config` are as if they had failed."""
    name = config.default_pipeline
    pipeline = LoadedPipeline(name, engines.as_set(), VoiceWorker(engines.vad), config.pipelines[name])
    if failures is None:
        failures = {other: () for other in config.pipelines if other != name}
    pipelines = {name: pipeline} if name not in failures else {}
    return LoadedEngines(pipelines, failures, [])


@dataclass
class Running:
    """A server that runs: `url` without a path."""

    config: Config
    app: Application
    server: Uvicorn
    host: str
    engines: LoadedEngines
    calls: tuple[str, int] | None = None
    """Where telephone systems connect to."""

    @property
    def http(self) -> str:
        return f"http://{self.host}"

    @property
    def ws(self) -> str:
        return f"ws://{self.host}"

    def client(self, key: str = "none") -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{self.http}/v1", api_key=key, max_retries=0)

    def sync_client(self, key: str = "none") -> OpenAI:
        return OpenAI(base_url=f"{self.http}/v1", api_key=key, max_retries=0)


@asynccontextmanager
async def running(
    config: Config | None = None, engines: Engines | LoadedEngines | None = None
) -> AsyncIterator[Running]:
    """A server on this event loop."""
    config = config or configured()
    if not isinstance(engines, LoadedEngines):
        engines = loaded(config, engines or Engines())
    app = create_app(config, engines)
    started = asyncio.Event()
    server = app.server(started.set)
    listener = listen(config.server)
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    calls = listen_for_calls(config.telephony)
    serving = asyncio.create_task(server.serve_on(listener, calls))
    try:
        await started.wait()
        yield Running(config, app, server, host, engines, None if calls is None else calls.getsockname()[:2])
    finally:
        if not serving.done():
            server.leave()
            server.leave()
        await serving
        listener.close()
        await engines.close()
        assert len(app.sessions) == 0, "a session outlived its server"


@contextmanager
def running_in_thread(
    config: Config | None = None, make: Callable[[Config], Coroutine[Any, Any, LoadedEngines]] | None = None
) -> Iterator[Running]:
    """A server on an event loop (uvloop) in a thread of its own, for clients that block."""
    config = config or configured()
    ready = threading.Event()
    there: list[tuple[Running, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        engines = await make(config) if make is not None else None
        async with running(config, engines) as server:
            over = asyncio.Event()
            there.append((server, asyncio.get_running_loop(), over))
            ready.set()
            await over.wait()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(main())
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        assert there, "the server did not start"
        yield there[0][0]
    finally:
        for _, loop, over in there:
            loop.call_soon_threadsafe(over.set)
        thread.join()


Event = Any
"""An event of `openai.types.realtime`."""


class Talk:
    """An `openai` connection (async) whose every event is judged; `events` are all that came."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.events: list[Event] = []

    async def next(self) -> Event:
        frame = await asyncio.wait_for(self.connection.recv_bytes(), PATIENCE_S)
        event = parse_server_event(frame)
        self.events.append(event)
        return event

    async def until(self, kind: str) -> Event:
        """Read up to and with the next event of that type."""
        while (event := await self.next()).type != kind:
            pass
        return event

    async def send(self, **event: Any) -> None:
        await self.connection.send(event)  # type: ignore[arg-type]

    def kinds(self) -> list[str]:
        return [event.type for event in self.events]

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.type == kind]


class BlockingTalk:
    """The same with the blocking client."""

    def __init__(self, connection: RealtimeConnection) -> None:
        self.connection = connection
        self.events: list[Event] = []

    def until(self, kind: str) -> Event:
        while True:
            event = parse_server_event(self.connection.recv_bytes())
            self.events.append(event)
            if event.type == kind:
                return event

    def kinds(self) -> list[str]:
        return [event.type for event in self.events]


@asynccontextmanager
async def talking(server: Running, model: str = "gpt-realtime", key: str = "none", **query: str) -> AsyncIterator[Talk]:
    """A stock client on a session that has been created."""
    async with (
        server.client(key) as client,
        client.realtime.connect(model=model, extra_query=dict(query)) as connection,
    ):
        talk = Talk(connection)
        assert (await talk.next()).type == "session.created"
        yield talk


async def turn_the_loop(times: int = 3) -> None:
    """Let what is ready run."""
    for _ in range(times):
        await asyncio.sleep(0)
