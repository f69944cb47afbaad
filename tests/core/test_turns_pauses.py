"""Pauses in a turn: the requests to the engines, and when a pause ends the turn."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from parley.core.policy.endpointing import pause_needed_ms
from parley.core.policy.turn_rules import PauseSeen, Rules
from parley.core.words.effects import (
    DropTranscription,
    FinishTranscription,
    FlushTranscription,
    JudgePause,
    StartGeneration,
)
from parley.core.words.events import (
    PartialTranscribed,
    PauseJudged,
    Transcribed,
    VoiceScored,
)
from parley.core.words.ids import FlushId, JudgementId, TurnId
from parley.core.words.notices import (
    InputSpeechStarted,
)
from parley.core.words.settings import (
    AudioFormat,
    OwnerSettings,
    SemanticVad,
    ServerVad,
    Settings,
    Transcription,
    TurnDetection,
)
from tests.core.hearing import FRAME, arrives, frames, ruled, sound
from tests.core.scene import SPECULATING, Scene, kinds, of


@dataclass
class OwnEndpointing:
    """Ends a turn after `ms` of silence; records its calls."""

    ms: int
    asked: list[PauseSeen] = field(default_factory=list)

    def pause_needed_ms(self, detection: TurnDetection, pause: PauseSeen) -> int:
        assert isinstance(detection, ServerVad | SemanticVad)
        self.asked.append(pause)
        return self.ms


def test_a_custom_endpointing_rule_gets_the_pause_the_turn_and_the_words() -> None:
    own = OwnEndpointing(200)
    scene = ruled(Rules(endpointing=own), Settings(turn_detection=SemanticVad()))
    arrives(scene, 24 * 10_000)
    for frame in range(20):
        scene.happens(VoiceScored((frame + 1) * FRAME, 0.9 if frame >= 10 else 0.0))
    scene.happens(PartialTranscribed(scene.turn(), "how are"))
    since = 20 * FRAME + 5  # given in whole milliseconds, rounded down
    scene.happens(VoiceScored(since + FRAME, 0.0), VoiceScored(since + 24 * 100, 0.0))
    judged = scene.last(JudgePause)
    scene.happens(PauseJudged(judged.turn, judged.judgement, 0.25))
    assert "InputSpeechStopped" not in kinds(scene.happens(VoiceScored(since + 24 * 200 - 1, 0.0)))
    turn_ms = 20 * 32 - (10 * 32 - 300)
    assert own.asked == [
        PauseSeen(32, turn_ms, "how are", None),
        PauseSeen(100, turn_ms, "how are", None),
        PauseSeen(199, turn_ms, "how are", 0.25),
    ]
    assert "InputSpeechStopped" in kinds(scene.happens(VoiceScored(since + 24 * 200, 0.0)))


@pytest.mark.parametrize(
    ("owner", "detection", "after_ms"),
    [
        (OwnerSettings(speculation=True, speculate_after_ms=200), ServerVad(), 200),
        (OwnerSettings(speculation=True, speculate_after_ms=0), ServerVad(), 0),
        (OwnerSettings(speculation=True, speculate_after_ms=200), SemanticVad(), 64),
        (OwnerSettings(speculate_after_ms=200), SemanticVad(), 64),
        (OwnerSettings(speculate_after_ms=200), ServerVad(), None),
    ],
)
def test_a_transcript_is_requested_once_in_a_pause_at_the_first_use(
    owner: OwnerSettings, detection: TurnDetection, after_ms: int | None
) -> None:
    scene = Scene(Settings(turn_detection=detection), owner)
    arrives(scene, 24 * 10_000)
    scene.happens(*(VoiceScored((frame + 1) * FRAME, 0.9) for frame in range(20)))
    voice_end = 20 * FRAME
    asked: list[int] = []
    for ms in (32, 63, 64, 65, 199, 200, 201, 300):
        caused = scene.happens(VoiceScored(voice_end + ms * 24, 0.0))
        asked += [ms for effect in caused if isinstance(effect, FlushTranscription)]
        assert (len(of(caused, JudgePause)) == 1) == (isinstance(detection, SemanticVad) and ms == 64)
    assert asked == ([] if after_ms is None else [max(32, after_ms)])


def judging(transcription: Transcription | None = None) -> Scene:
    """A session with a turn judge; the user has spoken for 300 ms, after a second of silence."""
    scene = Scene(Settings(turn_detection=SemanticVad("high"), transcription=transcription))
    frames(scene, *[0.0] * 30, *[0.9] * 10)
    return scene


def test_the_turn_judge_gets_the_turns_last_eight_seconds_at_most() -> None:
    scene = judging()
    frames(scene, 0.0, 0.0)
    start = scene.notices(InputSpeechStarted)[0].audio_start_ms * 24
    first = scene.last(JudgePause)
    assert first == JudgePause(
        scene.turn(), first.judgement, "", sound(start, scene.position), AudioFormat.PCM16, "", None
    )
    frames(scene, *[0.9] * 400, 0.0, 0.0)
    assert scene.last(JudgePause).audio == sound(scene.position - 8_000 * 24, scene.position)


@pytest.mark.parametrize(
    ("text", "confidence", "again"),
    [("how are you", None, False), ("how are you", 0.9, True), ("how are", None, True)],
)
def test_a_pause_is_judged_again_when_more_is_known(text: str, confidence: float | None, again: bool) -> None:
    scene = judging()
    scene.happens(PartialTranscribed(scene.turn(), "how are you"))
    frames(scene, 0.0, 0.0)
    caused = scene.happens(
        Transcribed(scene.turn(), text, scene.flush(), "en", confidence=confidence, language_confidence=1)
    )
    assert [(e.text, e.language, e.confidence) for e in caused if isinstance(e, JudgePause)] == (
        [(text, "en", confidence)] if again else []
    )


@pytest.mark.parametrize("transcription", [None, Transcription(), Transcription(language="de")])
def test_the_judges_language_is_the_clients_or_else_the_detected_one(transcription: Transcription | None) -> None:
    scene = judging(transcription)
    frames(scene, 0.0, 0.0)
    named = "de" if transcription is not None and transcription.language else ""
    assert scene.last(JudgePause).language == named
    scene.happens(Transcribed(scene.turn(), "hello", scene.flush(), language="en", language_confidence=1))
    assert scene.last(JudgePause).language == (named or "en")


def test_only_the_latest_judgement_counts() -> None:
    scene = judging()
    frames(scene, 0.0, 0.0)
    first = scene.last(JudgePause)
    scene.happens(Transcribed(scene.turn(), "how are you", scene.flush()))
    second = scene.last(JudgePause)
    late = scene.session.late_events
    scene.happens(
        PauseJudged(first.turn, first.judgement, 1.0),
        PauseJudged(TurnId(99), second.judgement, 1.0),
        PauseJudged(second.turn, JudgementId(99), 1.0),
    )
    assert scene.session.late_events == late + 3
    unjudged = pause_needed_ms(SemanticVad("high"), None)
    assert "InputSpeechStopped" not in kinds(frames(scene, *[0.0] * (unjudged // 32 - 3)))
    scene.happens(PauseJudged(second.turn, second.judgement, 1.0))
    assert scene.session.late_events == late + 3
    assert "InputSpeechStopped" in kinds(frames(scene, 0.0))
    scene.happens(PauseJudged(second.turn, second.judgement, 1.0))
    assert scene.session.late_events == late + 4, "the pause is over"


def test_a_recogniser_that_hears_the_end_shortens_the_pause() -> None:
    scene = judging()
    scene.happens(PartialTranscribed(scene.turn(), "how are you", end_of_turn=0.95))
    longest, shortest = pause_needed_ms(SemanticVad("high"), None), pause_needed_ms(SemanticVad("high"), 0.95)
    assert "InputSpeechStopped" not in kinds(frames(scene, *[0.0] * (shortest // 32 + 2))), (
        "judged while the user spoke"
    )
    assert shortest < longest - 10 * 32
    scene.happens(PartialTranscribed(scene.turn(), "how are you", end_of_turn=0.95))
    assert "InputSpeechStopped" in kinds(frames(scene, 0.0))


def test_a_recogniser_that_hears_no_end_does_not_outweigh_the_judge() -> None:
    scene = judging()
    frames(scene, 0.0, 0.0)
    judged = scene.last(JudgePause)
    scene.happens(
        PauseJudged(judged.turn, judged.judgement, 0.95),
        PartialTranscribed(scene.turn(), "how are you", end_of_turn=0.0),
    )
    shortest = pause_needed_ms(SemanticVad("high"), 0.95)
    assert "InputSpeechStopped" in kinds(frames(scene, *[0.0] * (shortest // 32)))


def test_what_a_recogniser_heard_of_one_pause_says_nothing_of_the_next() -> None:
    scene = judging()
    frames(scene, 0.0, 0.0)
    scene.happens(PartialTranscribed(scene.turn(), "how are", end_of_turn=0.95))
    frames(scene, *[0.9] * 5)
    shortest = pause_needed_ms(SemanticVad("high"), 0.95)
    assert "InputSpeechStopped" not in kinds(frames(scene, *[0.0] * (shortest // 32 + 2)))


def test_a_fixed_pause_does_not_heed_the_recogniser() -> None:
    scene = Scene(Settings(turn_detection=ServerVad(silence_duration_ms=500)))
    frames(scene, *[0.9] * 10, *[0.0] * 8)
    scene.happens(PartialTranscribed(scene.turn(), "how are you", end_of_turn=1.0))
    assert "InputSpeechStopped" not in kinds(frames(scene, *[0.0] * 7))
    assert "InputSpeechStopped" in kinds(frames(scene, 0.0))


@pytest.mark.parametrize("flush", [None, FlushId(99)], ids=["final", "another flush"])
def test_a_transcript_requested_in_another_pause_is_dropped(flush: FlushId | None) -> None:
    scene = Scene(owner=SPECULATING)
    frames(scene, *[0.9] * 10, *[0.0] * 8)
    late = scene.session.late_events
    assert scene.happens(Transcribed(scene.turn(), "hello", flush)) == []
    assert scene.session.late_events == late + 1
    known = scene.flush()
    frames(scene, 0.9)
    assert scene.happens(Transcribed(scene.turn(), "hello", known)) == []
    assert scene.session.late_events == late + 2, "that pause is over"


def test_a_late_transcript_of_the_last_pause_serves_the_turn() -> None:
    scene = Scene(Settings(transcription=Transcription()), SPECULATING)
    frames(scene, *[0.9] * 10, *[0.0] * 16)
    assert of(scene.effects, FinishTranscription) == [], "nothing was said since the request"
    turn = scene.turn()
    assert scene.happens(Transcribed(turn, "of another pause", FlushId(99))) == []
    caused = scene.happens(Transcribed(turn, "hello", scene.flush()))
    assert DropTranscription(turn) in caused
    assert "TranscriptionCompleted" in kinds(caused)
    assert "ResponseCreated" in kinds(caused)


def test_a_turn_with_a_known_transcript_drops_its_recogniser() -> None:
    scene = Scene(Settings(transcription=Transcription()))
    caused = scene.says("hello")
    assert of(caused, DropTranscription) == []
    scene = Scene(Settings(transcription=Transcription()), SPECULATING)
    frames(scene, *[0.9] * 10, *[0.0] * 8)
    scene.happens(Transcribed(scene.turn(), "hello", scene.flush()))
    caused = frames(scene, *[0.0] * 8)
    assert of(caused, DropTranscription) == [DropTranscription(scene.turn())]
    assert of(caused, FinishTranscription) == []


@pytest.mark.parametrize(
    ("owner", "detection", "speculative"),
    [
        (SPECULATING, ServerVad(), True),
        (SPECULATING, ServerVad(create_response=False), False),
        (OwnerSettings(), SemanticVad(), False),
        (SPECULATING, SemanticVad(), True),
        (SPECULATING, SemanticVad(create_response=False), False),
    ],
)
def test_a_speculative_reply_is_made_only_if_the_turn_would_get_one(
    owner: OwnerSettings, detection: TurnDetection, speculative: bool
) -> None:
    scene = Scene(Settings(turn_detection=detection), owner)
    frames(scene, *[0.9] * 10, *[0.0] * 8)
    caused = scene.happens(Transcribed(scene.turn(), "how are you", scene.flush()))
    assert bool(of(caused, StartGeneration)) == speculative
