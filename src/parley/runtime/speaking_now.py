"""Whether sessions are being spoken for at this moment: what nobody waits for is made when they are not.

Laws: exactly one of `quiet` and `busy` is set.
"""

from __future__ import annotations

import asyncio


class SpeakingNow:
    """`began` and `ended` for each clause that a session hears; `speaking` counts those that go on."""

    def __init__(self) -> None:
        self.speaking = 0
        self.quiet = asyncio.Event()
        self.busy = asyncio.Event()
        self.quiet.set()

    def began(self) -> None:
        self.speaking += 1
        self.busy.set()
        self.quiet.clear()

    def ended(self) -> None:
        self.speaking -= 1
        if not self.speaking:
            self.busy.clear()
            self.quiet.set()
