"""Turns that the client ends itself: commits and clears."""

from __future__ import annotations

import pytest

from parley.core.policy.turn_rules import MAX_PRE_ROLL_MS, Rules
from parley.core.words.effects import (
    DropTranscription,
    FinishTranscription,
    StartGeneration,
    Tell,
)
from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioArrived,
    ClearRequested,
    CommitRequested,
    PartialTranscribed,
    ResponseRequested,
    Transcribed,
    TranscriptionFailed,
)
from parley.core.words.ids import ClientEventId, ItemId
from parley.core.words.items import InputAudio, Message
from parley.core.words.limits import MAX_WAITING_MS
from parley.core.words.notices import (
    ErrorRaised,
    InputCleared,
    InputCommitted,
    InputSpeechStarted,
    InputSpeechStopped,
    ResponseCreated,
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionFailedNotice,
)
from parley.core.words.settings import (
    AudioFormat,
    OwnerSettings,
    ServerVad,
    Settings,
    Transcription,
)
from parley.core.words.work import ResponseParams
from tests.core.hearing import (
    FRAME,
    OwnPreRoll,
    arrives,
    audio_of,
    frames,
    given_to_recogniser,
    of,
    over_reply,
    played_reply,
    ruled,
    sound,
)
from tests.core.scene import Scene, cancelled, kinds, notices

GUESSING = OwnerSettings(speculation=True, speculate_after_ms=200)
MANUAL = Settings(turn_detection=None, transcription=Transcription())
ID = ClientEventId("of the client")


def test_a_commit_needs_a_tenth_of_a_second_and_says_how_much_there_is() -> None:
    scene = Scene(MANUAL)
    arrives(scene, 2_399)
    (error,) = notices(scene.happens(CommitRequested(ID)))
    assert isinstance(error, ErrorRaised)
    assert (error.code, error.field, error.client_event_id) == ("input_audio_buffer_commit_empty", None, ID)
    assert "at least 100ms" in error.message
    assert "99.96ms" in error.message
    arrives(scene, 1)
    caused = scene.happens(CommitRequested())
    assert kinds(caused) == ["InputCommitted", "ItemAdded", "ItemDone"]
    assert audio_of(scene, scene.told(InputCommitted)[0].item_id) == sound(0, 2_400)
    assert caused[-1] == FinishTranscription(scene.turn())


@pytest.mark.parametrize("wire", AudioFormat)
def test_a_committed_item_holds_its_audio_in_the_encoding_in_which_it_came(wire: AudioFormat) -> None:
    scene = Scene(Settings(turn_detection=None, input_format=wire, transcription=Transcription()))
    scene.happens(AudioArrived(bytes(wire.size(9_600))), CommitRequested())
    message = scene.item(scene.told(InputCommitted)[0].item_id)
    assert isinstance(message, Message)
    assert message.content == (InputAudio(None, bytes(wire.size(9_600)), wire),)
    scene.happens(Transcribed(scene.turn(), "hello"))
    assert scene.told(TranscriptionCompleted)[-1].seconds == 0.4


def test_a_turn_whose_words_are_known_is_waited_for_no_more() -> None:
    scene = Scene(MANUAL)
    arrives(scene, 4_800)
    scene.happens(CommitRequested())
    scene.happens(Transcribed(scene.turn(), "hello"))
    other = Message(ItemId(""), "user", (InputAudio(None, bytes(9_600)),))
    scene.happens(ResponseRequested(ResponseParams(in_conversation=False, input=(other,))))
    assert len(of(scene.happens(ResponseRequested()), StartGeneration)) == 1


def test_a_commit_counts_only_the_audio_since_the_turn_began() -> None:
    scene = Scene(Settings(turn_detection=ServerVad(prefix_padding_ms=0)))
    frames(scene, *[0.0] * 30, 0.9, 0.9)
    (error,) = notices(scene.happens(CommitRequested()))
    assert isinstance(error, ErrorRaised)
    assert "64.00ms" in error.message
    frames(scene, 0.9, 0.9)
    arrives(scene, 5)  # whole milliseconds are told, rounded down
    caused = scene.happens(CommitRequested())
    item = scene.told(InputSpeechStarted)[0].item_id
    assert notices(caused)[:2] == [InputSpeechStopped(item, 34 * 32), InputCommitted(item, None)]
    assert audio_of(scene, item) == given_to_recogniser(scene, scene.turn()) == sound(30 * FRAME, 34 * FRAME + 5)


@pytest.mark.parametrize(
    ("rules", "padding_ms", "kept_ms"),
    [(Rules(), 300, 400), (Rules(), 0, 100), (Rules(pre_roll=OwnPreRoll(0)), 0, MAX_PRE_ROLL_MS + 100)],
)
def test_a_commit_in_the_quiet_takes_what_a_turn_might_have_begun_with_and_a_little_more(
    rules: Rules, padding_ms: int, kept_ms: int
) -> None:
    scene = ruled(rules, Settings(turn_detection=ServerVad(prefix_padding_ms=padding_ms)))
    frames(scene, *[0.0] * 100)
    assert kinds(scene.happens(CommitRequested())) == ["InputCommitted", "ItemAdded", "ItemDone"]
    item = scene.told(InputCommitted)[0].item_id
    kept = sound(scene.position - kept_ms * 24, scene.position)
    assert audio_of(scene, item) == given_to_recogniser(scene, scene.turn()) == kept


def test_a_commit_of_a_voice_without_the_floor_commits_it_and_tells_its_words() -> None:
    scene = played_reply()
    over_reply(scene, (64, 0.9), (200, 0.9))
    scene.happens(PartialTranscribed(scene.turn(), "yes please", stable="yes"))
    assert kinds(scene.happens(CommitRequested())) == ["InputCommitted", "ItemAdded", "ItemDone", "TranscriptionDelta"]
    scene.happens(PartialTranscribed(scene.turn(), "yes please", stable="yes please"))
    assert [delta.delta for delta in scene.told(TranscriptionDelta)] == ["yes", " please"]


def test_a_commit_in_a_pause_drops_the_reply_made_ahead() -> None:
    scene = Scene(owner=GUESSING)
    frames(scene, *[0.9] * 10, *[0.0] * 8)
    scene.happens(Transcribed(scene.turn(), "how are you", scene.flush()))
    attempt = scene.attempt()
    caused = scene.happens(CommitRequested())
    assert cancelled(caused) == [attempt]
    frames(scene, *[0.0] * 20)
    assert len(scene.told(InputCommitted)) == 1
    assert scene.told(ResponseCreated) == []


def test_a_committed_turn_whose_recogniser_has_failed_fails_at_once() -> None:
    scene = Scene(MANUAL)
    arrives(scene, 4_800)
    scene.happens(TranscriptionFailed(scene.turn(), Fault("engine", "It broke.")))
    caused = scene.happens(CommitRequested())
    item = scene.told(InputCommitted)[0].item_id
    assert notices(caused)[-1] == TranscriptionFailedNotice(item, 0, "engine", "It broke.")
    assert of(caused, FinishTranscription) == []
    assert of(caused, DropTranscription) == [DropTranscription(scene.turn())]


def test_a_detected_turn_whose_recogniser_has_failed_fails_at_its_end() -> None:
    scene = Scene(Settings(transcription=Transcription()), GUESSING)
    frames(scene, *[0.9] * 10)
    scene.happens(TranscriptionFailed(scene.turn(), Fault("engine", "It broke.")))
    caused = frames(scene, *[0.0] * 16)
    assert kinds(caused)[-1] == "TranscriptionFailedNotice"
    assert of(caused, FinishTranscription) == []


def test_a_clear_ends_the_turn_that_was_told_and_lets_its_recogniser_go() -> None:
    scene = Scene()
    arrives(scene, 5)  # whole milliseconds are told, rounded down
    frames(scene, *[0.0] * 30, *[0.9] * 10)
    arrives(scene, FRAME)
    item = scene.told(InputSpeechStarted)[0].item_id
    turn = scene.turn()
    assert scene.happens(ClearRequested()) == [
        DropTranscription(turn),
        Tell(InputSpeechStopped(item, 40 * 32)),
        Tell(InputCleared()),
    ]
    assert scene.session.turn_audio(1_000) == b""
    late = scene.session.late_events
    scene.happens(Transcribed(turn, "hello"))
    assert scene.session.late_events == late + 1


def test_a_clear_of_a_turn_that_was_not_told_is_told_as_a_clear_only() -> None:
    scene = played_reply()
    over_reply(scene, (64, 0.9))
    assert scene.happens(ClearRequested()) == [DropTranscription(scene.turn()), Tell(InputCleared())]
    manual = Scene(MANUAL)
    arrives(manual, 4_800)
    assert manual.happens(ClearRequested()) == [DropTranscription(manual.turn()), Tell(InputCleared())]
    arrives(manual, 4_800)
    manual.happens(CommitRequested())
    assert audio_of(manual, manual.told(InputCommitted)[0].item_id) == sound(4_800, 9_600)


def test_a_clear_in_a_pause_drops_the_reply_made_ahead() -> None:
    scene = Scene(owner=GUESSING)
    frames(scene, *[0.9] * 10, *[0.0] * 8)
    scene.happens(Transcribed(scene.turn(), "how are you", scene.flush()))
    caused = scene.happens(ClearRequested())
    assert cancelled(caused) == [scene.attempt()]


def test_a_commit_behind_audio_that_waits_for_its_words_is_refused_where_both_are_too_much() -> None:
    scene = Scene(Settings(turn_detection=None))
    arrives(scene, MAX_WAITING_MS * 24)
    scene.happens(CommitRequested())
    arrives(scene, 24 * 100)
    (error,) = notices(scene.happens(CommitRequested()))
    assert isinstance(error, ErrorRaised)
    assert error.code == "transcription_backlog"
