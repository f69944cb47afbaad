"""Each kind of work from its source to the listener, with and without a voice converter; how each stage is cancelled, and how it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from parley.core.words.effects import CancelGeneration, StartGeneration
from parley.core.words.events import (
    ClauseStarted,
    Event,
    FirstTokenGenerated,
    GenerationFailed,
    GenerationFinished,
    SpeechGenerated,
    TextGenerated,
)
from parley.core.words.ids import AttemptId
from parley.core.words.settings import AudioFormat
from parley.core.words.work import Prompt, Reply, Translation, Utterance, Work
from parley.engines.llm import bench as llm_bench
from parley.engines.mt import bench as mt_bench
from parley.engines.ports import (
    LLM,
    MT,
    TTS,
    VC,
    ChatEvent,
    ChatRequest,
    ConversionSpec,
    Engine,
    EngineError,
    EngineSet,
    Samples,
    SpeechChunk,
    SpeechRequest,
    Stage,
    TextDelta,
    TranslationRequest,
)
from parley.engines.tts import bench as tts_bench
from parley.engines.vc import bench as vc_bench
from parley.runtime.generation.attempts import Generations
from parley.testing.fakes import FakeModel, FakeSynthesizer, Hold
from tests.runtime.rig import settled

ATTEMPT = AttemptId(3)
TEXT = "Good morning, dear listeners. The news are short today."
BACKWARDS = "dooG gninrom, raed srenetsil. ehT swen era trohs yadot."
LATENCY_MS = 30

WORKS: Mapping[str, tuple[Work, str]] = {
    "reply": (Reply(Prompt("", ())), llm_bench.SENTENCE),
    "translation": (Translation(TEXT, "en", "x-bench"), BACKWARDS),
    "utterance": (Utterance(TEXT), TEXT),
}


def bench_engines(**others: Engine | None) -> EngineSet:
    """The fixed-latency engines without their latency; `others` go by the name of their stage, None leaves one out."""
    engines: dict[Stage[Any], Engine] = {
        LLM: llm_bench.create("", {"first_token_ms": 0}),
        MT: mt_bench.create("", {"first_word_ms": 0}),
        TTS: tts_bench.create("", {"first_audio_ms": 0, "pace": 1000}),
    }
    for stage in (LLM, MT, TTS, VC):
        engine = others.get(stage.name)
        if engine is not None:
            engines[stage] = engine
        elif stage.name in others:
            engines.pop(stage, None)
    return EngineSet(engines)


def converter() -> vc_bench.BenchConverter:
    return vc_bench.create("", {"latency_ms": LATENCY_MS})


def start(work: Work, **fields: Any) -> StartGeneration:
    return replace(StartGeneration(ATTEMPT, work, "audio", "alloy", 1.0, AudioFormat.PCM16, "en"), **fields)


class _Listener:
    """A session's generations and everything they have posted."""

    def __init__(self, engines: EngineSet) -> None:
        self.events: list[Event] = []
        self.generations = Generations(engines, self.events.append)

    async def all(self, effect: StartGeneration) -> list[Event]:
        self.generations.start(effect)
        await settled(lambda: bool(self.events) and isinstance(self.events[-1], GenerationFinished | GenerationFailed))
        await settled(lambda: not self.generations.tasks())
        return self.events


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, ClauseStarted | TextGenerated))


def audio_of(events: list[Event]) -> Samples:
    data = b"".join(event.audio for event in events if isinstance(event, SpeechGenerated))
    made: Samples = np.frombuffer(data, "<i2").astype(np.float32) * np.float32(1 / 32768)
    return made


def failure(events: list[Event]) -> GenerationFailed:
    assert isinstance(events[-1], GenerationFailed)
    return events[-1]


@pytest.mark.parametrize("kind", list(WORKS))
@pytest.mark.parametrize("converts", [False, True], ids=["own voice", "converted"])
async def test_each_kind_of_work_is_spoken(kind: str, converts: bool) -> None:
    work, text = WORKS[kind]
    events = await _Listener(bench_engines(vc=converter() if converts else None)).all(start(work))
    assert isinstance(events[0], FirstTokenGenerated)
    assert sum(isinstance(event, FirstTokenGenerated) for event in events) == 1
    assert text_of(events) == text
    assert events[-1] == GenerationFinished(ATTEMPT, "stop", getattr(events[-1], "usage", None))
    clauses = sum(isinstance(event, ClauseStarted) for event in events)
    assert len(audio_of(events)) == clauses * 24_000, "the bench voice speaks a second for each clause"


@pytest.mark.parametrize("kind", list(WORKS))
async def test_each_kind_of_work_is_written(kind: str) -> None:
    work, text = WORKS[kind]
    events = await _Listener(bench_engines(tts=None)).all(start(work, modality="text"))
    assert text_of(events) == text
    assert isinstance(events[-1], GenerationFinished)
    assert not any(isinstance(event, SpeechGenerated) for event in events)


async def test_a_converted_voice_is_the_filter_of_the_synthesized_one() -> None:
    plain = audio_of(await _Listener(bench_engines()).all(start(Utterance("Hello."))))
    other = audio_of(await _Listener(bench_engines(vc=converter())).all(start(Utterance("Hello."))))
    ahead = np.concatenate([plain[24 * LATENCY_MS :], np.zeros(24 * LATENCY_MS, np.float32)])
    assert np.abs(other - (plain + ahead) / 2).max() < 3 / 32768, "but for rounding to 16 bits"


@pytest.mark.parametrize("rate", [24_000, 16_000])
async def test_word_times_stay_exact_behind_a_converter(rate: int) -> None:
    """The core cuts what was heard by these: text ends and sample ends, clause by clause."""

    async def timed(**others: Engine | None) -> list[tuple[int, tuple[tuple[int, int], ...]]]:
        tts = FakeSynthesizer(word_ms=70, sample_rate=rate)
        events = await _Listener(bench_engines(tts=tts, **others)).all(start(Utterance(TEXT)))
        clauses: list[tuple[int, tuple[tuple[int, int], ...]]] = []
        for event in events:
            if isinstance(event, ClauseStarted):
                clauses.append((0, ()))
            elif isinstance(event, SpeechGenerated):
                clauses[-1] = (
                    clauses[-1][0] + len(event.audio) // 2,
                    tuple((word.text_end, word.end_sample) for word in event.words) or clauses[-1][1],
                )
        return clauses

    plain, other = await timed(), await timed(vc=converter())
    assert len(plain) == 2
    for (samples, words), (converted_samples, converted_words) in zip(plain, other, strict=True):
        assert words == converted_words
        assert words[-1][1] == samples
        assert abs(samples - converted_samples) <= 1


async def test_a_clause_is_converted_with_what_was_said_before_it() -> None:
    heard: list[Samples | None] = []

    class Attentive(vc_bench.BenchConverter):
        def open_stream(self, spec: ConversionSpec) -> vc_bench.BenchConversion:
            heard.append(spec.context)
            return super().open_stream(spec)

    work = Utterance("The news are short today. " * 5)
    events = await _Listener(bench_engines(vc=Attentive(20, 0))).all(start(work))
    clauses = sum(isinstance(event, ClauseStarted) for event in events)
    assert clauses == len(heard) > 4
    assert heard[0] is None
    assert [len(context) for context in heard[1:] if context is not None] == [
        24_000 * min(number, 3) for number in range(1, clauses)
    ]


async def test_a_voice_of_the_converter_is_spoken_by_the_usual_voice_of_the_synthesizer() -> None:
    tts = FakeSynthesizer()
    for voice, asked in (("alloy", "alloy"), (vc_bench.VOICE, "")):
        await _Listener(bench_engines(tts=tts, vc=converter())).all(start(Utterance("Hello."), voice=voice))
        assert tts.requests[-1].voice == asked


async def test_terms_and_context_reach_the_translator() -> None:
    asked: list[TranslationRequest] = []

    class Attentive(mt_bench.BenchTranslator):
        def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
            asked.append(request)
            return super().translate(request)

    work = Translation("The Parley house.", "en", "x-bench", (("Parley", "PARLEY"),), ("Before.",))
    events = await _Listener(bench_engines(mt=Attentive(0, 0))).all(start(work, language="x-bench"))
    assert text_of(events) == "ehT PARLEY esuoh."
    assert asked[0].context == ("Before.",)


# --- cancelled ---


class _Stuck:
    """What stands still as soon as it is asked, and remembers that it was let go."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.left = False

    async def stand_still(self) -> None:
        self.reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left = True


class _StuckModel(FakeModel):
    def __init__(self, stuck: _Stuck) -> None:
        super().__init__()
        self._stuck = stuck

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        await self._stuck.stand_still()
        yield TextDelta("")


class _StuckTranslator(mt_bench.BenchTranslator):
    def __init__(self, stuck: _Stuck) -> None:
        super().__init__(0, 0)
        self._stuck = stuck

    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        await self._stuck.stand_still()
        yield ""


class _StuckSynthesizer(FakeSynthesizer):
    def __init__(self, stuck: _Stuck) -> None:
        super().__init__()
        self._stuck = stuck

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        await self._stuck.stand_still()
        yield SpeechChunk(np.zeros(0, np.float32), 24_000)


class _StuckConversion(vc_bench.BenchConversion):
    def __init__(self, stuck: _Stuck) -> None:
        super().__init__(0, 0)
        self.stuck = stuck
        self.was_closed = False

    async def convert(self, audio: Samples) -> Samples:
        await self.stuck.stand_still()
        return audio

    def close(self) -> None:
        self.was_closed = True


class _StuckConverter(vc_bench.BenchConverter):
    def __init__(self, stuck: _Stuck) -> None:
        super().__init__(0, 0)
        self._stuck = stuck
        self.streams: list[_StuckConversion] = []

    def open_stream(self, spec: ConversionSpec) -> _StuckConversion:
        stream = _StuckConversion(self._stuck)
        self.streams.append(stream)
        return stream


@pytest.mark.parametrize("stage", ["llm", "mt", "tts", "vc"])
async def test_an_attempt_can_be_cancelled_while_any_stage_works(stage: str) -> None:
    stuck = _Stuck()
    engines: dict[str, Engine] = {
        "llm": _StuckModel(stuck),
        "mt": _StuckTranslator(stuck),
        "tts": _StuckSynthesizer(stuck),
        "vc": _StuckConverter(stuck),
    }
    work = WORKS["translation" if stage == "mt" else "reply"][0]
    listener = _Listener(bench_engines(**{stage: engines[stage]}))
    listener.generations.start(start(work))
    await stuck.reached.wait()
    before = list(listener.events)
    listener.generations.cancel(CancelGeneration(ATTEMPT))
    await settled(lambda: stuck.left and not listener.generations.tasks())
    assert listener.events == before, "nothing is posted any more"
    vc = engines["vc"]
    assert isinstance(vc, _StuckConverter)
    assert all(stream.was_closed for stream in vc.streams)


# --- failing ---


@pytest.mark.parametrize("stage", ["llm", "mt", "tts"])
async def test_a_pipeline_without_the_engine_for_the_work_says_which_one_is_missing(stage: str) -> None:
    work = WORKS["translation" if stage == "mt" else "reply"][0]
    fault = failure(await _Listener(bench_engines(**{stage: None})).all(start(work))).fault
    assert fault.code == "no_engine"
    assert f"({stage})" in fault.message


async def test_a_translator_that_refuses_the_pair_fails_the_attempt_by_name() -> None:
    work = Translation("Hello.", "en", "tlh")
    fault = failure(await _Listener(bench_engines()).all(start(work))).fault
    assert fault.code == "unsupported_language"


async def test_a_translator_that_breaks_off_fails_after_what_it_gave() -> None:
    class Broken(mt_bench.BenchTranslator):
        async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
            yield "Half a"
            raise EngineError("The translator's process ended.", code="process_ended")

    events = await _Listener(bench_engines(mt=Broken(0, 0))).all(start(WORKS["translation"][0]))
    assert text_of(events) == "Half a"
    assert failure(events).fault.code == "process_ended"


async def test_a_synthesizer_that_breaks_off_fails_the_attempt() -> None:
    tts = FakeSynthesizer(script={"short": EngineError("No voice today.", code="voice_lost")})
    events = await _Listener(bench_engines(tts=tts)).all(start(WORKS["utterance"][0]))
    assert failure(events).fault.code == "voice_lost"


class _WrongConversion(vc_bench.BenchConversion):
    """`fault` is raised, or the rest that is given at the end."""

    def __init__(self, fault: Any) -> None:
        super().__init__(24 * LATENCY_MS, 0)
        self.fault = fault

    async def convert(self, audio: Samples) -> Samples:
        if isinstance(self.fault, Exception):
            raise self.fault
        return await super().convert(audio)

    async def finish(self) -> Samples:
        rest = await super().finish()
        return np.concatenate([rest, np.zeros(self.fault, np.float32)]) if self.fault > 0 else rest[: self.fault]


class _WrongConverter(vc_bench.BenchConverter):
    def __init__(self, fault: Any) -> None:
        super().__init__(LATENCY_MS, 0)
        self._fault = fault

    def open_stream(self, spec: ConversionSpec) -> _WrongConversion:
        return _WrongConversion(self._fault)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (EngineError("The converter's model ended.", code="process_ended"), "process_ended"),
        (RuntimeError("?"), "engine_error"),
        (240, "invalid_conversion"),
        (-240, "invalid_conversion"),
    ],
    ids=["ended", "unexpected", "too much", "too little"],
)
async def test_a_converter_that_fails_or_shifts_the_time_line_fails_the_attempt(fault: Any, code: str) -> None:
    events = await _Listener(bench_engines(vc=_WrongConverter(fault))).all(start(WORKS["utterance"][0]))
    assert failure(events).fault.code == code


async def test_a_held_client_holds_every_kind_of_work() -> None:
    hold = Hold()
    tts = FakeSynthesizer(script={"The": hold})
    listener = _Listener(bench_engines(tts=tts, vc=converter()))
    listener.generations.start(start(WORKS["utterance"][0]))
    await hold.reached.wait()
    listener.generations.hold(True)
    hold.event.set()
    before = len(listener.events)
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(listener.events) <= before + 1, "at most the delta that was being posted"
    listener.generations.hold(False)
    await settled(lambda: isinstance(listener.events[-1], GenerationFinished))
