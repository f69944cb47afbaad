"""Helpers for the tests of turns: audio with a known value for each sample, and scores for it."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from parley.core.policy.turn_rules import Rules
from parley.core.words.effects import (
    Effect,
    Transcribe,
)
from parley.core.words.events import (
    AudioArrived,
    ResponseRequested,
    VoiceScored,
)
from parley.core.words.ids import ItemId, TurnId
from parley.core.words.items import InputAudio, Message
from parley.core.words.settings import (
    OwnerSettings,
    ServerVad,
    Settings,
    Transcription,
    TurnDetection,
)
from tests.core.scene import MS, Scene

FRAME = 768
CONFIRMED = OwnerSettings(barge_in="confirmed")


def sound(start: int, end: int) -> bytes:
    """Samples whose values give their positions, so that a test can identify them."""
    return array("h", (position % 30_011 for position in range(start, end))).tobytes()


def arrives(scene: Scene, samples: int) -> list[Effect]:
    """Audio arrives from the microphone; nothing is scored."""
    received, scene.position = scene.position, scene.position + samples
    return scene.happens(AudioArrived(sound(received, scene.position)))


def frames(scene: Scene, *voices: float) -> list[Effect]:
    """One frame of audio and its score for each voice probability."""
    caused: list[Effect] = []
    for voice in voices:
        scene.now += 32 * MS
        caused += arrives(scene, FRAME) + scene.happens(VoiceScored(scene.position, voice))
    return caused


def given_to_recogniser(scene: Scene, turn: TurnId) -> bytes:
    return b"".join(e.audio for e in scene.effects if isinstance(e, Transcribe) and e.turn == turn)


def audio_of(scene: Scene, item: ItemId) -> bytes | None:
    message = scene.item(item)
    assert isinstance(message, Message)
    (part,) = message.content
    assert isinstance(part, InputAudio)
    return part.audio


def played_reply(owner: OwnerSettings = CONFIRMED, detection: TurnDetection | None = None) -> Scene:
    """A session that plays a long reply, without an open turn."""
    scene = Scene(Settings(turn_detection=detection or ServerVad(), transcription=Transcription()), owner)
    scene.happens(ResponseRequested())
    scene.answers(("Once upon a time there was a king who talked and talked.", 60_000))
    scene.passes(500)
    return scene


def ruled(rules: Rules, settings: Settings | None = None, owner: OwnerSettings | None = None) -> Scene:
    """A session with custom rules."""
    return Scene(settings or Settings(), owner or OwnerSettings(), rules=rules)


@dataclass
class OwnPreRoll:
    """A rule for a fixed pre-roll that records its calls."""

    ms: int
    asked: list[tuple[TurnDetection, tuple[float, ...]]] = field(default_factory=list)

    def pre_roll_ms(self, detection: TurnDetection, before: tuple[float, ...]) -> int:
        self.asked.append((detection, before))
        return self.ms


def over_reply(scene: Scene, *scores: tuple[float, float]) -> list[Effect]:
    """Scores (milliseconds after the beginning of a voice over the reply, voice probability)."""
    if scene.position == 0:
        arrives(scene, 24 * 20_000)
        scene.happens(VoiceScored(24 * 1_000, 0.0), VoiceScored(24 * 1_000 + FRAME, 0.9))
    return scene.happens(*(VoiceScored(24 * 1_000 + round(24 * ms), voice) for ms, voice in scores))
