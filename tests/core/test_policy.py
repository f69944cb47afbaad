"""Which turns the built-in policies answer."""

from __future__ import annotations

import pytest

from parley.core.policy.kinds import policy_of
from parley.core.policy.policy import Answer, Said
from parley.core.words.effects import FlushTranscription, StartGeneration
from parley.core.words.events import Transcribed
from parley.core.words.settings import OwnerSettings, Settings
from tests.core.scene import Scene


@pytest.mark.parametrize("text", ["", " ", "mm-hm", "what is the time"])
def test_a_transcriber_answers_nothing_and_an_assistant_whatever_has_words(text: str) -> None:
    assistant, transcriber = policy_of("realtime"), policy_of("transcription")
    assert (assistant.speaks, transcriber.speaks) == (True, False)
    said = Said(text)
    assert assistant.turn_ended(said) == ((Answer(),) if text.strip() else ())
    assert assistant.may_speculate(said) is (text == "what is the time")
    assert assistant.words_became_stable(said) == ()
    assert assistant.voice_over_output() == "cut"
    assert (transcriber.turn_ended(said), transcriber.words_became_stable(said)) == ((), ())
    assert transcriber.may_speculate(said) is False


def test_in_a_transcription_session_no_reply_is_made_ahead() -> None:
    scene = Scene(Settings(kind="transcription"), OwnerSettings(speculation=True, speculate_after_ms=200))
    scene.hears(640, 0.9)
    scene.hears(256, 0.0)
    assert any(isinstance(effect, FlushTranscription) for effect in scene.effects)
    scene.happens(Transcribed(scene.turn(), "what is the time", flush=scene.flush()))
    scene.hears(640, 0.0)
    assert not any(isinstance(effect, StartGeneration) for effect in scene.effects)
