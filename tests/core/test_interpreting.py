"""The presets of lag differ as their names say."""

from __future__ import annotations

from parley.core.words.interpreting import LAGS, Interpreting


def test_a_more_careful_preset_waits_longer_for_more() -> None:
    low, normal, careful = LAGS["low"], LAGS["normal"], LAGS["careful"]
    for one, other in ((low, normal), (normal, careful)):
        assert one.max_wait_ms < other.max_wait_ms
        assert one.min_words < other.min_words
        assert one.pause_ms < other.pause_ms
        assert one.agreement <= other.agreement
    assert Interpreting().lag == normal
