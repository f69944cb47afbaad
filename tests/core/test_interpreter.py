"""The interpreter translates each clause when its words are stable, and the rest when the turn ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.core.policy.interpreter import Interpreter
from parley.core.policy.policy import Decided, Said, Translate

TERMS = (("invoice", "Rechnung"),)


def pieces(text: str, begin: int, decided: tuple[Decided, ...]) -> list[str]:
    """The texts that these decisions translate."""
    found = []
    for one in decided:
        assert isinstance(one, Translate)
        found.append(text[begin : one.end])
        begin = one.end
    return found


def test_a_complete_clause_is_translated_while_the_speaker_continues() -> None:
    text = "The train leaves at nine. We have to be there"
    decided = Interpreter("de").words_became_stable(Said(text, 0, "en"))
    assert [piece.strip() for piece in pieces(text, 0, decided)] == ["The train leaves at nine."]


def test_an_incomplete_clause_is_not_translated_yet() -> None:
    assert Interpreter("de").words_became_stable(Said("The train leaves", 0, "en")) == ()


@pytest.mark.parametrize(("text", "begin", "ends"), [("Good day. Bye", 9, [13]), ("Good day. ", 9, []), ("", 0, [])])
def test_the_end_of_the_turn_translates_the_rest_if_it_has_words(text: str, begin: int, ends: list[int]) -> None:
    decided = Interpreter("de").turn_ended(Said(text, begin))
    assert [one.end for one in decided if isinstance(one, Translate)] == ends
    assert len(decided) == len(ends)


def test_a_translation_names_its_languages_and_its_terms() -> None:
    (one,) = Interpreter("de", "en", TERMS).turn_ended(Said("the invoice"))
    assert one == Translate(len("the invoice"), "de", "en", TERMS)


def test_a_translation_is_not_speculative_and_is_not_cut_by_a_voice() -> None:
    interpreter = Interpreter("de")
    assert interpreter.speaks
    assert not interpreter.may_speculate(Said("hello there"))
    assert interpreter.voice_over_output() == "queue"


@given(st.lists(st.sampled_from(["Yes. ", "we go, ", "the train leaves at nine. ", "well ", "no! "]), max_size=12))
def test_every_word_is_translated_once_and_in_order_however_the_words_become_stable(said: list[str]) -> None:
    interpreter, text, begin, translated = Interpreter("de", "en"), "", 0, ""
    for more in said:
        text += more
        decided = interpreter.words_became_stable(Said(text, begin, "en"))
        translated += "".join(pieces(text, begin, decided))
        begin = len(translated)
    translated += "".join(pieces(text, begin, interpreter.turn_ended(Said(text, begin, "en"))))
    assert translated.strip() == text.strip()
