"""A segment's sentences hold all of its text, each where it was said."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from parley.text.segment_clauses import TimedText, segment_clauses

TEXT = "The kettle is on. It will boil soon, I hope! Shall I pour?"


def timed(text: str, word_ms: float = 300, gap_ms: float = 100) -> list[TimedText]:
    return [
        TimedText(word, 1_000 + at * (word_ms + gap_ms), 1_000 + at * (word_ms + gap_ms) + word_ms)
        for at, word in enumerate(text.split())
    ]


def test_a_sentence_lasts_from_its_first_word_to_its_last() -> None:
    words = timed(TEXT)
    pieces = segment_clauses(TEXT, 900, 8_000, words, "en")
    assert [piece.text.strip() for piece in pieces] == [
        "The kettle is on.",
        "It will boil soon, I hope!",
        "Shall I pour?",
    ]
    assert [(piece.start_ms, piece.end_ms) for piece in pieces] == [
        (words[0].start_ms, words[3].end_ms),
        (words[4].start_ms, words[9].end_ms),
        (words[10].start_ms, words[12].end_ms),
    ]


def test_without_words_the_time_is_shared_out_by_characters() -> None:
    pieces = segment_clauses(TEXT, 0, 5_800, (), "en")
    assert [piece.end_ms for piece in pieces[:-1]] == [piece.start_ms for piece in pieces[1:]]
    assert pieces[0].end_ms == 100 * len(pieces[0].text)


def test_words_that_are_not_those_of_the_text_are_left_aside() -> None:
    other = [TimedText("something", 0, 10)]
    assert segment_clauses(TEXT, 0, 5_800, other, "en") == segment_clauses(TEXT, 0, 5_800, (), "en")


def test_a_first_sentence_is_not_cut_early_at_a_comma() -> None:
    (piece,) = segment_clauses("When I was young, I lived there.", 0, 1_000, (), "en")
    assert piece.text == "When I was young, I lived there."


@given(st.text(max_size=400), st.floats(0, 1e6), st.floats(0, 1e5), st.booleans())
def test_every_text_is_cut_into_pieces_in_order_that_join_to_it(
    text: str, start: float, length: float, with_words: bool
) -> None:
    end = start + length
    pieces = segment_clauses(text, start, end, timed(text) if with_words else ())
    assert "".join(piece.text for piece in pieces) == text
    for piece in pieces:
        assert start <= piece.start_ms <= piece.end_ms <= end
    for before, after in pairwise(pieces):
        assert before.end_ms <= after.start_ms
