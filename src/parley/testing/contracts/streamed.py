"""What every engine promises that is asked once and answers with an iterator: tts, llm, mt and speech."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import aclosing
from math import ceil
from typing import Any, TypeVar

import pytest

from parley.engines.ports import Engine
from parley.testing.contracts.base import EngineContract, Subject
from parley.testing.contracts.watching import assert_given_back, settled_holdings, work_s, work_until_idle

E = TypeVar("E", bound=Engine)
P = TypeVar("P")

COUNTABLE_S = 0.25
"""Processor time of a request of which it can be seen whether it was stopped."""

LONG_S = 1.0
"""An engine that takes so long and computes so little waits for something else: a longer request would show no more."""


class StreamedContract(EngineContract[E, list[P]]):
    """`P` is a piece of an answer; a stage's contract gives `begin()`."""

    @abstractmethod
    def begin(self, engine: E, number: int, times: int = 1) -> AsyncIterator[P]:
        """Ask for an ordinary answer (see `answer()`), to an input that is `times` as long."""
        ...

    async def answer(self, engine: E, number: int) -> list[P]:
        return [piece async for piece in self.begin(engine, number)]

    def test_the_iterator_can_be_closed_and_gives_nothing_afterwards(self, subject: Subject[E]) -> None:
        async def close() -> None:
            pieces: Any = self.begin(subject.engine, 1)
            assert callable(getattr(pieces, "aclose", None)), (
                "the iterator needs an aclose(), as an async generator has"
            )
            await anext(pieces)
            await pieces.aclose()
            with pytest.raises(StopAsyncIteration):
                await anext(pieces)
            never_begun: Any = self.begin(subject.engine, 1)
            await never_begun.aclose()

        subject.engine  # noqa: B018
        subject.run(close())

    def test_an_answer_that_is_closed_leaves_others_alone(self, subject: Subject[E]) -> None:
        engine = subject.engine

        async def close_one() -> None:
            whole = asyncio.create_task(self.answer(engine, 2))
            pieces: Any = self.begin(engine, 3)
            async with aclosing(pieces):
                await anext(pieces)
            self.check(engine, await whole)

        subject.run(close_one())

    def test_closed_answers_leave_nothing_behind(self, subject: Subject[E]) -> None:
        engine = subject.engine

        async def begin_and_close() -> None:
            pieces: Any = self.begin(engine, 1)
            async with aclosing(pieces):
                await anext(pieces)

        async def often() -> None:
            for _ in range(3):
                await begin_and_close()
            bound = await settled_holdings()
            for _ in range(10):
                await begin_and_close()
            await assert_given_back(bound, "10 answers that were closed after their first piece")

        subject.run(often())

    @pytest.mark.slow
    def test_the_engine_stops_working_for_an_answer_that_is_closed(self, subject: Subject[E]) -> None:
        """Counted in processor time: less than half of what the whole answer costs is spent after its first piece."""
        engine = subject.engine

        async def stop() -> None:
            times, more, whole_s, took_s = 8, 2, 0.0, 0.0
            while whole_s < COUNTABLE_S and took_s < LONG_S and times <= 256:
                times *= more
                began_s, clock_s = work_s(), time.monotonic()
                async for _ in self.begin(engine, 1, times):
                    pass
                took_s = time.monotonic() - clock_s
                whole_s = await work_until_idle(began_s)
                enough = min(1.25 * COUNTABLE_S / max(whole_s, 0.01), LONG_S / took_s)
                more = min(512 // times, max(2, ceil(enough)))
            pieces: Any = self.begin(engine, 1, times)
            async with aclosing(pieces):
                await anext(pieces)
                began_s = work_s()
            left_s = await work_until_idle(began_s)
            assert left_s < whole_s / 2 + 0.1, (
                f"it worked for {left_s:.2f} s more; the whole answer takes {whole_s:.2f} s"
            )

        subject.run(stop())
