"""A session's outstanding work, and work that its shell abandons."""

from __future__ import annotations

from parley.core.words.effects import AbandonSummary, CallTool, ListTools, Summarize
from parley.core.words.events import (
    GenerationFinished,
    ItemCreateRequested,
    ToolArgumentsGenerated,
    ToolCallStarted,
    ToolsListed,
    Transcribed,
    WorkAbandoned,
)
from parley.core.words.ids import AttemptId, CallId, ItemId, ListingId, ToolCallId, TurnId
from parley.core.words.items import InputText, McpTool, Message
from parley.core.words.settings import (
    Approval,
    McpServer,
    OwnerSettings,
    Settings,
    ToolFilter,
)
from parley.core.words.work import (
    AwaitedCall,
    AwaitedGeneration,
    AwaitedListing,
    AwaitedSummary,
    AwaitedTranscript,
    Outstanding,
)
from tests.core.scene import MCP_ALLOWED, Scene

MCP = McpServer("books", "https://books.example/mcp", approval=Approval(never=ToolFilter()))


def with_books() -> Scene:
    return Scene(settings=Settings(tools=(MCP,)), capabilities=MCP_ALLOWED)


# --- outstanding work -----------------------------------------------------------------------------------------------------------


def test_an_idle_session_has_nothing_outstanding() -> None:
    assert Scene().session.outstanding() == ()


def test_a_committed_turn_has_its_transcript_and_then_its_reply_outstanding() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    assert scene.session.outstanding() == (), "the turn is still open"
    scene.hears(600, 0.0)
    turn = scene.turn()
    assert scene.session.outstanding() == (AwaitedTranscript(turn),)
    scene.happens(Transcribed(turn, "Hello?"))
    attempt = scene.attempt()
    assert scene.session.outstanding() == (AwaitedGeneration(attempt),)
    scene.happens(GenerationFinished(attempt))
    assert scene.session.outstanding() == ()


def test_tool_listings_and_calls_are_outstanding() -> None:
    scene = with_books()
    listing = scene.last(ListTools).listing
    assert scene.session.outstanding() == (AwaitedListing(listing),)
    scene.happens(ToolsListed(listing, (McpTool("find", "", "{}"),)))
    assert scene.session.outstanding() == ()
    scene.says("Where is Emma?")
    attempt = scene.attempt()
    scene.happens(
        ToolCallStarted(attempt, 0, CallId("call_1"), "find"),
        ToolArgumentsGenerated(attempt, 0, "{}"),
        GenerationFinished(attempt, "tool_calls"),
    )
    assert scene.session.outstanding() == (AwaitedCall(scene.last(CallTool).call),)


# --- abandoned work ---------------------------------------------------------------------------------------------------------------


def test_abandoning_ended_or_unknown_work_changes_nothing() -> None:
    scene = with_books()
    listing = scene.last(ListTools).listing
    scene.happens(ToolsListed(listing, ()))
    for number, work in enumerate[Outstanding](
        (
            AwaitedTranscript(TurnId(99)),
            AwaitedGeneration(AttemptId(99)),
            AwaitedListing(listing),
            AwaitedListing(ListingId(99)),
            AwaitedCall(ToolCallId(99)),
        ),
        start=1,
    ):
        assert scene.happens(WorkAbandoned(work)) == []
        assert scene.session.late_events == number


def test_a_summary_is_outstanding_until_it_is_abandoned() -> None:
    scene = Scene(Settings(turn_detection=None), OwnerSettings(context_tokens=1_000, compaction=True))
    for name in ("a", "b", "c"):
        scene.happens(ItemCreateRequested(Message(ItemId(name), "user", (InputText("word " * 240),))))
    summary = scene.last(Summarize).summary
    assert scene.session.outstanding() == (AwaitedSummary(summary),)
    assert scene.happens(WorkAbandoned(AwaitedSummary(summary))) == [AbandonSummary(summary)]
    assert scene.session.outstanding() == ()
