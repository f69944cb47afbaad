"""The errors of a session.

    PeerError         the client asked for something impossible: it is sent an `error` notice, the session continues
    InvariantBroken   a bug in the core: the session is closed and its trace dumped; other sessions are not affected

(An engine's fault is neither: it arrives as an event, see `Fault`.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ErrorType = Literal["invalid_request_error", "server_error", "rate_limit_error"]


class PeerError(Exception):
    """A client's event that cannot be honoured. `field` is the core's name of the offending field
    (`session.voice`, `item.content[0]`); a dialect maps it to the path that its clients write."""

    def __init__(
        self, message: str, *, code: str, field: str | None = None, kind: ErrorType = "invalid_request_error"
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.field = field
        self.kind: ErrorType = kind


class InvariantBroken(AssertionError):
    """The core contradicted itself; the message names the invariant."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure of an engine, as the core gets it: a stable `code`, and one sentence with its remedy."""

    code: str
    message: str
