"""Open files: every connection takes one of the process's descriptors, and without one `accept` fails for everybody.

Laws: the soft limit is raised to the hard one at start; an eighth of it is kept for what sessions need besides their link; running
short is logged, seldom, with what fixes it.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
from collections.abc import Callable

if sys.platform != "win32":
    import resource

log = logging.getLogger("parley.server")

WANTED = 65_536
"""Descriptors that are asked for: more than one process can serve sessions. A hard limit of a million is common in containers, and some
libraries walk the whole table when they start a child."""

PER_SESSION = 3
"""Its link, a request to a language model, a connection to a server of tools."""

RESERVED_SHARE = 8
"""One descriptor in so many is kept from connections: for models, tools, traces, and the processes of engines."""

OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})

SAY_EVERY_S = 60.0
"""A server that is short of descriptors says so with every connection; one line in a minute is read."""

FIX = "Raise the limit: `ulimit -n`, systemd's LimitNOFILE=, or Docker's --ulimit nofile=."


def open_files_limit() -> tuple[int, int] | None:
    """The soft and the hard limit; None where the system has none."""
    if sys.platform == "win32":
        return None
    unlimited = resource.RLIM_INFINITY
    soft, hard = (WANTED if limit == unlimited else limit for limit in resource.getrlimit(resource.RLIMIT_NOFILE))
    return soft, hard


def raise_open_files_limit() -> int | None:
    """Raise the soft limit as far as `WANTED` and the hard limit allow; returns it, None where the system has none."""
    limits = open_files_limit()
    if limits is None or sys.platform == "win32":
        return None
    soft, hard = limits
    wanted = min(hard, WANTED)
    if wanted > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        except (OSError, ValueError) as error:
            log.warning("the limit of open files stays at %d: %s", soft, error)
            return soft
    return max(soft, wanted)


def open_files_needed(max_sessions: int) -> int:
    """What `max_sessions` need, the reserve included."""
    return max_sessions * PER_SESSION * RESERVED_SHARE // (RESERVED_SHARE - 1)


class Descriptors:
    """How many are left for connections. Make it once the engines are open: what is open then stays open.

    `limit` None: the process's own, as it is now.
    """

    def __init__(self, limit: int | None = None, now_s: Callable[[], float] = time.monotonic) -> None:
        if limit is None:
            limits = open_files_limit()
            limit = limits[0] if limits is not None else None
        self.limit = limit
        self._connections = 0 if limit is None else limit - self.reserve - _open_now()
        self._now_s = now_s
        self._said_s: float | None = None

    def short(self, connections: int, descriptor: int) -> bool:
        """Whether one of so many connections, whose descriptor this is, takes from the reserve.

        A new descriptor is the lowest that is free: a high one shows what else is open. A low one shows nothing.
        """
        return self.limit is not None and (connections > self._connections or descriptor >= self.limit - self.reserve)

    @property
    def reserve(self) -> int:
        """Descriptors that are kept from connections."""
        return 0 if self.limit is None else self.limit // RESERVED_SHARE

    def probe(self) -> None:
        """Log when not one can be opened: event loops drop or delay connections then, and some of them say nothing."""
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            if error.errno in OUT_OF_DESCRIPTORS:
                self.say("connections cannot be accepted: %s", error.strerror)

    def say(self, message: str, *arguments: object) -> None:
        """Log it with what fixes it, unless something was logged within `SAY_EVERY_S`."""
        now_s = self._now_s()
        if self._said_s is None or now_s - self._said_s >= SAY_EVERY_S:
            self._said_s = now_s
            log.error(message + ". %s", *arguments, FIX)


def _open_now() -> int:
    """Descriptors that this process has open; 0 where the system does not list them."""
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 0
