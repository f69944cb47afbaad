"""The assistant answers every turn with words, and nothing else."""

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
def test_a_turn_without_words_is_not_answered(text: str, answered: bool) -> None:
    assert Assistant().turn_ended(Said(text)) == ((Answer(),) if answered else ())
    scene = Scene()
    scene.says(text)
    assert any(isinstance(effect, StartGeneration) for effect in scene.effects) is answered


def test_stable_words_cause_no_work_before_the_turn_ends() -> None:
    assert Assistant().words_became_stable(Said("what is the time")) == ()


@pytest.mark.parametrize(("text", "ahead"), [("what is the time", True), ("mm-hm", False)])
def test_words_are_answered_speculatively_and_backchannels_are_not(text: str, ahead: bool) -> None:
    assert Assistant().may_speculate(Said(text)) is ahead
    scene = Scene(owner=OwnerSettings(speculation=True, speculate_after_ms=200))
    scene.hears(640, 0.9)
    scene.hears(256, 0.0)
    assert any(isinstance(effect, FlushTranscription) for effect in scene.effects)
    scene.happens(Transcribed(scene.turn(), text, flush=scene.flush()))
    assert any(isinstance(effect, StartGeneration) for effect in scene.effects) is ahead


def test_the_assistant_speaks_and_is_cut_by_a_voice() -> None:
    assert Assistant().speaks
    assert Assistant().voice_over_output() == "cut"
