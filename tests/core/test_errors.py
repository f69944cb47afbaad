"""The contents of errors, and their consequences for the session."""

from __future__ import annotations

import pytest

from parley.core.words import errors
from parley.core.words.errors import Fault, InvariantBroken, PeerError
from parley.core.words.events import CommitRequested
from parley.core.words.ids import ClientEventId
from parley.core.words.notices import ErrorRaised
from tests.core.scene import Scene
from tests.core.values import can_change, values_of


def test_a_client_error_carries_what_the_client_needs_to_correct_it() -> None:
    error = PeerError("Too slow.", code="invalid_value", field="session.speed")
    assert str(error) == error.message == "Too slow."
    assert (error.code, error.field, error.kind) == ("invalid_value", "session.speed", "invalid_request_error")
    assert PeerError("Wait.", code="rate_limit_exceeded", kind="rate_limit_error").kind == "rate_limit_error"


def test_a_client_error_is_sent_and_the_session_continues() -> None:
    scene = Scene()
    scene.happens(CommitRequested(ClientEventId("mine")))
    (error,) = scene.notices(ErrorRaised)
    assert (error.code, error.client_event_id) == ("input_audio_buffer_commit_empty", "mine")
    assert not scene.session.closed


def test_a_bug_of_the_core_is_not_reported_as_a_client_error() -> None:
    assert not issubclass(InvariantBroken, PeerError)
    with pytest.raises(AssertionError, match="1: two at once"):
        raise InvariantBroken("1: two at once")


def test_an_engine_fault_is_immutable() -> None:
    assert values_of(errors) == [Fault]
    assert not can_change(Fault)
