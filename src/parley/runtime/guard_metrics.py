"""How often language models answered instead of translating: figures for Prometheus, read from the engines when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from parley.engines.ports import Guarded


class GuardMetrics(Collector):
    """Counts of `translators`, together. Register it with a registry."""

    def __init__(self, translators: Iterable[Guarded]) -> None:
        self._translators = tuple(translators)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Nothing where no translator has a guard."""
        if not self._translators:
            return
        counts = [one.guard_counts() for one in self._translators]
        kinds: Counter[str] = Counter()
        for count in counts:
            kinds.update(count.kinds)
        yield CounterMetricFamily(
            "parley_guarded_translations",
            "Translations asked of language models.",
            value=sum(one.asked for one in counts),
        )
        drifted = CounterMetricFamily(
            "parley_translation_drifts",
            "Translations that were no translation at first, by what they were.",
            labels=["kind"],
        )
        for kind, number in sorted(kinds.items()):
            drifted.add_metric([kind], number)
        yield drifted
        yield CounterMetricFamily(
            "parley_translations_refused",
            "Translations that were none the second time either: the source was shown instead.",
            value=sum(one.refused for one in counts),
        )
