"""The words of a spoken item before a sample, the rest after it, and the audio of both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.core.regions.speech import Speech
from parley.core.words.events import SpokenWord
from parley.core.words.settings import AudioFormat


def spoken(*clauses: tuple[str, int], words: tuple[SpokenWord, ...] = (), ended: bool = True) -> Speech:
    speech = Speech(AudioFormat.PCM16)
    for text, samples in clauses:
        speech.begin(text)
        speech.add(bytes(2 * samples), words)
    if ended:
        speech.end()
    return speech


def test_timed_words_are_kept_exactly_to_the_word() -> None:
    words = (SpokenWord(3, 1000), SpokenWord(10, 4000))
    speech = spoken(("One second.", 5000), words=words)
    assert speech.text_until(999) == ("", True)
    assert speech.text_until(1000) == ("One", True)
    assert speech.text_until(4999) == ("One second", True)
    assert speech.text_until(5000) == ("One second.", True)


def test_untimed_words_are_kept_in_proportion_and_marked_as_estimated() -> None:
    speech = spoken(("one two three four", 1800))
    text, exact = speech.text_until(900)
    assert (text, exact) == ("one two", False)


@pytest.mark.parametrize(
    ("sample", "heard"),
    [
        (0, ""),
        (999, ""),
        (1000, "One"),
        (2399, "One"),
        (2400, "One two."),
        (2401, "One two."),
        (3399, "One two."),
        (3400, "One two. Three"),
        (3600, "One two. Three four."),
        (9999, "One two. Three four."),
    ],
)
def test_over_several_timed_clauses_the_played_words_are_kept(sample: int, heard: str) -> None:
    speech = Speech(AudioFormat.PCM16)
    speech.begin("One two.")
    speech.add(bytes(2400), (SpokenWord(3, 1000),))
    speech.add(bytes(2400), (SpokenWord(3, 1000), SpokenWord(8, 2400)))
    speech.begin(" Three four.")
    speech.add(bytes(2400), (SpokenWord(6, 1000), SpokenWord(12, 1200)))
    speech.end()
    assert speech.text_until(sample) == (heard, True)


@pytest.mark.parametrize(
    ("sample", "heard"),
    [
        (1, ("", False)),
        (499, ("ab", False)),
        (500, ("ab cd", False)),
        (799, ("ab cd", False)),
        (800, ("ab cd ef", False)),
        (1099, ("ab cd ef", False)),
        (1100, ("ab cd ef gh", True)),
        (1101, ("ab cd ef gh", False)),
        (1400, ("ab cd ef gh ij", False)),
        (1700, ("ab cd ef gh ij kl", True)),
    ],
)
def test_untimed_words_are_marked_as_estimated_except_at_the_ends_of_clauses(
    sample: int, heard: tuple[str, bool]
) -> None:
    assert spoken(("ab cd ef gh", 1100), (" ij kl", 600)).text_until(sample) == heard


@pytest.mark.parametrize(
    ("made", "sample", "heard"),
    [
        (9, 6_239, ""),
        (9, 6_240, "abcd"),
        (9, 14_039, "abcd"),
        (28_080, 14_039, "abcd"),
        (28_080, 28_079, "abcd"),
        (28_080, 28_080, "abcd efgh"),
    ],
)
def test_a_clause_in_progress_lasts_65_ms_per_character_or_as_long_as_its_audio(
    made: int, sample: int, heard: str
) -> None:
    speech = spoken(("abcd efgh", made), ended=False)
    assert speech.text_until(sample) == (heard, False)


def test_a_clause_without_audio_yet_has_nothing_heard_and_nothing_left_to_play() -> None:
    assert spoken(("", 0), ended=False).text_until(10) == ("", False)
    assert spoken(("abcd efgh", 9), ended=False).rest(9) == []


def test_a_clause_without_audio_is_heard_once_everything_before_it_was() -> None:
    speech = Speech(AudioFormat.PCM16)
    speech.begin("One.")
    speech.add(bytes(200), ())
    speech.begin(" (silent)")
    speech.begin(" Two.")
    speech.add(bytes(200), ())
    speech.end()
    assert [speech.text_until(sample)[0] for sample in (0, 99, 100, 199, 200)] == [
        "",
        "",
        "One. (silent)",
        "One. (silent)",
        "One. (silent) Two.",
    ]


@pytest.mark.parametrize(
    "text", ["abcdefghij klm", "Certainly.", " Certainly.", "Natürlich!", "Конечно.", "물론입니다."]
)
def test_a_half_heard_word_was_not_heard(text: str) -> None:
    assert spoken((text, 1400)).text_until(700)[0] == ""


def test_a_clause_in_progress_is_not_counted_as_complete() -> None:
    speech = spoken(("These are many words that take several seconds to say aloud.", 2400), ended=False)
    assert len(speech.text_until(2400)[0]) < 10


@pytest.mark.parametrize(
    ("text", "heard"),
    [("今天天气很好我们出去", "今天天气很"), ("カタカナ", "カタ"), ("ไปไหนมา", "ไปไ"), (" 好的。", " 好")],
)
def test_text_in_a_script_without_spaces_is_cut_between_characters(text: str, heard: str) -> None:
    assert spoken((text, 1000)).text_until(500)[0] == heard


def test_with_nothing_heard_no_text_is_kept_even_of_silent_clauses() -> None:
    speech = Speech(AudioFormat.PCM16)
    speech.begin("```code```")
    speech.begin("Done.")
    speech.add(bytes(2000), ())
    speech.end()
    assert speech.text_until(0) == ("", True)
    assert speech.text_until(1000)[0] == "```code```Done."


@given(
    st.lists(st.tuples(st.text("ab cd", min_size=1, max_size=30), st.integers(1, 4000)), min_size=1, max_size=5),
    st.integers(0, 25_000),
    st.integers(0, 25_000),
)
def test_hearing_more_never_keeps_fewer_words(clauses: list[tuple[str, int]], one: int, other: int) -> None:
    speech = spoken(*clauses)
    less, more = sorted((one, other))
    assert speech.text.startswith(speech.text_until(less)[0])
    assert speech.text_until(more)[0].startswith(speech.text_until(less)[0].rstrip())
    assert len(speech.audio_until(less) or b"") <= 2 * less


@given(
    st.lists(st.tuples(st.text("ab cd", min_size=1, max_size=30), st.integers(1, 4000)), min_size=1, max_size=5),
    st.integers(1, 9999),
)
def test_the_rest_to_say_is_what_was_not_heard(clauses: list[tuple[str, int]], heard: int) -> None:
    speech = spoken(*clauses)
    rest = speech.rest(heard)
    if rest:
        kept = speech.text_until(heard)[0]
        assert "".join([kept, *(text for text, _, _ in rest)]).replace(" ", "") == speech.text.replace(" ", "")
        assert rest[-1][2] == max(c.start + c.samples for c in speech.clauses if c.text.strip())
        assert all(start >= heard for _, start, _ in rest)


@pytest.mark.parametrize(
    ("heard", "left"),
    [
        (1, [("One two.", 1, 2400), (" Three.", 2400, 3600)]),
        (1000, [(" two.", 1000, 2400), (" Three.", 2400, 3600)]),
        (2399, [(" two.", 2399, 2400), (" Three.", 2400, 3600)]),
        (2400, [(" Three.", 2400, 3600)]),
        (3000, [(" Three.", 3000, 3600)]),
        (3600, []),
    ],
)
def test_the_rest_to_say_begins_after_the_last_heard_word_and_gives_its_audio(
    heard: int, left: list[tuple[str, int, int]]
) -> None:
    speech = Speech(AudioFormat.PCM16)
    speech.begin("One two.")
    speech.add(bytes(4800), (SpokenWord(3, 1000), SpokenWord(8, 2400)))
    speech.begin("\n")
    speech.begin(" Three.")
    speech.add(bytes(2400), (SpokenWord(7, 1200),))
    speech.end()
    speech.begin(" ")
    speech.add(bytes(2400), ())
    assert speech.rest(heard) == left


@given(st.lists(st.binary(min_size=2, max_size=40).filter(lambda audio: len(audio) % 2 == 0)), st.integers(-5, 90))
def test_audio_is_kept_in_order_however_it_was_split(chunks: list[bytes], sample: int) -> None:
    speech = Speech(AudioFormat.PCM16)
    speech.begin("Hello.")
    assert [speech.add(chunk, ()) for chunk in chunks] == [len(chunk) // 2 for chunk in chunks]
    assert speech.samples == sum(map(len, chunks)) // 2
    assert speech.audio_until(sample) == b"".join(chunks)[: 2 * max(0, sample)]


def test_audio_can_be_discarded_while_the_words_stay() -> None:
    speech = spoken(("Hello there.", 2400))
    speech.discard_audio()
    speech.begin(" Again.")
    assert speech.add(bytes(200), ()) == 100
    speech.end()
    assert speech.audio_until(100) is None
    assert speech.chunks == []
    assert speech.text_until(2400)[0] == "Hello there."
    assert speech.text_until(2500)[0] == "Hello there. Again."
