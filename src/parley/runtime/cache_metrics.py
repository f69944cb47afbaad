"""How often the caches answer, and how large they are: figures for Prometheus, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from parley.runtime.engine_caches import EngineCaches


class CacheMetrics(Collector):
    """Counts of `caches`: those that are off have no series. Register it with a registry."""

    def __init__(self, caches: EngineCaches) -> None:
        self._caches = caches

    def collect(self) -> Iterator[Metric]:
        speech, responses = self._caches.speech, self._caches.responses
        if speech is not None:
            counts = speech.counts
            clauses = CounterMetricFamily(
                "parley_speech_cache_clauses",
                "Clauses of an engine that is cached: hit (from a file), shared (with another session), miss (spoken).",
                labels=["outcome"],
            )
            for outcome, count in (("hit", counts.hits), ("shared", counts.shared), ("miss", counts.misses)):
                clauses.add_metric([outcome], count)
            yield clauses
            yield CounterMetricFamily(
                "parley_speech_cache_failures", "How often the folder of the cache failed.", value=counts.failures
            )
            yield CounterMetricFamily(
                "parley_speech_cache_removed_files", "Files removed to make room.", value=counts.removed
            )
            yield GaugeMetricFamily("parley_speech_cache_bytes", "Size of the cache's files.", value=speech.usage.bytes)
            yield GaugeMetricFamily("parley_speech_cache_files", "The cache's files.", value=speech.usage.files)
        if responses is not None:
            prompts = CounterMetricFamily(
                "parley_response_cache_prompts",
                "Prompts: hit (a kept answer), miss (the model answered), passed (never kept: tools, images, audio).",
                labels=["outcome"],
            )
            kept = responses.counts
            for outcome, count in (("hit", kept.hits), ("miss", kept.misses), ("passed", kept.passed)):
                prompts.add_metric([outcome], count)
            yield prompts
            yield GaugeMetricFamily("parley_response_cache_replies", "Answers that are kept.", value=len(responses))
