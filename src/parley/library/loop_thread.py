"""An event loop in a thread of its own, for callers that have none.

Laws: engines live on the loop on which they were opened; a synchronous call waits for its answer, and takes it back when it is
interrupted.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from parley.library.errors import LibraryError

T = TypeVar("T")


class LoopThread:
    """Starts at once. `run()` from any other thread; `stop()` at the end, idempotent."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="parley", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self._wind_up())
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()

    async def _wind_up(self) -> None:
        """Nothing is left half done: not even what nobody closed."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        await self.loop.shutdown_default_executor()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which runs on this loop."""
        if threading.current_thread() is self._thread:
            work.close()
            raise LibraryError(
                "A synchronous call from inside the pipeline's own loop would wait for itself.",
                mend="Make it from your own thread, or use session.live().",
            )
        if self.loop.is_closed():
            work.close()
            raise LibraryError("The pipeline is closed.", mend="Open it again: `with Pipeline(...) as pipeline:`.")
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
