"""What a paid server costs: a minute at its price, warned of once, ended at the cap."""

from __future__ import annotations

import pytest

from parley.interpret.cost import CostMeter


def test_a_minute_costs_its_price_and_the_cap_is_reached_exactly() -> None:
    meter = CostMeter(0.5, 1.0, "EUR")
    for _ in range(95):
        assert not meter.sent(1)
    assert meter.sent(1)
    assert not meter.sent(23)
    reached = [meter.over_cap]
    assert not meter.sent(1)
    reached.append(meter.over_cap)
    assert reached == [False, True]
    assert meter.said == "1.00 of at most 1.00 EUR spent"
    assert (meter.shown.spent, meter.shown.cap) == (1.0, 1.0)


def test_without_a_cap_nothing_is_warned_of_and_nothing_ends() -> None:
    meter = CostMeter(100.0)
    assert not meter.sent(1e6)
    assert not meter.over_cap
    assert "at most" not in meter.said


@pytest.mark.parametrize(
    ("price", "cap"), [(-0.1, None), (0.1, 0.0), (0.1, -1.0), (float("nan"), 1.0), (0.1, float("nan"))]
)
def test_senseless_prices_and_caps_are_refused(price: float, cap: float | None) -> None:
    with pytest.raises(ValueError, match="must be 0 or more"):
        CostMeter(price, cap)
