"""What a translation session shows and records."""

from __future__ import annotations

from dataclasses import replace

from parley.core.words.errors import Fault
from parley.core.words.events import (
    ClauseStarted,
    GenerationFailed,
    GenerationFinished,
    SpeechGenerated,
    TextGenerated,
)
from parley.core.words.notices import (
    ClauseTranslated,
    ResponseDone,
)
from tests.core.interpreting import SETTINGS, opened, shown, translates
from tests.core.scene import MS


def test_a_failed_translation_shows_the_source_and_the_session_goes_on() -> None:
    scene = opened(language="en")
    scene.says("Good morning.")
    scene.happens(GenerationFailed(scene.attempt(), Fault("translation_drift", "It answered.")))
    assert shown(scene) == "Good morning."
    assert scene.notices(ClauseTranslated)[-1].outcome == "shown"
    assert scene.notices(ResponseDone)[-1].response.status == "failed"
    scene.says("Are you there?")
    translates(scene, "Está aí?")
    assert shown(scene) == "Good morning. Está aí?"


def test_text_without_audio_is_shown_as_one_running_text_and_a_failure_in_the_middle_keeps_what_was_shown() -> None:
    scene = opened(replace(SETTINGS, include=()), language="en")
    scene.says("Good morning.")
    scene.happens(
        TextGenerated(scene.attempt(), "Bom"), GenerationFailed(scene.attempt(), Fault("broken", "It broke."))
    )
    scene.says("Bye.")
    translates(scene, "Adeus.")
    assert shown(scene) == "Bom Adeus."
    assert not scene.notices(ClauseTranslated), "only a client that asks gets records"


def test_the_record_has_the_languages_the_wait_and_what_differs() -> None:
    scene = opened(language="en")
    scene.says("It costs 15.")
    attempt = scene.attempt()
    scene.now += 30 * MS
    scene.happens(
        ClauseStarted(attempt, "Custa 50."),
        SpeechGenerated(attempt, bytes(4_800)),
        SpeechGenerated(attempt, bytes(4_800)),
    )
    scene.happens(GenerationFinished(attempt, differences=("15",)))
    (record,) = scene.notices(ClauseTranslated)
    assert (record.from_language, record.to_language, record.waited_ms, record.differences) == ("en", "pt", 30, ("15",))
    assert (record.source, record.text, record.outcome) == ("It costs 15.", "Custa 50.", "translated")
