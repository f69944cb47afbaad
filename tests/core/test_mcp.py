"""MCP servers in the core: who may be asked, what outlives what, and when the reply goes on."""

from __future__ import annotations

from typing import Any

import pytest

from parley.core.effects import AbandonCall, AbandonListing, CallTool, ListTools, ReleaseServer, StartGeneration, Tell
from parley.core.errors import Fault
from parley.core.events import (
    GenerationFinished,
    ItemCreateRequested,
    ResponseParams,
    ResponseRequested,
    SessionUpdateRequested,
    ToolAnswered,
    ToolArgumentsGenerated,
    ToolCallStarted,
    ToolListingFailed,
    ToolsListed,
)
from parley.core.ids import AttemptId, CallId, ItemId
from parley.core.items import InputText, McpApprovalResponse, McpCall, McpTool, Message
from parley.core.limits import MAX_TOOL_ROUNDS
from parley.core.mcp_offer import offer
from parley.core.notices import (
    ErrorRaised,
    ItemDone,
    McpArgumentsDelta,
    McpArgumentsDone,
    McpCallProgress,
    McpListProgress,
    ResponseDone,
)
from parley.core.settings import (
    Approval,
    Capabilities,
    ForceMcp,
    FunctionTool,
    McpServer,
    ServerVad,
    Settings,
    ToolFilter,
)
from parley.core.tool_checks import covers
from tests.core.scene import Scene

UNASKED = Approval(never=ToolFilter())
BOOKS = McpServer("books", "https://books.example/mcp", approval=UNASKED)
SHELF = (McpTool("find", read_only=True), McpTool("lend"))
CAN = Capabilities(mcp_urls=("*",))
TYPED = ItemCreateRequested(Message(ItemId(""), "user", (InputText("Where is Emma?"),)))


def told(effects: list[Any], kind: type) -> list[Any]:
    return [effect.notice for effect in effects if isinstance(effect, Tell) and isinstance(effect.notice, kind)]


def of(effects: list[Any], kind: type) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kind)]


def reading(*, turn_detection: ServerVad | None = None, **server: Any) -> Scene:
    """A session whose server has told its tools."""
    tool = McpServer("books", "https://books.example/mcp", **({"approval": UNASKED} | server))
    scene = Scene(Settings(tools=(tool,), turn_detection=turn_detection, modality="text"), capabilities=CAN)
    listing = of(scene.effects, ListTools)[0]
    scene.happens(ToolsListed(listing.listing, SHELF))
    return scene


def calls(scene: Scene, name: str = "find") -> list[Any]:
    """The newest generation calls a tool, and ends."""
    attempt: AttemptId = of(scene.effects, StartGeneration)[-1].attempt
    return scene.happens(
        ToolCallStarted(attempt, 0, CallId("c"), name),
        ToolArgumentsGenerated(attempt, 0, "{}"),
        GenerationFinished(attempt, "tool_calls"),
    )


def test_the_servers_of_a_sessions_first_settings_are_asked_at_once() -> None:
    scene = Scene(Settings(tools=(BOOKS,)), capabilities=CAN)
    assert [effect.server for effect in of(scene.effects, ListTools)] == [BOOKS]


def test_a_server_that_is_named_again_is_not_asked_again_and_one_that_is_not_is_let_go() -> None:
    scene = reading()
    again = scene.happens(SessionUpdateRequested({"tools": scene.session.settings.tools}))
    assert not of(again, ListTools)
    gone = scene.happens(SessionUpdateRequested({"tools": ()}))
    assert len(of(gone, ReleaseServer)) == 1


def test_a_server_that_never_answers_fails_in_time_and_says_so() -> None:
    scene = Scene(Settings(tools=(BOOKS,)), capabilities=CAN)
    late = scene.passes(31_000)
    assert [notice.state for notice in told(late, McpListProgress)] == ["failed"]
    (error,) = told(late, ErrorRaised)
    assert (error.code, error.kind, error.param, error.client_event_id) == ("timeout", "server_error", None, None)
    assert "'books'" in error.message
    listing = of(scene.effects, ListTools)[0].listing
    assert of(late, AbandonListing) == [AbandonListing(listing)]
    assert scene.happens(ToolsListed(listing, SHELF)) == []


def test_a_server_that_cannot_list_its_tools_is_reported_with_its_own_fault() -> None:
    scene = Scene(Settings(tools=(BOOKS,)), capabilities=CAN)
    listing = of(scene.effects, ListTools)[0].listing
    failed = scene.happens(ToolListingFailed(listing, Fault("http_error", "It answered with status 500.")))
    (error,) = told(failed, ErrorRaised)
    assert (error.code, error.kind) == ("http_error", "server_error")
    assert "'books'" in error.message
    assert "It answered with status 500." in error.message
    assert [notice.state for notice in told(failed, McpListProgress)] == ["failed"]


def test_a_server_that_is_removed_before_it_answers_is_let_go() -> None:
    scene = Scene(Settings(tools=(BOOKS,)), capabilities=CAN)
    listing = of(scene.effects, ListTools)[0].listing
    gone = scene.happens(SessionUpdateRequested({"tools": ()}))
    assert of(gone, AbandonListing) == [AbandonListing(listing)]
    assert len(of(gone, ReleaseServer)) == 1


def test_the_reply_goes_on_by_itself_when_its_client_does_not_ask() -> None:
    scene = reading()
    scene.happens(TYPED, ResponseRequested())
    call = of(calls(scene), CallTool)[0]
    assert not told(scene.effects, ResponseDone)
    ended = scene.happens(ToolAnswered(call.call, "Third shelf."))
    assert told(ended, ResponseDone)[0].response.output[0].output == "Third shelf."
    assert not of(ended, StartGeneration)
    prompt = of(scene.passes(400), StartGeneration)[0].prompt
    assert isinstance(prompt.items[-1], McpCall)


@pytest.mark.parametrize("asks", [False, True])
def test_a_tool_that_is_called_without_arguments_gets_an_empty_object_of_them(asks: bool) -> None:
    scene = reading(approval=Approval() if asks else UNASKED)
    scene.happens(TYPED, ResponseRequested())
    attempt = of(scene.effects, StartGeneration)[-1].attempt
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "find"))
    ended = scene.happens(GenerationFinished(attempt, "tool_calls"))
    if asks:
        (request,) = told(ended, ResponseDone)[0].response.output
        ended = scene.happens(ItemCreateRequested(McpApprovalResponse(ItemId(""), request.id, True)))
        assert request.arguments == "{}"
    else:
        assert [delta.delta for delta in told(scene.effects, McpArgumentsDelta)] == ["{}"]
        assert [done.arguments for done in told(scene.effects, McpArgumentsDone)] == ["{}"]
    assert of(ended, CallTool)[0].arguments == "{}"


@pytest.mark.proves("response.create", "response.tool_choice.server_label", state="honoured")
def test_what_was_forced_is_forced_once() -> None:
    scene = reading()
    scene.happens(TYPED, ResponseRequested(ResponseParams(tool_choice=ForceMcp("books", "find"))))
    assert of(scene.effects, StartGeneration)[-1].prompt.tool_choice != "auto"
    call = of(calls(scene), CallTool)[0]
    scene.happens(ToolAnswered(call.call, "Third shelf."))
    assert of(scene.passes(400), StartGeneration)[0].prompt.tool_choice == "auto"


def test_talking_over_a_call_ends_the_reply_and_not_the_call() -> None:
    scene = reading(turn_detection=ServerVad())
    scene.happens(TYPED, ResponseRequested())
    call = of(calls(scene), CallTool)[0]
    spoken_over = scene.hears(200, 0.9)
    assert told(spoken_over, ResponseDone)[0].response.reason == "turn_detected"
    came = scene.happens(ToolAnswered(call.call, "Third shelf."))
    assert [notice.state for notice in told(came, McpCallProgress)] == ["completed"]
    assert told(came, ItemDone)[0].item.output == "Third shelf."


def test_a_tool_that_does_not_answer_fails_in_time() -> None:
    scene = reading()
    scene.happens(TYPED, ResponseRequested())
    call = of(calls(scene), CallTool)[0]
    late = scene.passes(61_000)
    assert of(late, AbandonCall) == [AbandonCall(call.call)]
    item = told(late, ResponseDone)[0].response.output[0]
    assert (item.error.type, "60 seconds" in item.error.message) == ("tool_execution_error", True)


def test_a_model_that_calls_tools_for_ever_is_stopped_and_can_be_asked_again() -> None:
    scene = reading()
    scene.happens(TYPED, ResponseRequested())
    for _ in range(MAX_TOOL_ROUNDS + 1):
        call = of(calls(scene), CallTool)[0]
        last = scene.happens(ToolAnswered(call.call, "More."))
        scene.passes(400)
    assert told(last, ErrorRaised)[0].code == "too_many_tool_rounds"
    assert of(scene.happens(ResponseRequested()), StartGeneration)


@pytest.mark.proves(
    "response.create",
    "response.tools[].server_label",
    "response.tools[].allowed_tools",
    "response.tools[].allowed_tools.tool_names",
    state="honoured",
    note="",
)
def test_a_response_may_narrow_its_sessions_server_and_name_no_other() -> None:
    scene = reading()
    narrowed = McpServer("books", allowed=ToolFilter(("lend",)))
    started = of(scene.happens(ResponseRequested(ResponseParams(tools=(narrowed,)))), StartGeneration)[0]
    assert [tool.name for tool in started.prompt.tools] == ["lend"]
    other = ResponseParams(in_conversation=False, tools=(McpServer("films", "https://films.example/mcp"),))
    error = told(scene.happens(ResponseRequested(other)), ErrorRaised)[0]
    assert error.param == "response.tools[0].server_label"


def test_every_tool_has_a_name_of_its_own_that_models_accept() -> None:
    told_tools = {"a": (McpTool("find it!"), McpTool("weather")), "b": (McpTool("find it!"),)}
    servers = (FunctionTool("weather"), McpServer("a", "https://a"), McpServer("b", "https://b"))
    offered = offer(told_tools, servers, "auto")
    assert [tool.name for tool in offered.tools] == ["weather", "find_it_", "a_weather", "b_find_it_"]
    assert offered.mcp["b_find_it_"].server.label == "b"


@pytest.mark.parametrize(
    ("allowed", "url", "covered"),
    [
        ("*", "http://anything", True),
        ("https://a.example/mcp", "https://a.example/mcp", True),
        ("https://a.example/mcp", "https://a.example:443/mcp/v2", True),
        ("https://a.example", "https://a.example/anything", True),
        ("https://a.example/mcp", "https://a.example/mcpx", False),
        ("https://a.example/mcp", "https://a.example/mcp/../admin", False),
        ("https://a.example", "https://a.example.evil.com/", False),
        ("https://a.example", "https://a.example@evil.com/", False),
        ("https://a.example", "http://a.example/", False),
        ("http://127.0.0.1:3000", "http://127.0.0.1:22/", False),
        ("https://a.example/mcp", "https://a.example/mcp/%2e%2e/admin", False),
        ("https://a.example/mcp", "https://a.example/mcp/.%2E/admin", False),
        ("https://a.example/mcp", "https://a.example/mcp/..%2fadmin", False),
        ("https://a.example/mcp", "https://a.example/mcp/%252e%252e/admin", False),
        ("https://a.example/mcp", "https://a.example/mcp/..;x/admin", False),
        ("https://a.example/mcp", "https://a.example/mcp/..\\admin", False),
        ("https://a.example/mcp", "https://a.example/mcp/..?tools", False),
        ("https://a.example", "https://evil.com\\@a.example/", False),
        ("https://a.example/mcp", "https://a.example/mcp/a%20b?at=%2f..", True),
        ("*", "http://anything/a%2fb", True),
    ],
)
def test_an_allowed_address_covers_what_lies_below_it(allowed: str, url: str, covered: bool) -> None:
    assert covers(allowed, url) is covered


@pytest.mark.proves(
    "session.update",
    *(f"session.tools[].require_approval.{which}" for which in ("always", "never")),
    "session.tools[].require_approval.always.tool_names",
    "session.tools[].require_approval.never.tool_names",
    "session.tools[].require_approval.never.read_only",
    state="honoured",
)
@pytest.mark.parametrize(
    ("approval", "asked"),
    [
        (Approval(), ["find", "lend"]),
        (Approval(never=ToolFilter()), []),
        (Approval(never=ToolFilter(read_only=True)), ["lend"]),
        (Approval(always=ToolFilter(("lend",))), ["lend"]),
        (Approval(always=ToolFilter(("lend",)), never=ToolFilter(("find",))), ["lend"]),
        (Approval(always=ToolFilter(("lend",)), never=ToolFilter(("lend",))), ["find", "lend"]),
    ],
)
def test_what_needs_approval(approval: Approval, asked: list[str]) -> None:
    server = McpServer("books", "https://books.example/mcp", approval=approval)
    assert [tool.name for tool in SHELF if server.asks(tool.name, tool.read_only)] == asked
