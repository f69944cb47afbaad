from __future__ import annotations

import pytest

from parley.core.policy.backchannels import is_backchannel, takes_floor, words_of


@pytest.mark.parametrize("text", ["", "mm-hm", "Mhm.", "yeah, okay", "Uh-huh!", "ja genau", "oui, d'accord", "claro"])
def test_listening_noises_leave_the_floor(text: str) -> None:
    assert is_backchannel(text)
    assert not takes_floor(text, 2)


@pytest.mark.parametrize("text", ["no wait", "yeah but why", "stop talking", "okay what about tomorrow"])
def test_words_that_want_something_take_it(text: str) -> None:
    assert not is_backchannel(text)
    assert takes_floor(text, 2)


def test_one_word_is_not_enough_yet() -> None:
    assert not takes_floor("what", 2)


def test_words_are_read_without_what_is_written_around_and_between_them() -> None:
    assert words_of("  «Xavier», said (the) X-ray: ¿sí? … d'accord! -- 'Ok.'  ") == [
        "«xavier»",
        "said",
        "the",
        "xray",
        "sí",
        "d'accord",
        "ok",
    ]
