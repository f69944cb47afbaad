"""An interpreter speaks faster while the listener is behind, and as usual again afterwards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley.core.policy.catching_up import AT_EASE_MS, FASTEST, FULL_RATE_MS, rate_when_behind


def test_the_rate_is_normal_at_ease_and_never_above_its_limit() -> None:
    assert rate_when_behind(0) == rate_when_behind(AT_EASE_MS) == 1.0
    assert rate_when_behind(FULL_RATE_MS) == rate_when_behind(10**9) == FASTEST


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_who_is_further_behind_is_not_spoken_to_more_slowly(a: int, b: int) -> None:
    less, more = sorted((a, b))
    assert 1.0 <= rate_when_behind(less) <= rate_when_behind(more) <= FASTEST
