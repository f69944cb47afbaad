"""A long silence after a reply."""

from __future__ import annotations

import pytest

from parley.core.words.effects import (
    FinishTranscription,
)
from parley.core.words.events import (
    ClearRequested,
    CommitRequested,
    ResponseRequested,
    TimePassed,
    Transcribed,
)
from parley.core.words.notices import (
    IdleTimeoutTriggered,
    InputCommitted,
    ResponseCreated,
)
from parley.core.words.settings import (
    ServerVad,
    Settings,
)
from tests.core.hearing import FRAME, arrives, audio_of, frames, given_to_recogniser, sound
from tests.core.scene import MS, Scene, kinds, notices


def idle() -> Scene:
    """A reply has been heard and nothing since, with an idle timeout of five seconds."""
    scene = Scene(Settings(turn_detection=ServerVad(idle_timeout_ms=5_000)))
    arrives(scene, 5)  # given in whole milliseconds, rounded down
    frames(scene, 0.0, 0.0)
    scene.happens(ResponseRequested())
    scene.answers(("Hello.", 100))
    scene.passes(100)
    return scene


def test_an_idle_prompt_commits_everything_since_the_reply() -> None:
    scene = idle()
    frames(scene, *[0.0] * 155)
    arrives(scene, 1_000)
    scene.now += 40 * MS
    caused = scene.happens(TimePassed())
    start, end = 2 * FRAME + 5, scene.position
    triggered = notices(caused)[0]
    assert isinstance(triggered, IdleTimeoutTriggered)
    assert triggered == IdleTimeoutTriggered(triggered.item_id, start // 24, end // 24)
    assert kinds(caused) == ["IdleTimeoutTriggered", "InputCommitted", "ItemAdded", "ItemDone"]
    assert audio_of(scene, triggered.item_id) == given_to_recogniser(scene, scene.turn()) == sound(start, end)
    assert caused[-1] == FinishTranscription(scene.turn())
    assert "ResponseCreated" in kinds(scene.happens(Transcribed(scene.turn(), "")))


@pytest.mark.parametrize("idle_timeout_ms", [None, 60_000])
def test_audio_after_a_reply_is_kept_only_if_an_idle_prompt_may_need_it(idle_timeout_ms: int | None) -> None:
    scene = Scene(Settings(modality="text", turn_detection=ServerVad(idle_timeout_ms=idle_timeout_ms)))
    scene.happens(ResponseRequested())
    scene.answers()
    frames(scene, *[0.0] * 100)
    scene.happens(CommitRequested())
    kept_ms = 100 * 32 if idle_timeout_ms else 400
    kept = sound(scene.position - kept_ms * 24, scene.position)
    assert audio_of(scene, scene.notices(InputCommitted)[0].item_id) == kept


def test_an_idle_prompt_excludes_audio_that_the_client_has_committed() -> None:
    scene = idle()
    frames(scene, *[0.0] * 20)
    scene.happens(ClearRequested())
    cleared = scene.position
    frames(scene, *[0.0] * 140)
    (triggered,) = scene.notices(IdleTimeoutTriggered) or [
        notice for notice in notices(scene.happens(TimePassed())) if isinstance(notice, IdleTimeoutTriggered)
    ]
    assert triggered.audio_start_ms == cleared // 24


def test_a_voice_ends_the_wait_for_an_idle_prompt() -> None:
    scene = idle()
    frames(scene, *[0.0] * 150, 0.9, 0.9)
    scene.passes(1_000)
    assert scene.notices(IdleTimeoutTriggered) == []


def test_a_turn_behind_an_idle_prompt_is_answered_with_it_after_both_transcripts() -> None:
    scene = idle()
    scene.passes(5_000)
    assert len(scene.notices(IdleTimeoutTriggered)) == 1
    prompt = scene.turn()
    frames(scene, *[0.9] * 10, *[0.0] * 16)
    assert scene.turn() != prompt
    scene.happens(Transcribed(scene.turn(), "hello"))
    assert len(scene.notices(ResponseCreated)) == 1
    scene.happens(Transcribed(prompt, ""))
    assert len(scene.notices(ResponseCreated)) == 2
