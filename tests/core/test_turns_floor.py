"""When a voice over a reply takes the floor, and how it affects the reply."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from parley.core.policy.assistant import Assistant
from parley.core.policy.policy import OverOutput
from parley.core.policy.turn_rules import Rules
from parley.core.words.effects import (
    DropTranscription,
)
from parley.core.words.events import (
    PartialTranscribed,
    ResponseRequested,
)
from parley.core.words.notices import (
    InputSpeechStarted,
    ResponseDone,
    TranscriptionDelta,
)
from parley.core.words.settings import (
    OwnerSettings,
    SemanticVad,
    ServerVad,
    Settings,
    Transcription,
    TurnDetection,
)
from tests.core.hearing import CONFIRMED, frames, over_reply, played_reply, ruled
from tests.core.scene import Scene, kinds, notices


@dataclass
class OwnFloor:
    """Gives the floor to a voice that says "stop"; records its calls."""

    asked: list[tuple[str, int]] = field(default_factory=list)

    def takes_floor(self, text: str, voice_ms: int) -> bool:
        self.asked.append((text, voice_ms))
        return text == "stop"


@pytest.mark.parametrize(
    ("owner", "detection", "reported"),
    [
        (OwnerSettings(), ServerVad(), True),
        (CONFIRMED, ServerVad(), False),
        (CONFIRMED, SemanticVad(), False),
        (CONFIRMED, ServerVad(interrupt_response=False), True),
        (CONFIRMED, SemanticVad(interrupt_response=False), True),
    ],
)
def test_a_voice_over_a_reply_is_reported_at_once_unless_barge_in_needs_confirmation(
    owner: OwnerSettings, detection: TurnDetection, reported: bool
) -> None:
    scene = played_reply(owner, detection)
    assert kinds(frames(scene, 0.9, 0.9)) == (["InputSpeechStarted"] if reported else [])


def test_a_voice_over_a_reply_before_its_playback_needs_confirmation_too() -> None:
    scene = Scene(owner=CONFIRMED)
    scene.happens(ResponseRequested())
    assert kinds(frames(scene, 0.9, 0.9)) == []


def test_an_unconfirmed_voice_gets_the_floor_when_the_reply_ends() -> None:
    scene = Scene(owner=CONFIRMED)
    scene.happens(ResponseRequested())
    scene.answers(("Yes.", 200))
    frames(scene, 0.9, 0.9)
    scene.happens(PartialTranscribed(scene.turn(), "how", stable="how"))
    assert kinds(frames(scene, 0.9)) == []
    scene.passes(200)
    assert kinds(frames(scene, 0.9)) == ["InputSpeechStarted"]
    assert scene.notices(ResponseDone)[0].response.status == "completed"


def test_a_voice_of_700_ms_takes_the_floor_and_a_shorter_one_does_not() -> None:
    scene = played_reply()
    assert kinds(over_reply(scene, (64, 0.9), (699, 0.9))) == []
    assert kinds(over_reply(scene, (700, 0.9))) == ["InputSpeechStarted"]
    assert scene.notices(InputSpeechStarted)[0].audio_start_ms == 700


def test_a_pause_of_300_ms_ends_an_unconfirmed_voice() -> None:
    scene = played_reply()
    over_reply(scene, (64, 0.9), (96, 0.0))
    assert over_reply(scene, (64 + 299, 0.0))[1:] == []
    turn = scene.turn()
    caused = over_reply(scene, (64 + 300, 0.0))
    assert caused[-1] == DropTranscription(turn)
    assert kinds(caused) == []
    over_reply(scene, (500, 0.9), (532, 0.9), (1_300, 0.9))
    assert [started.audio_start_ms for started in scene.notices(InputSpeechStarted)] == [1_000 + 64 + 300], (
        "no audio of the cough"
    )
    assert scene.turn() != turn


def test_silence_after_a_voice_does_not_make_it_longer() -> None:
    scene = played_reply()
    over_reply(scene, (64, 0.9), (650, 0.9))
    assert kinds(over_reply(scene, (682, 0.0), (710, 0.0))) == []
    assert kinds(over_reply(scene, (740, 0.9))) == ["InputSpeechStarted"]


def test_words_in_a_pause_take_the_floor_and_the_turn_continues_to_its_end() -> None:
    scene = played_reply(CONFIRMED, ServerVad(silence_duration_ms=200))
    over_reply(scene, (64, 0.9), (320, 0.9), (352, 0.0))
    scene.happens(PartialTranscribed(scene.turn(), "please stop", stable="please"))
    caused = over_reply(scene, (320 + 200, 0.0))
    assert kinds(caused)[:2] == ["InputSpeechStarted", "TranscriptionDelta"]
    assert "InputSpeechStopped" in kinds(caused), "its pause was already long enough"


def test_a_custom_floor_rule_gets_the_words_and_the_length_of_the_voice() -> None:
    own = OwnFloor()
    scene = ruled(Rules(floor=own), Settings(transcription=Transcription()))
    scene.happens(ResponseRequested())
    scene.answers(("Once upon a time.", 60_000))
    over_reply(scene, (64, 0.9), (2_000.5, 0.9), (2_032.5, 0.0))  # given in whole milliseconds, rounded down
    scene.happens(PartialTranscribed(scene.turn(), "two more words"))
    assert kinds(over_reply(scene, (2_100, 0.0), (2_132, 0.9))) == []
    scene.happens(PartialTranscribed(scene.turn(), "stop", stable="stop"))
    caused = over_reply(scene, (2_164, 0.9))
    assert [type(notice) for notice in notices(caused)] == [InputSpeechStarted, TranscriptionDelta]
    assert own.asked == [
        ("", 64),
        ("", 2_000),
        ("", 2_000),
        ("two more words", 2_000),
        ("two more words", 2_132),
        ("stop", 2_164),
    ]


def test_a_provisional_turn_that_must_end_takes_the_floor_first() -> None:
    scene = played_reply()
    over_reply(scene, (64, 0.9))
    scene.passes(3_100)
    assert [kind for kind in kinds(scene.effects) if kind.startswith("InputSpeech")] == [
        "InputSpeechStarted",
        "InputSpeechStopped",
    ]


def test_a_voice_over_a_reply_cuts_it_only_if_interruption_is_enabled() -> None:
    for interrupt in (True, False):
        scene = Scene(Settings(turn_detection=ServerVad(interrupt_response=interrupt)))
        scene.happens(ResponseRequested())
        frames(scene, 0.9, 0.9)
        assert [done.response.reason for done in scene.notices(ResponseDone)] == (
            ["turn_detected"] if interrupt else []
        )


@dataclass
class OwnPolicy(Assistant):
    """An assistant with its own decision about a voice over its output."""

    over: OverOutput = "cut"

    def voice_over_output(self) -> OverOutput:
        return self.over


@pytest.mark.parametrize(
    ("over", "started", "cut"), [("cut", True, True), ("queue", True, False), ("ignore", False, False)]
)
def test_a_policy_decides_whether_a_voice_over_output_cuts_it_is_queued_or_ignored(
    over: OverOutput, started: bool, cut: bool
) -> None:
    scene = Scene(policy=OwnPolicy(over))
    scene.happens(ResponseRequested())
    scene.answers(("Once upon a time.", 10_000))
    caused = scene.hears(960, 0.9)
    assert ("InputSpeechStarted" in kinds(caused)) is started
    assert scene.session.speaking is not cut
