"""Effects are immutable, and only a reply has a prompt."""

from __future__ import annotations

from typing import get_args

import pytest

from parley.core.words import effects
from parley.core.words.effects import Effect, StartGeneration
from parley.core.words.ids import AttemptId, ResponseId
from parley.core.words.settings import AudioFormat
from parley.core.words.work import Prompt, Reply, Translation, Utterance, Work
from tests.core.values import can_change, values_of


def start(work: Work, response: ResponseId | None = None) -> StartGeneration:
    return StartGeneration(AttemptId(1), work, "audio", "", 1.0, AudioFormat.PCM16, "en", response)


def test_every_effect_of_the_module_is_in_the_type_that_shells_perform() -> None:
    assert set(values_of(effects)) == set(get_args(Effect))


def test_effects_are_immutable() -> None:
    assert [kind for kind in values_of(effects) if can_change(kind)] == []


def test_only_a_reply_has_a_prompt() -> None:
    prompt = Prompt("Be brief.", ())
    assert start(Reply(prompt)).prompt is prompt
    with pytest.raises(TypeError, match="work of type Translation has no prompt"):
        _ = start(Translation("hello", "en", "de")).prompt
    with pytest.raises(TypeError, match="work of type Utterance has no prompt"):
        _ = start(Utterance("hello")).prompt


def test_the_output_of_an_attempt_without_a_response_is_held() -> None:
    assert start(Utterance("hello")).held
    assert not start(Utterance("hello"), ResponseId("r")).held
