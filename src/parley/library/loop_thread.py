"""An event loop in its own thread, for callers without one.

Laws: engines live on the loop on which they were opened; a synchronous call waits for its result, and cancels the work when it is
interrupted. What stops the loop (`SystemExit`, `KeyboardInterrupt`) reaches every caller that waits, or else the next one; after that the
loop accepts only work that closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from parley.library.errors import LibraryError

T = TypeVar("T")


class LoopThread:
    """Starts at once. `run()` from any other thread; `stop()` at the end, idempotent."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.stopped_by: BaseException | None = None
        """What stopped the loop from within."""
        self._undelivered = False
        self._works: dict[Future[Any], asyncio.Task[Any] | None] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="parley", daemon=True)
        self._thread.start()

    @property
    def is_current(self) -> bool:
        """Whether the caller runs in this thread."""
        return threading.current_thread() is self._thread

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self._go_on(self.loop.run_forever)
            self._go_on(lambda: self.loop.run_until_complete(self._wind_up()))
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()

    def _go_on(self, run: Any) -> None:
        """Run the loop until `stop()`, whatever is raised through it."""
        while not self.loop.is_closed():
            try:
                run()
                return
            except BaseException as error:  # noqa: BLE001 - handed to the callers
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self.stopped_by = self.stopped_by or error
        works, self._works = self._works, {}
        self._undelivered = not works
        for answer, task in works.items():
            if task is not None:
                task.cancel()
            if not answer.done():
                answer.set_exception(error)

    async def _wind_up(self) -> None:
        """Finish every task and asynchronous generator, closed or not."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        await self.loop.shutdown_default_executor()

    def submit(self, work: Coroutine[Any, Any, T], *, closing: bool = False) -> Future[T]:
        """Let `work` run on this loop. `closing`: also on one that was stopped."""
        refusal = self._refusal(closing)
        if refusal is not None:
            work.close()
            raise refusal
        answer: Future[T] = Future()
        self.loop.call_soon_threadsafe(self._begin, work, answer)
        return answer

    def _refusal(self, closing: bool) -> BaseException | None:
        if self.is_current:
            return LibraryError(
                "A synchronous call from inside the pipeline's own loop would wait for itself.",
                remedy="Make it from your own thread, or use session.live().",
            )
        if self.loop.is_closed():
            return LibraryError("The pipeline is closed.", remedy="Open it again: `with Pipeline(...) as pipeline:`.")
        if self.stopped_by is None or closing:
            return None
        if self._undelivered:
            self._undelivered = False
            return self.stopped_by
        return LibraryError(
            f"The pipeline's loop was ended by {self.stopped_by!r}.", remedy="Close the pipeline, and open it again."
        )

    def _begin(self, work: Coroutine[Any, Any, T], answer: Future[T]) -> None:
        if answer.cancelled():
            work.close()
            return
        task = self.loop.create_task(work)
        self._works[answer] = task
        task.add_done_callback(lambda done: self._answered(done, answer))

    def _answered(self, task: asyncio.Task[T], answer: Future[T]) -> None:
        self._works.pop(answer, None)
        error = None if task.cancelled() else task.exception()
        if answer.done():
            return
        if task.cancelled():
            answer.set_exception(
                LibraryError("The pipeline was closed while this call waited.", remedy="Open it again.")
            )
        elif error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(task.result())

    def withdraw(self, answer: Future[Any]) -> None:
        """The caller no longer waits."""
        answer.cancel()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self._withdraw, answer)

    def _withdraw(self, answer: Future[Any]) -> None:
        task = self._works.pop(answer, None)
        if task is not None:
            task.cancel()

    def run(self, work: Coroutine[Any, Any, T], *, closing: bool = False) -> T:
        """The result of `work`, which runs on this loop."""
        answer = self.submit(work, closing=closing)
        try:
            return answer.result()
        except BaseException:
            self.withdraw(answer)
            raise

    def stop(self) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
