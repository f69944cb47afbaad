"""What engines make of a filler goes to it, and to no response before it is whole."""

from __future__ import annotations

from parley.core.words.effects import ReleaseGeneration, StartGeneration
from parley.core.words.events import ClauseStarted, GenerationFinished, SpeechGenerated, WorkAbandoned
from parley.core.words.filler_phrases import FillerPhrases, Fillers
from parley.core.words.ids import AttemptId
from parley.core.words.settings import OwnerSettings
from parley.core.words.work import AwaitedGeneration, Utterance
from tests.core.scene import Scene, cancelled, notices, of


def waiting() -> tuple[Scene, AttemptId]:
    """A session that has a filler made."""
    scene = Scene(owner=OwnerSettings(fillers=Fillers((FillerPhrases("", ("One moment.",)),))))
    scene.says("What time is it?")
    scene.passes(2_000)
    started = scene.last(StartGeneration)
    assert isinstance(started.work, Utterance)
    return scene, started.attempt


def test_a_filler_is_told_when_it_is_whole() -> None:
    scene, attempt = waiting()
    assert not scene.happens(ClauseStarted(attempt, "One moment."), SpeechGenerated(attempt, bytes(4_800)))
    assert [effect.attempt for effect in of(scene.happens(GenerationFinished(attempt)), ReleaseGeneration)] == [attempt]


def test_a_filler_that_is_abandoned_ends_without_a_word() -> None:
    scene, attempt = waiting()
    effects = scene.happens(WorkAbandoned(AwaitedGeneration(attempt)))
    assert cancelled(effects) == [attempt]
    assert not notices(effects)
