"""A session's arguments: equal arguments make equal sessions."""

from __future__ import annotations

from dataclasses import replace

from parley.core import spec as module
from parley.core.policy.transcriber import Transcriber
from parley.core.policy.turn_rules import Rules
from parley.core.session import Session
from parley.core.spec import SessionSpec
from parley.core.words.events import OutputClearRequested, ResponseRequested
from parley.core.words.notices import ErrorRaised
from parley.core.words.settings import Capabilities, OwnerSettings, Settings
from tests.core.scene import notices
from tests.core.values import can_change, values_of

SPEC = SessionSpec(b"seed", Settings(), OwnerSettings(), Capabilities(), "remote", 0)


def refusals(spec: SessionSpec, *events: ResponseRequested | OutputClearRequested) -> list[str]:
    session = Session(spec)
    session.start()
    sent = [notice for event in events for notice in notices(session.handle(event, 0))]
    return [notice.code for notice in sent if isinstance(notice, ErrorRaised)]


def test_equal_arguments_make_sessions_with_equal_effects() -> None:
    assert replace(SPEC) == SPEC
    assert Session(SPEC).start() == Session(replace(SPEC)).start()


def test_sessions_of_different_seeds_share_no_id() -> None:
    assert Session(SPEC).id != Session(replace(SPEC, seed=b"other")).id


def test_clearing_the_output_depends_on_who_plays() -> None:
    assert refusals(SPEC, OutputClearRequested()) == ["invalid_value"]
    assert refusals(replace(SPEC, playback="paced"), OutputClearRequested()) == []


def test_a_custom_policy_overrides_the_kind_of_session() -> None:
    assert refusals(SPEC, ResponseRequested()) == []
    assert refusals(replace(SPEC, policy=Transcriber(), rules=Rules()), ResponseRequested()) == ["invalid_request"]


def test_a_sessions_spec_is_immutable() -> None:
    assert values_of(module) == [SessionSpec]
    assert not can_change(SessionSpec)
