"""Sample time."""

from __future__ import annotations

import pytest

from parley.core.words.events import (
    AudioArrived,
    PartialTranscribed,
    SessionCloseRequested,
)
from parley.core.words.ids import ClientEventId
from parley.core.words.notices import (
    ErrorRaised,
)
from tests.core.interpreting import opened, sources, words


@pytest.mark.proves("session.input_audio_buffer.append", "audio", state="honoured", dialect="translations")
def test_a_client_that_stops_sending_has_not_paused() -> None:
    scene = opened()
    scene.hears(640, 0.9)
    words(scene, "and then we went")
    scene.passes(20_000)
    assert not scene.session.closed
    assert sources(scene) == []
    scene.hears(640, 0.9)
    scene.happens(PartialTranscribed(scene.turn(), "and then we went home.", "and then we went home."))
    assert sources(scene) == ["and then we went home."], "one turn, one clause"


@pytest.mark.proves("session.input_audio_buffer.append", "event_id", state="honoured", dialect="translations")
def test_audio_after_the_close_is_refused() -> None:
    scene = opened()
    scene.happens(AudioArrived(bytes(4_800)), SessionCloseRequested(), AudioArrived(bytes(48), ClientEventId("late")))
    assert [(one.code, one.client_event_id) for one in scene.notices(ErrorRaised)] == [("session_closing", "late")]
