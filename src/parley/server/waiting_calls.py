"""Calls that have connected and not begun: how many may wait, in all and of one who makes them.

Laws: one that is new always finds a place while there is one, because nobody may hold more places than stay free: alone an account has
half of them, a second one half of the rest, and so on. A client secret, which one visitor of a page has, is bounded by itself too.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from parley.server.access.access import OPEN, Grant
from parley.server.refusals import Refusal

MOST_WAITING: Final = 128
"""Of one kind of link: telephone systems begin at once, and browsers within a second. Each has a socket, and some a session."""

MOST_OF_SECRET: Final = 8

RETRY_S: Final = 5

TOO_MANY: Final = Refusal(
    503,
    "too_many_calls",
    f"Too many calls have connected and not begun. Try again in {RETRY_S} s.",
    None,
    "server_error",
    RETRY_S,
)


@dataclass(frozen=True, slots=True)
class CallMaker:
    """Whom a waiting call is counted for. `account` is a key or, where there is none, an address; `secret` the client secret, or ""."""

    account: str
    secret: str = ""

    @classmethod
    def of(cls, grant: Grant | None, client: str) -> CallMaker:
        """`grant` is what was presented so far, `client` the address with its port."""
        secret = "" if grant is None or grant.secret is None else grant.secret.id
        if grant is None or grant.key is OPEN:
            return cls(f"address {client.rpartition(':')[0] or client}", secret)
        return cls(f"key {grant.key.id}", secret)


class WaitingCalls:
    """The waiting calls of one kind of link: `most` in all, `most_of_secret` of one client secret."""

    def __init__(self, most: int, most_of_secret: int = MOST_OF_SECRET) -> None:
        self._most = most
        self._most_of_secret = most_of_secret
        self._waiting: dict[Hashable, CallMaker] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def refusal(self, maker: CallMaker) -> Refusal | None:
        """Why one more call of `maker` may not wait now; None where it may."""
        held = [one for one in self._waiting.values() if one.account == maker.account]
        if len(held) >= self._most - len(self._waiting):
            return TOO_MANY
        return TOO_MANY if maker.secret and held.count(maker) >= self._most_of_secret else None

    def enter(self, call: Hashable, maker: CallMaker) -> None:
        """`call` waits from now on. Ask for `refusal` first."""
        self._waiting[call] = maker

    def leave(self, call: Hashable) -> None:
        """It has begun, or never will. Nothing happens where it does not wait."""
        self._waiting.pop(call, None)
