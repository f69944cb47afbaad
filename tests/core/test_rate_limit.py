"""The rate limit of responses and its notice."""

from __future__ import annotations

import pytest

from parley.core.regions.rate_limit import RateLimiter
from parley.core.words.errors import PeerError
from parley.core.words.notices import RateLimit, RateLimitsUpdated

S = 1_000_000_000


def reported(allowance: RateLimiter, now_ns: int) -> tuple[int, float]:
    """The remaining responses, and the seconds until all are available again."""
    notice = allowance.notice(now_ns)
    assert notice is not None
    (limit,) = notice.limits
    return limit.remaining, limit.reset_seconds


def test_a_minutes_responses_may_be_made_at_once_and_become_available_one_by_one() -> None:
    allowance = RateLimiter(3, 100 * S)
    for _ in range(3):
        assert allowance.covers_one(100 * S)
        allowance.spend(100 * S)
    assert reported(allowance, 100 * S) == (0, 60.0)
    assert not allowance.covers_one(120 * S - 1)
    assert allowance.covers_one(120 * S)
    assert reported(allowance, 120 * S) == (1, 40.0)
    assert reported(allowance, 129 * S) == (1, 31.0)
    allowance.spend(120 * S)
    assert reported(allowance, 120 * S) == (0, 60.0)
    assert reported(allowance, 1_000 * S) == (3, 0.0), "never more than a minute's"


def test_a_response_over_the_rate_is_refused_with_the_wait_and_not_counted() -> None:
    allowance = RateLimiter(2, 0)
    allowance.spend(0)
    allowance.spend(0)
    with pytest.raises(PeerError) as refused:
        allowance.spend(12 * S)
    assert (refused.value.code, refused.value.kind, refused.value.field) == (
        "rate_limit_exceeded",
        "rate_limit_error",
        None,
    )
    assert "2 responses a minute; try again in 18.0 s." in refused.value.message
    allowance.spend(30 * S)


def test_the_limit_is_reported_as_a_limit_of_requests() -> None:
    assert RateLimiter(7, 0).notice(0) == RateLimitsUpdated((RateLimit("requests", 7, 7, 0.0),))


def test_without_a_limit_every_response_is_allowed_and_nothing_is_reported() -> None:
    allowance = RateLimiter(None, 0)
    for _ in range(1_000):
        allowance.spend(0)
    assert allowance.covers_one(0)
    assert allowance.notice(0) is None
