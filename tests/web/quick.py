"""Servers that start and speak in no time, for tests of what is neither heard nor spoken: no ears, and a short tone for a voice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.web.server import Server


def quick_pipeline(url: str = "", name: str = "default", *, stt: str = "bench", seconds: float = 0.4) -> str:
    """A pipeline of parley.toml that a model at `url` answers for, or the built-in responder. A sentence sounds for `seconds`."""
    model = f'"openai:scripted"\nllm_options = {{ base_url = "{url}" }}' if url else '"responder"'
    voice = f'"bench"\ntts_options = {{ chunks = {round(seconds * 10)} }}'
    return f'[pipelines.{name}]\nstt = "{stt}"\nllm = {model}\ntts = {voice}\n'


KEY = "sk-open-sesame"


def quick_server(folder: Path, *arguments: str, settings: str = "") -> Server:
    """`settings`: more of parley.toml. The pipeline `slow` is for replies that something happens to meanwhile."""
    (folder / "parley.toml").write_text(quick_pipeline() + quick_pipeline(name="slow", seconds=6) + settings)
    return Server(*arguments, cwd=folder)


class Mortal:
    """A server that tests kill and bring back, with what is in `folder`; its address stays the same. Each test leaves it alive."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = Server(cwd=folder)
        self.url = self._server.url

    @property
    def port(self) -> int:
        return self._server.port

    def kill(self) -> None:
        self._server.end(kill=True)

    def live(self) -> None:
        """A new one, where it was killed."""
        if not self._server.running:
            self._server = Server(cwd=self._folder, port=self._server.port)

    def end(self) -> None:
        self._server.end()


class Line:
    """The way to a server, as a port of its own, which can be cut: then nothing is reached at `url`, as if the server had been killed."""

    def __init__(self, server: Server | Mortal) -> None:
        self._to = server.port
        self._port = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.transport.abort()

    async def end(self) -> None:
        """Cut it, and wait until nothing of it is left."""
        while self._passing:
            self.cut()
            await asyncio.wait(self._passing, timeout=0.1)
        self.cut()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        both = {writer, far_writer}
        self._connections |= both
        await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))
        self._connections -= both


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the one end is over, or nobody waits for it."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def line(server: Server | Mortal) -> AsyncIterator[Line]:
    made = Line(server)
    await made.mend()
    try:
        yield made
    finally:
        await made.end()
