"""What Prometheus is shown of the guards of translators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest

from parley.engines.ports import GuardCount
from parley.runtime.guard_metrics import GuardMetrics


@dataclass
class Counted:
    """A translator that has counted this."""

    asked: int
    refused: int
    kinds: Mapping[str, int]

    def guard_counts(self) -> GuardCount:
        return GuardCount(self.asked, sum(self.kinds.values()), self.refused, self.kinds)


def shown(*translators: Counted) -> str:
    registry = CollectorRegistry()
    registry.register(GuardMetrics(translators))
    return generate_latest(registry).decode()


def test_the_guards_of_all_translators_count_together() -> None:
    figures = shown(Counted(10, 1, {"language": 2, "refusal": 1}), Counted(5, 0, {"language": 1}))
    assert "parley_guarded_translations_total 15.0" in figures
    assert 'parley_translation_drifts_total{kind="language"} 3.0' in figures
    assert 'parley_translation_drifts_total{kind="refusal"} 1.0' in figures
    assert "parley_translations_refused_total 1.0" in figures


def test_without_a_guard_nothing_is_shown() -> None:
    assert shown() == ""
