from __future__ import annotations

import pytest

from parley.core.policy.backchannels import is_backchannel, takes_floor, words_of


@pytest.mark.parametrize("text", ["", "mm-hm", "Mhm.", "yeah, okay", "Uh-huh!", "ja genau", "oui, d'accord", "claro"])
def test_listening_noises_do_not_take_the_floor(text: str) -> None:
    assert is_backchannel(text)
    assert not takes_floor(text, 2)


@pytest.mark.parametrize("text", ["no wait", "yeah but why", "stop talking", "okay what about tomorrow"])
def test_words_with_content_take_the_floor(text: str) -> None:
    assert not is_backchannel(text)
    assert takes_floor(text, 2)


def test_one_word_does_not_take_the_floor() -> None:
    assert not takes_floor("what", 2)


def test_punctuation_and_spacing_are_ignored() -> None:
    assert words_of("  «Xavier», said (the) X-ray: ¿sí? … d'accord! -- 'Ok.'  ") == [
        "«xavier»",
        "said",
        "the",
        "xray",
        "sí",
        "d'accord",
        "ok",
    ]
