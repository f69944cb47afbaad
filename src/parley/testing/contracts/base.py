"""What an engine of any stage promises: a true description, an end that gives everything back, an event loop that is never blocked,
callers that do not disturb each other.

Laws:
- What an engine can do is read from its `info`; a test class gives nothing but the engine.
- A stage's contract adds `answer()`, which is one ordinary use; the tests here repeat it, in parallel, cancelled, and after faults.
"""

from __future__ import annotations

import asyncio
import os
import signal
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from parley.engines.ports import Engine, EngineError, Stage, Supervised
from parley.testing.contracts.watching import (
    ContractLoop,
    assert_given_back,
    children,
    memory_bytes,
    settled_holdings,
    unblocked,
    work_s,
)

E = TypeVar("E", bound=Engine)
A = TypeVar("A")
T = TypeVar("T")

MANY = 16
"""Callers at once."""

ANSWERS = 10
"""Answers one after the other, of which each could leave something behind; fewer where one costs much, as with cycles."""

LEAST_CYCLES, FEW_CYCLES, MANY_CYCLES = 3, 6, 200
"""Engines that are opened and closed one after the other."""

FEW_CYCLES_S, MANY_CYCLES_S = 0.2, 0.5
"""Processor time after which they are enough: an engine that takes long to open is opened less often."""

ROUNDS = 3
"""Of so many openings, of which each has to leave more behind before it counts as a leak."""

PARTS = 5
"""Of a round, which ends after the first of them that adds to memory no more than its part of what the round may add."""

SPARE_BYTES = 24 << 20
"""What an allocator may keep of a large block that was freed: its arenas are as many as the threads that there were."""

KEEPER = "test_no_contract_test_is_overridden_without_a_reason"


class Subject(Generic[E]):
    """The engine under test. `engine` is open; `make()` gives another one that is not; `run()` runs a coroutine on their event loop."""

    def __init__(self, make: Callable[[], E]) -> None:
        self.make = make
        self._loop = ContractLoop()
        self._engine: E | None = None
        self.cycled = False
        """Whether engines were opened and closed before, which fills what libraries keep for good."""

    @property
    def engine(self) -> E:
        if self._engine is None:
            engine = self.make()
            self.run(engine.open())
            self._engine = engine
        return self._engine

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._loop.run(coroutine)

    def close(self) -> None:
        engine, self._engine = self._engine, None
        try:
            if engine is not None:
                self.run(engine.close())
        finally:
            self._loop.close()


class EngineContract(Generic[E, A]):
    """The part of every stage's contract that is the same. `A` is what one use gives."""

    stage: ClassVar[Stage[Any]]
    audio: ClassVar[bool] = False
    """Whether `info.sample_rate` must be declared."""
    inputs: ClassVar[int] = MANY
    """Different inputs of `answer()`."""

    def __init_subclass__(cls, **others: Any) -> None:
        super().__init_subclass__(**others)
        if KEEPER in cls.__dict__:
            raise TypeError(f"{cls.__name__} may not override {KEEPER}")

    @pytest.fixture
    def subject(self, request: pytest.FixtureRequest, make_engine: Callable[[], E]) -> Subject[E]:
        """One for all tests of a class, as a server has one engine for all sessions."""
        key = f"{request.node.parent.nodeid} subject"
        held: dict[str, Subject[E]] = request.config.stash.setdefault(_SUBJECTS, {})
        if key not in held:
            held[key] = Subject(make_engine)
            request.node.parent.addfinalizer(lambda: held.pop(key).close())
        return held[key]

    # --- what a stage gives ---

    @abstractmethod
    async def answer(self, engine: E, number: int) -> A:
        """One ordinary use; `number` (0..15) chooses among different inputs."""
        ...

    @abstractmethod
    def check(self, engine: E, answer: A) -> None:
        """Assert that one answer to an ordinary use is as the port says."""
        ...

    def same(self, one: A, other: A) -> bool:
        """Whether two answers of a deterministic engine are the same."""
        return one == other

    def alike(self, one: A, other: A) -> bool:
        """Whether two answers could be to the same input; overridden where an engine that is not deterministic varies them."""
        return self.same(one, other)

    # --- the description ---

    def test_no_contract_test_is_overridden_without_a_reason(self) -> None:
        """An exception to the contract is an override marked `xfail(reason=...)`, where a reader finds it."""
        for name, original in _contract_tests(type(self)).items():
            given = getattr(type(self), name, None)
            if given is original:
                continue
            marks = getattr(given, "pytestmark", [])
            reasons = [mark.kwargs.get("reason") for mark in marks if mark.name == "xfail"]
            assert any(reasons), (
                f"{type(self).__name__}.{name} overrides or removes a test of the contract. Where the engine breaks that promise "
                "on purpose, override the test, call super() in it, and mark it: @pytest.mark.xfail(reason=...)."
            )

    def test_it_describes_itself_before_it_is_opened(self, subject: Subject[E]) -> None:
        engine, info = (made := subject.make()), made.info
        assert isinstance(engine, self.stage.port), f"it has not the methods of {self.stage.port.__name__}"
        assert info.stage == self.stage.name
        assert info.name
        assert info.summary
        assert isinstance(info.sample_rate, int)
        assert info.sample_rate >= (4_000 if self.audio else 0)
        assert info.batch >= 1
        for what in (info.languages, info.voices, info.needs):
            assert isinstance(what, tuple), "a tuple, not a string or a list"
            assert all(what)
            assert len(set(what)) == len(what)
        assert subject.make() is not engine, "the factory makes an engine each time"

    def test_a_well_engine_reports_no_fault(self, subject: Subject[E]) -> None:
        engine: object = subject.engine
        subject.run(self.answer(subject.engine, 0))
        assert not isinstance(engine, Supervised) or engine.fault is None

    # --- the event loop ---

    def test_opening_and_closing_leave_the_event_loop_alone(self, subject: Subject[E]) -> None:
        async def cycle() -> None:
            engine = subject.make()
            async with unblocked("open()", loads=True):
                await engine.open()
            async with unblocked("close()"):
                await engine.close()

        subject.run(cycle())

    def test_answering_leaves_the_event_loop_alone(self, subject: Subject[E]) -> None:
        async def answer() -> None:
            async with unblocked("an ordinary request"):
                await self.answer(subject.engine, 1)

        subject.engine  # noqa: B018 - opened outside the measured part
        subject.run(answer())

    # --- many callers ---

    @pytest.mark.slow
    def test_sixteen_at_once_get_what_each_gets_alone(self, subject: Subject[E]) -> None:
        engine = subject.engine

        async def compare() -> None:
            again = engine.info.deterministic
            alone = [await self.answer(engine, number) for number in range(self.inputs if again else 0)]
            together = await asyncio.gather(*(self.answer(engine, number) for number in range(MANY)))
            for number, other in enumerate(together):
                self.check(engine, other)
                if again:
                    one = alone[number % self.inputs]
                    assert self.same(one, other), (
                        f"caller {number} got something else than alone: {other!r}, not {one!r}"
                    )

        subject.run(compare())

    def test_the_same_again_gives_the_same_if_it_declares_so(self, subject: Subject[E]) -> None:
        engine = subject.engine

        async def twice() -> None:
            one, between, again = [await self.answer(engine, number) for number in (0, 1, 0)]
            for each in (one, between, again):
                self.check(engine, each)
            if engine.info.deterministic:
                assert self.same(one, again)

        subject.run(twice())

    def test_another_input_gives_another_output(self, subject: Subject[E]) -> None:
        """Else its weights, or what it makes of its input, do not matter."""

        async def answers() -> list[A]:
            return [await self.answer(subject.engine, number) for number in range(4)]

        subject.engine  # noqa: B018
        first, *others = subject.run(answers())
        assert not all(self.alike(first, other) for other in others), f"whatever it is given, it answers {first!r}"

    def test_a_caller_that_is_cancelled_leaves_at_once_and_disturbs_nobody(self, subject: Subject[E]) -> None:
        engine = subject.engine

        async def cancel() -> None:
            staying = asyncio.create_task(self.answer(engine, 2))
            leaving = asyncio.create_task(self.answer(engine, 3))
            await asyncio.sleep(0.001)
            if leaving.cancel():
                await asyncio.wait([leaving])
                assert leaving.cancelled() or leaving.exception() is None, (
                    f"a cancelled call raised {leaving.exception()!r}"
                )
                assert leaving.cancelled(), (
                    "a call that was cancelled goes on to its end: the cancellation was swallowed"
                )
            self.check(engine, await staying)

        subject.run(cancel())

    # --- the end ---

    def test_closing_ends_what_is_running(self, subject: Subject[E]) -> None:
        """With an `EngineError`, or with an answer that was ready; nobody waits for ever."""

        async def close() -> None:
            engine = subject.make()
            await engine.open()
            running = [asyncio.create_task(self.answer(engine, number)) for number in range(4)]
            await asyncio.sleep(0)
            await engine.close()
            await engine.close()
            for outcome in await asyncio.gather(*running, return_exceptions=True):
                if isinstance(outcome, BaseException) and not isinstance(outcome, EngineError):
                    raise outcome

        subject.run(close())

    def test_closing_gives_back_what_opening_took(self, subject: Subject[E]) -> None:
        subject.run(self._cycles(subject, FEW_CYCLES, FEW_CYCLES_S))
        subject.cycled = True

    @pytest.mark.slow
    def test_two_hundred_openings_leave_nothing_behind(self, subject: Subject[E]) -> None:
        """Fewer where one costs much: see `MANY_CYCLES_S`. Memory may grow by 5 % and `SPARE_BYTES`, a part of the openings by its part of
        that; more only where the next rounds add nothing to it, as an allocator's arenas fill once, and a leak grows each time."""
        if not subject.cycled:
            self.test_closing_gives_back_what_opening_took(subject)
        grown = [memory_bytes()]
        for _ in range(ROUNDS):
            spare, share = 0.05 * grown[-1] + SPARE_BYTES, 0.0
            while share < 1:
                done, took_s = subject.run(self._cycles(subject, MANY_CYCLES, MANY_CYCLES_S / PARTS))
                share = min(1.0, share + max(done / MANY_CYCLES, took_s / MANY_CYCLES_S))
                now = memory_bytes()
                if now <= grown[-1] + share * spare:
                    return
            grown.append(now)
        sizes = " to ".join(f"{size / 1e6:.0f}" for size in grown)
        pytest.fail(f"memory grew from {sizes} MB")

    async def _cycles(self, subject: Subject[E], count: int, most_s: float) -> tuple[int, float]:
        """How many there were, and the processor time that they took."""
        if not subject.cycled:
            await self._cycle(subject)
        bound, began_s, done, took_s = await settled_holdings(), work_s(), 0, 0.0
        while done < count and (done < LEAST_CYCLES or took_s < most_s):
            await self._cycle(subject)
            done, took_s = done + 1, work_s() - began_s
        await assert_given_back(bound, f"{done} cycles of open() and close()")
        return done, took_s

    async def _cycle(self, subject: Subject[E]) -> None:
        engine = subject.make()
        await engine.open()
        self.check(engine, await self.answer(engine, 0))
        await engine.close()

    @pytest.mark.slow
    def test_answers_leave_nothing_behind(self, subject: Subject[E]) -> None:
        """Of an engine that stays open: descriptors, threads, tasks, processes."""
        engine = subject.engine

        async def often() -> None:
            for number in range(3):
                await self.answer(engine, number)
            bound, began_s, done = await settled_holdings(), work_s(), 0
            while done < ANSWERS and (done < LEAST_CYCLES or work_s() - began_s < FEW_CYCLES_S):
                await self.answer(engine, done % self.inputs)
                done += 1
            await assert_given_back(bound, f"{done} answers")

        subject.run(often())

    # --- faults ---

    @pytest.mark.skipif(
        not hasattr(signal, "SIGKILL"), reason="processes are killed by a signal that this system lacks"
    )
    def test_an_engine_whose_processes_die_says_so_and_comes_back(self, subject: Subject[E]) -> None:
        """Engines without processes of their own have nothing to lose here; a thread cannot be killed."""

        async def kill() -> None:
            before = children()
            engine = subject.make()
            await engine.open()
            try:
                own = children() - before
                for pid in own:
                    os.kill(pid, signal.SIGKILL)
                for _ in range(10 if own else 0):  # the first ones may find out
                    try:
                        self.check(engine, await self.answer(engine, 0))
                    except EngineError:
                        continue
                    break
                self.check(engine, await self.answer(engine, 0))
            finally:
                await engine.close()

        subject.run(kill())


_SUBJECTS: pytest.StashKey[dict[str, Any]] = pytest.StashKey()


def _contract_tests(cls: type) -> dict[str, object]:
    """The tests that the contracts among the bases of `cls` define, by name."""
    found: dict[str, object] = {}
    for base in cls.__mro__:
        if base.__module__.startswith("parley.testing.contracts."):
            for name, value in vars(base).items():
                if name.startswith("test_"):
                    found.setdefault(name, value)
    return found


async def refusal(attempt: Coroutine[Any, Any, object]) -> EngineError:
    """The `EngineError` that `attempt` raises. Raises `AssertionError` where it raises none."""
    try:
        got = await attempt
    except EngineError as error:
        return error
    raise AssertionError(f"nothing was refused; it gave {got!r}")


def assert_refused(error: EngineError, code: str) -> None:
    """Assert that a refusal is the one that the port promises, with a message and a remedy for a person."""
    assert error.code == code, f"the code is {error.code!r}, not {code!r}"
    assert error.message
    assert error.remedy, f"{error.message!r} has no remedy"


async def served_or_refused(attempt: Coroutine[Any, Any, T]) -> T | None:
    """The result, None where the engine refuses with an `EngineError`; anything else that it raises is a fault of it."""
    try:
        return await attempt
    except EngineError:
        return None
