"""How far one attempt may run ahead of its listener, and when its next slice of audio is due.

Laws: at most `MAX_AHEAD_S` of audio is generated ahead, and none while the client does not take what was sent; one turn of the event
loop handles one slice of audio, of all attempts, and the attempt whose listener runs out of audio first comes first (`loop_slices`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from parley.core.words.settings import AudioFormat
from parley.runtime.loop_slices import slice_turn

MAX_AHEAD_S = 20.0
"""Audio generated ahead of a listener who hears it as soon as it can be heard: nearly every reply is whole at once, and a link may stall
for as long. A cancelled answer wastes no more than this, a held one stays under the core's `MAX_HELD_BYTES`, and a client never has to
buffer more."""

SLICE_MS = 100
"""Audio handled in one slice of the loop: a chunk, or what an engine of small chunks gives in the meantime."""

CHUNK_MS = 5
"""What a chunk costs beside its audio, in audio: a stream of empty ones must not hold the loop either."""


class Pacing:
    """One attempt's pace. Await `slice()` before each piece of audio is handled, `sent()` after each delta.

    `clock` (monotonic ns) and `sleep` measure how far the audio runs ahead; `taken` is set while the client takes what was sent.
    """

    __slots__ = ("_bytes_per_ms", "_clock", "_runs_out_s", "_sleep", "_slice_ms", "_taken")

    def __init__(
        self,
        format: AudioFormat,
        clock: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]],
        taken: asyncio.Event,
    ) -> None:
        self._bytes_per_ms = format.bytes_per_ms
        self._clock = clock
        self._sleep = sleep
        self._taken = taken
        self._slice_ms: float = SLICE_MS
        """Audio handled in the slice that has begun."""
        self._runs_out_s = clock() / 1e9
        """When the listener will have heard all that was generated; the beginning, while there is no audio."""

    async def slice(self, audio_ms: float) -> None:
        """Wait for this attempt's turn of the loop where the current slice is used up; `audio_ms` is what comes next."""
        if self._slice_ms >= SLICE_MS:
            self._slice_ms = 0.0
            await slice_turn(self._runs_out_s)
        self._slice_ms += CHUNK_MS + audio_ms

    async def sent(self, size: int) -> None:
        """`size` bytes were posted: wait while more than `MAX_AHEAD_S` of audio lies before the listener, and while nothing is taken."""
        now_s = self._clock() / 1e9
        self._runs_out_s = max(self._runs_out_s, now_s) + size / self._bytes_per_ms / 1_000
        ahead_s = self._runs_out_s - now_s
        if ahead_s > MAX_AHEAD_S:
            await self._sleep(ahead_s - MAX_AHEAD_S)
        await self._taken.wait()
