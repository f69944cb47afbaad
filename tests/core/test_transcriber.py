"""The transcriber never answers, neither after a turn nor speculatively."""

from __future__ import annotations

import pytest

from parley.core.policy.policy import Said
from parley.core.policy.transcriber import Transcriber
from parley.core.words.effects import FlushTranscription, StartGeneration
from parley.core.words.events import ResponseRequested, Transcribed
from parley.core.words.notices import ErrorRaised
from parley.core.words.settings import OwnerSettings, Settings
from tests.core.scene import Scene


@pytest.mark.parametrize("text", ["", "mm-hm", "what is the time"])
def test_speech_causes_no_work(text: str) -> None:
    transcriber, said = Transcriber(), Said(text)
    assert (transcriber.turn_ended(said), transcriber.words_became_stable(said)) == ((), ())
    assert not transcriber.may_speculate(said)
    assert transcriber.voice_over_output() == "cut"


def test_a_request_for_a_response_is_refused() -> None:
    assert not Transcriber().speaks
    scene = Scene(Settings(kind="transcription"))
    scene.happens(ResponseRequested())
    assert [error.code for error in scene.notices(ErrorRaised)] == ["invalid_request"]


def test_a_transcription_session_does_not_speculate() -> None:
    scene = Scene(Settings(kind="transcription"), OwnerSettings(speculation=True, speculate_after_ms=200))
    scene.hears(640, 0.9)
    scene.hears(256, 0.0)
    assert any(isinstance(effect, FlushTranscription) for effect in scene.effects)
    scene.happens(Transcribed(scene.turn(), "what is the time", flush=scene.flush()))
    scene.hears(640, 0.0)
    assert not any(isinstance(effect, StartGeneration) for effect in scene.effects)
