"""Which words are timed, and where they lie in what is shown."""

from __future__ import annotations

from parley.engines.ports import Word
from parley.text.word_timing import PlacedWord, WordTiming


def timed(*words: str) -> list[Word]:
    return [Word(word, 100.0 * index, 100.0 * (index + 1)) for index, word in enumerate(words)]


def test_words_end_behind_their_punctuation() -> None:
    timing = WordTiming(" Hello, world!", "Hello, world!")
    assert timing.spoken(timed("Hello", "world")) == (PlacedWord(7, 100.0), PlacedWord(14, 200.0))


def test_words_are_placed_as_they_are_timed() -> None:
    timing = WordTiming("one two", "one two")
    assert timing.spoken([]) == ()
    assert timing.spoken(timed("one")) == (PlacedWord(3, 100.0),)
    assert timing.spoken(timed("one", "two")) == (PlacedWord(3, 100.0), PlacedWord(7, 200.0))
    assert timing.last == (PlacedWord(3, 100.0), PlacedWord(7, 200.0))


def test_marks_of_layout_are_not_words() -> None:
    timing = WordTiming("**Well** - I don't know", "Well, I don't know")
    assert [word.text_end for word in timing.spoken(timed("Well,", "I", "don't", "know"))] == [8, 12, 18, 23]


def test_a_text_spelled_out_for_the_voice_is_not_timed_at_all() -> None:
    timing = WordTiming("It is 3 pm", "It is three p m")
    assert timing.spoken(timed("It", "is", "three", "p", "m")) == ()


def test_a_list_that_is_opened_for_the_voice_is_timed_inside_its_one_word() -> None:
    timing = WordTiming("Sure: (1,2,30).", "Sure: (1, 2, 30).")
    ends = [word.text_end for word in timing.spoken(timed("Sure:", "(1,", "2,", "30)."))]
    assert ends == [5, 9, 11, 15]


def test_characters_of_a_script_without_spaces_are_timed_one_by_one() -> None:
    timing = WordTiming("你好，世界。", "你好，世界。")
    ends = [word.text_end for word in timing.spoken(timed("你", "好，", "世", "界。"))]
    assert ends == [1, 3, 4, 6]


def test_a_word_that_is_said_differently_is_still_one_word() -> None:
    timing = WordTiming("Ask Dr. Who at https://x.org.", "Ask Doctor Who at x.org.")
    assert [word.text_end for word in timing.spoken(timed("Ask", "Doctor", "Who", "at", "x.org."))] == [
        3,
        7,
        11,
        14,
        29,
    ]


def test_timing_stops_where_the_engine_says_another_word() -> None:
    timing = WordTiming("to be or not", "to be or not")
    assert [word.text_end for word in timing.spoken(timed("to", "bee", "or", "not"))] == [2]


def test_words_never_end_before_the_one_before_them() -> None:
    timing = WordTiming("a b", "a b")
    words = timing.spoken([Word("a", 0, 50), Word("b", 10, 40)])
    assert [word.end_ms for word in words] == [50, 50]
