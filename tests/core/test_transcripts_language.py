"""The language of a turn: which report of the recogniser changes the language, and so the voice, of the reply."""

from __future__ import annotations

import pytest

from parley.core.policy.spoken_language import LONG_TURN_MS
from parley.core.words.effects import StartGeneration
from parley.core.words.events import Transcribed
from parley.core.words.settings import OwnerSettings, Settings, Transcription
from tests.core.scene import Scene


def says_in(scene: Scene, language: str, sure: float | None, ms: int = 640) -> str:
    """A turn that the recogniser reports in this language; the language that the reply is spoken in."""
    scene.hears(ms, 0.9)
    scene.hears(600, 0.0)
    scene.happens(Transcribed(scene.turn(), "Hello.", language=language, language_confidence=sure))
    scene.answers(("Yes.", 320))
    scene.hears(600, 0.0)
    return scene.last(StartGeneration).language


def test_a_language_changes_with_evidence_only() -> None:
    scene = Scene(Settings(), OwnerSettings())
    assert says_in(scene, "cy", 0.3) == ""
    assert says_in(scene, "de", 0.9) == "de"
    assert says_in(scene, "cy", 0.3) == "de"
    assert says_in(scene, "cy", None) == "de"
    assert says_in(scene, "de-AT", 0.3) == "de-AT"
    assert says_in(scene, "cy", 0.3, ms=LONG_TURN_MS) == "cy"


def test_a_prescribed_language_is_left_with_evidence_only() -> None:
    scene = Scene(Settings(transcription=Transcription(language="de")), OwnerSettings())
    assert says_in(scene, "cy", 0.3) == "de"
    assert says_in(scene, "fr", 0.9) == "fr"
    assert says_in(scene, "de", None) == "de"


@pytest.mark.parametrize(("sure", "spoken"), [(0.3, "de"), (0.9, "cy")])
def test_a_speculative_reply_is_spoken_in_the_language_that_is_believed(sure: float, spoken: str) -> None:
    settings = Settings(transcription=Transcription(language="de"))
    scene = Scene(settings, OwnerSettings(speculation=True, speculate_after_ms=200))
    scene.hears(640, 0.9)
    scene.hears(256, 0.0)
    heard = Transcribed(scene.turn(), "Hello.", scene.flush(), "cy", language_confidence=sure)
    (started,) = [effect for effect in scene.happens(heard) if isinstance(effect, StartGeneration)]
    assert started.held
    assert started.language == spoken


@pytest.mark.parametrize(("languages", "spoken"), [(("fr",), "fr"), (("fr", "it"), "")])
def test_the_only_language_that_may_be_spoken_is_expected(languages: tuple[str, ...], spoken: str) -> None:
    scene = Scene(Settings(transcription=Transcription(languages=languages)))
    assert says_in(scene, "cy", 0.3) == spoken
