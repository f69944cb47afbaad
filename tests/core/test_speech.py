from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley.core.events import SpokenWord
from parley.core.settings import AudioFormat
from parley.core.speech import Speech


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


def test_untimed_words_are_kept_in_proportion_and_marked_so() -> None:
    speech = spoken(("one two three four", 1800))
    text, exact = speech.text_until(900)
    assert (text, exact) == ("one two", False)


def test_a_word_half_heard_was_not_heard() -> None:
    assert spoken(("abcdefghij klm", 1400)).text_until(700)[0] == ""


def test_a_clause_still_being_spoken_is_not_taken_for_whole() -> None:
    speech = spoken(("These are many words that take several seconds to say aloud.", 2400), ended=False)
    assert len(speech.text_until(2400)[0]) < 10


def test_text_without_spaces_is_cut_between_characters() -> None:
    assert spoken(("今天天气很好我们出去", 1000)).text_until(500)[0] == "今天天气很"


def test_nothing_heard_keeps_nothing_even_of_silent_clauses() -> None:
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
def test_what_is_left_to_say_is_what_was_not_heard(clauses: list[tuple[str, int]], heard: int) -> None:
    speech = spoken(*clauses)
    rest = speech.rest(heard)
    if rest:
        kept = speech.text_until(heard)[0]
        assert "".join([kept, *(text for text, _, _ in rest)]).replace(" ", "") == speech.text.replace(" ", "")
        assert rest[-1][2] == max(c.start + c.samples for c in speech.clauses if c.text.strip())
        assert all(start >= heard for _, start, _ in rest)


def test_sound_can_be_let_go_while_the_words_stay() -> None:
    speech = spoken(("Hello there.", 2400))
    assert speech.discard_audio() == 4800
    assert speech.audio_until(100) is None
    assert speech.text_until(2400)[0] == "Hello there."
