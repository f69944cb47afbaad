"""One voice server as a process: loads the converter, announces itself, serves until it is to end.

Laws:
- A path that cannot be used is refused before anything is loaded.
- A signal, or the end of the pipe that it was started with, ends it at once, also while it loads. The socket's file is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from parley.engines.ports import VC, EngineSpec, EngineUnavailable, VoiceConverter
from parley.engines.registry import create
from parley.engines.vc.resampled import at_rate
from parley.engines.vc.voice_sockets import check_free, identity, listen_at, remove, runtime_folder
from parley.stop_signals import on_stop_signals
from parley.voice.serving import MAX_CLIENTS, VoiceServer

END_S: Final = 2.0
"""A converter that does not let go within this time is left to the end of the process."""


@dataclass(frozen=True, slots=True)
class ServedVoice:
    """What to serve. `socket` None is `voice.sock` in the user's runtime folder; `rate` 0 is the converter's own, in Hz."""

    engine: EngineSpec
    socket: Path | None = None
    rate: int = 0
    voice: str = ""
    plain: bool = False
    max_clients: int = MAX_CLIENTS


@dataclass(frozen=True, slots=True)
class ReadyVoice:
    """What a server announces once it accepts clients. `latency_ms` is the silence that each client's answers begin with, `block_ms` what
    the converter computes at once."""

    socket: str
    rate: int
    block_ms: float
    latency_ms: float
    engine: str
    voice: str


@dataclass(slots=True)
class ServerEnd:
    """Whether the process is to end. `request()` is for any thread."""

    _event: asyncio.Event | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _requested: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    finished: threading.Event = field(default_factory=threading.Event)
    """Set when the server has ended: what is left is the interpreter's own end."""
    socket: tuple[Path, tuple[int, int] | None] | None = None

    def request(self) -> None:
        with self._lock:
            self._requested = True
            if self._loop is not None and self._event is not None:
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        with self._lock:
            if self._event is None:
                self._event, self._loop = asyncio.Event(), asyncio.get_running_loop()
            if self._requested:
                self._event.set()
        await self._event.wait()


def end_with_stdin(ending: ServerEnd) -> None:
    """End with the pipe on standard input: its other end is the program that started this one, however that ends."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4_096):
                pass
        ending.request()
        if not ending.finished.wait(END_S):
            if ending.socket is not None:
                remove(*ending.socket)
            os._exit(1)

    threading.Thread(target=watch, name="standard input", daemon=True).start()


async def serve(wanted: ServedVoice, announce: Callable[[ReadyVoice], None], ending: ServerEnd) -> None:
    """Serve until `ending`, SIGTERM or SIGINT. Raises `EngineUnavailable` and `EngineRefused` where it cannot begin."""
    path = wanted.socket or runtime_folder() / "voice.sock"
    check_free(path)
    loop = asyncio.get_running_loop()
    on_stop_signals(ending.request)
    engine = create(VC, wanted.engine)
    if not isinstance(engine, VoiceConverter):
        raise EngineUnavailable(f"{wanted.engine.name} is no voice converter.", code="engine_broken")
    work = loop.create_task(_serve(wanted, engine, path, announce, ending))
    stop = loop.create_task(ending.wait())
    try:
        await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
        work.cancel()
        await asyncio.wait([work, stop])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await engine.close()
        ending.finished.set()
    if not work.cancelled() and (error := work.exception()) is not None:
        raise error


async def _serve(
    wanted: ServedVoice, engine: VoiceConverter, path: Path, announce: Callable[[ReadyVoice], None], ending: ServerEnd
) -> None:
    await engine.open()
    try:
        converter = at_rate(engine, wanted.rate or engine.info.sample_rate)
    except ValueError as error:
        raise EngineUnavailable(f"--rate: {error}.", "Choose 16000, 24000 or 48000.", code="invalid_rate") from error
    server = VoiceServer(converter, wanted.voice, plain=wanted.plain, max_clients=wanted.max_clients)
    trial = server.conversion()  # a voice that is not known is refused here
    trial.close()
    listener = listen_at(path)
    own = identity(path)
    ending.socket = (path, own)
    try:
        await server.start(listener)
        announce(
            ReadyVoice(
                socket=str(path),
                rate=trial.rate,
                block_ms=converter.block_ms,
                latency_ms=trial.latency_ms,
                engine=":".join(filter(None, (wanted.engine.name, wanted.engine.model))),
                voice=converter.resolve_voice(wanted.voice) or wanted.voice,
            )
        )
        await ending.wait()
    finally:
        remove(path, own)
        listener.close()
        await server.close()
