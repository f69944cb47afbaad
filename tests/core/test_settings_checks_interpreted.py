"""The target of a translation session is one that its pipeline has."""

from __future__ import annotations

import pytest

from parley.core.words.effects import StartGeneration
from parley.core.words.events import (
    SessionUpdateRequested,
)
from parley.core.words.notices import (
    ErrorRaised,
)
from tests.core.interpreting import SETTINGS, opened, translates
from tests.core.scene import Scene


def test_a_target_that_the_pipeline_lacks_and_another_model_are_refused_by_name() -> None:
    scene = opened()
    scene.happens(SessionUpdateRequested({"target_language": "ja"}), SessionUpdateRequested({"model": "other"}))
    errors = scene.notices(ErrorRaised)
    assert [one.field for one in errors] == ["session.target_language", "session.model"]
    assert "'pt', 'es'" in errors[0].message
    assert scene.session.settings.target_language == "pt"


def test_a_pipeline_without_a_translator_says_so() -> None:
    scene = Scene(SETTINGS)
    scene.happens(SessionUpdateRequested({"target_language": "ja"}))
    assert "it has no translator" in scene.notices(ErrorRaised)[0].message


def test_the_voice_of_translations_may_change_when_some_have_been_heard() -> None:
    scene = opened()
    scene.says("Good day.")
    translates(scene, "Bom dia.")
    scene.happens(SessionUpdateRequested({"voice": "marin"}))
    scene.says("Goodbye.")
    assert not scene.notices(ErrorRaised)
    assert [one.voice for one in scene.all(StartGeneration)] == ["", "marin"]


@pytest.mark.proves("session.update", "session.audio.output.language", state="honoured", dialect="translations")
def test_a_target_of_the_pipeline_is_taken_with_its_region() -> None:
    scene = opened()
    scene.happens(SessionUpdateRequested({"target_language": "es-MX"}))
    assert not scene.notices(ErrorRaised)
    assert scene.session.settings.target_language == "es-MX"
