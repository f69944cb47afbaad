"""A clock that counts the samples fed to a session.

Laws: nanoseconds, never backwards; it moves only when it is advanced, so that a file pushed at any speed gives the same turns.
"""

from __future__ import annotations

import asyncio

from parley.core.words.limits import SAMPLE_RATE


class SampleClock:
    """Time as counted in 24 kHz samples."""

    def __init__(self) -> None:
        self._samples = 0
        self._sleepers: dict[asyncio.Task[object], tuple[int, asyncio.Future[None]]] = {}
        self.fell_asleep = asyncio.Event()
        """Set whenever a task begins to wait for audio to pass; the reader clears it."""

    def __call__(self) -> int:
        return self._samples * 1_000_000_000 // SAMPLE_RATE

    def advance(self, samples: int) -> None:
        self._samples += samples
        self._wake()

    async def sleep(self, seconds: float) -> None:
        """Wait until that much audio has passed."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("SampleClock.sleep() is for tasks")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers[task] = (self() + int(seconds * 1e9), future)
        self.fell_asleep.set()
        try:
            await future
        finally:
            self._sleepers.pop(task, None)

    def asleep(self) -> set[asyncio.Task[object]]:
        """The tasks that wait for audio to pass."""
        return {task for task, (_, future) in self._sleepers.items() if not future.done()}

    def _wake(self) -> None:
        now = self()
        for until, future in self._sleepers.values():
            if until <= now and not future.done():
                future.set_result(None)
