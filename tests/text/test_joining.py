"""Two texts that become one."""

from __future__ import annotations

import pytest

from parley.text.joining import after_words, last_words, separator


@pytest.mark.parametrize(
    ("before", "after", "between"),
    [("one", "two", " "), ("one ", "two", ""), ("one", " two", ""), ("", "two", ""), ("one", "", ""),
     ("你好", "吗", ""), ("你好", "OK", " "), ("OK", "你好", " "), ("สวัสดี", "ครับ", "")],
)  # fmt: skip
def test_a_space_stands_between_two_texts_of_scripts_that_have_spaces(before: str, after: str, between: str) -> None:
    assert separator(before, after) == between


@pytest.mark.parametrize(
    ("count", "rest"), [(0, " one  two three"), (1, "  two three"), (2, " three"), (3, ""), (9, "")]
)
def test_the_text_behind_so_many_words(count: int, rest: str) -> None:
    text = " one  two three"
    assert text[after_words(text, count) :] == rest


@pytest.mark.parametrize(
    ("text", "longest", "end"),
    [("one two three", 13, "one two three"), ("one two three", 12, "… two three"), ("one two three", 7, "… three"),
     ("one two three", 6, "…three"), ("你好你好", 3, "…你好"), ("", 3, "")],
)  # fmt: skip
def test_the_last_words_of_a_text_that_is_too_long(text: str, longest: int, end: str) -> None:
    assert last_words(text, longest) == end
    assert len(end) <= longest
