"""How many calls may wait, and for whom there is room."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.server.access.access import Grant
from parley.server.access.client_secrets import ClientSecrets
from parley.server.access.key_file import SCOPES, Key, digest
from parley.server.waiting_calls import CallMaker, WaitingCalls

ONE = Key("one", digest("one"), SCOPES)


def wait(calls: WaitingCalls, maker: CallMaker, times: int = 1_000) -> list[object]:
    """Let as many calls of `maker` wait as may, `times` at the most."""
    entered: list[object] = []
    while len(entered) < times and calls.refusal(maker) is None:
        call = object()
        calls.enter(call, maker)
        entered.append(call)
    return entered


def test_nobody_holds_more_places_than_stay_free() -> None:
    calls = WaitingCalls(64)
    held = [len(wait(calls, CallMaker(f"key {number}"))) for number in range(8)]
    assert held == [32, 16, 8, 4, 2, 1, 1, 0]


def test_places_that_are_left_are_free_again() -> None:
    calls = WaitingCalls(8)
    first, second = wait(calls, CallMaker("key one")), wait(calls, CallMaker("key two"))
    assert (len(first), len(second)) == (4, 2)
    for call in (*first, *first, object()):
        calls.leave(call)
    assert len(calls) == 2
    assert len(wait(calls, CallMaker("key two"))) == 2


def test_a_client_secret_is_bounded_and_counts_for_its_key() -> None:
    calls = WaitingCalls(64, 3)
    visitors = [CallMaker("key one", str(number)) for number in range(20)]
    assert [len(wait(calls, visitor)) for visitor in visitors] == [3] * 10 + [2] + [0] * 9
    assert not wait(calls, CallMaker("key one"))
    assert len(wait(calls, CallMaker("key two"))) == 16


def test_a_refusal_says_when_to_try_again() -> None:
    refusal = WaitingCalls(0).refusal(CallMaker("key one"))
    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.headers()["retry-after"]) == (503, "too_many_calls", "5")


@pytest.mark.parametrize(
    ("grant", "client", "account"),
    [
        (None, "192.0.2.1:4000", "address 192.0.2.1"),
        (Grant(), "2001:db8::1:4000", "address 2001:db8::1"),
        (Grant(), "unknown", "address unknown"),
        (Grant(ONE), "192.0.2.1:4000", f"key {ONE.id}"),
    ],
)
def test_a_call_is_counted_for_its_key_or_its_address(grant: Grant | None, client: str, account: str) -> None:
    assert CallMaker.of(grant, client) == CallMaker(account)


def test_a_visitor_is_counted_for_the_key_that_made_its_secret() -> None:
    secrets = ClientSecrets("", single_use=False, wall_s=time.time)
    secret = secrets.secret({}, key=ONE.id, dialect="ga", seconds=60, kind=None, path="")
    assert CallMaker.of(Grant(ONE, secret), "192.0.2.1:4000") == CallMaker(f"key {ONE.id}", secret.id)
    assert CallMaker.of(Grant(secret=secret), "192.0.2.1:4000") == CallMaker("address 192.0.2.1", secret.id)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=200))
def test_whoever_comes_and_goes_one_that_is_new_finds_a_place_while_there_is_one(
    steps: list[tuple[int, int, bool]],
) -> None:
    calls, waiting = WaitingCalls(12, 2), list[object]()
    for (account, secret, comes), call in zip(steps, itertools.count(), strict=False):
        maker = CallMaker(f"key {account}", str(secret) if secret else "")
        if not comes and waiting:
            calls.leave(waiting.pop(account % len(waiting)))
        elif calls.refusal(maker) is None:
            calls.enter(call, maker)
            waiting.append(call)
        assert len(calls) == len(waiting) <= 12
        assert (calls.refusal(CallMaker("key new")) is None) == (len(waiting) < 12)
