"""Long work takes turns: one slice in each turn of the event loop, the most urgent first."""

from __future__ import annotations

import asyncio

from parley.runtime.loop_slices import slice_turn


async def turns_of_the_loop(counted: list[int]) -> None:
    """Count the loop's turns in `counted[0]`."""
    while True:
        counted[0] += 1
        await asyncio.sleep(0)


async def test_each_turn_of_the_loop_has_one_slice_whichever_session_works() -> None:
    turn = [0]
    counting = asyncio.create_task(turns_of_the_loop(turn))
    slices: list[int] = []

    async def work() -> None:
        for _ in range(10):
            await slice_turn()
            slices.append(turn[0])

    await asyncio.gather(*(work() for _ in range(8)))
    counting.cancel()
    assert len(slices) == len(set(slices)) == 80


async def test_the_work_that_is_due_first_comes_first_and_equals_take_turns() -> None:
    order: list[str] = []

    async def work(name: str, due_s: float) -> None:
        for _ in range(2):
            await slice_turn(due_s)
            order.append(name)

    await asyncio.gather(work("ahead", 20.0), work("one", 5.0), work("two", 5.0), work("starving", 0.0))
    assert order == ["starving", "starving", "one", "two", "one", "two", "ahead", "ahead"]


async def test_work_given_up_while_it_waits_is_passed_over() -> None:
    given_up = asyncio.create_task(slice_turn(0.0))
    kept = asyncio.create_task(slice_turn(1.0))
    await asyncio.sleep(0)
    given_up.cancel()
    await kept
    assert given_up.cancelled()
