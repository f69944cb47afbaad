"""A recogniser's loop is cut; what people repeat stays."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.text.repeats import is_loop, without_loops

SAID = [
    "",
    "No, no, no.",
    "no no no no no",
    "That is very, very, very good.",
    "Bye bye. Bye bye, dear.",
    "Come on, come on, come on!",
    "Well, well, well, what have we here?",
    "The number is 5 5 5 5 5 5 5.",
    "Zero, zero, zero, zero, zero, zero, seven.",
    "12 34 12 34 12 34 12 34 12 34",
    "I had had had it.",
    "はいはいはいはい",
    "Ja, ja, ja, genau, genau.",
]

LOOPS = [
    ("no no no no no no", "no no"),
    ("Thank you. Thank you. Thank you. Thank you. Thank you.", "Thank you. Thank you."),
    ("So thank you, thank you, thank you, THANK YOU, and good night.", "So thank you, thank you, and good night."),
    ("thank you for thank you for thank you for thank you for thank", "thank you for thank you for"),
    ("I think it is good. " * 7, "I think it is good. I think it is good. "),
    (
        "Gracias por ver el video. ¡Gracias por ver el video! " * 3,
        "Gracias por ver el video. ¡Gracias por ver el video! ",
    ),
    ("you you you you you you you you", "you you"),
    ("ご視聴ありがとうございました" * 5, "ご視聴ありがとうございました" * 2),
    ("はは" * 6, "はは"),
]


@pytest.mark.parametrize("text", SAID)
def test_what_people_repeat_stays(text: str) -> None:
    assert not is_loop(text)
    assert without_loops(text) is text


@pytest.mark.parametrize(("text", "cut"), LOOPS)
def test_a_loop_is_cut_to_two(text: str, cut: str) -> None:
    assert is_loop(text)
    assert without_loops(text) == cut


def test_a_loop_within_a_loop_is_cut_too() -> None:
    text = "go go go go go go now " * 5
    assert without_loops(text) == "go go now go go now "


@given(st.lists(st.sampled_from(["a", "b", "c,", "D.", "7"]), max_size=60))
def test_nothing_is_left_of_a_loop_and_nothing_is_invented(words: list[str]) -> None:
    text = " ".join(words)
    cut = without_loops(text)
    assert not is_loop(cut)
    assert (cut == text) == (not is_loop(text))
    rest = iter(words)
    assert all(word in rest for word in cut.split()), "the words that stay are in their order"


@pytest.mark.parametrize(
    "text", ["5 " * 10_000, "a " * 10_000, "a b " * 5_000, "あ" * 20_000, "ab1 " * 3 + "x" * 20_000, "1あ" * 10_000]
)
def test_a_hostile_text_costs_no_more_than_its_length(text: str) -> None:
    began = time.process_time()
    assert not is_loop(without_loops(text))
    assert time.process_time() - began < 1
