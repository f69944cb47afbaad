"""A client's audio from its first byte to its words, where the client commits it or has it detected."""

from __future__ import annotations

import pytest

from parley.core.regions import conversation
from parley.core.words.effects import DropTranscription, FinishTranscription, StartGeneration, Transcribe
from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioArrived,
    ClearRequested,
    CommitRequested,
    ItemCreateRequested,
    ItemDeleteRequested,
    PartialTranscribed,
    ResponseRequested,
    SessionUpdateRequested,
    TimePassed,
    Transcribed,
    TranscriptionFailed,
)
from parley.core.words.ids import ItemId
from parley.core.words.items import (
    InputText,
    Message,
)
from parley.core.words.limits import (
    MAX_PENDING_TURNS,
)
from parley.core.words.notices import (
    ErrorRaised,
    InputCleared,
    InputCommitted,
    ResponseCreated,
    ResponseDone,
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionFailedNotice,
)
from parley.core.words.settings import (
    ServerVad,
    Settings,
    Transcription,
)
from tests.core.requesting import ID, MANUAL, refused
from tests.core.scene import Scene, kinds, notices


def test_a_committed_turn_waits_for_its_words_before_the_reply_is_made() -> None:
    scene = Scene(MANUAL)
    scene.happens(AudioArrived(bytes(48 * 500)))
    caused = scene.happens(CommitRequested())
    assert kinds(caused) == ["InputCommitted", "ItemAdded", "ItemDone"]
    assert any(isinstance(effect, FinishTranscription) for effect in caused)
    caused = scene.happens(ResponseRequested())
    assert kinds(caused) == ["ResponseCreated"]
    assert not any(isinstance(effect, StartGeneration) for effect in caused)
    scene.happens(Transcribed(scene.turn(), "what now"))
    assert len(scene.last(StartGeneration).prompt.items) == 1


def test_a_commit_alone_never_causes_a_reply() -> None:
    scene = Scene(MANUAL)
    scene.happens(AudioArrived(bytes(48 * 500)), CommitRequested())
    scene.happens(Transcribed(scene.turn(), "what now"))
    scene.passes(10_000)
    assert scene.told(ResponseCreated) == []


def test_a_reply_whose_words_could_not_be_recognised_fails_and_says_why() -> None:
    scene = Scene(MANUAL)
    scene.happens(AudioArrived(bytes(48 * 500)), CommitRequested(), ResponseRequested())
    scene.happens(TranscriptionFailed(scene.turn(), Fault("engine_error", "no ears")))
    done = scene.told(ResponseDone)[0].response
    assert (done.status, done.error.message if done.error else "") == ("failed", "no ears")
    assert scene.told(ErrorRaised)[0].code == "engine_error"


def test_manual_audio_reaches_the_recogniser_whole_however_it_was_split() -> None:
    scene = Scene(MANUAL)
    audio = bytes(range(256)) * 100
    for start in range(0, len(audio), 333):
        scene.happens(AudioArrived(audio[start : start + 333]))
    scene.happens(CommitRequested())
    fed = b"".join(effect.audio for effect in scene.effects if isinstance(effect, Transcribe))
    assert fed == audio


def test_a_buffer_that_is_nearly_full_takes_no_more_than_it_can_hold() -> None:
    scene = Scene(MANUAL)
    for _ in range(10):
        scene.happens(AudioArrived(bytes(60_000 * 48)))
    scene.happens(AudioArrived(b"\0"))
    assert scene.told(ErrorRaised) == []
    error = refused(scene, AudioArrived(b"\0", ID))
    assert error.code == "input_audio_buffer_full"
    scene.happens(TimePassed(), ClearRequested(), AudioArrived(bytes(4800)))
    assert len(scene.told(ErrorRaised)) == 1


def test_clear_forgets_the_audio_and_a_commit_after_it_has_nothing() -> None:
    scene = Scene(MANUAL)
    scene.happens(AudioArrived(bytes(48 * 500)))
    assert notices(scene.happens(ClearRequested())) == [InputCleared()]
    assert "only has 0.00ms" in refused(scene, CommitRequested(ID)).message


def test_a_commit_in_the_middle_of_detected_speech_ends_that_turn() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    assert kinds(scene.happens(CommitRequested())) == ["InputSpeechStopped", "InputCommitted", "ItemAdded", "ItemDone"]


def test_a_full_conversation_takes_no_commit_and_the_audio_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "MAX_ITEMS", 3)
    scene = Scene(MANUAL)
    for index in range(3):
        scene.happens(ItemCreateRequested(Message(ItemId(f"i{index}"), "user", (InputText("x"),))))
    scene.happens(AudioArrived(bytes(48 * 200)))
    assert refused(scene, CommitRequested(ID)).code == "conversation_full"
    scene.happens(ItemDeleteRequested(ItemId("i0")), CommitRequested())
    assert len(scene.told(InputCommitted)) == 1


def test_the_words_told_are_never_taken_back() -> None:
    scene = Scene(Settings(transcription=Transcription()))
    scene.hears(640, 0.9)
    turn = scene.turn()
    scene.happens(PartialTranscribed(turn, "hello word", "hello"))
    scene.happens(PartialTranscribed(turn, "hello world and", "hello world"))
    scene.happens(PartialTranscribed(turn, "goodbye", "goodbye"))
    scene.hears(640, 0.0)
    scene.happens(Transcribed(turn, "hello world and all"))
    assert [delta.delta for delta in scene.told(TranscriptionDelta)] == ["hello", " world", " and all"]
    assert scene.told(TranscriptionCompleted)[0].transcript == "hello world and all"


def test_a_transcription_session_transcribes_and_never_answers() -> None:
    scene = Scene(Settings(kind="transcription", transcription=Transcription()))
    scene.says("hello there")
    assert scene.told(TranscriptionCompleted)[0].transcript == "hello there"
    assert scene.told(ResponseCreated) == []
    assert refused(scene, ResponseRequested(event_id=ID)).code == "invalid_request"


def test_a_failed_transcript_is_told_as_such_where_transcripts_are_wanted() -> None:
    scene = Scene(Settings(kind="transcription", transcription=Transcription()))
    scene.hears(640, 0.9)
    scene.hears(640, 0.0)
    scene.happens(TranscriptionFailed(scene.turn(), Fault("engine_error", "no ears")))
    assert scene.told(TranscriptionFailedNotice)[0].message == "no ears"


def test_a_recogniser_that_fails_in_a_turn_is_let_go_at_its_end() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    turn = scene.turn()
    assert scene.happens(TranscriptionFailed(turn, Fault("engine_error", "no ears"))) == []
    assert DropTranscription(turn) in scene.hears(640, 0.0)


def test_a_recogniser_too_far_behind_is_let_go_of_its_oldest_turn() -> None:
    scene = Scene(MANUAL)
    turns = []
    for _ in range(MAX_PENDING_TURNS + 1):
        caused = scene.happens(AudioArrived(bytes(48 * 200)), CommitRequested())
        turns.append(scene.turn())
    assert DropTranscription(turns[0]) in caused
    assert DropTranscription(turns[1]) not in caused


def test_switching_detection_off_and_on_in_mid_speech_leaves_no_turn_behind() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    assert kinds(scene.happens(SessionUpdateRequested({"turn_detection": None}))) == [
        "InputSpeechStopped",
        "SessionUpdated",
    ]
    scene.happens(AudioArrived(bytes(48 * 200)))
    scene.happens(SessionUpdateRequested({"turn_detection": ServerVad()}))
    assert kinds(scene.passes(10_000)) == []
