"""hibari is really heard: its own weights, its words where they are said, the same audio however many speak at once."""

from __future__ import annotations

import asyncio
import gc
import shutil
import weakref
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parley.engines.ports import EngineRefused, EngineUnavailable, Samples, SpeechChunk, SpeechRequest
from parley.engines.stt.pocketsphinx import PocketsphinxRecognizer
from parley.engines.tts import hibari_text, hibari_voices
from parley.engines.tts.hibari import HibariSynthesizer, create
from parley.engines.tts.hibari_text import Phonemizer
from parley.engines.tts.phoneme_pieces import CHUNK_SAMPLES, SAMPLE_RATE
from parley.text.clauses import ClauseCutter
from parley.text.word_timing import WordTiming

SENTENCE = "The weather in Paris is fine today, with a light wind."
AUDIBLE = 0.003


@pytest.fixture(scope="module", autouse=True)
def phonemizer() -> Phonemizer:
    """What all voices of American English share, held from test to test: it takes longer to load than a voice does."""
    return hibari_text.load()


@pytest.fixture
async def hibari() -> AsyncIterator[HibariSynthesizer]:
    engine = create("", {})
    await engine.open()
    yield engine
    await engine.close()


async def chunks_of(engine: HibariSynthesizer, text: str, voice: str = "", speed: float = 1.0) -> list[SpeechChunk]:
    return [chunk async for chunk in engine.speak(SpeechRequest(text, voice, "", speed))]


def audio_of(chunks: list[SpeechChunk]) -> Samples:
    return np.concatenate([np.zeros(0, np.float32), *(chunk.audio for chunk in chunks)])


def level(audio: Samples, start_ms: float, end_ms: float) -> float:
    part = audio[round(start_ms * SAMPLE_RATE / 1000) : round(end_ms * SAMPLE_RATE / 1000)]
    return float(np.sqrt(np.mean(part**2))) if len(part) else 0.0


async def test_a_reply_begins_to_sound_at_once(hibari: HibariSynthesizer) -> None:
    audio = audio_of(await chunks_of(hibari, SENTENCE))
    assert level(audio, 0, 100) > AUDIBLE
    assert np.abs(audio).max() < 1.0


async def test_words_are_the_texts_own_in_order_and_sound_where_they_are_timed(hibari: HibariSynthesizer) -> None:
    text = f"{SENTENCE} It costs $3.50 — or 24°C, on 3/14/2024; Dr. Smith said so at 9:30am."
    chunks = await chunks_of(hibari, text)
    audio, words = audio_of(chunks), chunks[-1].words
    assert [word.text for word in words] == text.split()
    times = [time for word in words for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert times[-1] <= 1000 * len(audio) / SAMPLE_RATE
    for word in words:
        if word.text != "—":
            assert level(audio, word.start_ms, word.end_ms) > AUDIBLE, word


async def test_a_chunk_says_only_which_words_have_begun(hibari: HibariSynthesizer) -> None:
    chunks = await chunks_of(hibari, SENTENCE * 3)
    position = 0
    for before, chunk in zip([SpeechChunk(chunks[0].audio, SAMPLE_RATE), *chunks], chunks, strict=False):
        assert len(chunk.audio) <= CHUNK_SAMPLES
        assert chunk.words[: len(before.words)] == before.words
        position += len(chunk.audio)
        assert all(word.start_ms <= 1000 * position / SAMPLE_RATE for word in chunk.words)


async def test_a_word_is_timed_where_it_is_said(hibari: HibariSynthesizer) -> None:
    """The audio up to a word's start holds the words before it, and not the word."""
    text = "please call me about the weather tomorrow"
    chunks = await chunks_of(hibari, text)
    audio = audio_of(chunks)
    start_ms = next(word.start_ms for word in chunks[-1].words if word.text == "tomorrow")
    cut = audio[: round(start_ms * SAMPLE_RATE / 1000)]
    recognizer = PocketsphinxRecognizer(threads=1)
    await recognizer.open()
    try:
        assert "tomorrow" in await recognised(recognizer, audio)
        assert "weather" in await recognised(recognizer, cut)
        assert "tomorrow" not in await recognised(recognizer, cut)
    finally:
        await recognizer.close()


async def recognised(recognizer: PocketsphinxRecognizer, audio: Samples) -> str:
    from parley.audio.resampling import Resampler
    from parley.engines.ports import RecognitionSpec

    resampler = Resampler(SAMPLE_RATE, recognizer.info.sample_rate, "HQ")
    stream = recognizer.open_stream(RecognitionSpec(), lambda partial: None)
    stream.feed(np.concatenate([resampler.push(audio), resampler.finish()]))
    try:
        return (await stream.finish()).text
    finally:
        stream.close()


async def test_sixteen_speak_at_once_as_each_alone(hibari: HibariSynthesizer) -> None:
    texts = [f"This is the answer for caller number {number}, who asked about it." for number in range(16)]
    alone = [audio_of(await chunks_of(hibari, text)) for text in texts]
    together = await asyncio.gather(*(chunks_of(hibari, text) for text in texts))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, audio_of(other))
    assert len({len(audio) for audio in alone}) > 1


async def test_speed_changes_how_long_it_takes(hibari: HibariSynthesizer) -> None:
    usual = len(audio_of(await chunks_of(hibari, SENTENCE)))
    assert len(audio_of(await chunks_of(hibari, SENTENCE, speed=2.0))) < 0.65 * usual
    slow = len(audio_of(await chunks_of(hibari, SENTENCE, speed=0.5)))
    assert slow > 1.6 * usual
    assert len(audio_of(await chunks_of(hibari, SENTENCE, speed=0.25))) == slow


async def test_a_long_text_is_computed_as_it_is_taken(hibari: HibariSynthesizer) -> None:
    stream = hibari.speak(SpeechRequest(SENTENCE * 200))
    assert len((await anext(stream)).audio) > 0
    await stream.aclose()  # type: ignore[attr-defined]
    assert audio_of(await chunks_of(hibari, "Next.")).any()


async def test_a_word_that_the_package_cannot_read_is_left_out_and_not_logged(
    hibari: HibariSynthesizer, caplog: pytest.LogCaptureFixture
) -> None:
    unreadable = "1" + ",777" * 14  # no scale has a name for it
    chunks = await chunks_of(hibari, f"The number {unreadable} is large.")
    assert [word.text for word in chunks[-1].words] == ["The", "number", unreadable, "is", "large."]
    assert audio_of(chunks).any()
    assert "a word of 57 characters" in caplog.text
    assert "777" not in caplog.text


@pytest.mark.parametrize("text", ["5914" * 10, "a1B2" + "5914" * 10, "It is 3." + "5914" * 10 + "."])
async def test_a_number_that_has_no_name_is_said_digit_by_digit(hibari: HibariSynthesizer, text: str) -> None:
    chunks = await chunks_of(hibari, text)
    assert [word.text for word in chunks[-1].words] == text.split()
    assert len(audio_of(chunks)) > 40 * 0.2 * hibari.info.sample_rate


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.lists(
        st.sampled_from([
            "1,2,3,4,5,6,7,8,9,10,11,12", "https://example.org/a?b=c", "[link](/hibari/)", "&amp;", "$x^2$", "\\frac{a}{b}", "IV",
            "```\nx = 1\n```\n", "| a | b |\n", "🙂", "你好，世界。", "٣", "❷", "a1B2" * 30, "3." + "14159" * 30, "# ", "**b**", "€", "50%",
            " ", ". ", "\n", "word", "don't", "-", "—", "“", "x" * 400, "¥1,000", "½", "5km", "Jan. 5th", "AT&T", "C++", "12:61", "0xFF",
        ]) | st.text(max_size=40),
        max_size=8,
    ).map("".join)
)  # fmt: skip
async def test_any_text_is_spoken_and_its_words_stay_in_it(hibari: HibariSynthesizer, text: str) -> None:
    cutter = ClauseCutter("en")
    for clause in cutter.push(text) + cutter.finish():
        if not clause.spoken:
            continue
        timing = WordTiming(clause.text, clause.spoken)
        chunks = await chunks_of(hibari, clause.spoken)
        audio = audio_of(chunks)
        assert np.isfinite(audio).all()
        for chunk in chunks:
            ends = [(word.text_end, word.end_ms) for word in timing.spoken(chunk.words)]
            assert ends == sorted(ends)
            assert all(end <= len(clause.text) for end, _ in ends)
        if chunks:
            assert [word.text for word in chunks[-1].words] == clause.spoken.split()
        assert len(audio) or not any(char.isascii() and char.isalnum() for char in clause.spoken), clause


async def test_it_speaks_english_and_refuses_what_it_has_not(hibari: HibariSynthesizer) -> None:
    assert hibari.info.languages == ("en",)
    assert hibari.info.voices[0] == "heart"
    assert {hibari.resolve_voice(voice, "en-GB") for voice in ("", "heart", "Heart", "alloy", "marin", "onyx")} == {
        "heart"
    }
    assert hibari.resolve_voice("heart", "de") is None
    with pytest.raises(EngineRefused, match="not the language 'de'") as raised:
        await anext(hibari.speak(SpeechRequest("Guten Tag", "", "de")))
    assert raised.value.code == "unsupported_language"
    with pytest.raises(EngineRefused, match="no voice 'nobody'") as raised:
        await anext(hibari.speak(SpeechRequest("Hello", "nobody")))
    assert raised.value.code == "unknown_voice"
    assert "heart" in raised.value.remedy


async def test_another_voice_is_one_where_its_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    with pytest.raises(EngineUnavailable, match="no voice 'emma' on this machine") as raised:
        await create("emma", {}).open()
    assert raised.value.code == "unknown_voice"
    folder = hibari_voices.assets()
    assert folder is not None
    emma = next(voice for voice in hibari_voices.VOICES if voice.name == "emma")
    shutil.copy(folder / "hibari.onnx", tmp_path / emma.file)
    engine = create("", {})
    assert engine.info.voices == ("heart", "emma")
    await engine.open()
    try:
        # The file's bytes are another voice's: it is not loaded, and the others go on speaking.
        with pytest.raises(EngineUnavailable) as raised:
            await anext(engine.speak(SpeechRequest("Hello", "emma")))
        assert raised.value.code == "wrong_checksum"
        assert audio_of(await chunks_of(engine, "Hello.")).any()
    finally:
        await engine.close()
    same = replace(emma, sha256=hibari_voices.VOICES[0].sha256)
    monkeypatch.setattr(hibari_voices, "VOICES", (*hibari_voices.VOICES[:1], same))
    engine = create("emma", {})
    await engine.open()
    try:
        # British rules of pronunciation over the same weights: other phonemes, another sound.
        text = "The path to the laboratory was rather short."
        assert len(audio_of(await chunks_of(engine, text))) != len(audio_of(await chunks_of(engine, text, "heart")))
    finally:
        await engine.close()


async def test_a_graph_of_other_bytes_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = replace(hibari_voices.VOICES[0], sha256="0" * 64)
    monkeypatch.setattr(hibari_voices, "VOICES", (changed,))
    engine = create("", {})
    with pytest.raises(EngineUnavailable, match="SHA-256 differs") as raised:
        await engine.open()
    assert raised.value.code == "wrong_checksum"
    assert "pip install" in raised.value.remedy


def test_voices_of_the_same_english_share_one_dictionary_and_the_last_frees_it() -> None:
    british = hibari_text.load(british=True)
    assert hibari_text.load(british=True) is british
    assert hibari_text.load() is not british
    held = weakref.ref(british)
    del british
    gc.collect()
    assert held() is None


async def test_it_is_not_there_before_it_is_open_and_not_after(hibari: HibariSynthesizer) -> None:
    with pytest.raises(EngineUnavailable) as raised:
        await anext(create("", {}).speak(SpeechRequest("Hello")))
    assert raised.value.code == "not_open"
    await hibari.close()
    await hibari.close()
    with pytest.raises(EngineUnavailable):
        await anext(hibari.speak(SpeechRequest("Hello")))


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(ValueError, match="pitch"):
        create("", {"pitch": 3})
