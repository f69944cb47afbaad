"""Which engines of the chains answer, and which fail: figures for Prometheus, read from the engines when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from parley.engines.ports import Chained, Stage


class ChainMetrics(Collector):
    """Counts of `chains`: each engine of the pipelines that is a chain, with its stage. Register it with a registry."""

    def __init__(self, chains: Iterable[tuple[Stage[Any], Chained]]) -> None:
        self._chains = tuple(chains)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One series for each engine; the chains that name the same engine count together."""
        if not self._chains:
            return
        answers = CounterMetricFamily(
            "parley_chain_answers", "Answers begun by each engine of a chain.", labels=["stage", "engine"]
        )
        failures = CounterMetricFamily(
            "parley_chain_failures", "Failures of each engine of a chain.", labels=["stage", "engine"]
        )
        for (stage, engine), (answered, failed) in self._sums().items():
            answers.add_metric([stage, engine], answered)
            failures.add_metric([stage, engine], failed)
        yield answers
        yield failures

    def _sums(self) -> Mapping[tuple[str, str], tuple[int, int]]:
        sums: dict[tuple[str, str], tuple[int, int]] = {}
        for stage, chain in self._chains:
            for engine, count in chain.counts().items():
                answered, failed = sums.get((stage.name, engine), (0, 0))
                sums[stage.name, engine] = (answered + count.answers, failed + count.failures)
        return sums
