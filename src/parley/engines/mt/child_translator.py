"""What the translators have in common whose models run in child processes.

Laws: at most `threads` sentences are translated at once; sessions take turns, one sentence each; `close()` ends every process.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterable
from functools import partial

from parley.engines.model_worker import ModelWorker
from parley.engines.mt.child_pool import Child, ChildPool
from parley.engines.mt.pairs import Pair
from parley.engines.mt.sentence_translator import SentenceTranslator
from parley.engines.ports import EngineError, EngineUnavailable, TranslationRequest


class ChildTranslator(SentenceTranslator):
    """A `Translator` without its files: `_launch()` it from `open()`."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._threads = threads
        self._pool: ChildPool[Pair] | None = None
        self._worker: ModelWorker | None = None

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be translated at this moment; None while something can."""
        return (self._worker.fault if self._worker else None) or (self._pool.fault if self._pool else None)

    @abstractmethod
    def _start(self, pair: Pair) -> Child:
        """Start the process of that direction and wait until it is ready. Blocks. Raises `EngineError`."""

    async def _launch(self, first: Iterable[Pair], text: str) -> None:
        """Start the processes of these directions and have each translate `text`. Raises `EngineUnavailable`; nothing is left running."""
        self._pool = ChildPool(self._start)
        self._worker = ModelWorker(self._name, title="Translation", code_prefix="translator", threads=self._threads)
        try:
            await asyncio.gather(*(self._worker.call(partial(self._pool.ask, pair, text), pair) for pair in first))
        except EngineError as error:
            await self.close()
            raise EngineUnavailable.of(error) from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        worker, self._worker = self._worker, None
        pool, self._pool = self._pool, None
        if worker is not None:
            await worker.close()
        if pool is not None:
            await asyncio.to_thread(pool.close)

    def _check_open(self) -> None:
        if self._worker is None:
            raise EngineUnavailable(f"{self._name} is not open.", code="not_open")

    async def _ask(self, text: str, pair: Pair, request: TranslationRequest) -> str:
        """The answer of that direction's process. Raises `EngineError`."""
        if self._worker is None or self._pool is None:
            raise EngineError(f"{self._name} is closed.", code="engine_closed")
        return await self._worker.call(partial(self._pool.ask, pair, text), request.share)
