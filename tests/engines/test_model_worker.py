"""Blocking calls of one model: fair turns, bounds, cancellation, calls that hang, faults and the end."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

from parley.engines import model_threads
from parley.engines.model_worker import ModelWorker
from parley.engines.ports import EngineError, EngineRefused


class Gate:
    """A blocking call that waits, on its thread, until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        self.opened.wait()
        return "passed"


@pytest.fixture
async def worker() -> AsyncIterator[ModelWorker]:
    worker = ModelWorker("Toy", title="Speech synthesis", code_prefix="synthesizer")
    async with asyncio.timeout(60):
        yield worker
        await worker.close()


@pytest.fixture
async def gate(worker: ModelWorker) -> AsyncIterator[Gate]:
    """A call of the session `busy` that occupies the worker's only thread."""
    gate = Gate()
    task = asyncio.create_task(worker.call(gate, "busy"))
    await asyncio.to_thread(gate.entered.wait)
    yield gate
    gate.opened.set()
    await asyncio.gather(task, return_exceptions=True)


async def begun(*tasks: asyncio.Task[None]) -> None:
    """The tasks have run up to their first wait."""
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


async def test_a_call_runs_on_a_thread_of_its_own_and_gives_its_result(worker: ModelWorker) -> None:
    assert await worker.call(threading.get_ident) != threading.get_ident()


async def test_sessions_take_turns_and_live_work_comes_first(worker: ModelWorker, gate: Gate) -> None:
    order: list[str] = []

    async def call(share: str, live: bool = True) -> None:
        await worker.call(lambda: order.append(share), share, live=live)

    tasks = [asyncio.create_task(call("item", live=False))]
    tasks += [asyncio.create_task(call(share)) for share in ("busy", "greedy", "greedy", "greedy", "newcomer")]
    await begun(*tasks)
    gate.opened.set()
    await asyncio.gather(*tasks)
    assert order == ["greedy", "newcomer", "busy", "greedy", "greedy", "item"]


async def test_as_many_calls_run_at_once_as_there_are_threads() -> None:
    worker = ModelWorker("Toy", threads=2)
    together = threading.Barrier(2)
    async with asyncio.timeout(60):
        await asyncio.gather(*(worker.call(together.wait) for _ in range(4)))
    await worker.close()


async def test_a_call_whose_caller_has_left_is_not_begun(worker: ModelWorker, gate: Gate) -> None:
    ran: list[str] = []
    cancelled = asyncio.create_task(worker.call(lambda: ran.append("cancelled")))
    kept = asyncio.create_task(worker.call(lambda: ran.append("kept")))
    await begun(cancelled, kept)
    cancelled.cancel()
    gate.opened.set()
    await kept
    assert ran == ["kept"]
    assert cancelled.cancelled()


async def test_a_call_that_has_begun_may_be_cancelled_and_the_next_one_runs(worker: ModelWorker, gate: Gate) -> None:
    gone = Gate()
    gate.opened.set()
    task = asyncio.create_task(worker.call(gone))
    await asyncio.to_thread(gone.entered.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gone.opened.set()
    assert await worker.call(lambda: "next") == "next"


async def test_the_session_that_fills_the_queue_shuts_no_other_session_out() -> None:
    worker = ModelWorker("Toy", max_waiting=4)
    gate = Gate()
    tasks = [asyncio.create_task(worker.call(gate, "greedy"))]
    await asyncio.to_thread(gate.entered.wait)
    tasks += [asyncio.create_task(worker.call(lambda: "", "greedy")) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(EngineRefused, match="4 calls wait for Toy already") as refused:
        await worker.call(lambda: "", "greedy")
    assert refused.value.code == "overloaded"
    tasks.append(asyncio.create_task(worker.call(lambda: "", "other")))
    await asyncio.sleep(0)
    gate.opened.set()
    assert await asyncio.gather(*tasks) == ["passed", "", "", "", "", ""]
    assert await worker.call(lambda: "again", "greedy") == "again"
    await worker.close()


class Teapot(BaseException):
    """Not an `Exception`, like `SystemExit`."""


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (ValueError("no such word"), "Toy failed (no such word). The log has the traceback."),
        (StopIteration(), "Toy failed (StopIteration). The log has the traceback."),
        (Teapot("short and stout"), "Toy failed (short and stout). The log has the traceback."),
    ],
)
async def test_what_a_call_raises_is_an_error_of_that_call_alone(
    worker: ModelWorker, raised: BaseException, message: str
) -> None:
    def fail() -> None:
        raise raised

    with pytest.raises(EngineError) as caught:
        await worker.call(fail)
    assert str(caught.value) == message
    assert caught.value.code == "synthesizer_failed"
    assert await worker.call(lambda: "well") == "well"


async def test_an_engine_error_of_a_call_stays_as_it_is(worker: ModelWorker) -> None:
    refusal = EngineRefused("No such voice.", code="voice_not_found")

    def refuse() -> None:
        raise refusal

    with pytest.raises(EngineRefused) as caught:
        await worker.call(refuse)
    assert caught.value is refusal


async def test_items_come_as_they_are_emitted_and_the_error_after_them(worker: ModelWorker) -> None:
    taken = threading.Event()

    def emit_three(emit: Callable[[int], bool]) -> None:
        assert emit(1)
        taken.wait()  # the first item is with the caller while the call still runs
        assert emit(2)
        assert emit(3)
        raise ValueError("no more")

    items: list[int] = []

    async def listen() -> None:
        async for item in worker.stream(emit_three):
            items.append(item)
            taken.set()

    with pytest.raises(EngineError, match="no more"):
        await listen()
    assert items == [1, 2, 3]


async def test_closing_a_stream_stops_its_call_at_the_next_item(worker: ModelWorker) -> None:
    left, refused = threading.Event(), threading.Event()

    def endless(emit: Callable[[int], bool]) -> None:
        assert emit(0)
        left.wait()
        if not emit(1):
            refused.set()

    async with aclosing(worker.stream(endless)) as items:
        assert await anext(items) == 0
    left.set()
    assert await worker.call(lambda: "next") == "next"
    assert refused.is_set()


async def test_a_stream_that_is_closed_before_its_turn_is_not_begun(worker: ModelWorker, gate: Gate) -> None:
    ran: list[str] = []

    async def listen(name: str) -> None:
        async for _ in worker.stream(lambda emit: ran.append(name)):
            raise AssertionError("nothing is emitted")

    closed, kept = asyncio.create_task(listen("closed")), asyncio.create_task(listen("kept"))
    await begun(closed, kept)
    closed.cancel()
    gate.opened.set()
    await kept
    assert ran == ["kept"]


async def test_a_call_that_hangs_fails_and_so_does_all_that_waits_until_it_returns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = ModelWorker("Toy", title="Speech synthesis", code_prefix="synthesizer", limit_s=0.5)
    gate = Gate()
    hung = asyncio.create_task(worker.call(gate))
    await asyncio.to_thread(gate.entered.wait)
    waiting = asyncio.create_task(worker.call(lambda: ""))
    with pytest.raises(EngineError, match=r"Toy did not answer within 0\.5 s") as first:
        await hung
    with pytest.raises(EngineError, match="Speech synthesis is down: Toy has not returned") as second:
        await waiting
    with pytest.raises(EngineError, match="Speech synthesis is down") as third:
        await worker.call(lambda: "")
    assert {first.value.code, second.value.code, third.value.code} == {"synthesizer_stuck"}
    assert str(worker.fault).startswith("Speech synthesis is down")
    gate.opened.set()
    async with asyncio.timeout(60):
        while worker.fault is not None:  # noqa: ASYNC110 - a thread does it
            await asyncio.sleep(0)
    assert await worker.call(lambda: "well") == "well"
    assert "Toy has returned" in caplog.text
    await worker.close()


async def test_a_call_that_goes_on_emitting_may_take_longer_than_the_limit() -> None:
    worker = ModelWorker("Toy", limit_s=1.0)
    pause = threading.Event()

    def slow(emit: Callable[[int], bool]) -> None:
        for number in range(5):
            pause.wait(0.3)
            emit(number)

    assert [item async for item in worker.stream(slow)] == list(range(5))
    await worker.close()


async def test_one_thread_goes_on_while_another_hangs() -> None:
    worker = ModelWorker("Toy", threads=2, limit_s=0.5)
    gate = Gate()
    with pytest.raises(EngineError):
        await worker.call(gate)
    assert worker.fault is None
    assert await worker.call(lambda: "well") == "well"
    await worker.close()  # does not wait for the thread that hangs
    gate.opened.set()


async def test_closing_fails_what_waits_and_waits_for_what_runs(worker: ModelWorker, gate: Gate) -> None:
    running = Gate()
    gate.opened.set()
    task = asyncio.create_task(worker.call(running))
    await asyncio.to_thread(running.entered.wait)
    waiting = asyncio.create_task(worker.call(lambda: ""))
    await asyncio.sleep(0)
    closing = asyncio.create_task(worker.close())
    with pytest.raises(EngineError, match="Toy is closed") as caught:
        await waiting
    assert caught.value.code == "engine_closed"
    running.opened.set()
    await closing
    assert await task == "passed"
    with pytest.raises(EngineError, match="Toy is closed"):
        await worker.call(lambda: "")


async def test_closing_gives_up_a_call_that_does_not_return(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_threads, "STOP_LIMIT_S", 0.01)
    worker = ModelWorker("Toy")
    gate = Gate()
    task = asyncio.create_task(worker.call(gate))
    await asyncio.to_thread(gate.entered.wait)
    await worker.close()
    with pytest.raises(EngineError, match="Toy is closed"):
        await task
    gate.opened.set()


async def test_nothing_keeps_a_call_that_is_over(worker: ModelWorker) -> None:
    class Audio:
        """Something large."""

    def call_with(audio: Audio) -> Callable[[], int]:
        return lambda: id(audio)

    audio = Audio()
    gone = weakref.ref(audio)
    gc.disable()
    try:
        await worker.call(call_with(audio))
        del audio
        await worker.call(lambda: None)  # the thread has gone on
        assert gone() is None
    finally:
        gc.enable()
