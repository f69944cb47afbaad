"""The words of a turn that its client ends (push to talk), while it is held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley.core.words.effects import DropTranscription, OpenTranscription, Tell, Transcribe
from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioArrived,
    ClearRequested,
    CommitRequested,
    Event,
    LinkClosed,
    PartialTranscribed,
    SessionUpdateRequested,
    Transcribed,
    TranscriptionFailed,
)
from parley.core.words.ids import ItemId, TurnId
from parley.core.words.limits import MANUAL_FEED_MS, MAX_BUFFERED_MS, MAX_UNSTABLE_TEXT
from parley.core.words.notices import (
    ErrorRaised,
    InputCleared,
    InputCommitted,
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionFailedNotice,
)
from parley.core.words.settings import UNSTABLE_WORDS, ServerVad, Settings, Transcription
from parley.core.words.unstable_transcript import UnstableTranscript
from tests.core.scene import Scene, notices, of

MANUAL = Settings(turn_detection=None, transcription=Transcription())
SHOWING = replace(MANUAL, include=(UNSTABLE_WORDS,))


def holds(scene: Scene, ms: int = 400) -> TurnId:
    """Audio arrives, and is not committed."""
    scene.happens(AudioArrived(bytes(48 * ms)))
    return scene.turn()


def shown(scene: Scene) -> list[tuple[ItemId, str]]:
    return [(one.item_id, one.text) for one in scene.notices(UnstableTranscript)]


def test_what_is_held_is_transcribed_as_it_comes_and_shown_whole_until_the_commit() -> None:
    scene = Scene(SHOWING)
    turn = holds(scene, MANUAL_FEED_MS)
    assert [len(one.audio) for one in of(scene.effects, Transcribe)] == [48 * MANUAL_FEED_MS]
    heard: list[Event] = [
        PartialTranscribed(turn, "tell", ""),
        PartialTranscribed(turn, "tell me a", "tell"),
        PartialTranscribed(turn, "tell me a", "tell me"),
    ]
    caused = [notices(scene.happens(event)) for event in heard]
    ((first,), (second,), third) = caused
    assert isinstance(first, UnstableTranscript)
    assert isinstance(second, UnstableTranscript)
    assert (first.text, second.text, third) == ("tell", "tell me a", []), "no delta of what may be cleared"
    scene.happens(AudioArrived(bytes(480)))
    committed = notices(scene.happens(CommitRequested()))
    assert next(one for one in committed if isinstance(one, InputCommitted)).item_id == first.item_id == second.item_id
    assert committed[-2:] == [
        TranscriptionDelta(first.item_id, 0, "tell me"),
        UnstableTranscript(first.item_id, 0, " a"),
    ]
    assert [type(one) for one in notices(scene.happens(Transcribed(turn, "tell me a story")))][:2] == [
        TranscriptionDelta,
        TranscriptionCompleted,
    ]
    assert len(of(scene.effects, OpenTranscription)) == 1, "what was decoded while it was held is gone on with"


@pytest.mark.parametrize("settings", [MANUAL, replace(SHOWING, transcription=None)], ids=["not included", "no words"])
def test_a_client_that_did_not_ask_for_them_gets_no_words_before_its_commit(settings: Settings) -> None:
    scene = Scene(settings)
    turn = holds(scene)
    assert notices(scene.happens(PartialTranscribed(turn, "tell me a", "tell"))) == []


def test_cleared_words_end() -> None:
    scene = Scene(SHOWING)
    turn = holds(scene)
    scene.happens(PartialTranscribed(turn, "tell me", ""))
    ((item, _),) = shown(scene)
    assert scene.happens(ClearRequested()) == [
        DropTranscription(turn),
        Tell(UnstableTranscript(item, 0, "")),
        Tell(InputCleared()),
    ]
    assert notices(scene.happens(PartialTranscribed(turn, "tell me a", ""))) == [], "a hypothesis that was on its way"
    again = holds(scene)
    scene.happens(PartialTranscribed(again, "what", ""))
    assert [text for _, text in shown(scene)] == ["tell me", "", "what"]
    assert shown(scene)[-1][0] != item


def test_words_that_nobody_was_shown_end_without_a_notice() -> None:
    scene = Scene(SHOWING)
    holds(scene)
    assert notices(scene.happens(ClearRequested())) == [InputCleared()]


def test_two_holds_in_quick_succession_each_have_their_own_words() -> None:
    scene = Scene(SHOWING)
    first = holds(scene)
    scene.happens(PartialTranscribed(first, "one", ""), CommitRequested())
    second = holds(scene)
    scene.happens(
        PartialTranscribed(second, "two", ""),
        PartialTranscribed(first, "one more", ""),
        CommitRequested(),
        Transcribed(second, "two."),
        Transcribed(first, "one more."),
    )
    (one, two) = [notice.item_id for notice in scene.notices(InputCommitted)]
    assert shown(scene) == [(one, "one"), (two, "two"), (one, "one more")]
    assert [(done.item_id, done.transcript) for done in scene.notices(TranscriptionCompleted)] == [
        (two, "two."),
        (one, "one more."),
    ]


def test_turn_detection_in_mid_hold_ends_the_words() -> None:
    scene = Scene(SHOWING)
    turn = holds(scene)
    scene.happens(PartialTranscribed(turn, "tell me", ""))
    scene.happens(SessionUpdateRequested({"turn_detection": ServerVad()}))
    assert [text for _, text in shown(scene)] == ["tell me", ""]
    assert of(scene.effects, DropTranscription) == [DropTranscription(turn)]


def test_the_include_counts_as_it_is_at_the_moment() -> None:
    scene = Scene(MANUAL)
    turn = holds(scene)
    scene.happens(PartialTranscribed(turn, "tell", ""))
    scene.happens(SessionUpdateRequested({"include": (UNSTABLE_WORDS,)}), PartialTranscribed(turn, "tell me", ""))
    scene.happens(SessionUpdateRequested({"include": ()}), PartialTranscribed(turn, "tell me a", ""))
    assert [text for _, text in shown(scene)] == ["tell me"]


def test_a_recogniser_that_fails_during_a_hold_is_reported_at_the_commit() -> None:
    scene = Scene(SHOWING)
    turn = holds(scene)
    scene.happens(PartialTranscribed(turn, "tell", ""))
    assert notices(scene.happens(TranscriptionFailed(turn, Fault("engine_error", "It broke.")))) == []
    committed = scene.happens(CommitRequested())
    assert [one.code for one in notices(committed) if isinstance(one, TranscriptionFailedNotice)] == ["engine_error"]


def test_a_long_hold_shows_its_last_words_and_is_bounded() -> None:
    scene = Scene(SHOWING)
    turn = holds(scene)
    scene.happens(PartialTranscribed(turn, "word " * 1_000 + "end", ""))
    ((_, text),) = shown(scene)
    assert len(text) <= MAX_UNSTABLE_TEXT
    assert (text[:6], text[-8:]) == ("… word", "word end")
    minute = AudioArrived(bytes(48 * 60_000))
    for _ in range(MAX_BUFFERED_MS // 60_000 - 1):
        assert notices(scene.happens(minute)) == []
    (error,) = notices(scene.happens(minute))
    assert isinstance(error, ErrorRaised)
    assert error.code == "input_audio_buffer_full"


def test_a_link_that_closes_in_mid_hold_drops_the_turn() -> None:
    scene = Scene(SHOWING)
    turn = holds(scene)
    scene.happens(PartialTranscribed(turn, "tell", ""))
    assert DropTranscription(turn) in scene.happens(LinkClosed("gone"))
