"""The work of a translation session: in order, merged where it is late, faster where the listener is behind."""

from __future__ import annotations

from parley.core.words.effects import StartGeneration
from parley.core.words.events import (
    Transcribed,
)
from parley.core.words.limits import MERGE_AFTER_NS
from parley.core.words.notices import (
    ClauseTranslated,
)
from parley.core.words.settings import Capabilities, OwnerSettings
from tests.core.interpreting import SETTINGS, opened, shown, sources, translates
from tests.core.scene import Scene


def test_late_clauses_are_merged_into_one_request_and_spoken_faster_and_closer() -> None:
    scene = opened(language="en")
    scene.says("One is here.")
    for text in ("Two is here.", "Three is here.", "Four is here."):
        scene.says(text)
    assert sources(scene) == ["One is here."]
    scene.now += MERGE_AFTER_NS
    translates(scene, "Um está aqui.", 5_000)
    assert sources(scene) == ["One is here.", "Two is here. Three is here. Four is here."]
    late = scene.last(StartGeneration)
    assert (late.speed, late.tight) == (1.25, True)
    translates(scene, "Dois, três e quatro.")
    assert [(one.clause, one.clauses) for one in scene.notices(ClauseTranslated)] == [(1, 1), (4, 3)]
    scene.passes(10_000)
    scene.says("Five is here.")
    assert (scene.last(StartGeneration).speed, scene.last(StartGeneration).tight) == (1.0, False)


def test_the_speakers_own_audio_waits_for_the_translation_before_it() -> None:
    scene = opened(same="pass")
    scene.says("Good morning.")
    scene.hears(640, 0.9)
    scene.hears(480, 0.0)
    scene.happens(Transcribed(scene.turn(), "Está bem.", flush=scene.flush(), language="pt", language_confidence=1.0))
    assert shown(scene) == ""
    translates(scene, "Bom dia.")
    assert shown(scene) == "Bom dia. Está bem."


def test_translations_do_not_count_as_replies_of_the_rate_limit() -> None:
    scene = Scene(SETTINGS, OwnerSettings(language="en", responses_per_minute=1), Capabilities(targets=("pt",)))
    for number in range(5):
        scene.says(f"Sentence {number}.")
        translates(scene, "Frase.", 100)
    assert len(sources(scene)) == 5


def test_a_translation_that_does_not_come_shows_its_source() -> None:
    scene = opened(language="en")
    scene.says("Good morning.")
    scene.passes(61_000)
    assert shown(scene) == "Good morning."
    assert scene.notices(ClauseTranslated)[-1].outcome == "shown"
