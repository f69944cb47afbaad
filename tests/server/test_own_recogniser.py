"""Which pipeline hears a recording outside of sessions."""

from __future__ import annotations

from dataclasses import replace

from parley.engines.ports import STT, EngineInfo, EngineSpec
from parley.server.own_recogniser import OwnRecogniser
from parley.testing.fakes import FakeRecognizer
from tests.server.harness import Engines, configured, loaded


class Declared(FakeRecognizer):
    """A recogniser that declares what a test says."""

    def __init__(self, declared: EngineInfo) -> None:
        super().__init__()
        self._declared = declared

    @property
    def info(self) -> EngineInfo:
        return self._declared


def heard_by(info: EngineInfo, named: str, language: str) -> bool:
    """Whether a recogniser that the configuration names so, and that declares `info`, hears the language."""
    config = configured()
    pipeline = config.pipelines[config.default_pipeline]
    engines = {**pipeline.engines, STT: EngineSpec(named)}
    config = replace(config, pipelines={config.default_pipeline: replace(pipeline, engines=engines)})
    recogniser = OwnRecogniser(config, loaded(config, Engines(stt=Declared(info))))
    return recogniser.hearing(language) is not None


def test_what_only_measures_hears_nobody_whatever_it_is_called() -> None:
    info = EngineInfo("stt", "any", "Any.", sample_rate=16_000)
    assert heard_by(info, "bench", "de")
    assert not heard_by(replace(info, measuring=True), "stopwatch", "de")


def test_the_language_is_one_that_the_recogniser_knows() -> None:
    info = EngineInfo("stt", "any", "Any.", sample_rate=16_000, languages=("de", "en"))
    assert heard_by(info, "any", "de-AT")
    assert not heard_by(info, "any", "fr")
