"""How the decode tests send a client event and look at what became of it."""

from __future__ import annotations

import json
from typing import cast

from parley.core.words.events import ClientErred, ClientEvent
from parley.core.words.settings import SettingsPatch
from parley.wire.dialects import GA


def read(kind: str, **members: object) -> ClientEvent:
    """What the codec makes of the event."""
    return GA.decode(json.dumps({"type": kind, **members}))


def refused(kind: str, **members: object) -> ClientErred:
    """The error that the event gets; it must be one, and must name the client's event."""
    event = read(kind, **members, event_id="mine")
    assert isinstance(event, ClientErred), f"accepted as {event}"
    assert event.event_id == "mine"
    assert event.kind == "invalid_request_error"
    return event


def under(path: str, value: object) -> dict[str, object]:
    """`under("a.b", 1)` is `{"a": {"b": 1}}`."""
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def session(path: str, value: object, kind: str = "realtime") -> dict[str, object]:
    """A session with one member."""
    return {"type": kind, **under(path, value)}


def patch(**members: object) -> SettingsPatch:
    """What a realtime `session.update` asks for."""
    return cast(SettingsPatch, {"kind": "realtime", **members})
