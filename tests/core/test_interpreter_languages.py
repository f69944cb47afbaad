"""What the interpreter does with words that need no translation, and with waiting ones."""

from __future__ import annotations

import pytest

from parley.core.policy.interpreter import Interpreter
from parley.core.policy.policy import Decided, PassOn, Said, Say, Skip, Translate
from parley.core.words.interpreting import LAGS, SameLanguage


@pytest.mark.parametrize(
    ("same", "decided"), [("silent", Skip(9)), ("pass", PassOn(9)), ("repeat", Say("Está bem.", 9, "pt"))]
)
def test_words_in_the_target_language(same: SameLanguage, decided: Decided) -> None:
    assert Interpreter("pt", same_language=same).turn_ended(Said("Está bem.", 0, "pt-BR")) == (decided,)


def test_waiting_words_are_translated_after_the_longest_wait_if_there_are_enough() -> None:
    policy, lag = Interpreter("pt", lag=LAGS["low"]), LAGS["low"]
    assert policy.words_wait(Said("and then we", 0, "en", lag.max_wait_ms - 1)) == ()
    assert policy.words_wait(Said("and", 0, "en", lag.max_wait_ms)) == ()
    assert policy.words_wait(Said("and then we", 0, "en", lag.max_wait_ms)) == (Translate(11, "pt"),)


def test_hesitation_is_passed_over() -> None:
    assert Interpreter("pt").turn_ended(Said("Um, uh...", 0, "en"))[0] == Skip(9)
    assert Interpreter("pt").turn_ended(Said("Go. ", 0, "en")) == (Translate(3, "pt"),)
