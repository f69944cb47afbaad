"""Attempts at a response: when one is held, released, kept alive, abandoned."""

from __future__ import annotations

from parley.core.words.effects import (
    CancelGeneration,
    FlushTranscription,
    ReleaseGeneration,
    StartGeneration,
)
from parley.core.words.events import (
    FirstTokenGenerated,
    TextGenerated,
    TimePassed,
    Transcribed,
    WorkAbandoned,
)
from parley.core.words.ids import AttemptId
from parley.core.words.limits import GENERATION_SILENCE_NS
from parley.core.words.notices import (
    ResponseCreated,
    ResponseDone,
)
from parley.core.words.settings import (
    OwnerSettings,
)
from parley.core.words.work import AwaitedGeneration
from tests.core.scene import Scene, kinds


def speculating() -> Scene:
    return Scene(owner=OwnerSettings(speculation=True, speculate_after_ms=100))


def test_an_abandoned_reply_fails_and_the_next_turn_is_answered() -> None:
    scene = Scene()
    scene.says("Hello?")
    attempt = scene.attempt()
    caused = scene.happens(WorkAbandoned(AwaitedGeneration(attempt)))
    assert CancelGeneration(attempt) in caused
    (done,) = scene.notices(ResponseDone)
    assert done.response.status == "failed"
    assert done.response.error is not None
    assert done.response.error.code == "timeout"
    scene.says("Are you there?")
    assert scene.attempt() != attempt


def test_an_abandoned_speculative_attempt_is_dropped_silently() -> None:
    scene = speculating()
    scene.hears(640, 0.9)
    scene.hears(128, 0.0)
    scene.happens(Transcribed(scene.turn(), "Hello?", scene.last(FlushTranscription).flush))
    attempt = scene.attempt()
    assert scene.last(StartGeneration).held
    caused = scene.happens(WorkAbandoned(AwaitedGeneration(attempt)))
    assert caused == [CancelGeneration(attempt)]
    scene.hears(600, 0.0)
    assert len(scene.notices(ResponseCreated)) == 1
    assert scene.attempt() != attempt


def test_a_first_token_restarts_the_timeout_of_an_attempt() -> None:
    scene = Scene()
    scene.says("Hello?")
    attempt = scene.attempt()
    scene.now += GENERATION_SILENCE_NS - 1
    assert scene.happens(FirstTokenGenerated(attempt)) == []
    scene.now += 1
    assert scene.happens(TimePassed()) == []
    scene.now += GENERATION_SILENCE_NS
    scene.happens(TimePassed())
    assert scene.notices(ResponseDone)[-1].response.status == "failed"
    assert scene.happens(FirstTokenGenerated(attempt)) == []
    assert scene.session.late_events == 1


def test_a_confirmed_speculative_attempt_is_released_before_its_output_is_sent() -> None:
    scene = speculating()
    scene.hears(640, 0.9)
    scene.hears(128, 0.0)
    scene.happens(Transcribed(scene.turn(), "Hello?", scene.last(FlushTranscription).flush))
    attempt = scene.attempt()
    scene.happens(TextGenerated(attempt, "Hi."))
    caused = scene.hears(600, 0.0)
    (created,) = scene.notices(ResponseCreated)
    assert ReleaseGeneration(attempt, created.response.id) in caused
    first = caused.index(ReleaseGeneration(attempt, created.response.id))
    assert kinds(caused[:first]).count("ResponseCreated") == 0
    assert not any(isinstance(effect, StartGeneration) for effect in caused)


def test_an_attempt_started_after_the_turn_is_neither_held_nor_released() -> None:
    scene = Scene()
    scene.says("Hello?")
    assert not scene.last(StartGeneration).held
    scene.answers(("Hi.", 100))
    assert not any(isinstance(effect, ReleaseGeneration) for effect in scene.effects)


def test_output_of_an_ended_attempt_is_not_waited_for() -> None:
    scene = Scene()
    scene.says("Hello?")
    scene.answers(("Hi.", 100))
    over = scene.attempt()
    assert scene.happens(WorkAbandoned(AwaitedGeneration(over))) == []
    assert scene.happens(WorkAbandoned(AwaitedGeneration(AttemptId(99)))) == []
    assert scene.happens(FirstTokenGenerated(over)) == []
    assert scene.session.late_events == 3
