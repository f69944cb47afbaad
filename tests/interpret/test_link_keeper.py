"""Sessions one after another: what the user asked for is not forgotten, none is left open, none is replaced without need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from parley.interpret import link_keeper
from parley.interpret.figures import DirectionAccount
from parley.interpret.link_keeper import LinkHooks, LinkKeeper
from parley.interpret.link_run import LinkRun
from parley.interpret.ports import RouteWishes
from parley.interpret.updates import RouteUpdate, SourceText
from tests.interpret.played_route import GONE, PlayedLink, PlayedRoute


class _Told:
    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []
        self.updates: list[RouteUpdate] = []

    def hooks(self) -> LinkHooks:
        return LinkHooks(
            apply=lambda run, update: self.updates.append(update),
            note=lambda level, message: self.notes.append((level, message)),
            changed=lambda: None,
            speaking=lambda: False,
            flush=lambda: None,
        )


@asynccontextmanager
async def keeping(route: PlayedRoute) -> AsyncIterator[tuple[LinkKeeper, _Told]]:
    told = _Told()
    keeper = LinkKeeper(route, RouteWishes("es", "en"), DirectionAccount(), told.hooks())
    task = asyncio.create_task(keeper.run())
    try:
        yield keeper, told
    finally:
        keeper.stop()
        for link in route.links:
            if not link.ended.is_set():
                link.break_off()
        async with asyncio.timeout(20):
            await task


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not seen():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def test_a_change_that_finds_no_session_is_said_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_keeper, "RETRY_S", (0.05,))
    route = PlayedRoute()
    async with keeping(route) as (keeper, told):
        first = await route.link(0)
        route.refusals.append(GONE)
        keeper.renew()
        second = await route.link(1)
        assert route.attempts == 3
        assert [level for level, _ in told.notes] == ["warning"]
        assert "cannot be reached" in told.notes[0][1]
        # Without a gap: the first session is asked to end only when the second one is there.
        assert first.finished
        assert not second.finished


class _NeverOpens(PlayedRoute):
    """The sessions after the first one hang while they open."""

    def __init__(self) -> None:
        super().__init__()
        self.opening = asyncio.Event()
        self.given_up = asyncio.Event()

    @asynccontextmanager
    async def open(self, wishes: RouteWishes) -> AsyncIterator[PlayedLink]:
        if self.links:
            self.opening.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.given_up.set()
        async with super().open(wishes) as link:
            yield link


async def test_the_end_of_the_call_does_not_wait_for_a_session_that_never_opens() -> None:
    route = _NeverOpens()
    async with keeping(route) as (keeper, _):
        first = await route.link(0)
        keeper.renew()
        async with asyncio.timeout(20):
            await route.opening.wait()
            keeper.stop()
            await route.given_up.wait()
        await until(lambda: first.finished)


@pytest.mark.parametrize("expires_in_s", [0.0, -5.0])
async def test_a_session_that_had_expired_when_it_opened_is_kept(expires_in_s: float) -> None:
    route = PlayedRoute(expires_in_s=expires_in_s)
    async with keeping(route) as (_, told):
        link = await route.link(0)
        for number in range(8):
            # The keeper looks every 0.1 s.
            await asyncio.sleep(0.05)
            link.say(SourceText(str(number)))
        await until(lambda: len(told.updates) == 8)
        assert route.attempts == 1
        assert not link.finished


async def test_a_session_gives_way_in_a_pause_before_its_last_moment() -> None:
    route = PlayedRoute(expires_in_s=600.0)
    run = LinkRun(route, RouteWishes("es", "en"), lambda run, update: None)
    run.start()
    await route.link(0)
    begun_s = run._opened_at_s
    asked = [
        (
            left,
            run.wants_successor(begun_s + 600 - left, speaking=False),
            run.wants_successor(begun_s + 600 - left, speaking=True),
        )
        for left in (61.0, 59.0, 11.0, 9.0)
    ]
    assert asked == [(61.0, False, False), (59.0, True, False), (11.0, True, False), (9.0, True, True)]
    run.end()
    assert run.task is not None
    await asyncio.wait((run.task,))
    assert not run.wants_successor(begun_s + 600, speaking=True)


async def test_speech_is_recorded_on_the_clock_of_its_session() -> None:
    route = PlayedRoute()
    run = LinkRun(route, RouteWishes("es", "en"), lambda run, update: None)
    run.start()
    await route.link(0)
    for number in range(1, 101):
        run.send(np.zeros(240, np.int16), 50 + number / 100)
    assert run.recorded_at_s(500) == pytest.approx(50.5, abs=0.02)
    assert run.recorded_at_s(None) is None
    assert run.recorded_at_s(0) is None
    run.end()
    assert run.task is not None
    await asyncio.wait((run.task,))


async def test_old_speech_that_is_left_out_is_counted_and_silence_is_not() -> None:
    route, told, account = PlayedRoute(refusals=[GONE]), _Told(), DirectionAccount()
    speaking = False
    hooks = replace(told.hooks(), speaking=lambda: speaking)
    keeper = LinkKeeper(route, RouteWishes("es", "en"), account, hooks)
    for number in range(800):
        speaking = 200 <= number < 400
        keeper.send(np.zeros(240, np.int16), 50 + number / 100)
        if number == 500:
            assert account.figures().dropped_s == 0.0, "what is left out so far is silence"
            assert not told.notes
    assert account.figures().dropped_s == pytest.approx(2.0, abs=0.05)
    assert [level for level, message in told.notes if "left out" in message] == ["warning"]
