"""A filler is heard as a reply is, and is in no conversation."""

from __future__ import annotations

from parley.core.words.events import ClauseStarted, GenerationFinished, SpeechGenerated
from tests.core.scene import notices
from tests.core.test_responses_fillers import waiting


def test_its_audio_is_played_and_its_voice_may_still_be_changed() -> None:
    scene, attempt = waiting()
    told = notices(
        scene.happens(
            ClauseStarted(attempt, "One moment."), SpeechGenerated(attempt, bytes(48_000)), GenerationFinished(attempt)
        )
    )
    assert told
    assert scene.session.speaking
    assert not scene.session.items[1:]
