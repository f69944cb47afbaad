"""Recordings translated: in order, with context, in time; what fails is kept, and what needs no translation passes."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parley
from parley.audio import pcm
from parley.engines.mt.bench import BenchTranslator
from parley.engines.ports import EngineError, EngineRefused, SpeechChunk, SpeechRequest, Transcript, TranslationRequest
from parley.engines.ports import Word as PortWord
from parley.library import LibraryError, Pipeline, Recording, TranslatedSegment, atranslate, dub, placed, translate
from parley.library.dubbing import MIX_LEVEL
from parley.library.translation import same_language
from parley.testing.fakes import FakeRecognizer, FakeSynthesizer, FakeVoiceActivity
from tests.library.rig import RATE, silence, voice

TALK = np.concatenate([silence(300), voice(900), silence(900), voice(900), silence(900), voice(900), silence(900)])


class Translating(BenchTranslator):
    """Keeps its requests; `failing` are the texts that it fails for, with what it raises."""

    def __init__(self, failing: dict[str, Exception] | None = None) -> None:
        super().__init__(0, 0)
        self.requests: list[TranslationRequest] = []
        self.failing = failing or {}

    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        self.requests.append(request)
        if request.text in self.failing:
            yield "half"
            raise self.failing[request.text]
        async for piece in super().translate(request):
            yield piece


def heard(*texts: str, language: str = "en") -> FakeRecognizer:
    return FakeRecognizer(*(Transcript(text, language=language) for text in texts))


def translated(mt: Any, stt: FakeRecognizer, **options: Any) -> list[TranslatedSegment]:
    chosen: dict[str, Any] = {"to": "x-bench", "sample_rate": RATE, "vad": FakeVoiceActivity()} | options
    return list(translate([TALK], mt=mt, stt=stt, **chosen))


def test_each_sentence_comes_in_order_with_those_before_it_as_context() -> None:
    mt = Translating()
    segments = translated(mt, heard("Good day to you. How are you today?", "I am well.", "That is fine."))
    assert [segment.source for segment in segments] == [
        "Good day to you.",
        "How are you today?",
        "I am well.",
        "That is fine.",
    ]
    assert segments[0].target == "dooG yad ot uoy."
    assert [segment.language for segment in segments] == ["en"] * 4
    assert [len(request.context) for request in mt.requests] == [0, 1, 2, 3]
    assert mt.requests[3].context == ("Good day to you.", "How are you today?", "I am well.")
    assert len({id(request.share) for request in mt.requests}) == 1
    edges = [edge for segment in segments for edge in (segment.start_ms, segment.end_ms)]
    assert edges == sorted(edges)
    assert edges[-1] <= len(TALK) * 1000 / RATE


def test_a_sentence_that_fails_keeps_its_source_and_the_others_go_on() -> None:
    mt = Translating({"two": EngineError("The model is lost.", code="lost"), "three": ZeroDivisionError("oops")})
    one, two, three = translated(mt, heard("one", "two", "three"))
    assert (one.target, one.error) == ("eno", None)
    assert (two.source, two.target) == ("two", "")
    assert two.error is not None
    assert two.error.code == "lost"
    assert three.error is not None
    assert isinstance(three.error.__cause__, ZeroDivisionError)


def test_speech_in_the_target_language_passes_unchanged() -> None:
    mt = Translating()
    segments = translated(mt, heard("one", "two", "three", language="en-GB"), to="en")
    assert [(segment.target, segment.unchanged) for segment in segments] == [
        ("one", True),
        ("two", True),
        ("three", True),
    ]
    assert mt.requests == []


def test_a_language_that_the_engine_does_not_translate_is_refused_before_the_work() -> None:
    stt = heard("one")
    with pytest.raises(EngineRefused, match=r"does not translate to 'fr'.*en, x-bench"):
        translated(Translating(), stt, to="fr")
    with pytest.raises(EngineRefused, match="bench does not translate from 'de' to 'x-bench'"):
        translated(Translating(), stt, from_language="de")
    with pytest.raises(LibraryError, match="no language"):
        translated(Translating(), stt, to="?!")


def test_a_detected_language_that_cannot_be_translated_fails_its_sentences_only() -> None:
    (one, *_) = translated(Translating(), heard("ein", "zwei", "drei", language="de"))
    assert one.error is not None
    assert one.error.code == "unsupported_language"
    assert one.source == "ein"


def test_no_translator_is_named_in_the_message() -> None:
    with pytest.raises(LibraryError, match=r"no translator.*parley engines"):
        translated(None, heard("one"))
    with (
        Pipeline(vad=FakeVoiceActivity(), turn=None, stt=heard("one"), llm=None, tts=None) as pipeline,
        pytest.raises(LibraryError, match=r"no engine for text translation \(mt\)"),
    ):
        list(translate([TALK], to="en", sample_rate=RATE, pipeline=pipeline))


def test_silence_is_no_sentence() -> None:
    assert translated(Translating(), heard(""), to="x-bench") == []
    assert list(translate([silence(2_000)], to="x-bench", mt="bench", sample_rate=RATE)) == []


def test_the_words_of_a_recogniser_place_the_sentences() -> None:
    words = (
        PortWord("Goodness", 100, 200),
        PortWord("gracious.", 220, 300),
        PortWord("Now", 500, 600),
        PortWord("go", 610, 700),
    )
    stt = FakeRecognizer(Transcript("Goodness gracious. Now go", words, "en"))
    with closing(
        translate([TALK], to="x-bench", mt="bench", stt=stt, vad=FakeVoiceActivity(), sample_rate=RATE)
    ) as segments:
        first = next(segments)
        second = next(segments)
    assert (first.source, second.source) == ("Goodness gracious.", "Now go")
    assert first.end_ms - first.start_ms == pytest.approx(200, abs=1)
    assert second.start_ms - first.end_ms == pytest.approx(200, abs=1)


def test_results_come_while_the_rest_has_not_been_read() -> None:
    read: list[int] = []

    def pieces() -> Iterator[Any]:
        for at in range(0, len(TALK), RATE // 10):
            read.append(at)
            yield TALK[at : at + RATE // 10]

    stt = heard("one", "two", "three")
    with closing(
        translate(pieces(), to="x-bench", mt="bench", stt=stt, vad=FakeVoiceActivity(), sample_rate=RATE)
    ) as segments:
        assert next(segments).target == "eno"
        assert read[-1] < len(TALK) * 0.6


def test_both_ways_to_translate_take_the_same_arguments_with_the_same_defaults() -> None:
    one, other = (inspect.signature(function) for function in (translate, atranslate))
    assert list(one.parameters.values()) == list(other.parameters.values())


async def test_the_same_on_an_event_loop() -> None:
    segments = atranslate(
        Recording(pcm.to_float(TALK), RATE),
        to="x-bench",
        mt="bench",
        stt=heard("one", "two", "three"),
        vad=FakeVoiceActivity(),
    )
    assert [segment.target async for segment in segments] == ["eno", "owt", "eerht"]


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("en", "en-GB", True),
        ("pt-BR", "pt", True),
        ("pt-BR", "pt-PT", False),
        ("pt_BR", "PT-br", True),
        ("en", "pt", False),
    ],
)
def test_regions_tell_languages_apart_only_where_both_are_named(one: str, two: str, same: bool) -> None:
    assert same_language(one, two) is same


# --- the dub ----------------------------------------------------------------------------------------------------------


class Toneless(FakeSynthesizer):
    """Speaks 400 ms for each word at any speed: the rate that is missing is left to the library."""

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        samples = 9_600 * len(request.text.split())
        tone = 0.25 * np.sin(2 * np.pi * 300 * np.arange(samples) / 24_000)
        yield SpeechChunk(tone.astype(np.float32), 24_000)


def at(start_ms: float, target: str, **fields: Any) -> TranslatedSegment:
    return TranslatedSegment(start_ms, start_ms + 100, "source", target, "en", **fields)


def loud(recording: Recording, start_ms: float, end_ms: float) -> float:
    piece = recording.audio[round(start_ms * 24) : round(end_ms * 24)]
    return float(np.sqrt(np.mean(piece**2))) if len(piece) else 0.0


def test_each_translation_is_heard_in_its_place_and_nothing_between() -> None:
    segments = [at(500, "one two"), at(3_000, "", error=EngineError("no")), at(5_000, "three")]
    made = dub(segments, to="en", tts=Toneless(), original=Recording(np.zeros(8_000, np.float32), 1_000 * 4))
    assert made.placements == placed(segments, [800.0, 0.0, 400.0])
    assert loud(made.recording, 510, 1_290) > 0.1
    for start, end in ((0, 490), (1_310, 4_990), (5_410, 6_000)):
        assert loud(made.recording, start, end) == 0.0


def test_speech_that_is_behind_is_made_faster_within_its_bound_and_keeps_its_pitch() -> None:
    segments = [at(0, "one two three four five"), at(1_500, "six"), at(5_000, "seven")]
    made = dub(segments, to="en", tts=Toneless())
    first, second, third = made.placements
    assert first.rate == 1.25
    assert second.start_ms == pytest.approx(1_680, abs=2)
    assert third.start_ms == 5_000
    assert loud(made.recording, first.end_ms + 5, second.start_ms - 5) == 0.0
    spectrum = np.abs(np.fft.rfft(made.recording.audio[2_400:26_400]))
    assert abs(int(np.argmax(spectrum)) - 300) <= 3


def test_the_original_is_softened_under_the_translation_and_heard_only_if_asked_for() -> None:
    original = Recording(np.full(48_000, 0.5, np.float32), 24_000)
    segments = [at(200, "", error=EngineError("no")), at(400, "one"), at(1_000, "")]
    mixed = dub(segments, to="en", tts=Toneless(), original=original, mix_original=True).recording
    assert mixed.seconds == 2.0
    assert loud(mixed, 0, 390) == pytest.approx(0.5), "as loud as it was where nothing is said over it"
    beneath = mixed.audio[24 * 450 : 24 * 750]
    assert float(np.mean(beneath)) == pytest.approx(0.5 * MIX_LEVEL, rel=0.02), "the tone over it has no mean"
    assert loud(mixed, 1_500, 2_000) == pytest.approx(0.5)
    alone = dub([], to="en", tts=Toneless(), original=original).recording
    assert (alone.seconds, loud(alone, 0, 2_000)) == (2.0, 0.0)
    with pytest.raises(LibraryError, match="original="):
        dub([], to="en", tts=Toneless(), mix_original=True)


@pytest.mark.slow
def test_a_real_recording_is_dubbed_by_real_engines(tmp_path: Path) -> None:
    from tests.conftest import clip_path

    path = clip_path("hello_world")
    segments = list(translate(path, to="x-bench", mt="bench"))
    assert " ".join(segment.source for segment in segments) == "hello world"
    made = parley.dub(segments, to="es", tts="espeak", original=parley.read_audio(path), mix_original=True)
    parley.write_audio(tmp_path / "dub.wav", made.recording)
    assert parley.read_audio(tmp_path / "dub.wav").seconds >= parley.read_audio(path).seconds - 0.01
    assert made.placements[0].start_ms == segments[0].start_ms
