"""Listening sockets, taken before anything else is done: an occupied port should not cost a minute."""

from __future__ import annotations

import socket

from parley.config import ConfigError


def listen_at(host: str, port: int, remedy: str) -> socket.socket:
    """A bound socket that does not block, on which nothing listens yet. Raises `ConfigError`, with this remedy."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
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
        raise ConfigError(f"Cannot listen on {host}:{port}: {reason}.", remedy=remedy) from error
    listener.setblocking(False)
    return listener
