"""Every item and content that a client may create, and what is refused of them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from parley.core.words.events import ItemCreateRequested
from parley.core.words.ids import CallId, ClientEventId, ItemId
from parley.core.words.items import (
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpError,
    McpListTools,
    McpTool,
    Message,
    OutputAudio,
    OutputText,
)
from parley.core.words.limits import MAX_APPEND_BYTES, MAX_ITEM_TEXT
from tests.wire.reading import read, refused

EVENT = "conversation.item.create"
SOUND = b"\x00\x01\x02\x03"
BASE64 = base64.b64encode(SOUND).decode()
PNG = "data:image/png;base64,iVBORw0KGgo="
NONE = ItemId("")
IMAGES = "where the model takes images; elsewhere refused by name"


def proves(*options: str, state: str = "honoured", note: str = "") -> pytest.MarkDecorator:
    return pytest.mark.proves(EVENT, *options, state=state, note=note)


def message(role: str, *content: dict[str, object], **members: object) -> dict[str, object]:
    return {"type": "message", "role": role, "content": list(content), **members}


def part(kind: str, **members: object) -> dict[str, object]:
    return {"type": kind, **members}


CALL: dict[str, object] = {"type": "function_call", "name": "f", "arguments": "{}"}

READ: list[tuple[dict[str, object], Item]] = [
    (message("user", part("input_text", text="Hi")), Message(NONE, "user", (InputText("Hi"),))),
    (message("user", part("input_text", text="")), Message(NONE, "user", (InputText(""),))),
    (message("user"), Message(NONE, "user", ())),
    (
        message("user", part("input_audio", audio=BASE64, transcript="Hello")),
        Message(NONE, "user", (InputAudio("Hello", SOUND),)),
    ),
    (message("user", part("input_audio", audio=BASE64)), Message(NONE, "user", (InputAudio(None, SOUND),))),
    (message("user", part("input_audio", transcript="Hi", audio=None)), Message(NONE, "user", (InputAudio("Hi"),))),
    (
        message("user", part("input_text", text="Look"), part("input_image", image_url=PNG, detail="high")),
        Message(NONE, "user", (InputText("Look"), InputImage(PNG, "high"))),
    ),
    (
        message("user", part("input_image", image_url="https://example.com/a.png")),
        Message(NONE, "user", (InputImage("https://example.com/a.png"),)),
    ),
    (message("system", part("input_text", text="Be kind")), Message(NONE, "system", (InputText("Be kind"),))),
    (message("assistant", part("output_text", text="Hello")), Message(NONE, "assistant", (OutputText("Hello"),))),
    (
        message("assistant", part("output_audio", transcript="Hello", audio=BASE64)),
        Message(NONE, "assistant", (OutputAudio("Hello", SOUND),)),
    ),
    (
        message("assistant", part("output_audio", transcript="Hello"), id="abc", status="incomplete"),
        Message(ItemId("abc"), "assistant", (OutputAudio("Hello"),), "incomplete"),
    ),
    (
        {**CALL, "call_id": "call_1", "id": "0" * 32, "status": "completed", "object": "realtime.item"},
        FunctionCall(ItemId("0" * 32), CallId("call_1"), "f", "{}"),
    ),
    (CALL, FunctionCall(NONE, CallId(""), "f", "{}")),
    (
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        FunctionCallOutput(NONE, CallId("call_1"), "rain"),
    ),
    # What clients send for members of other types: nulls.
    (
        {"type": "function_call_output", "call_id": "c", "output": "", "role": None, "content": None, "name": None},
        FunctionCallOutput(NONE, CallId("c"), ""),
    ),
]


@proves("item", "item.type", "item.role", "item.content", "item.content[].type", "item.content[].text", "item.id")
@proves("item.content[].audio", "item.content[].transcript")
@proves("item.content[].image_url", "item.content[].detail", note=IMAGES)
@proves("item.call_id", "item.name", "item.arguments", "item.output")
@proves("item.status", "item.object", state="accepted and echoed", note="has no effect, as documented")
@pytest.mark.parametrize(("sent", "item"), READ)
def test_every_item_is_read(sent: dict[str, object], item: Item) -> None:
    assert read(EVENT, item=sent) == ItemCreateRequested(item)


@proves("previous_item_id", "event_id")
@pytest.mark.parametrize("after", ["root", "item_1", None])
def test_the_previous_item_of_a_new_item_is_read(after: str | None) -> None:
    event = read(EVENT, item=CALL, previous_item_id=after, event_id="e1")
    assert isinstance(event, ItemCreateRequested)
    assert event.previous_item_id == after
    assert event.event_id == ClientEventId("e1")


MCP_READ: list[tuple[dict[str, object], Item]] = [
    (
        {
            "type": "mcp_list_tools",
            "server_label": "books",
            "tools": [{"name": "find", "input_schema": {"type": "object"}}],
        },
        McpListTools(NONE, "books", (McpTool("find", "", '{"type":"object"}'),)),
    ),
    (
        {"type": "mcp_call", "id": "m", "server_label": "books", "name": "find", "arguments": "{}", "output": "There."},
        McpCall(ItemId("m"), "books", "find", "{}", "There."),
    ),
    (
        {
            "type": "mcp_call",
            "server_label": "books",
            "name": "find",
            "arguments": "{}",
            "error": {"type": "http_error", "message": "No.", "code": 500},
            "approval_request_id": "r",
        },
        McpCall(NONE, "books", "find", "{}", None, McpError("http_error", "No.", 500), ItemId("r")),
    ),
    (
        {"type": "mcp_approval_request", "server_label": "books", "name": "lend", "arguments": "{}"},
        McpApprovalRequest(NONE, "books", "lend", "{}"),
    ),
    (
        {"type": "mcp_approval_response", "approval_request_id": "r", "approve": False, "reason": "No."},
        McpApprovalResponse(NONE, ItemId("r"), False, "No."),
    ),
]


@proves("item.server_label", "item.tools", "item.approval_request_id", "item.approve", "item.reason", "item.error")
@proves(*(f"item.tools[].{name}" for name in ("name", "description", "input_schema", "annotations")))
@proves("item.error.type", "item.error.message", "item.error.code")
@pytest.mark.parametrize(("sent", "item"), MCP_READ)
def test_every_item_about_an_mcp_server_is_read(sent: dict[str, object], item: Item) -> None:
    assert read(EVENT, item=sent) == ItemCreateRequested(item)


def test_the_arguments_of_an_mcp_call_must_be_a_json_object() -> None:
    item = {"type": "mcp_call", "server_label": "books", "name": "find", "arguments": "[1]"}
    assert refused(EVENT, item=item).path == "item.arguments"


WRONG: list[tuple[object, str, str]] = [
    (None, "item", "missing_required_parameter"),
    ("Hi", "item", "invalid_type"),
    ({}, "item.type", "missing_required_parameter"),
    ({"type": "mesage"}, "item.type", "invalid_value"),
    ({"type": 5}, "item.type", "invalid_type"),
    ({"type": "item_reference", "id": "x"}, "item.type", "invalid_value"),
    ({"type": "message", "content": []}, "item.role", "missing_required_parameter"),
    ({"type": "message", "role": "user"}, "item.content", "missing_required_parameter"),
    (message("tool"), "item.role", "invalid_value"),
    ({"type": "message", "role": "user", "content": "Hi"}, "item.content", "invalid_type"),
    ({"type": "message", "role": "user", "content": ["Hi"]}, "item.content[0]", "invalid_type"),
    (message("user", {"text": "Hi"}), "item.content[0].type", "missing_required_parameter"),
    (message("user", part("input_text")), "item.content[0].text", "missing_required_parameter"),
    (message("user", part("input_text", text=None)), "item.content[0].text", "missing_required_parameter"),
    (message("user", part("input_text", text=5)), "item.content[0].text", "invalid_type"),
    (message("user", part("input_text", text="x" * (MAX_ITEM_TEXT + 1))), "item.content[0].text", "invalid_value"),
    (message("user", part("text", text="Hi")), "item.content[0].type", "invalid_value"),
    (message("user", part("output_text", text="Hi")), "item.content[0].type", "invalid_value"),
    (message("system", part("input_audio", audio=BASE64)), "item.content[0].type", "invalid_value"),
    (message("assistant", part("input_text", text="Hi")), "item.content[0].type", "invalid_value"),
    (message("assistant", part("text", text="Hi")), "item.content[0].type", "invalid_value"),
    (
        message("assistant", part("output_audio", audio=BASE64)),
        "item.content[0].transcript",
        "missing_required_parameter",
    ),
    (message("user", part("input_audio")), "item.content[0].audio", "missing_required_parameter"),
    (message("user", part("input_audio", audio="%%%%")), "item.content[0].audio", "invalid_value"),
    (message("user", part("input_audio", audio=[1])), "item.content[0].audio", "invalid_type"),
    (message("user", part("input_image")), "item.content[0].image_url", "missing_required_parameter"),
    (
        message("user", part("input_image", image_url="file:///etc/passwd")),
        "item.content[0].image_url",
        "invalid_value",
    ),
    (
        message("user", part("input_image", image_url="data:text/html;base64,AA")),
        "item.content[0].image_url",
        "invalid_value",
    ),
    (message("user", part("input_image", image_url=PNG, detail="max")), "item.content[0].detail", "invalid_value"),
    (
        message("user", part("input_text", text="a"), part("input_text")),
        "item.content[1].text",
        "missing_required_parameter",
    ),
    (message("user", part("input_text", text="a", audio=BASE64)), "item.content[0].audio", "unknown_parameter"),
    (message("user", id="x" * 65), "item.id", "invalid_value"),
    (message("user", id=""), "item.id", "invalid_value"),
    (message("user", status="done"), "item.status", "invalid_value"),
    (message("user", object="item"), "item.object", "invalid_value"),
    (message("user", name="x"), "item.name", "unknown_parameter"),
    ({"type": "function_call", "arguments": "{}"}, "item.name", "missing_required_parameter"),
    ({"type": "function_call", "name": "f"}, "item.arguments", "missing_required_parameter"),
    ({"type": "function_call", "name": "f", "arguments": {}}, "item.arguments", "invalid_type"),
    ({"type": "function_call_output", "output": "x"}, "item.call_id", "missing_required_parameter"),
    ({"type": "function_call_output", "call_id": "c"}, "item.output", "missing_required_parameter"),
    ({"type": "function_call_output", "call_id": "c", "output": {"a": 1}}, "item.output", "invalid_type"),
]


@pytest.mark.parametrize(("item", "param", "code"), WRONG, ids=[f"{p}-{c}-{n}" for n, (_, p, c) in enumerate(WRONG)])
def test_a_malformed_item_is_refused_with_the_path_of_its_fault(item: Any, param: str, code: str) -> None:
    error = refused(EVENT, item=item)
    assert (error.path, error.code) == (param, code)


def test_audio_in_an_item_may_be_as_long_as_an_append() -> None:
    limit = base64.b64encode(bytes(MAX_APPEND_BYTES)).decode()
    assert isinstance(read(EVENT, item=message("user", part("input_audio", audio=limit))), ItemCreateRequested)
    over = base64.b64encode(bytes(MAX_APPEND_BYTES + 1)).decode()
    assert refused(EVENT, item=message("user", part("input_audio", audio=over))).code == "invalid_value"


def test_a_beta_content_type_is_answered_with_its_ga_name() -> None:
    assert "'output_text'" in refused(EVENT, item=message("assistant", part("text", text="Hi"))).message
