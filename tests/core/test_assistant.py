"""The assistant answers whatever was said, and nothing else."""

from __future__ import annotations

import pytest

from parley.core.policy.assistant import Assistant
from parley.core.policy.policy import Answer, Said
from parley.core.words.effects import FlushTranscription, StartGeneration
from parley.core.words.events import Transcribed
from parley.core.words.settings import OwnerSettings
from tests.core.scene import Scene


@pytest.mark.parametrize(
    ("text", "answered"), [("what is the time", True), ("mm-hm", True), ("", False), (" \n", False)]
)
def test_a_turn_is_answered_where_it_has_words(text: str, answered: bool) -> None:
    assert Assistant().turn_ended(Said(text)) == ((Answer(),) if answered else ())
    scene = Scene()
    scene.says(text)
    assert any(isinstance(effect, StartGeneration) for effect in scene.effects) is answered


def test_words_cause_nothing_before_their_turn_is_over() -> None:
    assert Assistant().words_became_stable(Said("what is the time")) == ()


@pytest.mark.parametrize(("text", "ahead"), [("what is the time", True), ("mm-hm", False)])
def test_a_reply_is_made_ahead_to_words_and_not_to_a_backchannel(text: str, ahead: bool) -> None:
    assert Assistant().may_speculate(Said(text)) is ahead
    scene = Scene(owner=OwnerSettings(speculation=True, speculate_after_ms=200))
    scene.hears(640, 0.9)
    scene.hears(256, 0.0)
    assert any(isinstance(effect, FlushTranscription) for effect in scene.effects)
    scene.happens(Transcribed(scene.turn(), text, flush=scene.flush()))
    assert any(isinstance(effect, StartGeneration) for effect in scene.effects) is ahead


def test_it_speaks_and_a_voice_over_it_cuts_it() -> None:
    assert Assistant().speaks
    assert Assistant().voice_over_output() == "cut"
