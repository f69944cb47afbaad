"""Tool listings and calls that the shell abandons."""

from __future__ import annotations

from parley.core.words.effects import (
    AbandonCall,
    AbandonListing,
    CallTool,
    ListTools,
)
from parley.core.words.events import (
    GenerationFinished,
    ToolArgumentsGenerated,
    ToolCallStarted,
    ToolsListed,
    WorkAbandoned,
)
from parley.core.words.ids import CallId, ListingId, ToolCallId
from parley.core.words.items import McpCall, McpTool
from parley.core.words.notices import (
    ErrorRaised,
)
from parley.core.words.settings import (
    Approval,
    McpServer,
    Settings,
    ToolFilter,
)
from parley.core.words.work import AwaitedCall, AwaitedListing
from tests.core.scene import MCP_ALLOWED, Scene

MCP = McpServer("books", "https://books.example/mcp", approval=Approval(never=ToolFilter()))


def with_books() -> Scene:
    return Scene(settings=Settings(tools=(MCP,)), capabilities=MCP_ALLOWED)


def test_an_abandoned_listing_and_an_abandoned_call_fail_like_timeouts() -> None:
    scene = with_books()
    listing = scene.last(ListTools).listing
    caused = scene.happens(WorkAbandoned(AwaitedListing(listing)))
    assert AbandonListing(listing) in caused
    assert scene.notices(ErrorRaised)[-1].code == "timeout"

    scene = with_books()
    scene.lists(McpTool("find", "", "{}"))
    scene.says("Where is Emma?")
    attempt = scene.attempt()
    scene.happens(
        ToolCallStarted(attempt, 0, CallId("call_1"), "find"),
        ToolArgumentsGenerated(attempt, 0, "{}"),
        GenerationFinished(attempt, "tool_calls"),
    )
    call = scene.last(CallTool).call
    assert AbandonCall(call) in scene.happens(WorkAbandoned(AwaitedCall(call)))
    (item,) = [item for item in scene.session.items if isinstance(item, McpCall)]
    assert item.error is not None
    assert item.error.type == "tool_execution_error"


def test_an_answered_listing_or_call_cannot_be_abandoned() -> None:
    scene = with_books()
    listing = scene.last(ListTools).listing
    other = WorkAbandoned(AwaitedListing(ListingId(99)))
    assert scene.happens(other) == [], "another server is still being listed"
    scene.happens(ToolsListed(listing, ()))
    assert scene.happens(WorkAbandoned(AwaitedListing(listing))) == []
    assert scene.happens(WorkAbandoned(AwaitedCall(ToolCallId(99)))) == []
    assert scene.session.late_events == 3
