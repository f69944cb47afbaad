"""Every option of `response.create`, and what is refused of them."""

from __future__ import annotations

from typing import Any

import pytest

from parley.core.words.events import ResponseRequested
from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import FunctionCallOutput, InputText, Item, ItemReference, Message
from parley.core.words.settings import (
    Approval,
    AudioFormat,
    ForceFunction,
    ForceMcp,
    FunctionTool,
    McpServer,
    ToolFilter,
)
from parley.core.words.work import ResponseParams
from tests.wire.reading import read, refused, under
from tests.wire.test_items import BASE64, CALL, IMAGES, MCP_READ, PNG, message, part
from tests.wire.test_session_update import HOSTED_MCP, MCP_FILTERS, MCP_MEMBERS, WHERE_OFFERED

EVENT = "response.create"


def proves(*options: str, state: str = "honoured", note: str = "") -> pytest.MarkDecorator:
    return pytest.mark.proves(EVENT, *options, state=state, note=note)


def option(path: str, value: object, note: str = "", **expected: object) -> Any:
    marks = proves(f"response.{path}", note=note)
    return pytest.param(path, value, expected, marks=marks, id=f"{path}={value}"[:60])


OPTIONS = [
    option("conversation", "auto", in_conversation=True),
    option("conversation", "none", in_conversation=False),
    option("conversation", None),
    option("instructions", "Be brief.", instructions="Be brief."),
    option("instructions", "", instructions=""),
    option("output_modalities", ["text"], modality="text"),
    option("audio.output.voice", "marin", voice="marin"),
    option("audio.output.voice.id", "marin", voice="marin"),
    option("audio.output.format.type", "audio/pcmu", output_format=AudioFormat.PCMU),
    option("audio.output.format", {"type": "audio/pcm", "rate": 24000}, output_format=AudioFormat.PCM16),
    option("tools", [], tools=()),
    option("tools", [{"type": "function", "name": "f"}], tools=(FunctionTool("f"),)),
    option("tool_choice", "none", tool_choice="none"),
    option("tool_choice", {"type": "function", "name": "f"}, tool_choice=ForceFunction("f")),
    option("tool_choice", None),
    option("parallel_tool_calls", True, parallel_tool_calls=True),
    option("max_output_tokens", 1, max_output_tokens=1),
    option("max_output_tokens", "inf", max_output_tokens=0),
    option("max_output_tokens", None),
    option("reasoning.effort", "high", WHERE_OFFERED, reasoning_effort="high"),
    option("metadata", {"b": "2", "a": "1"}, metadata=(("b", "2"), ("a", "1"))),
    option("metadata", {}, metadata=()),
    option("metadata", None),
    option("input", [], input=()),
    option("input", None),
    option(
        "input",
        [
            {"type": "item_reference", "id": "item_1"},
            message("user", part("input_text", text="Hi"), id="mine"),
            {"type": "function_call_output", "call_id": "c", "output": "x"},
        ],
        input=(
            ItemReference(ItemId("item_1")),
            Message(ItemId("mine"), "user", (InputText("Hi"),)),
            FunctionCallOutput(ItemId(""), CallId("c"), "x"),
        ),
    ),
]


@proves("response", "response.audio.output.format.rate")
@proves(*(f"response.tools[].{name}" for name in ("type", "name", "description", "parameters")))
@proves("response.tool_choice.type", "response.tool_choice.name")
@pytest.mark.parametrize(("path", "value", "expected"), OPTIONS)
def test_an_option_is_read(path: str, value: object, expected: dict[str, Any]) -> None:
    assert read(EVENT, response=under(path, value)) == ResponseRequested(ResponseParams(**expected))


INPUT = ("type", "id", "role", "content", "content[].type", "content[].text", "content[].audio", "content[].transcript")
CALLS = ("name", "arguments", "call_id", "output")


@proves(*(f"response.input[].{name}" for name in (*INPUT, *CALLS)))
@proves("response.input[].content[].image_url", "response.input[].content[].detail", note=IMAGES)
@proves("response.input[].status", "response.input[].object", state="accepted and echoed", note="has no effect")
def test_its_own_input_may_hold_every_item() -> None:
    items = [
        message(
            "user", part("input_audio", audio=BASE64, transcript="Hi"), part("input_image", image_url=PNG, detail="low")
        ),
        message("assistant", part("output_text", text="Hi"), status="completed", object="realtime.item"),
        {**CALL, "call_id": "c"},
    ]
    event = read(EVENT, response={"input": items})
    assert isinstance(event, ResponseRequested)
    assert event.params.input is not None
    assert len(event.params.input) == 3


@pytest.mark.proves(EVENT, "event_id", state="honoured")
@pytest.mark.parametrize(
    "members", [{}, {"response": None}, {"response": {}}, {"response": {"an_option_of_tomorrow": None}}]
)
def test_a_response_needs_no_options(members: dict[str, object]) -> None:
    assert read(EVENT, **members) == ResponseRequested()
    assert read(EVENT, **members, event_id="e") == ResponseRequested(event_id="e")  # type: ignore[arg-type]


@proves("response.prompt", state="refused", note="stored prompts live only in OpenAI's account")
@proves(*(f"response.tools[].{name}" for name in ("connector_id", "tunnel_id")), state="refused", note=HOSTED_MCP)
@proves("response.tools[].defer_loading", state="refused", note="the model gets all tools at once")
@pytest.mark.parametrize(
    ("path", "value", "param", "code"),
    [
        ("prompt", {"id": "pmpt_1"}, "prompt", "unsupported_parameter"),
        ("tools", [{"type": "mcp", "connector_id": "x"}], "tools[0].connector_id", "unsupported_parameter"),
        ("tools", [{"type": "mcp", "server_label": "a b"}], "tools[0].server_label", "invalid_value"),
        ("input", [{"type": "mcp_call", "server_label": "x"}], "input[0].name", "missing_required_parameter"),
        ("conversation", "conv_1", "conversation", "invalid_value"),
        ("modalities", ["text"], "modalities", "unknown_parameter"),
        ("voice", "marin", "voice", "unknown_parameter"),
        ("instructions", {}, "instructions", "invalid_type"),
        ("output_modalities", ["text", "audio"], "output_modalities", "invalid_value"),
        ("audio.output.speed", 1.0, "audio.output.speed", "unknown_parameter"),
        ("audio.input", {}, "audio.input", "unknown_parameter"),
        ("max_output_tokens", 4097, "max_output_tokens", "invalid_value"),
        ("metadata", [], "metadata", "invalid_type"),
        ("metadata", {"a": 1}, "metadata.a", "invalid_type"),
        ("metadata", {"k" * 65: "v"}, "metadata", "invalid_value"),
        ("metadata", {"k": "v" * 513}, "metadata.k", "invalid_value"),
        ("metadata", {str(n): "v" for n in range(17)}, "metadata", "invalid_value"),
        ("input", {}, "input", "invalid_type"),
        ("input", [{"type": "item_reference"}], "input[0].id", "missing_required_parameter"),
        (
            "input",
            [CALL, message("user", part("input_text"))],
            "input[1].content[0].text",
            "missing_required_parameter",
        ),
        ("reasoning.effort", "none", "reasoning.effort", "invalid_value"),
    ],
)
def test_a_wrong_option_is_named_in_the_error(path: str, value: object, param: str, code: str) -> None:
    error = refused(EVENT, response=under(path, value))
    assert (error.path, error.code) == (f"response.{param}", code)


def test_metadata_may_fill_its_limits() -> None:
    full = {f"{n:064d}": "v" * 512 for n in range(16)}
    event = read(EVENT, response={"metadata": full})
    assert isinstance(event, ResponseRequested)
    assert event.params.metadata == tuple(full.items())


@proves(
    *(
        f"response.input[].{name}"
        for name in ("server_label", "tools", "approval_request_id", "approve", "reason", "error")
    )
)
@proves(*(f"response.input[].tools[].{name}" for name in ("name", "description", "input_schema", "annotations")))
@proves(*(f"response.input[].error.{name}" for name in ("type", "message", "code")))
@pytest.mark.parametrize(("sent", "item"), MCP_READ)
def test_items_about_mcp_servers_stand_in_a_responses_own_input(sent: dict[str, object], item: Item) -> None:
    assert read(EVENT, response={"input": [sent]}) == ResponseRequested(ResponseParams(input=(item,)))


@proves(
    *(f"response.tools[].{name}" for name in MCP_MEMBERS if name != "allowed_callers"),
    note="a server of the session's, named by its label",
)
@proves(*(f"response.tools[].{name}" for name in MCP_FILTERS))
@proves("response.tools[].allowed_callers", note="'direct', the only one there is")
@proves("response.tool_choice.server_label")
def test_a_response_names_an_mcp_server_by_its_label() -> None:
    tool = {"type": "mcp", "server_label": "books", "allowed_tools": ["find"], "require_approval": "never"}
    choice = {"type": "mcp", "server_label": "books"}
    server = McpServer("books", allowed=ToolFilter(("find",)), approval=Approval(never=ToolFilter()))
    wanted = ResponseParams(tools=(server,), tool_choice=ForceMcp("books"))
    assert read(EVENT, response={"tools": [tool], "tool_choice": choice}) == ResponseRequested(wanted)
