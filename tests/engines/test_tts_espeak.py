"""espeak-ng is really heard: speech-like audio at once, in many languages, safely from many sessions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parley.engines.ports import (
    EngineError,
    EngineRefused,
    EngineUnavailable,
    Samples,
    SpeechChunk,
    SpeechRequest,
    SpeechSynthesizer,
)
from parley.engines.tts import espeak as espeak_engine
from parley.engines.tts.espeak import MAX_PIECE_CHARS, EspeakSynthesizer, create
from parley.engines.tts.espeak_library import LOCK, WordMark, load
from parley.engines.tts.espeak_voices import OPENAI_VARIANTS, language_of_script
from parley.text.clauses import ClauseCutter
from parley.text.word_timing import WordTiming

SHORTEST_SAMPLES = 1_000
"""45 ms: espeak-ng gives 10 ms of silence for what it cannot say."""

SENTENCE = "The weather in Paris is fine today, with a light wind."


@pytest.fixture
async def espeak() -> AsyncIterator[EspeakSynthesizer]:
    engine = create("", {})
    await engine.open()
    yield engine
    await engine.close()


async def spoken(
    engine: EspeakSynthesizer, text: str, voice: str = "", language: str = "", speed: float = 1.0
) -> Samples:
    return np.concatenate([c.audio async for c in engine.speak(SpeechRequest(text, voice, language, speed))])


def pitch_hz(audio: Samples) -> float:
    """Median pitch of the loud 46 ms frames, by autocorrelation."""
    found = []
    for start in range(0, len(audio) - 1024, 512):
        frame = audio[start : start + 1024]
        if np.sqrt(np.mean(frame**2)) > 0.03:
            correlation = np.correlate(frame, frame, "full")[1023:]
            found.append(22_050 / (55 + int(np.argmax(correlation[55:315]))))
    return float(np.median(found))


KINDS = st.one_of(
    st.text(max_size=120),
    st.text(alphabet=list("0123456789,./-+ "), max_size=200),
    st.lists(
        st.sampled_from([
            "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35",
            "https://example.org/a?b=c", "[1]", "![](a.png)", "&amp;", "&nbsp;", "$x^2$", "\\frac{a}{b}", "```\nx = 1\n```\n", "<br>",
            "| a | b |\n", "|---|\n", "🙂", "你好，世界。", "สวัสดี", "٣", "❷",
            "a1B2" * 30, "3." + "14159" * 30, "# ", "- ", "**b**", "€", "50%", " ", ". ", "\n", "word",
        ]),
        max_size=8,
    ).map("".join),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh", ""])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=KINDS)
async def test_every_clause_that_is_said_to_be_spoken_is_heard_and_its_words_stay_in_it(
    espeak: EspeakSynthesizer, language: str, text: str
) -> None:
    cutter = ClauseCutter(language)
    clauses = cutter.push(text) + cutter.finish()
    assert "".join(clause.text for clause in clauses) == text
    for clause in clauses:
        if not clause.spoken:
            continue
        timing = WordTiming(clause.text, clause.spoken)
        samples = 0
        async for chunk in espeak.speak(SpeechRequest(clause.spoken, "", language)):
            samples += len(chunk.audio)
            words = timing.spoken(chunk.words)
            ends = [(word.text_end, word.end_ms) for word in words]
            assert ends == sorted(ends)
            assert all(end <= len(clause.text) for end, _ in ends)
        # (a sign, a superscript or a fraction alone has no name in some languages; rare ideographs that came with Unicode 13 none at all)
        known = [char for char in clause.spoken if char < "\U00030000"]
        says_something = any(char.isalpha() or char.isdecimal() for char in known)
        assert samples > SHORTEST_SAMPLES or not says_something, (clause, samples)


NUMBERS = "²³¹₂½⅓¾⅛⑨⒈❷፲٣"


async def test_numbers_of_every_form_are_heard_in_every_language_that_can_say_numbers(
    espeak: EspeakSynthesizer,
) -> None:
    unsaid: dict[str, str] = {}
    languages = [voice for voice in espeak.info.voices if len(await spoken(espeak, "2", voice)) > SHORTEST_SAMPLES]
    assert len(languages) > 130
    for language in languages:
        for number in NUMBERS:
            cutter = ClauseCutter(language)
            (clause,) = cutter.push(number) + cutter.finish()
            if len(await spoken(espeak, clause.spoken, language)) <= SHORTEST_SAMPLES:
                unsaid[language] = unsaid.get(language, "") + number
    assert unsaid == {}


async def test_no_language_is_offered_whose_voice_says_nothing(espeak: EspeakSynthesizer) -> None:
    for language in espeak.info.voices:
        assert len(await spoken(espeak, "mama papa, 22", language)) > 4 * SHORTEST_SAMPLES, language
    assert espeak.resolve_voice("", "fo") is None
    with pytest.raises(EngineRefused, match="does not speak the language 'fo'"):
        await spoken(espeak, "hey", language="fo")


async def test_audio_before_any_word_mark_is_no_fault(espeak: EspeakSynthesizer) -> None:
    """The first buffer of such a sign carries audio and no mark."""
    chunks = [chunk async for chunk in espeak.speak(SpeechRequest("\u2776", "", "en"))]
    assert chunks[0].words == ()
    assert [word.text for word in chunks[-1].words] == ["\u2776"]


async def test_a_list_without_spaces_is_spoken_and_its_words_are_timed(espeak: EspeakSynthesizer) -> None:
    text = ",".join(map(str, range(1, 41)))
    cutter = ClauseCutter("en")
    clauses = cutter.push(text) + cutter.finish()
    seconds = 0.0
    for clause in clauses:
        timing = WordTiming(clause.text, clause.spoken)
        async for chunk in espeak.speak(SpeechRequest(clause.spoken, "", "en")):
            seconds += len(chunk.audio) / 22_050
            timing.spoken(chunk.words)
        assert len(timing.last) == len(clause.text.strip(",").split(","))
    assert seconds > 10


async def test_a_sentence_is_speech_of_a_plausible_length_and_loudness(espeak: EspeakSynthesizer) -> None:
    audio = await spoken(espeak, SENTENCE)
    assert 2.0 < len(audio) / 22_050 < 4.5
    assert 0.03 < float(np.sqrt(np.mean(audio**2))) < 0.4
    assert float(np.abs(audio).max()) <= 1.0
    assert audio.dtype == np.float32
    loud = [bool(np.abs(frame).max() > 0.05) for frame in np.array_split(audio, 60)]
    assert 0.6 < np.mean(loud) < 1.0, "speech has sound nearly all the time, and gaps"


async def test_it_is_a_synthesizer_and_describes_itself_before_it_is_opened() -> None:
    engine = create("", {})
    assert isinstance(engine, SpeechSynthesizer)
    assert engine.info.sample_rate == 22_050
    assert {"en", "de", "es", "fr", "hi", "cmn", "ja"} <= set(engine.info.languages)
    assert {"en-us", "en-gb", "de", "pt-br"} <= set(engine.info.voices)
    with pytest.raises(EngineUnavailable):
        await spoken(engine, "Hello")


async def test_the_first_audio_comes_within_a_few_milliseconds(espeak: EspeakSynthesizer) -> None:
    delays = []
    for _ in range(20):
        began = time.perf_counter()
        stream = espeak.speak(SpeechRequest(SENTENCE * 5))
        await anext(stream)
        delays.append(time.perf_counter() - began)
        await stream.aclose()  # type: ignore[attr-defined]
    assert np.median(delays) < 0.02


async def test_faster_speech_is_shorter_and_slower_speech_longer(espeak: EspeakSynthesizer) -> None:
    slow, natural, fast = [len(await spoken(espeak, SENTENCE, speed=speed)) for speed in (0.6, 1.0, 1.8)]
    assert slow > 1.4 * natural
    assert fast < 0.7 * natural
    assert len(await spoken(espeak, SENTENCE, speed=4.0)) > 0.25 * fast, "450 words a minute is the fastest there is"


async def test_every_openai_voice_speaks_and_high_and_low_ones_differ(espeak: EspeakSynthesizer) -> None:
    names = [
        "alloy",
        "ash",
        "ballad",
        "coral",
        "echo",
        "fable",
        "nova",
        "onyx",
        "sage",
        "shimmer",
        "verse",
        "marin",
        "cedar",
    ]
    assert sorted(names) == sorted(OPENAI_VARIANTS)
    assert len({espeak.resolve_voice(name) for name in names}) == len(names)
    pitches = {name: pitch_hz(await spoken(espeak, SENTENCE, name)) for name in names}
    assert all(pitches[name] > 150 for name in ("alloy", "coral", "marin", "nova", "sage", "shimmer"))
    assert all(pitches[name] < 130 for name in ("ash", "ballad", "cedar", "echo", "fable", "onyx", "verse"))


@pytest.mark.parametrize(
    ("voice", "language", "expected"),
    [
        ("", "", "en-us"),
        ("", "en-GB", "en-gb"),
        ("", "fr-CA", "fr"),
        ("", "zh-CN", "zh"),
        ("alloy", "de", "de+f2"),
        ("Alloy", "", "en-us+f2"),
        ("+m3", "es", "es+m3"),
        ("de", "en", "de"),
        ("es+F2", "", "es+f2"),
        ("en-gb+zzz", "", None),
        ("unknown", "", None),
        ("", "xx", None),
        ("alloy", "xx", None),
    ],
)
def test_a_voice_is_a_language_a_variant_or_an_openai_name(voice: str, language: str, expected: str | None) -> None:
    assert create("", {}).resolve_voice(voice, language) == expected


async def test_the_default_voice_is_used_and_a_wrong_one_is_named_at_start_up() -> None:
    german = create("de+m3", {})
    await german.open()
    assert german.resolve_voice("") == "de+m3"
    assert german.resolve_voice("alloy") == "de+f2"
    assert german.resolve_voice("", "fr") == "fr+m3"
    with pytest.raises(EngineUnavailable, match="no voice 'unknown'"):
        await create("unknown", {}).open()
    with pytest.raises(ValueError, match=r"'rate'. Did you mean 'rate_wpm'"):
        create("", {"rate": 100})


async def test_an_unknown_voice_or_language_is_refused_by_name(espeak: EspeakSynthesizer) -> None:
    with pytest.raises(EngineRefused, match="unknown") as voice:
        await spoken(espeak, "Hi", voice="unknown")
    assert voice.value.code == "unknown_voice"
    with pytest.raises(EngineRefused, match="xx") as language:
        await spoken(espeak, "Hi", language="xx")
    assert language.value.code == "unsupported_language"


async def test_closing_the_stream_stops_the_synthesis_and_the_next_one_starts_at_once(
    espeak: EspeakSynthesizer,
) -> None:
    long_text = (SENTENCE + " ") * 200
    stream = espeak.speak(SpeechRequest(long_text))
    await anext(stream)
    began = time.perf_counter()
    await stream.aclose()  # type: ignore[attr-defined]
    await spoken(espeak, "Next.")
    assert time.perf_counter() - began < 0.25


async def test_a_long_text_does_not_keep_others_waiting(espeak: EspeakSynthesizer) -> None:
    order: list[str] = []

    async def say(name: str, text: str) -> None:
        async for _ in espeak.speak(SpeechRequest(text)):
            pass
        order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(say("long", (SENTENCE + " ") * 40))
        for i in range(5):
            group.create_task(say(f"short {i}", "Good day."))
    assert order[-1] == "long"


async def test_sessions_take_turns_however_many_clauses_one_of_them_has_waiting(espeak: EspeakSynthesizer) -> None:
    spoken_for: list[str] = []

    async def speak(share: str) -> None:
        async for _ in espeak.speak(SpeechRequest("Hello.", "en", share=share)):
            pass
        spoken_for.append(share)

    with LOCK:  # as if the library were busy: the first is on the thread already, the others wait
        tasks = [asyncio.create_task(speak(share)) for share in (*["greedy"] * 20, "one", "other")]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert {"one", "other"} <= set(spoken_for[:4])


async def test_while_a_clause_hangs_others_fail_by_name_and_afterwards_they_are_spoken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(espeak_engine, "STUCK_S", 1.0)
    engine = create("", {})
    await engine.open()
    with LOCK:  # the library hangs
        with pytest.raises(EngineError) as hung:
            await spoken(engine, "Good morning.")
        assert hung.value.code == "synthesizer_stuck"
        assert str(engine.fault).startswith("Speech synthesis is down: espeak-ng has not returned")
        with pytest.raises(EngineError) as waiting:
            await spoken(engine, "Good morning.")
        assert waiting.value.code == "synthesizer_stuck"
    async with asyncio.timeout(60):
        while engine.fault is not None:  # noqa: ASYNC110 - a thread does it
            await asyncio.sleep(0)
        assert len(await spoken(engine, "Good morning.")) > 0
    await engine.close()


async def test_an_engine_that_hangs_while_it_is_opened_is_closed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak_engine, "STUCK_S", 0.5)
    engine = create("", {})
    with LOCK, pytest.raises(EngineUnavailable) as hung:
        await engine.open()
    assert hung.value.code == "synthesizer_stuck"
    assert engine.fault is None
    await engine.open()
    assert len(await spoken(engine, "Good morning.")) > 0
    await engine.close()


async def test_a_callback_that_fails_leaves_the_library_as_it_was(espeak: EspeakSynthesizer) -> None:
    def fail(pcm: bytes, marks: tuple[WordMark, ...]) -> bool:
        raise OSError("the listener is gone")

    with pytest.raises(OSError, match="the listener is gone"):
        await asyncio.to_thread(load().speak, "Hello.", "en", 170, fail)
    assert len(await spoken(espeak, "Good morning.")) > 0


async def test_twenty_at_once_all_get_their_own_speech(espeak: EspeakSynthesizer) -> None:
    voices = ["alloy", "de", "fr", "es+f2", "onyx"]
    texts = [f"This is session number {i} and it has its own text." for i in range(20)]
    alone = [len(await spoken(espeak, text, voices[i % 5])) for i, text in enumerate(texts)]
    together = await asyncio.gather(*(spoken(espeak, text, voices[i % 5]) for i, text in enumerate(texts)))
    assert [len(audio) for audio in together] == pytest.approx(alone, rel=0.02)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (SENTENCE, ""),
        ("The year 1984 cost $3.50, didn't it? Dr. Smith's café naïve 🙂 ok —", ""),
        ("In the end it is on the 5th of the month; U.S.A. first.", "en"),
        ("你好，世界。今天天气很好", ""),
        ("नमस्ते दुनिया। आप कैसे हैं?", "hi"),
        ("Guten Tag, wie geht es Ihnen?", "de"),
        ("Many words follow here. " * 40, ""),
        ("unbroken" * 60, ""),
    ],
)
async def test_word_times_grow_and_the_words_cover_the_text(
    espeak: EspeakSynthesizer, text: str, language: str
) -> None:
    chunks: list[SpeechChunk] = [c async for c in espeak.speak(SpeechRequest(text, language=language))]
    words = chunks[-1].words
    assert "".join(word.text for word in words) == "".join(text.split())
    total_ms = sum(len(c.audio) for c in chunks) * 1000 / 22_050
    times = [moment for word in words for moment in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] == pytest.approx(total_ms)
    sofar = 0.0
    for chunk in chunks:
        sofar += len(chunk.audio) * 1000 / 22_050
        assert all(word.start_ms <= sofar + 0.001 for word in chunk.words), "only words begun so far are reported"


async def test_a_word_is_heard_where_its_time_says(espeak: EspeakSynthesizer) -> None:
    text = "Hello. Yes."
    chunks = [c async for c in espeak.speak(SpeechRequest(text))]
    audio = np.concatenate([c.audio for c in chunks])
    second = chunks[-1].words[1]
    start = round(second.start_ms * 22.05)
    assert np.abs(audio[start - 1100 : start - 200]).max() < 0.02, "the pause before it"
    assert np.abs(audio[start : start + 6000]).max() > 0.1


async def test_a_text_in_another_script_is_spoken_in_its_language(espeak: EspeakSynthesizer) -> None:
    assert language_of_script("今日は元気ですか") == "ja"
    assert language_of_script("Привет, world") == "ru"
    assert language_of_script("Hello 世") == ""
    found_out = await spoken(espeak, "你好，世界。", voice="alloy")
    prescribed = await spoken(espeak, "你好，世界。", voice="alloy", language="zh")
    assert len(found_out) == pytest.approx(len(prescribed), rel=0.02)
    assert len(await spoken(espeak, "你好，世界。", voice="en-us")) != pytest.approx(len(prescribed), rel=0.02)


async def test_nothing_to_say_is_silence_and_odd_characters_do_no_harm(espeak: EspeakSynthesizer) -> None:
    assert [c async for c in espeak.speak(SpeechRequest("  \n "))] == []
    assert len(await spoken(espeak, "Nul\0 and \ud800 lone surrogate <speak> [[h@l'oU]] and so on")) > 22_050
    chunks = [c async for c in espeak.speak(SpeechRequest("word " * MAX_PIECE_CHARS))]
    assert max(len(c.audio) for c in chunks) <= 22_050, "chunks stay short enough to be paced"
