"""Where a speaker's words may be cut into clauses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.text.clause_ends import Boundary, clause_ends, word_count


def cut(text: str, boundary: Boundary = "comma", min_words: int = 4) -> list[str]:
    begin, clauses = 0, []
    for end in clause_ends(text, boundary, min_words):
        clauses.append(text[begin:end].strip())
        begin = end
    return clauses


def test_a_sentence_is_a_clause_however_short_and_a_comma_needs_words_before_it() -> None:
    said = "No. If it rains tomorrow, well, we will stay here. Because"
    assert cut(said) == ["No.", "If it rains tomorrow,", "well, we will stay here."]
    assert cut(said, "sentence") == ["No.", "If it rains tomorrow, well, we will stay here."]


@pytest.mark.parametrize(
    "text",
    [
        "It costs 3.5 million",
        "Dr. Smith called",
        "at 5 p.m. we",
        "the U. S. army",
        "about 1,000 people came",
        "see example.com for it",
    ],
)
def test_a_stop_inside_a_sentence_ends_nothing(text: str) -> None:
    assert cut(text) == []


def test_scripts_without_spaces_have_clauses_too() -> None:
    assert cut("明天下雨的话，我们就留在家里。然后", min_words=3) == ["明天下雨的话，", "我们就留在家里。"]
    assert cut("これは本です。") == ["これは本です。"]
    assert [word_count(text) for text in ("你好吗", "don't stop 21", "… !")] == [2, 3, 0]


@given(st.text("aB 1.,!?;–。， \n", max_size=60), st.sampled_from(["comma", "sentence"]), st.integers(1, 6))
def test_ends_grow_and_every_clause_has_a_word(text: str, boundary: Boundary, min_words: int) -> None:
    ends = clause_ends(text, boundary, min_words)
    assert ends == sorted(set(ends))
    assert all(0 < end <= len(text) for end in ends)
    begin = 0
    for end in ends:
        assert word_count(text[begin:end])
        begin = end
