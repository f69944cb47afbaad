"""A translation session under test."""

from __future__ import annotations

from parley.core.spec import PlaybackKind
from parley.core.words.effects import StartGeneration
from parley.core.words.events import ClauseStarted, GenerationFinished, PartialTranscribed, SpeechGenerated
from parley.core.words.interpreting import Interpreting, SameLanguage
from parley.core.words.notices import OutputTranscriptDelta
from parley.core.words.settings import CLAUSES, Capabilities, OwnerSettings, ServerVad, Settings, Transcription
from parley.core.words.work import Translation
from tests.core.scene import Scene

SETTINGS = Settings(
    kind="translation",
    model="m",
    target_language="pt",
    turn_detection=ServerVad(silence_duration_ms=400, interrupt_response=False),
    transcription=Transcription(),
    include=(CLAUSES,),
)


def opened(
    settings: Settings = SETTINGS, same: SameLanguage = "silent", language: str = "", playback: PlaybackKind = "remote"
) -> Scene:
    owner = OwnerSettings(language=language, interpreting=Interpreting(same_language=same))
    return Scene(settings, owner, Capabilities(targets=("pt", "es")), playback=playback)


def words(scene: Scene, stable: str, text: str = "", language: str = "") -> None:
    scene.hears(64, 0.9)
    scene.happens(PartialTranscribed(scene.turn(), text or stable, stable, None, language, 1.0 if language else None))


def translates(scene: Scene, text: str, ms: int = 500) -> None:
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, text), SpeechGenerated(attempt, bytes(48 * ms)), GenerationFinished(attempt))


def sources(scene: Scene) -> list[str]:
    return [one.work.text.strip() for one in scene.all(StartGeneration) if isinstance(one.work, Translation)]


def shown(scene: Scene) -> str:
    return "".join(one.delta for one in scene.notices(OutputTranscriptDelta))
