"""The turn judge waits for those who have not finished, and does not keep those waiting who have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from parley.engines.ports import PauseContext, Samples, TurnJudge
from parley.engines.turn.prosody import ending
from parley.engines.turn.rules import RULES, WORD_RULES, create, weigh

Load = Callable[[str], tuple[NDArray[np.int16], int]]
SILENCE: Samples = np.zeros(16_000, dtype=np.float32)

SURELY, PROBABLY, HARDLY = 0.7, 0.5, 0.25
"""The points between which the core's waits change (see `core/policy/endpointing.py`)."""


def judged(text: str, language: str = "", audio: Samples = SILENCE) -> float:
    return weigh(PauseContext(text, audio, language)).probability


FINISHED = [
    ("en", "yes"),
    ("en", "No."),
    ("en", "okay"),
    ("en", "yes please"),
    ("en", "hello"),
    ("en", "Good morning!"),
    ("en", "thank you"),
    ("en", "goodbye"),
    ("en", "what's the weather like in Paris?"),
    ("en", "what is the weather like in paris"),
    ("en", "where are you from"),
    ("en", "what are you looking for"),
    ("en", "who is it for"),
    ("en", "do you know where the station is"),
    ("en", "Could you turn the light off?"),
    ("en", "No, I mean it. What time is it?"),
    ("de", "ja"),
    ("de", "Guten Tag"),
    ("de", "Wie wird das Wetter morgen?"),
    ("de", "wann fährt der nächste zug nach berlin"),
    ("es", "sí"),
    ("es", "buenos días"),
    ("es", "¿Qué tiempo hace hoy?"),
    ("es", "cuándo sale el próximo tren"),
    ("fr", "oui"),
    ("fr", "bonjour"),
    ("fr", "Quel temps fait-il demain ?"),
    ("fr", "comment va ta petite soeur"),
]
PROBABLY_FINISHED = [
    ("en", "turn on the kitchen light"),
    ("en", "could you repeat that"),
    ("en", "can you do it"),
    ("en", "who did that"),
    ("en_US", "do you have it"),
    ("en", "turn it on please"),
    ("en", "I would like to book a table for two."),
    ("en", "my name is peter miller"),
    ("en", "I live there. I like that one"),
    ("en", "if it rains we stay at home"),
    ("de", "mach bitte das licht an"),
    ("es", "enciende la luz de la cocina"),
    ("fr", "allume la lumière du salon"),
    ("ja", "今日は天気がいいです。"),
]
UNFINISHED = [
    ("en", "I would like to"),
    ("en", "I want a table for two and"),
    ("en", "can you tell me the"),
    ("en", "turn on the light in the"),
    ("en", "I need, um"),
    ("en", "uh"),
    ("en", "So I was thinking that we could go to my"),
    ("en", "because"),
    ("en", "I'd like"),
    ("en", "yes and"),
    ("en", "What is the"),
    ("en", "what is the weather in"),
    ("en", "what's the weather like in"),
    ("en", "how do I get to"),
    ("en", "which bus goes to"),
    ("en", "can you send this to"),
    ("en", "how much does it"),
    ("en", "when does the next"),
    ("en", "I live in a small"),
    ("en", "he told me that"),
    ("en", "Hello. I am looking for"),
    ("en", "Tell me about the."),
    ("de", "ich möchte einen"),
    ("de", "ich hätte gern"),
    ("de", "ich komme morgen und"),
    ("de", "das ist ähm"),
    ("es", "quiero un billete para"),
    ("es", "me gustaría"),
    ("es", "porque"),
    ("es", "no sé eh"),
    ("fr", "je voudrais"),
    ("fr", "je cherche un"),
    ("fr", "parce que"),
    ("fr", "alors euh"),
]
PROBABLY_UNFINISHED = [
    ("en", "my number is five five five"),
    ("en", "it's 555 12"),
    ("en", "if it rains tomorrow"),
    ("en", "I think you should"),
    ("en", "First, we go home,"),
    ("en", "and then there is this..."),
    ("en", "Peter"),
    ("de", "wenn es morgen regnet"),
    ("de", "null eins sieben"),
    ("es", "si llueve mañana"),
    ("fr", "quand il pleut demain"),
]


@pytest.mark.parametrize(("language", "text"), FINISHED)
def test_answers_greetings_and_whole_questions_are_finished(language: str, text: str) -> None:
    assert judged(text, language) >= SURELY
    if language in ("en", "de", "es", "fr"):
        assert judged(text) >= PROBABLY, "also where the language is not known"


@pytest.mark.parametrize(("language", "text"), PROBABLY_FINISHED)
def test_whole_sentences_are_probably_finished(language: str, text: str) -> None:
    assert judged(text, language) >= PROBABLY


def test_a_clause_is_complete_without_punctuation_too() -> None:
    for text in ("turn on the kitchen light", "Turn on the kitchen light."):
        rules = weigh(PauseContext(text, SILENCE, "en")).rules
        assert "complete clause" in [rule.name for rule in rules]
        assert judged(text, "en", voice(160, 100, fade=0.3)) >= SURELY


@pytest.mark.parametrize(("language", "text"), UNFINISHED)
def test_open_clauses_and_hesitations_are_not_finished(language: str, text: str) -> None:
    assert judged(text, language) < HARDLY
    assert judged(text) < PROBABLY


@pytest.mark.parametrize(("language", "text"), PROBABLY_UNFINISHED)
def test_dictated_digits_lists_and_lone_subordinate_clauses_are_probably_not(language: str, text: str) -> None:
    assert judged(text, language) < PROBABLY


def test_a_number_of_usual_length_may_be_whole() -> None:
    assert judged("five five five one two three four", "en") > judged("five five five one", "en")


@pytest.mark.parametrize(
    "text",
    [
        "io non lo so",
        "vorrei prenotare un tavolo",
        "vorrei andare a",  # "a" and "of" would hold an English clause open
        "geen idee of",
        "ik wil graag een kamer",
        "chciałbym zarezerwować stolik",
        "kan du hjelpe meg",
        "haluaisin varata huoneen",
        "今日は天気がいいです",
        "Меня зовут Пётр",
    ],
)
def test_words_of_another_language_are_not_judged_by_english_ones(text: str) -> None:
    neutral = judged("", "it")
    assert judged(text, "it") == neutral, "the language is known and has no lists"
    assert judged(text) == neutral, "the language is not known"


def test_in_another_language_a_question_mark_still_asks() -> None:
    assert judged("Che tempo fa oggi?", "it") >= SURELY
    assert judged("Che tempo fa oggi,", "it") < PROBABLY


def test_words_count_less_the_less_the_recogniser_trusts_them() -> None:
    for text, sign in (("turn on the", 1), ("what time is it", -1)):
        sure, unsure, lost = (
            weigh(PauseContext(text, SILENCE, "en", confidence)).probability for confidence in (1.0, 0.5, 0.0)
        )
        assert sign * sure < sign * unsure < sign * lost
        assert sure == judged(text, "en"), "a recogniser that gives no confidence is believed"


async def test_nothing_known_is_about_one_half() -> None:
    judge = create("", {})
    assert isinstance(judge, TurnJudge)
    await judge.open()
    assert 0.4 < await judge.judge(PauseContext("", SILENCE)) < 0.6
    assert 0.4 < await judge.judge(PauseContext("", np.zeros(0, dtype=np.float32))) < 0.6
    assert 0 <= await judge.judge(PauseContext("x " * 5000, np.ones(128_000, dtype=np.float32), "xx")) <= 1


def test_every_rule_says_why_and_can_hold() -> None:
    assert all(rule.why and rule.weight != 0 for rule in RULES)
    cases = [
        *FINISHED,
        *PROBABLY_FINISHED,
        *UNFINISHED,
        *PROBABLY_UNFINISHED,
        ("en", "five five five one two three four"),
    ]
    seen = {rule.name for language, text in cases for rule in weigh(PauseContext(text, SILENCE, language)).rules}
    assert {rule.name for rule in WORD_RULES} - seen == set()


# --- sounds ---


def voice(start_hz: float, end_hz: float, seconds: float = 0.8, fade: float = 1.0) -> Samples:
    """A buzz like a voice's, gliding in its last 300 ms, with the silence of a pause after it."""
    count = int(seconds * 16_000)
    glide = np.full(count, start_hz)
    glide[-4800:] = np.linspace(start_hz, end_hz, 4800)
    phase = 2 * np.pi * np.cumsum(glide) / 16_000
    buzz = sum(np.sin(k * phase) / k for k in range(1, 12)) * 0.1
    buzz *= np.concatenate([np.ones(count - 3200), np.linspace(1, fade, 3200)])
    return np.concatenate([buzz, np.zeros(4000)]).astype(np.float32)


@pytest.mark.parametrize("pitch", [85.0, 120.0, 210.0, 300.0])
def test_pitch_movements_are_measured_in_high_and_low_voices(pitch: float) -> None:
    for semitones in (-6.0, 0.0, 6.0):
        measured = ending(voice(pitch, pitch * 2 ** (semitones / 12)))
        assert measured is not None
        assert measured.slope_st == pytest.approx(semitones * 0.6, abs=1.2)
        assert measured.voiced_ms > 500


def test_the_same_words_are_more_finished_with_a_fall_than_with_a_level_voice() -> None:
    text = "turn on the kitchen light"
    falling, level = voice(160, 100, fade=0.3), voice(160, 160)
    assert judged(text, "en", falling) > judged(text, "en") > judged(text, "en", level)
    assert judged("turn on the", "en", falling) < HARDLY, "words count for more"
    assert judged("yes", "en", level) > PROBABLY


def recording(speech: Load, name: str) -> Samples:
    pcm, rate = speech(name)
    audio = soxr.resample(pcm.astype(np.float32) / 32768, rate, 16_000)
    return np.asarray(audio, dtype=np.float32)


BECKETT = [
    (1.45, "ever tried"),
    (2.9, "ever failed"),
    (4.1, "no matter"),
    (5.5, "try again"),
    (7.4, "fail again"),
    (8.9, "fail better"),
]
TWO_CITIES = [
    (2.54, "it was the best of times"), (4.15, "it was the worst of times"), (6.09, "it was the age of wisdom"),
    (7.72, "it was the age of foolishness"), (10.07, "it was the epoch of belief"), (12.65, "it was the epoch of incredulity"),
    (14.58, "it was the season of light"), (16.18, "it was the season of darkness"), (18.59, "it was the spring of hope"),
    (20.38, "it was the winter of despair"),
]  # fmt: skip


def heard(audio: Samples, end_s: float) -> Samples:
    """The last eight seconds up to 250 ms into the pause."""
    end = int((end_s + 0.25) * 16_000)
    return audio[max(0, end - 128_000) : end]


def test_in_recorded_speech_final_phrases_sound_more_finished_than_those_of_a_list(speech: Load) -> None:
    beckett, cities = recording(speech, "beckett"), recording(speech, "two_cities")
    final = [judged("", "en", heard(beckett, end)) for end, _ in BECKETT]
    listed = [judged("", "en", heard(cities, end)) for end, _ in TWO_CITIES]
    assert min(final) >= PROBABLY
    assert np.mean(final) > np.mean(listed) + 0.1


def test_in_recorded_speech_complete_phrases_end_and_cut_clauses_do_not(speech: Load) -> None:
    beckett, cities = recording(speech, "beckett"), recording(speech, "two_cities")
    assert all(judged(text, "en", heard(beckett, end)) >= PROBABLY for end, text in BECKETT)
    for end, text in TWO_CITIES:
        cut = text.rpartition(" ")[0]  # as heard when the reader pauses before the last word
        assert judged(cut, "en", heard(cities, end)) < HARDLY
        assert judged(f"{text},", "en", heard(cities, end)) < PROBABLY


def test_recorded_questions_and_greetings_end(speech: Load) -> None:
    assert judged("hello world", "en", recording(speech, "hello_world")) >= SURELY
    assert judged("what's the weather like in paris", "en", recording(speech, "weather_question")) >= SURELY


def test_a_judgement_looks_at_no_more_than_the_end_however_long_the_turn_is(speech: Load) -> None:
    audio, text = heard(recording(speech, "two_cities"), 12.65), "I would like to book a table for four people at the "
    short = weigh(PauseContext(text * 2, audio[-48_000:], "en"))
    assert weigh(PauseContext(text * 100, np.tile(audio, 20), "en")) == short
    assert ending(np.tile(audio, 20)) == ending(audio[-48_000:])
