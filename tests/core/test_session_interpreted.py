"""A translation session ends once."""

from __future__ import annotations

from parley.core.words.events import (
    AudioArrived,
    SessionCloseRequested,
)
from tests.core.interpreting import opened


def test_a_closed_session_handles_nothing_more() -> None:
    scene = opened()
    scene.happens(SessionCloseRequested())
    assert scene.session.closed
    assert scene.happens(AudioArrived(bytes(48)), SessionCloseRequested()) == []


def test_a_close_with_unscored_audio_is_given_up_in_time() -> None:
    scene = opened()
    scene.happens(AudioArrived(bytes(48_000)), SessionCloseRequested())
    assert not scene.session.closed
    scene.passes(4_000)
    assert scene.session.closed
