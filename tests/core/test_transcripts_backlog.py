"""The limit of audio with pending transcripts, and the error beyond it."""

from __future__ import annotations

from parley.core.words.effects import DropTranscription, FinishTranscription, OpenTranscription
from parley.core.words.events import (
    AudioArrived,
    CommitRequested,
    ItemCreateRequested,
    ResponseRequested,
    Transcribed,
    VoiceScored,
)
from parley.core.words.ids import ItemId, TurnId
from parley.core.words.items import InputAudio, Message
from parley.core.words.limits import MAX_WAITING_MS
from parley.core.words.notices import ItemAdded, TranscriptionCompleted, TranscriptionFailedNotice
from parley.core.words.settings import Settings, Transcription
from parley.core.words.work import ResponseParams
from tests.core.requesting import ID, refused
from tests.core.scene import Scene, kinds

MINUTE = bytes(48 * 60_000)
MANUAL = Settings(turn_detection=None, transcription=Transcription())


def spoken(name: str, *parts: bytes) -> Message:
    return Message(ItemId(name), "user", tuple(InputAudio(None, part) for part in parts))


def words(scene: Scene, turn: TurnId) -> None:
    scene.happens(Transcribed(turn, "words"))


def test_items_over_the_backlog_are_refused_by_name_until_transcripts_arrive() -> None:
    scene = Scene(MANUAL)
    for number in range(MAX_WAITING_MS // 60_000):
        scene.happens(ItemCreateRequested(spoken(f"i{number}", MINUTE)))
    first = scene.effects.index(scene.last(OpenTranscription))
    one_more = ItemCreateRequested(spoken("more", bytes(9600)), None, ID)
    error = refused(scene, one_more)
    assert (error.code, error.field) == ("transcription_backlog", "item.content")
    assert "wait for the transcripts" in error.message
    assert scene.last(OpenTranscription) is scene.effects[first], "a refused item starts no work"
    words(scene, TurnId(1))
    assert "ItemAdded" in kinds(scene.happens(one_more))


def test_one_item_with_too_much_audio_is_refused_whole() -> None:
    scene = Scene(MANUAL)
    error = refused(scene, ItemCreateRequested(spoken("a", *[MINUTE] * (MAX_WAITING_MS // 60_000 + 1)), None, ID))
    assert (error.code, error.field) == ("transcription_backlog", "item.content")
    assert scene.notices(ItemAdded) == []


def test_transcribed_audio_is_not_in_the_backlog() -> None:
    scene = Scene(MANUAL)
    known = Message(ItemId("known"), "user", (InputAudio("hello", MINUTE * 4),))
    assert "ItemAdded" in kinds(scene.happens(ItemCreateRequested(known)))


def test_a_responses_own_input_is_refused_before_it_has_any_effect() -> None:
    scene = Scene()
    items = tuple(spoken(f"i{number}", MINUTE) for number in range(MAX_WAITING_MS // 60_000 + 1))
    error = refused(scene, ResponseRequested(ResponseParams(input=items, in_conversation=False), ID))
    assert (error.code, error.field) == ("transcription_backlog", "response.input")


def test_a_commit_over_the_backlog_is_refused_and_keeps_its_audio() -> None:
    scene = Scene(MANUAL)
    for _ in range(MAX_WAITING_MS // 60_000):
        scene.happens(AudioArrived(MINUTE), CommitRequested())
    scene.happens(AudioArrived(MINUTE))
    error = refused(scene, CommitRequested(ID))
    assert error.code == "transcription_backlog"
    waiting = [effect.turn for effect in scene.all(FinishTranscription)]
    words(scene, waiting[0])
    assert "InputCommitted" in kinds(scene.happens(CommitRequested(ID)))
    words(scene, scene.turn())
    assert scene.notices(TranscriptionCompleted)[-1].seconds == 60.0


def test_a_single_long_turn_is_not_refused() -> None:
    scene = Scene(MANUAL)
    for _ in range(MAX_WAITING_MS // 60_000 + 1):
        scene.happens(AudioArrived(MINUTE))
    assert "InputCommitted" in kinds(scene.happens(CommitRequested(ID)))


def test_turns_ended_by_voice_activity_drop_the_oldest_over_the_backlog() -> None:
    scene = Scene(Settings(transcription=Transcription()))
    turns: list[TurnId] = []
    while not scene.notices(TranscriptionFailedNotice):
        assert len(turns) < 10
        # Faster than real time, so that no turn times out: only the backlog matters here.
        for probability in (0.9,) * 1900 + (0.0,) * 20:
            scene.position += 768
            scene.happens(AudioArrived(bytes(1536)), VoiceScored(scene.position, probability))
        turns.append(scene.turn())
    assert DropTranscription(turns[0]) in scene.effects
    assert scene.notices(TranscriptionFailedNotice)[0].code == "transcription_backlog"
    assert DropTranscription(turns[1]) not in scene.effects


def test_the_recogniser_knows_live_turns_from_audio_items() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    assert scene.last(OpenTranscription).live
    scene.happens(ItemCreateRequested(spoken("a", bytes(9600))))
    assert not scene.last(OpenTranscription).live
