"""The built-in server of `parley talk`: the server of `parley serve` in a thread of this process.

It is spoken to over a loopback socket on a free port, with a key made for this one conversation: the very path every other client
takes, so what is heard and measured here is what they get. (Without the socket a frame would save some 50 us, and be another path.)

Laws: its event loop is its own, so that no screen and no sound device can make it late; it ends with the conversation; it writes nothing to
the terminal once it serves.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from parley.client.connection import Server

if TYPE_CHECKING:
    from parley.config import Config, PipelineConfig
    from parley.server.lifetime import Uvicorn

END_S = 10.0
"""Engines close within this, or the process ends without them."""


@dataclass(slots=True)
class _Running:
    """What the thread reports."""

    ready: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    error: BaseException | None = None
    loop: asyncio.AbstractEventLoop | None = None
    task: asyncio.Task[None] | None = None
    server: Uvicorn | None = None


@contextmanager
def own_server(
    config: Config,
    trace_dir: Path | None,
    pipelines: Mapping[str, PipelineConfig] | None = None,
) -> Iterator[Server]:
    """The server for the configuration, while the context lasts, with `pipelines` (the first is the default one) or the default pipeline
    alone. Raises `EngineUnavailable` when its default pipeline cannot be served."""
    key = secrets.token_urlsafe(24)
    server = replace(
        config.server,
        host="127.0.0.1",
        port=0,
        api_keys=(key,),
        keys_file=None,
        tls_cert=None,
        tls_key=None,
        trace_dir=trace_dir,
        shutdown_grace_s=0,
    )
    # Only the pipelines in use need to be loaded.
    served = pipelines or {config.default_pipeline: config.pipelines[config.default_pipeline]}
    default = next(iter(served))
    # When the process ends, Python would look for cycles in all that the models were made of.
    atexit.register(gc.freeze)
    running = _Running()
    thread = threading.Thread(
        target=_serve,
        args=(replace(config, server=server, pipelines=served, default_pipeline=default), running),
        name="server",
        daemon=True,
    )
    thread.start()
    try:
        running.ready.wait()
        if running.error is not None:
            raise running.error
        yield Server.at(f"ws://127.0.0.1:{running.port}", model=default, key=key, name="in this process")
    finally:
        _stop(running)
        thread.join(END_S)


def _serve(config: Config, running: _Running) -> None:
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_main(config, running))
    except asyncio.CancelledError:
        pass
    except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that waits for it
        running.error = error
    finally:
        running.ready.set()


async def _main(config: Config, running: _Running) -> None:
    from parley.cli.brief_startup import BriefStartup
    from parley.server.app import create_app, opened

    running.loop = asyncio.get_running_loop()
    running.task = asyncio.current_task()
    async with opened(config, BriefStartup(config)) as (listener, engines):
        running.port = listener.getsockname()[1]
        running.server = create_app(config, engines).server(running.ready.set)
        await running.server.serve_on(listener)


def _stop(running: _Running) -> None:
    loop, task = running.loop, running.task
    if loop is None or task is None or task.done():
        return
    server = running.server

    def stop() -> None:
        if server is None:
            task.cancel()
            return
        server.leave()

    try:
        loop.call_soon_threadsafe(stop)
    except RuntimeError:
        # It has ended in the meantime.
        return


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
