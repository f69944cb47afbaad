"""The server's life: the socket is taken first, then uvicorn serves on it, then every reply may end.

Laws: the first SIGINT or SIGTERM admits nobody any more and lets replies end, for `shutdown_grace_s` at the most; then, or on a
second signal, all links are closed with 1012 and the server ends at once. Nothing is left running.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from parley.config import ConfigError, ServerConfig
from parley.server.admission import Sessions
from parley.server.http_connection import HttpConnections, Patience
from parley.server.link import link_class
from parley.server.link_ports import Door

log = logging.getLogger("parley.server")

BACKLOG = 2048
"""Connections that may wait to be accepted: a benchmark's whole crowd at once. Event loops accept all of them in one go, before one that is
closed in their favour has given its descriptor back: no more than the reserve may wait."""

ABORT_S = 0.3
"""After a second signal: time for the close frames to leave."""

PROBE_TICKS = 10
"""Whether a descriptor can be had is looked at once a second."""

LINKS_END_S = 6
"""Links end themselves within five seconds of their close (`link.CLOSE_S`)."""


def listen(server: ServerConfig) -> socket.socket:
    """The listening socket, taken before engines are loaded: an occupied port should not cost a minute. Raises `ConfigError`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = "Stop what listens there, or choose another port: --port 0 takes any free one."
        raise ConfigError(f"Cannot listen on {server.host}:{server.port}: {reason}.", remedy=remedy) from error
    listener.setblocking(False)
    return listener


class Uvicorn(uvicorn.Server):
    """uvicorn, except that a signal lets replies end first. Call `serve_on`; `leave` ends it from inside.

    `on_started` is called once connections are taken.
    """

    def __init__(
        self,
        app: ASGIApp,
        door: Door,
        sessions: Sessions,
        grace_s: float,
        on_started: Callable[[], None],
        patience: Patience,
    ) -> None:
        connections = HttpConnections(patience)
        super().__init__(
            uvicorn.Config(
                app,
                http=connections.class_(),
                ws=link_class(door),
                loop="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=min(BACKLOG, connections.descriptors.reserve or BACKLOG),
                timeout_graceful_shutdown=LINKS_END_S,
            )
        )
        self._descriptors = connections.descriptors
        self._sessions = sessions
        self._grace_s = grace_s
        self._on_started = on_started
        self._loop: asyncio.AbstractEventLoop
        self._deadline: asyncio.TimerHandle | None = None

    async def serve_on(self, listener: socket.socket) -> None:
        """Serve until `leave` is called or a signal comes."""
        self._loop = asyncio.get_running_loop()
        await self.serve(sockets=[listener])
        if self._deadline is not None:
            self._deadline.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def on_tick(self, counter: int) -> bool:
        """uvicorn's, ten times a second."""
        if counter % PROBE_TICKS == 0:
            self._descriptors.probe()
        return await super().on_tick(counter)

    def leave(self) -> None:
        """Admit nobody any more, let replies end, then stop. On the event loop; a second call stops at once."""
        if self._deadline is not None:
            log.info("stopping at once: %d sessions are closed", len(self._sessions))
            self.force_exit = True
            self._stop()
            self._loop.call_later(ABORT_S, self._abort_links)
            return
        if count := len(self._sessions):
            log.info("stopping: %d sessions may end their replies within %g s", count, self._grace_s)
        self._deadline = self._loop.call_later(self._grace_s, self._stop)
        self._sessions.wind_down(self._stop)

    def _stop(self) -> None:
        self.should_exit = True

    def _abort_links(self) -> None:
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """uvicorn's signal handler; it runs between two bytecodes of anything, so it only schedules."""
        self._loop.call_soon_threadsafe(self.leave)
