"""Cutting a text into sentences for a translator: nothing is lost, nothing is too long, and what is no word is not translated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.engines.mt.units import has_words, joined, units


def cut(text: str, most: int = 300) -> list[str]:
    return [unit.text for unit in units(text, most)[0]]


def rebuilt(text: str) -> str:
    found, after = units(text)
    return "".join(unit.before + unit.text for unit in found) + after


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Good morning. How are you? Fine!", ["Good morning.", "How are you?", "Fine!"]),
        ("O Sr. Pérez veio. Sim!", ["O Sr. Pérez veio.", "Sim!"]),
        ("J. Smith is here.", ["J. Smith is here."]),
        ("Yes. No. Uno. He left.", ["Yes.", "No.", "Uno.", "He left."]),
        ("It costs 3.50 at www.example.org now.", ["It costs 3.50 at www.example.org now."]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("你好。今天天气很好！", ["你好。", "今天天气很好！"]),
        ("one\ntwo", ["one", "two"]),
        ("Hello \U0001f642 you", ["Hello", "you"]),
        ("20 °C and ™", ["20 °C and ™"]),
        ("... — !?", []),
        ("\U0001f642\U0001f468\u200d\U0001f469", []),
        ("", []),
        (" \n\t ", []),
        ("Hello\0 there\x1b[0m you", ["Hello", "there", "[0m you"]),
        ("Hello \ud800 there", ["Hello", "there"]),
    ],
)
def test_sentences_are_units(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


def test_a_long_sentence_is_cut_at_a_mark_then_at_white_space_then_anywhere() -> None:
    assert cut("one two three, four five six", 20) == ["one two three,", "four five six"]
    assert cut("one two three four five six", 20) == ["one two three four", "five six"]
    assert cut("x" * 50, 20) == ["x" * 20, "x" * 20, "x" * 10]


@given(st.text(max_size=400), st.integers(20, 120))
def test_units_are_short_and_hold_words(text: str, most: int) -> None:
    found, _ = units(text, most)
    for unit in found:
        assert 0 < len(unit.text) <= most
        assert has_words(unit.text)
        assert unit.text == unit.text.strip()
        assert "\0" not in unit.text


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs", "Co", "Cn")), max_size=300))
def test_no_character_is_lost(text: str) -> None:
    assert rebuilt(text) == text


@pytest.mark.parametrize(
    ("before", "translation", "first", "expected"),
    [
        ("  ", "Hi", True, "Hi"),
        (" ", "Hi", False, " Hi"),
        ("", "Hi", False, " Hi"),
        ("", "你好", False, "你好"),
        ("\n", "Hi", False, "\nHi"),
    ],
)
def test_units_are_joined_with_what_stood_between_them(
    before: str, translation: str, first: bool, expected: str
) -> None:
    assert joined(before, translation, first=first) == expected
