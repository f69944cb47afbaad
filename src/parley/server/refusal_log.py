"""The log of refused clients: each refusal is counted, and a line a minute is written for each reason.

Laws: the number of lines does not depend on what clients send: one for each code within `LINE_EVERY_S`, which counts those that were left
out since the last. No line has a key.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from parley.server.refusals import Refusal

log = logging.getLogger("parley.server")

LINE_EVERY_S: Final = 60.0
"""Between two lines of the same code."""

MAX_REASON: Final = 300
"""Characters of a message that goes into the log."""


class RefusalLog:
    """`counted` takes the code of each refusal."""

    def __init__(self, counted: Callable[[str], None], now_s: Callable[[], float] = time.monotonic) -> None:
        self._counted = counted
        self._now_s = now_s
        self._written_s: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def note(self, refusal: Refusal, client: str, reason: str = "") -> None:
        """`client` (its address, or an id) is refused. `reason` goes into the line; it may hold what the client sent, but no key."""
        code, now_s = refusal.code, self._now_s()
        self._counted(code)
        written_s = self._written_s.get(code)
        if written_s is not None and now_s - written_s < LINE_EVERY_S:
            self._left_out[code] = self._left_out.get(code, 0) + 1
            return
        self._written_s[code] = now_s
        line = f"{client} is refused: {refusal.status} {code}"
        if reason:
            line += f": {' '.join(reason.split())[:MAX_REASON]}"
        if left_out := self._left_out.pop(code, 0):
            line += f" (and {left_out} more with this code since its last line)"
        log.info("%s", line)
