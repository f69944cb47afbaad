"""What a client writes in a dialect is what the dialect reads; what a dialect cannot say, it does not say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parley.core.words import events as e
from parley.core.words.events import ClientErred
from parley.core.words.ids import ClientEventId, ItemId
from parley.core.words.items import InputImage, McpApprovalResponse, Message
from parley.core.words.settings import (
    Credentials,
    ForceMcp,
    McpServer,
    NoiseReduction,
    ServerVad,
    SettingsPatch,
    Transcription,
)
from parley.core.words.work import ResponseParams
from parley.wire.dialects import BETA, DIALECTS, GA
from tests.wire import test_beta_decode as beta
from tests.wire.test_fuzz import VALID
from tests.wire.test_items import READ

GA_FRAMES: list[dict[str, Any]] = [
    *VALID["ga"],
    *({"type": beta.ITEM, "item": sent} for sent, *_ in READ if sent["type"] != "item_reference"),
]
BETA_FRAMES: list[dict[str, Any]] = [
    *({"type": beta.UPDATE, "session": {name: value}} for name, value, _ in (*beta.LISTENING, *beta.SPEAKING)),
    *({"type": beta.TRANSCRIPTION, "session": {name: value}} for name, value, _ in beta.LISTENING),
    *({"type": beta.CREATE, "response": {name: value}} for name, value, _ in beta.CREATED),
    *({"type": beta.ITEM, "item": sent, "previous_item_id": "root"} for sent, _ in beta.ITEMS),
]
FRAMES = [("ga", frame) for frame in GA_FRAMES] + [("beta", frame) for frame in BETA_FRAMES]


@pytest.mark.parametrize(("dialect", "frame"), FRAMES, ids=[f"{d}-{n}-{f['type']}" for n, (d, f) in enumerate(FRAMES)])
def test_an_event_that_a_client_writes_is_read_as_the_same_event(dialect: str, frame: dict[str, Any]) -> None:
    codec = DIALECTS[dialect]
    event = codec.decode(json.dumps({**frame, "event_id": "mine"}))
    assert not isinstance(event, ClientErred), event
    written = codec.write(event)
    assert written is not None
    assert codec.decode(written) == event
    assert json.loads(written)["event_id"] == "mine"


@pytest.mark.parametrize("frame", BETA_FRAMES, ids=lambda frame: frame["type"])
def test_every_beta_client_event_can_be_written_in_the_ga_dialect_but_temperature(frame: dict[str, Any]) -> None:
    event = BETA.decode(json.dumps(frame))
    written = GA.write(event)
    if "temperature" in json.dumps(frame):
        assert written is None
    else:
        assert written is not None


MCP = McpServer("books", "https://books.example/mcp", credentials=Credentials("s3cret", (("X-Key", "k"),)))
IMAGE = Message(ItemId("i"), "user", (InputImage("https://x/y.png"),))


@pytest.mark.parametrize(
    "event",
    [
        *(
            e.SessionUpdateRequested({"kind": "realtime", **patch})  # type: ignore[typeddict-item]
            for patch in (
                {"tools": (MCP,)},
                {"tool_choice": ForceMcp("books")},
                {"parallel_tool_calls": True},
                {"reasoning_effort": "low"},
                {"noise_reduction": NoiseReduction("near_field", 0.5)},
                {"turn_detection": ServerVad(idle_timeout_ms=6000)},
                {"transcription": Transcription(keywords=("Oslo",))},
            )
        ),
        e.ItemCreateRequested(McpApprovalResponse(ItemId("i"), ItemId("r"), True)),
        e.ItemCreateRequested(IMAGE),
        e.ResponseRequested(ResponseParams(input=(IMAGE,))),
        e.ResponseRequested(ResponseParams(reasoning_effort="low")),
        e.ResponseRequested(ResponseParams(tools=(MCP,))),
    ],
    ids=str,
)
def test_an_event_that_the_beta_does_not_have_is_not_written(event: e.ClientEvent) -> None:
    assert BETA.write(event) is None
    assert GA.write(event) is not None


def test_an_mcp_servers_credentials_reach_the_server() -> None:
    patch: SettingsPatch = {"kind": "realtime", "tools": (MCP,)}
    frame = GA.write(e.SessionUpdateRequested(patch))
    assert frame is not None
    assert GA.decode(frame) == e.SessionUpdateRequested(patch)


def test_an_error_is_not_written_by_a_client() -> None:
    assert [codec.write(ClientErred("x", "y")) for codec in DIALECTS.values()] == [None, None, None]


def test_an_event_without_an_id_is_written_without_one() -> None:
    frame = GA.write(e.CancelRequested(None, None))
    assert frame == '{"type":"response.cancel"}'
    assert GA.write(e.CommitRequested(ClientEventId("x"))) == '{"type":"input_audio_buffer.commit","event_id":"x"}'
