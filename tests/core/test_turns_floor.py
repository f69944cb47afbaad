"""Which voice over a reply gets the floor, and what it does to the reply."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from parley.core.policy.assistant import Assistant
from parley.core.policy.policy import OverOutput
from parley.core.policy.turn_rules import Rules
from parley.core.session import Session
from parley.core.spec import SessionSpec
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
    """Gives the floor to a voice that says "stop"; remembers what it was asked."""

    asked: list[tuple[str, int]] = field(default_factory=list)

    def takes_floor(self, text: str, voice_ms: int) -> bool:
        self.asked.append((text, voice_ms))
        return text == "stop"


@pytest.mark.parametrize(
    ("owner", "detection", "told"),
    [
        (OwnerSettings(), ServerVad(), True),
        (CONFIRMED, ServerVad(), False),
        (CONFIRMED, SemanticVad(), False),
        (CONFIRMED, ServerVad(interrupt_response=False), True),
        (CONFIRMED, SemanticVad(interrupt_response=False), True),
    ],
)
def test_a_voice_over_a_reply_is_told_at_once_unless_it_must_show_that_it_wants_the_floor(
    owner: OwnerSettings, detection: TurnDetection, told: bool
) -> None:
    scene = played_reply(owner, detection)
    assert kinds(frames(scene, 0.9, 0.9)) == (["InputSpeechStarted"] if told else [])


def test_a_voice_over_a_reply_that_is_made_but_not_heard_yet_must_show_that_it_wants_the_floor_too() -> None:
    scene = Scene(owner=CONFIRMED)
    scene.happens(ResponseRequested())
    assert kinds(frames(scene, 0.9, 0.9)) == []


def test_a_voice_that_has_not_shown_it_gets_the_floor_when_the_reply_ends() -> None:
    scene = Scene(owner=CONFIRMED)
    scene.happens(ResponseRequested())
    scene.answers(("Yes.", 200))
    frames(scene, 0.9, 0.9)
    scene.happens(PartialTranscribed(scene.turn(), "how", stable="how"))
    assert kinds(frames(scene, 0.9)) == []
    scene.passes(200)
    assert kinds(frames(scene, 0.9)) == ["InputSpeechStarted"]
    assert scene.told(ResponseDone)[0].response.status == "completed"


def test_a_voice_of_seven_tenths_of_a_second_takes_the_floor_and_a_shorter_one_does_not() -> None:
    scene = played_reply()
    assert kinds(over_reply(scene, (64, 0.9), (699, 0.9))) == []
    assert kinds(over_reply(scene, (700, 0.9))) == ["InputSpeechStarted"]
    assert scene.told(InputSpeechStarted)[0].audio_start_ms == 700


def test_a_pause_of_three_tenths_ends_a_voice_that_did_not_take_the_floor() -> None:
    scene = played_reply()
    over_reply(scene, (64, 0.9), (96, 0.0))
    assert over_reply(scene, (64 + 299, 0.0))[1:] == []
    turn = scene.turn()
    caused = over_reply(scene, (64 + 300, 0.0))
    assert caused[-1] == DropTranscription(turn)
    assert kinds(caused) == []
    over_reply(scene, (500, 0.9), (532, 0.9), (1_300, 0.9))
    assert [started.audio_start_ms for started in scene.told(InputSpeechStarted)] == [1_000 + 64 + 300], (
        "no audio of the cough"
    )
    assert scene.turn() != turn


def test_silence_after_a_voice_does_not_make_it_longer() -> None:
    scene = played_reply()
    over_reply(scene, (64, 0.9), (650, 0.9))
    assert kinds(over_reply(scene, (682, 0.0), (710, 0.0))) == []
    assert kinds(over_reply(scene, (740, 0.9))) == ["InputSpeechStarted"]


def test_words_in_a_pause_take_the_floor_and_the_turn_goes_on_to_its_end() -> None:
    scene = played_reply(CONFIRMED, ServerVad(silence_duration_ms=200))
    over_reply(scene, (64, 0.9), (320, 0.9), (352, 0.0))
    scene.happens(PartialTranscribed(scene.turn(), "please stop", stable="please"))
    caused = over_reply(scene, (320 + 200, 0.0))
    assert kinds(caused)[:2] == ["InputSpeechStarted", "TranscriptionDelta"]
    assert "InputSpeechStopped" in kinds(caused), "its pause has been long enough already"


def test_a_floor_rule_of_ones_own_is_told_the_words_and_how_long_the_voice_lasted() -> None:
    own = OwnFloor()
    scene = ruled(Rules(floor=own), Settings(transcription=Transcription()))
    scene.happens(ResponseRequested())
    scene.answers(("Once upon a time.", 60_000))
    over_reply(scene, (64, 0.9), (2_000.5, 0.9), (2_032.5, 0.0))  # whole milliseconds are told, rounded down
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


def test_a_turn_without_the_floor_that_must_end_gets_it_first() -> None:
    scene = played_reply()
    over_reply(scene, (64, 0.9))
    scene.passes(3_100)
    assert [kind for kind in kinds(scene.effects) if kind.startswith("InputSpeech")] == [
        "InputSpeechStarted",
        "InputSpeechStopped",
    ]


def test_a_voice_over_a_reply_cuts_it_only_where_it_may() -> None:
    for interrupt in (True, False):
        scene = Scene(Settings(turn_detection=ServerVad(interrupt_response=interrupt)))
        scene.happens(ResponseRequested())
        frames(scene, 0.9, 0.9)
        assert [done.response.reason for done in scene.told(ResponseDone)] == (["turn_detected"] if interrupt else [])


@dataclass
class OwnPolicy(Assistant):
    """An assistant that treats a voice over its output in its own way."""

    over: OverOutput = "cut"

    def voice_over_output(self) -> OverOutput:
        return self.over


@pytest.mark.parametrize(
    ("over", "started", "cut"), [("cut", True, True), ("queue", True, False), ("ignore", False, False)]
)
def test_a_policy_decides_whether_a_voice_over_output_cuts_it_waits_or_is_no_turn(
    over: OverOutput, started: bool, cut: bool
) -> None:
    scene = Scene()
    spec = SessionSpec(
        b"own", scene.settings, scene.owner, scene.capabilities, "remote", scene.now, policy=OwnPolicy(over)
    )
    scene.session = Session(spec)
    scene.happens(ResponseRequested())
    scene.answers(("Once upon a time.", 10_000))
    caused = scene.hears(960, 0.9)
    assert ("InputSpeechStarted" in kinds(caused)) is started
    assert scene.session.speaking is not cut
