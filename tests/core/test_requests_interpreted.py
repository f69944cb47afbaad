"""What a client of a translation session may change."""

from __future__ import annotations

import pytest

from parley.core.words.effects import StartGeneration
from parley.core.words.events import (
    SessionUpdateRequested,
)
from parley.core.words.ids import ClientEventId
from parley.core.words.notices import (
    ErrorRaised,
    SessionUpdated,
)
from parley.core.words.work import Translation
from tests.core.interpreting import opened, translates, words


@pytest.mark.proves("session.update", "session.audio.output.language", state="honoured", dialect="translations")
def test_a_change_of_the_target_holds_for_what_has_not_been_decided() -> None:
    scene = opened(language="en")
    scene.hears(640, 0.9)
    words(scene, "We leave at nine. Bring")
    scene.happens(SessionUpdateRequested({"target_language": "es"}))
    assert scene.notices(SessionUpdated)[-1].settings.target_language == "es"
    words(scene, "We leave at nine. Bring your coat. And")
    translates(scene, "Saímos às nove.")
    translated = [one.work for one in scene.all(StartGeneration) if isinstance(one.work, Translation)]
    assert [(one.text.strip(), one.to_language) for one in translated] == [
        ("We leave at nine.", "pt"),
        ("Bring your coat.", "es"),
    ]


def test_the_model_of_a_translation_session_stays() -> None:
    scene = opened()
    scene.happens(SessionUpdateRequested({"model": "other"}, ClientEventId("u")))
    (error,) = scene.notices(ErrorRaised)
    assert (error.field, error.client_event_id) == ("session.model", "u")
