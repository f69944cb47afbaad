"""Transcripts that the shell abandons."""

from __future__ import annotations

from parley.core.words.effects import (
    DropTranscription,
)
from parley.core.words.events import (
    Transcribed,
    WorkAbandoned,
)
from parley.core.words.ids import TurnId
from parley.core.words.notices import (
    TranscriptionCompleted,
    TranscriptionFailedNotice,
)
from parley.core.words.settings import (
    Settings,
    Transcription,
)
from parley.core.words.work import AwaitedTranscript
from tests.core.scene import Scene


def test_an_abandoned_transcript_fails_its_turn() -> None:
    scene = Scene(settings=Settings(transcription=Transcription()))
    scene.hears(640, 0.9)
    scene.hears(600, 0.0)
    turn = scene.turn()
    caused = scene.happens(WorkAbandoned(AwaitedTranscript(turn)))
    assert DropTranscription(turn) in caused
    (failed,) = scene.notices(TranscriptionFailedNotice)
    assert failed.code == "timeout"
    assert scene.session.outstanding() == ()
    assert scene.happens(Transcribed(turn, "Hello?")) == []
    assert scene.session.late_events == 1


def test_a_known_transcript_cannot_be_abandoned() -> None:
    scene = Scene(settings=Settings(transcription=Transcription()))
    scene.says("Hello?")
    turn = scene.turn()
    assert scene.happens(WorkAbandoned(AwaitedTranscript(turn))) == []
    assert scene.happens(WorkAbandoned(AwaitedTranscript(TurnId(99)))) == []
    assert scene.session.late_events == 2
    assert len(scene.notices(TranscriptionCompleted)) == 1
