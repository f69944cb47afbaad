"""Reads a server event as stock clients do, and strictly: for every test that looks at what the server sends.

    event = parse_server_event(frame)      # an `openai.types.realtime` object; AssertionError says what is wrong
    event = parse_beta_event(frame)        # an `openai.types.beta.realtime` object

The `openai` package itself never fails on a malformed event (it constructs without validating), so a test that only uses its
client proves little. Here an event must have a known type, every required member, exact JSON types, no member that its type
doesn't have, and must break none of the rules of `client_rules`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from tests.wire import beta_rules
from tests.wire.client_rules import broken_rules
from tests.wire.surface import server_events

_MODELS: dict[str, Any] = server_events()
_BETA_MODELS: dict[str, Any] = server_events("beta")

UNTYPED = {
    # The types of the two session events describe the request; the wire sends the session itself.
    "session.id",
    "session.object",
    "session.expires_at",
}

NAMELESS = {"input_audio_buffer.dtmf_event_received"}
"""Events whose type leaves out the `event_id` that all others have; here it comes with all, and does no harm."""


def parse_server_event(frame: str | bytes) -> Any:
    """The event as the `openai` package's own object; AssertionError when any stock client would stumble over it."""
    event = json.loads(frame)
    assert isinstance(event, dict), f"a frame holds one JSON object: {frame!r:.200}"
    model = _MODELS.get(event.get("type", ""))
    assert model is not None, f"the openai package knows no server event of type {event.get('type')!r}"
    try:
        parsed = model.model_validate_json(frame, strict=True)
    except ValidationError as error:
        raise AssertionError(f"{event['type']} does not parse as {model.__name__}: {error}") from None
    untyped = UNTYPED | {"event_id"} if event["type"] in NAMELESS else UNTYPED
    unknown = [path for path in _extra(parsed, "") if path not in untyped]
    assert not unknown, f"{event['type']} has members that {model.__name__} does not: {unknown}"
    broken = broken_rules(event)
    assert not broken, f"{event['type']} would trip a client: {broken}"
    return parsed


def parse_beta_event(frame: str | bytes) -> Any:
    """The event as the beta client's own object; AssertionError where it is no event of the beta, or has a member that it does not."""
    event = json.loads(frame)
    assert isinstance(event, dict), f"a frame holds one JSON object: {frame!r:.200}"
    typed = beta_rules.as_typed(event)
    model = _BETA_MODELS.get(typed["type"])
    assert model is not None, f"the beta has no server event of type {event['type']!r}"
    try:
        parsed = model.model_validate_json(json.dumps(typed), strict=True)
    except ValidationError as error:
        raise AssertionError(f"{event['type']} does not parse as {model.__name__}: {error}") from None
    unknown = [path for path in _extra(parsed, "") if path not in beta_rules.UNTYPED]
    assert not unknown, f"{event['type']} has members that {model.__name__} does not: {unknown}"
    return parsed


def _extra(value: object, path: str) -> Iterator[str]:
    """Members that the model took in without knowing them."""
    if isinstance(value, BaseModel):
        yield from (f"{path}.{name}" if path else name for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from _extra(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for element in value:
            yield from _extra(element, path)
