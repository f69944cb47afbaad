"""What a session waits for."""

from __future__ import annotations

from parley.core.words.events import (
    SessionCloseRequested,
)
from tests.core.interpreting import opened
from tests.core.scene import Scene


def test_only_a_closing_translation_session_waits_for_audio() -> None:
    scene = opened()
    scene.hears(640, 0.9)
    assert scene.passes(60_000) == []
    scene.happens(SessionCloseRequested())
    assert not scene.session.closed


def test_any_other_session_ends_a_turn_whose_audio_stops() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    assert scene.passes(4_000) != []
