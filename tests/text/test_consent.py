"""The sentence of consent: which mistakes of a recogniser are forgiven, and what never is."""

from __future__ import annotations

import pytest

from parley.text.consent import PHRASES, fault, phrase

ENGLISH = PHRASES["en"]


@pytest.mark.parametrize("language", PHRASES)
def test_each_sentence_is_itself_however_it_is_written_and_no_other(language: str) -> None:
    wanted = PHRASES[language]
    assert fault(wanted, wanted.text) == ""
    assert fault(wanted, wanted.text.upper().replace(",", "").rstrip(".")) == ""
    for other in PHRASES.values():
        if other is not wanted:
            assert fault(wanted, other.text), "another language is refused"
    for word in wanted.turning:
        assert repr(word) in fault(wanted, f"{wanted.text} {word}")


def test_the_tag_may_name_a_country() -> None:
    assert phrase("en-GB") is ENGLISH
    assert phrase("ja") is None


@pytest.mark.parametrize(
    "heard",
    [
        "i am the owner of this voice and i agreed that my recordings is used to make the synthetic voice",
        "I'm the owner of this voice, and I agree that my recording is used to make a synthetic voice",
        "i am the owner of this place and i agree that my recording is use to make a synthetic boys",
        "am the owner of this voice and i agree that my recording is used to make synthetic voice",
    ],
)
def test_small_mistakes_are_forgiven(heard: str) -> None:
    assert fault(ENGLISH, heard) == ""


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("", "no words"),
        ("...", "no words"),
        ("I am the owner of this voice and I don't agree that my recording is used to make a synthetic voice", "'t'"),
        (
            "I am the owner of this voice and I disagree that my recording is used to make a synthetic voice",
            "'disagree'",
        ),
        ("I am the owner of this voice", "'agree'"),
        ("I am the owner of this voice and I agree to your recording", "something else"),
        (f"{ENGLISH.text} {ENGLISH.text}", "or more"),
        ("he is an owner of that voice so i agree for his recording which was made in a studio", "something else"),
    ],
)
def test_what_turns_the_sentence_round_or_replaces_it_is_not(heard: str, said: str) -> None:
    assert said in fault(ENGLISH, heard)
