"""Whatever events a client sends, and in whatever order, a session of either dialect answers in events that the SDK's types parse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.core.words.effects import Effect, StartGeneration, Tell
from parley.core.words.events import ClientErred
from parley.core.words.settings import Capabilities, OwnerSettings, SessionKind, Settings
from parley.wire.codec import Codec
from tests.core.scene import Scene
from tests.wire.sdk import parse_beta_event, parse_server_event
from tests.wire.test_fuzz import BOTH, VALID, mutated

PARSE = {"ga": parse_server_event, "beta": parse_beta_event}

ANY_EVENT = mutated() | st.sampled_from(VALID["ga"] + VALID["beta"])
"""Events of both dialects: the other one's are answered with an error."""


@BOTH
@pytest.mark.parametrize("kind", ["realtime", "transcription"])
@settings(max_examples=60)
@given(events=st.lists(ANY_EVENT, min_size=1, max_size=12), data=st.data())
def test_any_conversation_is_answered_in_events_of_its_dialect(
    dialect: Codec, kind: SessionKind, events: list[dict[str, Any]], data: st.DataObject
) -> None:
    scene = Scene(
        Settings(kind=kind, model="gpt-realtime"),
        OwnerSettings(),
        Capabilities(("gpt-realtime",), tool_server_urls=("*",)),
    )
    encoder = dialect.encoder(event_seed=b"fuzz", wall_s=lambda: 1.8e9)

    def parsed(effects: list[Effect]) -> list[Any]:
        frames = [encoder.encode(effect.notice) for effect in effects if isinstance(effect, Tell)]
        return [PARSE[dialect.name](frame) for frame in frames if frame is not None]

    assert parsed(scene.effects), "a session begins by itself"
    for number, event in enumerate(events):
        event_id = f"event_{number}"
        decoded = dialect.decode(json.dumps({**event, "event_id": event_id}))
        effects = scene.happens(decoded)
        answers = parsed(effects)
        if isinstance(decoded, ClientErred):
            [error] = answers
            assert (error.type, error.error.event_id) == ("error", event_id)
        if any(isinstance(effect, StartGeneration) for effect in effects) and data.draw(st.booleans()):
            parsed(scene.answers(("Well.", 200), finish=data.draw(st.booleans())))
        parsed(scene.passes(data.draw(st.sampled_from([0, 20, 60_000]))))
