"""Who has the floor: immediate and confirmed barge-in, waiting replies, judged pauses."""

from __future__ import annotations

from parley.core.words.effects import DropTranscription, FlushTranscription, JudgePause, StartGeneration
from parley.core.words.events import (
    AudioArrived,
    PartialTranscribed,
    PauseJudged,
    Transcribed,
    VoiceScored,
)
from parley.core.words.notices import ErrorRaised, InputSpeechStarted, InputSpeechStopped, ResponseCreated, ResponseDone
from parley.core.words.settings import OwnerSettings, SemanticVad, ServerVad, Settings, Transcription
from tests.core.scene import Scene, kinds

CONFIRMED = OwnerSettings(barge_in="confirmed")


def replying(owner: OwnerSettings | None = None, settings: Settings | None = None) -> Scene:
    scene = Scene(settings or Settings(), owner or OwnerSettings())
    scene.says("tell me a story")
    scene.answers(("Once upon a time there was a king who talked and talked.", 9000))
    scene.passes(500)
    return scene


def test_confirmed_a_cough_is_never_told_and_the_reply_goes_on() -> None:
    scene = replying(CONFIRMED)
    caused = scene.hears(128, 0.9) + scene.hears(400, 0.0)
    assert kinds(caused) == []
    assert any(isinstance(effect, DropTranscription) for effect in caused)
    assert len(scene.told(ResponseDone)) == 1


def test_confirmed_a_listening_word_leaves_the_floor_and_two_real_words_take_it() -> None:
    scene = replying(CONFIRMED)
    scene.hears(160, 0.9)
    assert kinds(scene.happens(PartialTranscribed(scene.turn(), "yeah okay"))) == []
    assert kinds(scene.hears(32, 0.9)) == []
    scene.happens(PartialTranscribed(scene.turn(), "yeah but wait"))
    assert kinds(scene.hears(32, 0.9))[0] == "InputSpeechStarted"


def test_confirmed_a_long_voice_takes_the_floor_whatever_its_words() -> None:
    scene = replying(CONFIRMED)
    assert "InputSpeechStarted" not in kinds(scene.hears(640, 0.9))
    assert "InputSpeechStarted" in kinds(scene.hears(128, 0.9))


def test_confirmed_without_a_reply_speech_is_told_at_once() -> None:
    scene = Scene(owner=CONFIRMED)
    assert kinds(scene.hears(96, 0.9)) == ["InputSpeechStarted"]


def test_without_interruption_the_next_reply_waits_until_the_first_was_heard() -> None:
    scene = replying(settings=Settings(turn_detection=ServerVad(interrupt_response=False)))
    scene.says("and then")
    assert len(scene.told(ResponseCreated)) == 1
    scene.passes(9000)
    assert len(scene.told(ResponseCreated)) == 2
    assert scene.told(ResponseDone)[0].response.status == "completed"


def test_a_question_asked_in_two_breaths_gets_one_reply() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    scene.hears(576, 0.0)
    first = scene.turn()
    scene.hears(320, 0.9)
    scene.happens(Transcribed(first, "what is"))
    assert scene.told(ResponseCreated) == []
    scene.hears(576, 0.0)
    scene.happens(Transcribed(scene.turn(), "the time"))
    assert len(scene.told(ResponseCreated)) == 1
    assert len(scene.last(StartGeneration).prompt.items) == 2


def test_the_judge_decides_how_long_a_pause_must_be() -> None:
    scene = Scene(Settings(turn_detection=SemanticVad("medium")))
    scene.hears(640, 0.9)
    scene.hears(96, 0.0)
    judged = scene.last(JudgePause)
    assert kinds(scene.hears(1000, 0.0)) == []
    scene.happens(PauseJudged(judged.turn, judged.judgement, 0.95))
    assert "InputSpeechStopped" in kinds(scene.hears(32, 0.0))


def test_the_words_of_the_whole_pause_are_judged_with_their_language_and_how_sure_they_are() -> None:
    scene = Scene(Settings(turn_detection=SemanticVad("medium")))
    scene.hears(640, 0.9)
    scene.happens(PartialTranscribed(scene.turn(), "what time is it"))
    scene.hears(96, 0.0)
    partial, flush = scene.last(JudgePause), scene.last(FlushTranscription)
    assert (partial.text, partial.language, partial.confidence) == ("what time is it", "", None)
    scene.happens(
        Transcribed(scene.turn(), "what time is it", flush.flush, "en", confidence=0.4, language_confidence=1)
    )
    judged = scene.last(JudgePause)
    assert judged.judgement != partial.judgement, "the words are the same, what is known of them is not"
    assert (judged.text, judged.language, judged.confidence) == ("what time is it", "en", 0.4)


def test_the_language_that_the_client_named_is_the_judges_too() -> None:
    scene = Scene(Settings(turn_detection=SemanticVad("medium"), transcription=Transcription(language="de")))
    scene.hears(640, 0.9)
    scene.hears(96, 0.0)
    flush = scene.last(FlushTranscription)
    scene.happens(Transcribed(scene.turn(), "ja", flush.flush, language="en"))
    assert scene.last(JudgePause).language == "de"


def test_an_unfinished_thought_is_waited_for_but_not_for_ever() -> None:
    scene = Scene(Settings(turn_detection=SemanticVad("high")))
    scene.hears(640, 0.9)
    scene.hears(96, 0.0)
    judged = scene.last(JudgePause)
    scene.happens(PauseJudged(judged.turn, judged.judgement, 0.05))
    assert kinds(scene.hears(1800, 0.0)) == []
    assert "InputSpeechStopped" in kinds(scene.hears(200, 0.0))


def test_a_judgement_of_an_earlier_pause_counts_for_nothing() -> None:
    scene = Scene(Settings(turn_detection=SemanticVad("high")))
    scene.hears(640, 0.9)
    scene.hears(96, 0.0)
    old = scene.last(JudgePause)
    scene.hears(96, 0.9)
    scene.hears(96, 0.0)
    scene.happens(PauseJudged(old.turn, old.judgement, 1.0))
    assert kinds(scene.hears(400, 0.0)) == []


def test_a_microphone_that_stops_ends_the_turn() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    assert scene.told(InputSpeechStopped) == []
    scene.passes(3100)
    assert len(scene.told(InputSpeechStopped)) == 1


def test_audio_that_waits_to_be_scored_is_no_silence_of_the_microphone() -> None:
    scene = Scene()
    scene.hears(320, 0.9)
    scene.happens(AudioArrived(bytes(1536 * 60)))
    for index in range(60):
        scene.passes(100)
        scene.happens(VoiceScored(scene.position + (index + 1) * 768, 0.9))
    assert scene.told(InputSpeechStopped) == []
    scene.passes(3100)
    assert [stopped.audio_end_ms for stopped in scene.told(InputSpeechStopped)] == [70 * 32]


def test_a_voice_that_never_stops_is_committed_by_force() -> None:
    scene = Scene()
    scene.hears(5 * 60 * 1000 + 1000, 0.9)
    assert len(scene.told(InputSpeechStopped)) == 1
    assert len(scene.told(InputSpeechStarted)) == 2


def test_the_same_recording_pushed_all_at_once_gives_the_same_turns() -> None:
    slow, fast = Scene(), Scene()
    slow.hears(320, 0.0)
    slow.hears(640, 0.9)
    slow.hears(640, 0.0)
    fast.happens(AudioArrived(bytes(1536 * 50)))
    for index in range(50):
        fast.happens(VoiceScored((index + 1) * 768, 0.9 if 10 <= index < 30 else 0.0))
    assert slow.told(InputSpeechStarted) == fast.told(InputSpeechStarted)
    assert slow.told(InputSpeechStopped) == fast.told(InputSpeechStopped)


def test_a_reply_the_models_never_make_fails_in_the_end() -> None:
    scene = Scene()
    scene.says("hello")
    scene.passes(61_000)
    done = scene.told(ResponseDone)[-1].response
    assert done.status == "failed"
    assert done.error is not None
    assert done.error.code == "timeout"


def test_a_transcript_that_never_comes_is_told_and_the_session_goes_on() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    scene.hears(640, 0.0)
    scene.passes(31_000)
    assert scene.told(ErrorRaised)[-1].code == "timeout"
    scene.says("hello")
    assert len(scene.told(ResponseCreated)) == 1
