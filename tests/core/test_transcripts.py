"""Transcripts: late ones, abandoned ones, and the backlog."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley.core.words.effects import (
    CancelGeneration,
    DropTranscription,
    ReleaseGeneration,
    StartGeneration,
    Transcribe,
)
from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioArrived,
    CommitRequested,
    Event,
    ItemCreateRequested,
    PartialTranscribed,
    ResponseRequested,
    Transcribed,
    TranscriptionFailed,
    VoiceScored,
)
from parley.core.words.ids import ClientEventId, ItemId, TurnId
from parley.core.words.items import InputAudio, InputText, Message
from parley.core.words.limits import MAX_PENDING_TURNS, MAX_WAITING_MS, TRANSCRIPT_WAIT_NS
from parley.core.words.notices import (
    ErrorRaised,
    ResponseCreated,
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionFailedNotice,
)
from parley.core.words.settings import (
    UNSTABLE_WORDS,
    AudioFormat,
    OwnerSettings,
    ServerVad,
    Settings,
    Transcription,
)
from parley.core.words.unstable_transcript import UnstableTranscript
from parley.core.words.work import ResponseParams
from tests.core.scene import MS, SPECULATING, Scene, kinds, notices, of

MANUAL = Settings(turn_detection=None, transcription=Transcription())
UNASKED = replace(MANUAL, transcription=None)


def commits(scene: Scene, ms: int = 200) -> TurnId:
    """Commit a turn of this much audio, whose transcript is pending."""
    scene.happens(AudioArrived(bytes(48 * ms)), CommitRequested())
    return scene.turn()


def test_a_transcript_of_an_ended_turn_is_counted_and_dropped() -> None:
    scene = Scene(MANUAL)
    turn = commits(scene)
    scene.happens(Transcribed(turn, "hello"))
    late: tuple[Event, ...] = (
        PartialTranscribed(turn, "hello", "hello"),
        TranscriptionFailed(TurnId(99), Fault("engine_error", "It broke.")),
        PartialTranscribed(turn, "hello again", "hello"),
        TranscriptionFailed(turn, Fault("engine_error", "It broke.")),
        Transcribed(turn, "hello"),
    )
    for count, event in enumerate(late, 1):
        assert scene.happens(event) == []
        assert scene.session.late_events == count


def test_stable_words_are_sent_as_deltas_and_the_rest_at_the_end() -> None:
    scene = Scene(MANUAL)
    turn = commits(scene, 1_250)
    events: list[Event] = [
        PartialTranscribed(turn, "tell me", ""),
        PartialTranscribed(turn, "tell me a", "tell"),
        PartialTranscribed(turn, "sell me a", "sell"),
        PartialTranscribed(turn, "tell me a", "tell"),
        PartialTranscribed(turn, "tell me a story", "tell me"),
        Transcribed(turn, "tell me a story", logprobs="[]"),
    ]
    sent = [notices(scene.happens(event)) for event in events]
    item = scene.notices(TranscriptionCompleted)[0].item_id
    assert sent[:5] == [[], [TranscriptionDelta(item, 0, "tell")], [], [], [TranscriptionDelta(item, 0, " me")]]
    assert sent[5] == [
        TranscriptionDelta(item, 0, " a story"),
        TranscriptionCompleted(item, 0, "tell me a story", 1.25, "[]"),
    ]


def test_words_that_may_still_change_are_sent_to_a_client_that_asked_for_them() -> None:
    scene = Scene(replace(MANUAL, include=(UNSTABLE_WORDS,)))
    turn = commits(scene)
    events: list[Event] = [
        PartialTranscribed(turn, "tell me", ""),
        PartialTranscribed(turn, "tell me", ""),
        PartialTranscribed(turn, "tell me a", "tell"),
        PartialTranscribed(turn, "tell", "tell"),
        PartialTranscribed(turn, "tell me", "tell me"),
        Transcribed(turn, "tell me a story"),
    ]
    sent = [notices(scene.happens(event)) for event in events]
    item = scene.notices(TranscriptionCompleted)[0].item_id
    unstable = [[one.text for one in some if isinstance(one, UnstableTranscript)] for some in sent]
    assert unstable == [["tell me"], [], [" me a"], [""], [], []]
    assert {one.item_id for one in scene.notices(UnstableTranscript)} == {item}
    assert [kind for kind in kinds(scene.effects) if kind == "TranscriptionDelta"], "the stable words go on as before"


@pytest.mark.parametrize("final", ["tell", "sell me a story"])
def test_a_final_transcript_that_contradicts_its_deltas_is_sent_without_a_delta(final: str) -> None:
    scene = Scene(MANUAL)
    turn = commits(scene)
    scene.happens(PartialTranscribed(turn, "tell me", "tell"))
    (completed,) = notices(scene.happens(Transcribed(turn, final)))
    assert isinstance(completed, TranscriptionCompleted)
    assert completed.transcript == final


def test_unrequested_transcripts_are_not_sent_and_their_failure_is() -> None:
    scene = Scene(UNASKED)
    turn = commits(scene)
    assert notices(scene.happens(PartialTranscribed(turn, "hello", "hello"), Transcribed(turn, "hello there"))) == []
    caused = scene.happens(TranscriptionFailed(commits(scene), Fault("engine_error", "It broke.")))
    assert notices(caused) == [ErrorRaised("engine_error", "It broke.", kind="server_error")]


def test_a_late_transcript_times_out() -> None:
    scene = Scene(MANUAL)
    first = commits(scene)
    scene.now += MS
    second = commits(scene)
    waited = TRANSCRIPT_WAIT_NS // MS
    assert scene.passes(waited - 2) == []
    caused = scene.passes(1)
    assert [effect.turn for effect in of(caused, DropTranscription)] == [first]
    (failed,) = notices(caused)
    assert isinstance(failed, TranscriptionFailedNotice)
    assert (failed.code, bool(failed.message)) == ("timeout", True)
    caused = scene.passes(1)
    assert [effect.turn for effect in of(caused, DropTranscription)] == [second]


def test_with_too_many_pending_turns_the_oldest_is_dropped() -> None:
    scene = Scene(MANUAL)
    turns = [commits(scene, 100) for _ in range(MAX_PENDING_TURNS)]
    assert scene.notices(TranscriptionFailedNotice) == []
    turns.append(commits(scene, 100))
    (failed,) = scene.notices(TranscriptionFailedNotice)
    assert (failed.code, "no faster than it is spoken" in failed.message) == ("transcription_backlog", True)
    assert scene.last(DropTranscription).turn == turns[0]


def test_pending_audio_may_reach_the_limit_and_a_refusal_gives_its_length() -> None:
    scene = Scene(MANUAL)
    half = MAX_WAITING_MS // 2

    def brings(ms: int) -> ItemCreateRequested:
        content = (InputAudio(None, bytes(48 * ms)),)
        return ItemCreateRequested(Message(ItemId(f"of {ms} ms"), "user", content), None, ClientEventId("mine"))

    scene.happens(brings(half + 500))
    (error,) = notices(scene.happens(brings(half + 1)))
    assert isinstance(error, ErrorRaised)
    assert (error.code, error.kind, error.field) == ("transcription_backlog", "rate_limit_error", "item.content")
    assert error.message.startswith("90 s of this session's audio wait for their transcripts; 90 s more exceed")
    assert "exceed the limit of 180 s." in error.message
    scene.happens(brings(half - 500))
    assert scene.notices(ErrorRaised) == [error], "audio up to the limit is accepted"


def test_a_turn_may_be_spoken_while_the_backlog_is_full() -> None:
    scene = Scene(Settings(transcription=Transcription()))
    content = (InputAudio(None, bytes(48 * MAX_WAITING_MS)),)
    scene.happens(ItemCreateRequested(Message(ItemId("long"), "user", content)))
    scene.says("what was that")
    assert scene.notices(TranscriptionFailedNotice) == []
    assert [completed.transcript for completed in scene.notices(TranscriptionCompleted)] == ["what was that"]


# --- the consequences of a transcript ----------------------------------------------------------------------------------------------


def paused(text: str, owner: OwnerSettings = SPECULATING) -> Scene:
    """The user has said this and pauses; the transcript is known."""
    scene = Scene(Settings(transcription=Transcription()), owner)
    scene.pauses(text)
    return scene


def test_a_transcript_known_in_the_pause_releases_its_speculative_reply() -> None:
    scene = paused("how are you")
    attempt = scene.attempt()
    caused = scene.hears(320, 0.0)
    (created,) = scene.notices(ResponseCreated)
    assert ReleaseGeneration(attempt, created.response.id) in caused
    assert len(scene.notices(TranscriptionCompleted)) == 1


def test_an_empty_transcript_releases_nothing() -> None:
    scene = paused("")
    scene.hears(320, 0.0)
    assert [completed.transcript for completed in scene.notices(TranscriptionCompleted)] == [""]
    assert scene.notices(ResponseCreated) == []


def test_a_speculative_reply_with_an_outdated_basis_is_dropped_at_the_final_transcript() -> None:
    scene = paused("how are you")
    attempt = scene.attempt()
    scene.happens(ItemCreateRequested(Message(ItemId("new"), "user", (InputText("wait"),))))
    scene.hears(320, 0.0)
    assert CancelGeneration(attempt) in scene.effects
    assert scene.attempt() != attempt


@pytest.mark.parametrize("words", ["", "mm-hm"])
def test_a_backchannel_that_interrupted_a_reply_resumes_it(words: str) -> None:
    scene = Scene()
    scene.says("count")
    scene.answers(("One two three four.", 4_000))
    scene.passes(1_000)
    scene.hears(96, 0.9)
    scene.hears(640, 0.0)
    scene.happens(Transcribed(scene.turn(), words))
    assert len(scene.notices(ResponseCreated)) == 2
    assert scene.session.speaking


def test_silence_for_the_clients_timeout_is_answered_with_a_hint() -> None:
    scene = Scene(Settings(modality="text", turn_detection=ServerVad(idle_timeout_ms=5_000)))
    scene.happens(ResponseRequested())
    scene.answers()
    scene.hears(200, 0.0)
    scene.passes(5_000)
    scene.happens(Transcribed(scene.turn(), ""))
    hint = scene.last(StartGeneration).prompt.items[-1]
    assert isinstance(hint, Message)
    assert hint.role == "system"


def test_a_recogniser_that_fails_during_a_turn_fails_it_at_its_end() -> None:
    scene = Scene(Settings(transcription=Transcription()))
    scene.hears(640, 0.9)
    assert scene.happens(TranscriptionFailed(scene.turn(), Fault("engine_error", "It broke."))) == []
    scene.hears(640, 0.0)
    assert [failed.code for failed in scene.notices(TranscriptionFailedNotice)] == ["engine_error"]


def test_words_of_a_provisional_turn_are_not_sent() -> None:
    scene = Scene(Settings(transcription=Transcription()), OwnerSettings(barge_in="confirmed"))
    scene.happens(ResponseRequested())
    scene.answers(("Once upon a time.", 10_000))
    scene.hears(64, 0.9)
    assert scene.happens(PartialTranscribed(scene.turn(), "how", "how")) == []


@pytest.mark.parametrize("fails", [False, True])
def test_a_transcript_of_a_responses_own_input_is_not_sent(fails: bool) -> None:
    scene = Scene(MANUAL)
    mine = Message(ItemId(""), "user", (InputAudio(None, bytes(48 * 200)),))
    scene.happens(ResponseRequested(ResponseParams(input=(mine,), in_conversation=False)))
    turn = scene.turn()
    outcome = TranscriptionFailed(turn, Fault("engine_error", "It broke.")) if fails else Transcribed(turn, "hello")
    assert kinds(scene.happens(outcome)) == (["ResponseDone", "RateLimitsUpdated"] if fails else [])


def test_a_turn_is_fed_to_its_recogniser_once() -> None:
    scene = Scene(MANUAL)
    scene.happens(AudioArrived(bytes(48 * 200)), CommitRequested())
    turn = scene.turn()
    fed = scene.all(Transcribe)
    assert [(effect.turn, len(effect.audio)) for effect in fed] == [(turn, 48 * 200)]


def test_a_score_between_two_bytes_gives_the_recogniser_no_empty_audio() -> None:
    scene = Scene(Settings(input_format=AudioFormat.PCMU))
    scene.happens(AudioArrived(bytes(1_000)))
    for end in (768, 1_536, 1_537, 1_538, 1_539):
        scene.happens(VoiceScored(end, 0.9))
    fed = [effect.audio for effect in scene.all(Transcribe)]
    assert [len(audio) for audio in fed] == [512, 1]


def test_the_end_that_a_recogniser_hears_in_a_turn_that_has_ended_changes_nothing() -> None:
    told = [
        notices(scene.happens(PartialTranscribed(commits(scene), "hello there", "hello", end_of_turn=end)))
        for end, scene in ((None, Scene(MANUAL)), (1.0, Scene(MANUAL)))
    ]
    assert [[notice.delta for notice in each if isinstance(notice, TranscriptionDelta)] for each in told] == [
        ["hello"]
    ] * 2
    assert [len(each) for each in told] == [1, 1]
