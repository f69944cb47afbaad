"""The log of refused clients: each refusal is counted, and a line a minute is written for each reason.

Laws: the number of lines does not depend on what clients send: one for each code within `LINE_EVERY_S`, which counts those that were left
out since the last, and names the address most of them came from. No line has a key.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Final

from parley.server.refusals import Refusal

log = logging.getLogger("parley.server")

LINE_EVERY_S: Final = 60.0
"""Between two lines of the same code."""

MAX_REASON: Final = 300
"""Characters of a message that goes into the log."""

MAX_ADDRESSES: Final = 64
"""Addresses of one code that are counted apart between two lines. A flood from more of them is one of many."""


class RefusalLog:
    """`counted` takes the code of each refusal."""

    def __init__(self, counted: Callable[[str], None], now_s: Callable[[], float] = time.monotonic) -> None:
        self._counted = counted
        self._now_s = now_s
        self._written_s: dict[str, float] = {}
        self._left_out: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """Of each code, by address; those beyond `MAX_ADDRESSES` are one, ""."""

    def note(self, refusal: Refusal, client: str, reason: str = "") -> None:
        """`client` (its address, or an id) is refused. `reason` goes into the line; it may hold what the client sent, but no key."""
        code, now_s = refusal.code, self._now_s()
        self._counted(code)
        written_s = self._written_s.get(code)
        if written_s is not None and now_s - written_s < LINE_EVERY_S:
            left_out, address = self._left_out[code], client.rpartition(":")[0] or client
            left_out[address if address in left_out or len(left_out) < MAX_ADDRESSES else ""] += 1
            return
        self._written_s[code] = now_s
        line = f"{client} is refused: {refusal.status} {code}"
        if reason:
            line += f": {' '.join(reason.split())[:MAX_REASON]}"
        log.info("%s%s", line, _told(self._left_out.pop(code, Counter())))


def _told(left_out: Counter[str]) -> str:
    """What was left out since the last line; "" where nothing was."""
    if not left_out:
        return ""
    address, count = max(((address, count) for address, count in left_out.items() if address), key=lambda one: one[1])
    return f" (and {left_out.total()} more with this code since its last line, {count} of them from {address})"
