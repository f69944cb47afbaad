"""Loading: one object for equal engines, all at once, and an honest word about what could not be loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from parley.engines.mt.bench import BenchTranslator
from parley.engines.ports import LLM, MT, STT, TTS, TURN, VAD, Engine, EngineInfo, EngineSpec, EngineUnavailable, Stage
from parley.runtime.engine_opening import EngineReport
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, FakeTurnJudge, FakeVoiceActivity
from tests.runtime.rig import WAIT_S, pipeline_config

FAKES: dict[Stage[Any], Callable[[], Any]] = {
    VAD: FakeVoiceActivity,
    TURN: FakeTurnJudge,
    STT: FakeRecognizer,
    LLM: FakeModel,
    TTS: FakeSynthesizer,
}


class _Shop:
    """Makes fakes, and remembers them; `broken` names what cannot be opened."""

    def __init__(self, **broken: Exception) -> None:
        self.broken = broken
        self.made_of = dict(FAKES)
        self.made: list[tuple[Stage[Any], EngineSpec, Any]] = []
        self.reports: list[EngineReport] = []

    def create(self, stage: Stage[Any], spec: EngineSpec) -> Engine:
        engine: Any = self.made_of[stage]()
        self.made.append((stage, spec, engine))
        error = self.broken.get(spec.model or spec.name)
        if error is not None:

            async def fail() -> None:
                raise error

            engine.open = fail
        made: Engine = engine
        return made

    async def open(self, *configs: Any) -> LoadedEngines:
        return await LoadedEngines.open_all(configs, self.reports.append, create=self.create)


async def test_equal_engines_are_loaded_once_and_shared() -> None:
    shop = _Shop()
    same = EngineSpec("fake", "m", {"beam": 5, "device": "cpu"})
    again = EngineSpec("fake", "m", {"device": "cpu", "beam": 5})
    other = EngineSpec("fake", "m", {"device": "cpu", "beam": 1})
    loaded = await shop.open(
        pipeline_config("a", stt=same), pipeline_config("b", stt=again), pipeline_config("c", stt=other)
    )
    a, b, c = (loaded.pipeline(name) for name in "abc")
    assert a.engines[STT] is b.engines[STT]
    assert a.engines[STT] is not c.engines[STT]
    assert a.engines[VAD] is b.engines[VAD] is c.engines[VAD]
    assert a.engines[LLM] is c.engines[LLM]
    assert all(engine.opened == 1 for _, _, engine in shop.made)
    assert len(shop.made) == 6
    await loaded.close()
    await loaded.close()
    assert all(engine.closed == 1 for _, _, engine in shop.made)


async def test_a_pipeline_that_cannot_be_loaded_says_why_and_the_others_are_served() -> None:
    shop = _Shop(whisper=EngineUnavailable("The weights of 'small' are missing.", remedy="Run parley pull small."))
    loaded = await shop.open(
        pipeline_config("good"), pipeline_config("bad", stt=EngineSpec("whisper"), llm=EngineSpec("fake", "big"))
    )
    assert list(loaded.pipelines) == ["good"]
    (failure,) = loaded.failures["bad"]
    assert (failure.stage, failure.name, failure.state) == (STT, "whisper", "failed")
    assert (failure.message, failure.remedy) == ("The weights of 'small' are missing.", "Run parley pull small.")
    with pytest.raises(KeyError):
        loaded.pipeline("bad")
    unneeded = [engine for stage, spec, engine in shop.made if spec.model == "big"]
    assert [engine.closed for engine in unneeded] == [1], "an engine that only the failed pipeline wanted is let go"
    states = {(report.stage, report.name): report.state for report in shop.reports}
    assert states[STT, "whisper"] == "failed"
    assert states[STT, "fake"] == "ready"
    await loaded.close()


async def test_an_engine_of_the_wrong_kind_is_refused() -> None:
    def create(stage: Stage[Any], spec: EngineSpec) -> Engine:
        made: Engine = FAKES[TTS if stage is LLM else stage]()
        return made

    loaded = await LoadedEngines.open_all([pipeline_config("odd")], create=create)
    (failure,) = loaded.failures["odd"]
    assert "LanguageModel" in failure.message


async def test_an_unknown_engine_is_reported_with_what_there_is() -> None:
    config = pipeline_config("typo", vad=EngineSpec("silero"), stt=EngineSpec("whispr"), llm=EngineSpec("bench"))
    loaded = await LoadedEngines.open_all([config])
    failed = {failure.stage: failure for failure in loaded.failures["typo"]}
    assert "whispr" in failed[STT].message
    assert "whisper" in failed[STT].remedy
    assert set(failed) == {TURN, STT, TTS}, "the fakes are not installed engines either"


async def test_all_engines_load_at_the_same_time() -> None:
    waiting = 0
    everybody = asyncio.Event()
    shop = _Shop()

    def create(stage: Stage[Any], spec: EngineSpec) -> Engine:
        engine: Any = shop.create(stage, spec)

        async def wait() -> None:
            nonlocal waiting
            waiting += 1
            if waiting == 5:
                everybody.set()
            await everybody.wait()

        engine.open = wait
        made: Engine = engine
        return made

    async with asyncio.timeout(WAIT_S):
        loaded = await LoadedEngines.open_all([pipeline_config("a")], create=create)
    assert "a" in loaded.pipelines


async def test_giving_up_while_loading_lets_go_of_what_was_loaded() -> None:
    shop = _Shop()
    stuck = asyncio.Event()

    def create(stage: Stage[Any], spec: EngineSpec) -> Engine:
        engine: Any = shop.create(stage, spec)
        if stage is TTS:

            async def wait() -> None:
                stuck.set()
                await asyncio.Event().wait()

            engine.open = wait
        made: Engine = engine
        return made

    opening = asyncio.ensure_future(LoadedEngines.open_all([pipeline_config("a")], create=create))
    async with asyncio.timeout(WAIT_S):
        await stuck.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert all(engine.closed == 1 for _, _, engine in shop.made)


class _Speaks(FakeRecognizer):
    def __init__(self, *languages: str) -> None:
        super().__init__()
        self._languages = languages

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, languages=self._languages)


class _HasVoicesOf(FakeSynthesizer):
    def __init__(self, *languages: str) -> None:
        super().__init__()
        self._languages = languages

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        return super().resolve_voice(voice) if not language or language in self._languages else None


@pytest.mark.parametrize(("language", "served"), [("", True), ("en", True), ("EN-us", True), ("pt", False)])
@pytest.mark.parametrize("stage", [STT, TTS], ids=str)
async def test_a_pipeline_whose_engines_cannot_do_its_language_is_refused_at_start(
    stage: Stage[Any], language: str, served: bool
) -> None:
    shop = _Shop()
    shop.made_of[STT] = (lambda: _Speaks("en", "de")) if stage is STT else FakeRecognizer
    shop.made_of[TTS] = (lambda: _HasVoicesOf("en", "EN-us")) if stage is TTS else FakeSynthesizer
    loaded = await shop.open(pipeline_config("a", language=language))
    assert ("a" in loaded.pipelines) == served
    if not served:
        (failure,) = loaded.failures["a"]
        assert (failure.stage, failure.state) == (stage, "failed")
        assert failure in shop.reports, "the owner reads it"
        assert "'pt'" in failure.message
        assert "'a'" not in failure.message, "who opened the engine knows where the language was set"
        assert failure.remedy
        assert all(engine.closed == 1 for _, _, engine in shop.made), (
            "nothing is kept for a pipeline that is not served"
        )


class _Mixes(FakeSynthesizer):
    @property
    def info(self) -> EngineInfo:
        return replace(super().info, voices=("one", "two"), mixes=True)

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        return voice if voice in ("one", "two", "one+two") else None


@pytest.mark.parametrize(
    ("voice", "served"), [("two", True), ("one+two", True), ("three", False), ("one+(two)", False)]
)
async def test_a_pipeline_whose_voice_the_synthesizer_lacks_is_refused_at_start(voice: str, served: bool) -> None:
    shop = _Shop()
    shop.made_of[TTS] = _Mixes
    loaded = await shop.open(pipeline_config("a", voice=voice))
    assert ("a" in loaded.pipelines) == served
    if served:
        assert loaded.pipeline("a").capabilities().mixable == ("one", "two")
    else:
        (failure,) = loaded.failures["a"]
        assert (failure.stage, failure.state) == (TTS, "failed")
        assert repr(voice) in failure.message
        assert (
            failure.remedy
            == "The voices are one, two; mixes of them (af_bella(2)+af_sky(1)); OpenAI's (alloy, ash, ...)."
        )


async def test_what_stock_clients_call_the_recogniser_is_known() -> None:
    can = (await _Shop().open(pipeline_config("a", stt=EngineSpec("fake", "small")))).pipeline("a").capabilities()
    assert can.recognizer == "fake"
    assert {"fake", "fake:small", "whisper-1", "gpt-4o-transcribe*", "gpt-4o-mini-transcribe*"} <= set(can.recognizers)


def _pipeline(loaded: LoadedEngines) -> LoadedPipeline:
    return loaded.pipeline("a")


async def test_the_core_is_given_what_the_engines_can_do_and_what_the_owner_wants() -> None:
    shop = _Shop()
    config = pipeline_config(
        "a", voice="marin", speculation=True, barge_in="confirmed", context_tokens=1000, compaction=True
    )
    pipe = _pipeline(await shop.open(config))
    capabilities = pipe.capabilities()
    assert capabilities.voices[0] == "marin"
    assert set(capabilities.voices) == {"marin", "alloy"}
    assert (capabilities.images, capabilities.logprobs) == (False, True)
    assert "gpt-realtime*" in capabilities.models
    owner = pipe.owner_settings()
    assert (owner.speculation, owner.barge_in, owner.context_tokens, owner.compaction) == (
        True,
        "confirmed",
        1000,
        True,
    )
    settings = pipe.default_settings("realtime", "gpt-realtime")
    assert (settings.voice, settings.instructions, settings.model) == ("marin", "Be brief.", "gpt-realtime")
    transcribing = pipe.default_settings("transcription", "x")
    assert transcribing.kind == "transcription"
    assert transcribing.transcription is not None


class _ListsNothing(BenchTranslator):
    def pairs(self) -> tuple[tuple[str, str], ...]:
        raise OSError("no list of pairs")


async def test_a_translator_that_cannot_say_what_it_translates_costs_its_own_pipeline_only() -> None:
    shop = _Shop()
    shop.made_of[MT] = lambda: _ListsNothing(0, 0)
    loaded = await shop.open(pipeline_config("a", mt=EngineSpec("odd")), pipeline_config("b"))
    assert list(loaded.pipelines) == ["b"]
    (failure,) = loaded.failures["a"]
    assert (failure.stage, failure.name, failure.message) == (MT, "odd", "OSError: no list of pairs")
    assert failure in shop.reports
    await loaded.close()


class _KnowsItsVoices(FakeSynthesizer):
    knows_voices = True


async def test_a_voice_that_the_required_pipeline_lacks_is_refused_before_anything_opens() -> None:
    shop = _Shop()
    shop.made_of[TTS] = _KnowsItsVoices
    configs = [pipeline_config("a", voice="nobody"), pipeline_config("b")]
    loaded = await LoadedEngines.open_all(configs, shop.reports.append, create=shop.create, required="a")
    (failure,) = loaded.failures["a"]
    assert "'nobody'" in failure.message
    assert [report.state for report in shop.reports] == ["failed"]
    assert not loaded.pipelines
    assert not any(engine.opened for _, _, engine in shop.made)


async def test_nothing_is_loaded_where_a_server_of_the_required_pipeline_does_not_answer() -> None:
    shop = _Shop(ollama=EngineUnavailable("Ollama does not run.", "Start it."))
    configs = [pipeline_config("a", llm=EngineSpec("ollama")), pipeline_config("b")]
    loaded = await LoadedEngines.open_all(configs, shop.reports.append, create=shop.create, required="a")
    assert [failure.message for failure in loaded.failures["a"]] == ["Ollama does not run."]
    assert not loaded.pipelines
    assert not any(engine.opened for _, _, engine in shop.made)
    loaded = await LoadedEngines.open_all(configs, create=shop.create, required="b")
    assert list(loaded.pipelines) == ["b"], "of another pipeline, the rest is served"
    await loaded.close()


async def test_an_engine_says_in_its_report_that_it_stands_in_for_something_better() -> None:
    class StandIn(FakeModel):
        makeshift = True
        notice = "No language model is connected."

    shop = _Shop()
    shop.made_of[LLM] = StandIn
    loaded = await shop.open(pipeline_config("a"))
    ready = {report.stage: report for report in shop.reports if report.state == "ready"}
    assert (ready[LLM].makeshift, ready[LLM].message) == (True, StandIn.notice)
    assert not ready[STT].makeshift
    await loaded.close()
