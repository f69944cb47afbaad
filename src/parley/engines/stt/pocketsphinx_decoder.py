"""One decoder of the pool: a child process that is kept running, and what it works on.

Laws:
- A process that ended is started again at once; one that keeps ending, after a pause that grows up to `MAX_PAUSE_S`. It is never
  given up: whatever made it end (memory, an operator) may pass.
- While the next start is more than `PATIENCE_S` away, or cannot succeed, `fault` says so, and no turn waits for this decoder.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from parley.engines.ports import EngineError, EngineUnavailable
from parley.engines.stt.pocketsphinx_process import RESTART_TIMEOUT_S, DecoderProcess, Hypothesis

log = logging.getLogger(__name__)

PATIENCE_S = 1.0
"""A turn waits so long for a decoder that is away; a speaker would rather hear at once that it takes longer."""

FIRST_PAUSE_S = 0.5
"""Before the second start in a row; the first one is at once."""

MAX_PAUSE_S = 30.0
"""Between starts at the most: half a second of processor time in thirty is not noticed."""

STEADY_S = 30.0
"""A process that ran so long did not end for the reason for which the one before it did."""


class PendingSegment(Protocol):
    """What the pool sees of a stream: the audio since its last pause, and where to put results."""

    closed: bool
    share: object
    """Whose it is."""
    live: bool
    """Somebody is speaking: comes before what is not."""
    busy: bool
    """Being worked on right now."""
    muted: bool
    """No more partials before the next pause."""
    decoded: int
    """Bytes of this segment already decoded for partials."""
    lost: int
    """Decoders that ended while they decoded this segment."""
    abandoned: int
    """Times that another session's turn came before the end of this segment."""
    last_fed_s: float

    def available(self) -> int:
        """Bytes of this segment there are."""
        ...

    def audio(self, start: int, end: int) -> bytes: ...

    def next_cut(self) -> int | None:
        """Bytes up to the first pause that waits for its text."""
        ...

    def cuts(self) -> int:
        """Pauses that wait for their text."""
        ...

    def report(self, text: str) -> None:
        """A streaming hypothesis of this segment."""
        ...

    def worth_decoding(self, size: int) -> bool:
        """Whether the first `size` bytes hold speech."""
        ...

    def commit(self, size: int, hypothesis: Hypothesis | None) -> None:
        """The text of the first `size` bytes (None: no speech there); the next segment begins behind them."""
        ...

    def fail(self, error: EngineError) -> None: ...


class Decoder:
    """Call `keep_running()` whenever `process.alive` is false, before any request."""

    def __init__(self, process: DecoderProcess) -> None:
        self.process = process
        self.follows: PendingSegment | None = None
        """The stream whose partials it decodes."""
        self.works_on: PendingSegment | None = None
        self.idle = False
        self.item_next = False
        """Whether it is an item's turn, where a speaker's partials and an item both wait."""
        self.fault: EngineError | None = None
        """Why it cannot work for the time being."""
        self._deaths = 0
        """In a row."""
        self._started_s = 0.0

    def follow(self, segment: PendingSegment | None) -> None:
        """Decode this stream's partials from here on; the one followed so far goes without until its next pause."""
        if self.follows is not None and self.follows is not segment:
            self.follows.muted = True
        self.follows = segment

    async def start(self) -> None:
        """The first start. Raises `EngineUnavailable`."""
        await self.process.start()
        self._started_s = asyncio.get_running_loop().time()

    async def keep_running(self, changed: Callable[[], None]) -> None:
        """Start the process again; returns when it runs. `changed` is called when there is a fault."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._started_s > STEADY_S:
            self._deaths = 0
        reason = EngineError("A PocketSphinx process ended", code="recognizer_crashed")
        while True:
            self._deaths += 1
            pause = 0.0 if self._deaths == 1 else min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._deaths - 2, 16))
            if pause > PATIENCE_S or reason.code == "load_failed":
                self._report(reason, pause)
                changed()
            else:
                log.warning(
                    "A PocketSphinx process ended; another one starts %s", f"in {pause:g} s" if pause else "at once"
                )
            await asyncio.sleep(pause)
            try:
                await self.process.start(RESTART_TIMEOUT_S)
            except EngineUnavailable as error:
                reason = error
                continue
            self._started_s = loop.time()
            self.fault = None
            return

    def _report(self, reason: EngineError, pause: float) -> None:
        self.fault = EngineError(
            f"Speech recognition is down: its process ended {self._deaths} times in a row. {reason.message}",
            code="recognizer_down",
            remedy=f"The next start is in {pause:g} s. Look at the server's standard error and at the free memory.",
        )
        log.error("%s", self.fault)
