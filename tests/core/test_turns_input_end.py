"""The end of the input: what was being said is a turn."""

from __future__ import annotations

from parley.core.words.effects import (
    FinishTranscription,
)
from parley.core.words.events import (
    AudioArrived,
    InputEnded,
    Transcribed,
)
from parley.core.words.notices import (
    InputCommitted,
    InputSpeechStarted,
    InputSpeechStopped,
    ResponseCreated,
)
from parley.core.words.settings import (
    Settings,
)
from tests.core.scene import Scene, kinds


def test_the_end_of_the_input_ends_the_open_turn_at_once() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    caused = scene.happens(InputEnded())
    assert kinds(caused)[:2] == ["InputSpeechStopped", "InputCommitted"]
    assert FinishTranscription(scene.turn()) in caused
    scene.happens(Transcribed(scene.turn(), "Hello?"))
    assert scene.told(ResponseCreated)


def test_without_an_open_turn_the_end_of_the_input_changes_nothing() -> None:
    scene = Scene()
    scene.hears(320, 0.0)
    assert scene.happens(InputEnded()) == []
    scene.hears(640, 0.9)
    assert len(scene.told(InputSpeechStarted)) == 1, "audio that comes all the same is heard"


def test_with_manual_turns_the_end_of_the_input_commits_what_is_long_enough() -> None:
    scene = Scene(settings=Settings(turn_detection=None))
    scene.happens(AudioArrived(bytes(48 * 99)))
    assert scene.happens(InputEnded()) == []
    scene.happens(AudioArrived(bytes(48)))
    scene.happens(InputEnded())
    assert len(scene.told(InputCommitted)) == 1
    assert scene.told(InputSpeechStopped) == []
    assert scene.told(ResponseCreated) == []
    assert scene.happens(InputEnded()) == []
