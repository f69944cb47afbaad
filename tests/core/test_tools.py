"""MCP servers in the core: listing, calls that outlive their responses, and when the reply continues."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from parley.core.decisions.tool_checks import covers
from parley.core.regions.tool_offer import offer
from parley.core.words.effects import (
    AbandonCall,
    AbandonListing,
    CallTool,
    CancelGeneration,
    ListTools,
    ReleaseServer,
    StartGeneration,
    Tell,
)
from parley.core.words.errors import Fault
from parley.core.words.events import (
    CancelRequested,
    GenerationFinished,
    ItemCreateRequested,
    ItemDeleteRequested,
    ResponseRequested,
    SessionUpdateRequested,
    TimePassed,
    ToolAnswered,
    ToolArgumentsGenerated,
    ToolCallStarted,
    ToolFailed,
    ToolListingFailed,
    ToolsListed,
    Transcribed,
)
from parley.core.words.ids import AttemptId, CallId, ItemId, ToolCallId
from parley.core.words.items import (
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputText,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpError,
    McpListTools,
    McpTool,
    Message,
)
from parley.core.words.limits import (
    FOLLOW_UP_WAIT_NS,
    LIST_TOOLS_WAIT_NS,
    MAX_RUNNING_CALLS,
    MAX_TOOL_ROUNDS,
    TOOL_CALL_WAIT_NS,
)
from parley.core.words.notices import (
    ErrorRaised,
    ItemAdded,
    ItemDone,
    McpArgumentsDelta,
    McpArgumentsDone,
    McpCallProgress,
    McpListProgress,
    ResponseCreated,
    ResponseDone,
)
from parley.core.words.settings import (
    Approval,
    ForceMcp,
    FunctionTool,
    McpServer,
    ServerVad,
    Settings,
    ToolFilter,
)
from parley.core.words.work import ResponseParams
from tests.core.scene import MCP_ALLOWED, SPECULATING, Scene, of

UNASKED = Approval(never=ToolFilter())
BOOKS = McpServer("books", "https://books.example/mcp", approval=UNASKED)
SHELF = (McpTool("find", read_only=True), McpTool("lend"))
TYPED = ItemCreateRequested(Message(ItemId(""), "user", (InputText("Where is Emma?"),)))


def sent(effects: list[Any], kind: type) -> list[Any]:
    return [effect.notice for effect in effects if isinstance(effect, Tell) and isinstance(effect.notice, kind)]


def reading(*, turn_detection: ServerVad | None = None, **server: Any) -> Scene:
    """A session whose server has listed its tools."""
    tool = McpServer("books", "https://books.example/mcp", **({"approval": UNASKED} | server))
    scene = Scene(Settings(tools=(tool,), turn_detection=turn_detection, modality="text"), capabilities=MCP_ALLOWED)
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


def test_the_servers_of_the_first_settings_are_listed_at_once() -> None:
    scene = Scene(Settings(tools=(BOOKS,)), capabilities=MCP_ALLOWED)
    assert [effect.server for effect in of(scene.effects, ListTools)] == [BOOKS]


def test_a_repeated_server_is_not_listed_again_and_a_removed_one_is_released() -> None:
    scene = reading()
    again = scene.happens(SessionUpdateRequested({"tools": scene.session.settings.tools}))
    assert not of(again, ListTools)
    gone = scene.happens(SessionUpdateRequested({"tools": ()}))
    assert len(of(gone, ReleaseServer)) == 1


def test_a_server_that_never_answers_times_out_and_is_reported() -> None:
    scene = Scene(Settings(tools=(BOOKS,)), capabilities=MCP_ALLOWED)
    late = scene.passes(31_000)
    assert [notice.state for notice in sent(late, McpListProgress)] == ["failed"]
    (error,) = sent(late, ErrorRaised)
    assert (error.code, error.kind, error.field, error.client_event_id) == ("timeout", "server_error", None, None)
    assert "'books'" in error.message
    listing = of(scene.effects, ListTools)[0].listing
    assert of(late, AbandonListing) == [AbandonListing(listing)]
    assert scene.happens(ToolsListed(listing, SHELF)) == []


def test_a_failed_tool_listing_is_reported_with_its_fault() -> None:
    scene = Scene(Settings(tools=(BOOKS,)), capabilities=MCP_ALLOWED)
    listing = of(scene.effects, ListTools)[0].listing
    failed = scene.happens(ToolListingFailed(listing, Fault("http_error", "It answered with status 500.")))
    (error,) = sent(failed, ErrorRaised)
    assert (error.code, error.kind) == ("http_error", "server_error")
    assert "'books'" in error.message
    assert "It answered with status 500." in error.message
    assert [notice.state for notice in sent(failed, McpListProgress)] == ["failed"]


def test_a_server_that_is_removed_before_it_answers_is_released() -> None:
    scene = Scene(Settings(tools=(BOOKS,)), capabilities=MCP_ALLOWED)
    listing = of(scene.effects, ListTools)[0].listing
    gone = scene.happens(SessionUpdateRequested({"tools": ()}))
    assert of(gone, AbandonListing) == [AbandonListing(listing)]
    assert len(of(gone, ReleaseServer)) == 1


def test_the_reply_continues_by_itself_if_the_client_does_not_ask() -> None:
    scene = reading()
    scene.happens(TYPED, ResponseRequested())
    call = of(calls(scene), CallTool)[0]
    assert not sent(scene.effects, ResponseDone)
    ended = scene.happens(ToolAnswered(call.call, "Third shelf."))
    assert sent(ended, ResponseDone)[0].response.output[0].output == "Third shelf."
    assert not of(ended, StartGeneration)
    prompt = of(scene.passes(400), StartGeneration)[0].prompt
    assert isinstance(prompt.items[-1], McpCall)


@pytest.mark.parametrize("asks", [False, True])
def test_a_call_without_arguments_gets_an_empty_object(asks: bool) -> None:
    scene = reading(approval=Approval() if asks else UNASKED)
    scene.happens(TYPED, ResponseRequested())
    attempt = of(scene.effects, StartGeneration)[-1].attempt
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "find"))
    ended = scene.happens(GenerationFinished(attempt, "tool_calls"))
    if asks:
        (request,) = sent(ended, ResponseDone)[0].response.output
        ended = scene.happens(ItemCreateRequested(McpApprovalResponse(ItemId(""), request.id, True)))
        assert request.arguments == "{}"
    else:
        assert [delta.delta for delta in sent(scene.effects, McpArgumentsDelta)] == ["{}"]
        assert [done.arguments for done in sent(scene.effects, McpArgumentsDone)] == ["{}"]
    assert of(ended, CallTool)[0].arguments == "{}"


@pytest.mark.proves("response.create", "response.tool_choice.server_label", state="honoured")
def test_a_forced_tool_is_forced_once() -> None:
    scene = reading()
    scene.happens(TYPED, ResponseRequested(ResponseParams(tool_choice=ForceMcp("books", "find"))))
    assert of(scene.effects, StartGeneration)[-1].prompt.tool_choice != "auto"
    call = of(calls(scene), CallTool)[0]
    scene.happens(ToolAnswered(call.call, "Third shelf."))
    assert of(scene.passes(400), StartGeneration)[0].prompt.tool_choice == "auto"


def test_a_barge_in_during_a_call_ends_the_reply_and_not_the_call() -> None:
    scene = reading(turn_detection=ServerVad())
    scene.happens(TYPED, ResponseRequested())
    call = of(calls(scene), CallTool)[0]
    spoken_over = scene.hears(200, 0.9)
    assert sent(spoken_over, ResponseDone)[0].response.reason == "turn_detected"
    came = scene.happens(ToolAnswered(call.call, "Third shelf."))
    assert [notice.state for notice in sent(came, McpCallProgress)] == ["completed"]
    assert sent(came, ItemDone)[0].item.output == "Third shelf."


def test_a_tool_that_does_not_answer_times_out() -> None:
    scene = reading()
    scene.happens(TYPED, ResponseRequested())
    call = of(calls(scene), CallTool)[0]
    late = scene.passes(61_000)
    assert of(late, AbandonCall) == [AbandonCall(call.call)]
    item = sent(late, ResponseDone)[0].response.output[0]
    assert (item.error.type, "60 seconds" in item.error.message) == ("tool_execution_error", True)


def test_endless_tool_calls_are_stopped_and_the_client_can_ask_again() -> None:
    scene = reading()
    scene.happens(TYPED, ResponseRequested())
    for _ in range(MAX_TOOL_ROUNDS + 1):
        call = of(calls(scene), CallTool)[0]
        last = scene.happens(ToolAnswered(call.call, "More."))
        scene.passes(400)
    assert sent(last, ErrorRaised)[0].code == "too_many_tool_rounds"
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
    error = sent(scene.happens(ResponseRequested(other)), ErrorRaised)[0]
    assert error.field == "response.tools[0].server_label"


def test_every_tool_has_its_own_name_that_models_accept() -> None:
    listed = {"a": (McpTool("find it!"), McpTool("weather")), "b": (McpTool("find it!"),)}
    servers = (FunctionTool("weather"), McpServer("a", "https://a"), McpServer("b", "https://b"))
    offered = offer(listed, servers, "auto")
    assert [tool.name for tool in offered.tools] == ["weather", "find_it_", "a_weather", "b_find_it_"]
    assert offered.by_name["b_find_it_"].server.label == "b"


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
def test_an_allowed_address_includes_everything_below_it(allowed: str, url: str, covered: bool) -> None:
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
def test_approval_is_needed_as_the_client_configured_it(approval: Approval, asked: list[str]) -> None:
    server = McpServer("books", "https://books.example/mcp", approval=approval)
    assert [tool.name for tool in SHELF if server.asks(tool.name, tool.read_only)] == asked


# --- the servers of a session --------------------------------------------------------------------------------------------------

FILMS = McpServer("films", "https://films.example/mcp", approval=UNASKED)


def asked() -> tuple[Scene, ListTools]:
    """A session that has asked its server for the tools, and that effect."""
    scene = Scene(Settings(tools=(BOOKS,), modality="text"), capabilities=MCP_ALLOWED)
    return scene, scene.last(ListTools)


def test_a_server_has_an_item_in_the_conversation_while_it_is_listed() -> None:
    scene, question = asked()
    added, progress, effect = scene.effects[-3:]
    assert isinstance(added, Tell)
    assert isinstance(added.notice, ItemAdded)
    item = added.notice.item
    assert item == McpListTools(item.id, "books", status="in_progress")
    assert added.notice.previous_item_id is None
    assert progress == Tell(McpListProgress(item.id, "in_progress"))
    assert effect == ListTools(question.listing, BOOKS)


@pytest.mark.parametrize("allowed", [ToolFilter(("lend",)), ToolFilter(read_only=False)])
def test_only_the_tools_that_the_client_allows_are_sent(allowed: ToolFilter) -> None:
    only = replace(BOOKS, allowed=allowed)
    scene = Scene(Settings(tools=(only, FILMS)), capabilities=MCP_ALLOWED)
    books, films = of(scene.effects, ListTools)
    item = sent(scene.effects, McpListProgress)[0].item_id
    listed = McpListTools(item, "books", (McpTool("lend"),))
    assert scene.happens(ToolsListed(books.listing, SHELF)) == [
        Tell(ItemDone(listed, None)),
        Tell(McpListProgress(item, "completed")),
    ]
    done = sent(scene.happens(ToolsListed(films.listing, SHELF)), ItemDone)[0]
    assert (done.item.tools, done.previous_item_id) == (SHELF, item)


def test_a_server_answers_once_and_only_for_itself() -> None:
    scene = Scene(Settings(tools=(BOOKS, FILMS)), capabilities=MCP_ALLOWED)
    books, films = of(scene.effects, ListTools)
    late = scene.session.late_events
    assert sent(scene.happens(ToolsListed(films.listing, SHELF)), ItemDone)[0].item.server_label == "films"
    assert scene.happens(ToolsListed(films.listing, ()), ToolListingFailed(films.listing, Fault("x", "y"))) == []
    assert scene.session.late_events == late + 2
    assert sent(scene.happens(ToolsListed(books.listing, SHELF)), ItemDone)[0].item.server_label == "books"
    assert scene.happens(ToolAnswered(ToolCallId(99), ""), ToolFailed(ToolCallId(99), McpError("http_error", ""))) == []
    assert scene.session.late_events == late + 4


def test_a_server_that_is_changed_before_it_answers_is_released_and_listed_again() -> None:
    scene, question = asked()
    item = sent(scene.effects, McpListProgress)[0].item_id
    moved = replace(BOOKS, url="https://other.example/mcp")
    caused = scene.happens(SessionUpdateRequested({"tools": (moved, FILMS)}))
    assert caused[1:5] == [
        AbandonListing(question.listing),
        Tell(ItemDone(McpListTools(item, "books"), None)),
        Tell(McpListProgress(item, "failed")),
        ReleaseServer(BOOKS),
    ]
    assert [effect.server for effect in of(caused, ListTools)] == [moved, FILMS]
    assert scene.happens(ToolsListed(question.listing, SHELF)) == []
    answered = scene.happens(ToolsListed(of(caused, ListTools)[0].listing, SHELF))
    assert [notice.state for notice in sent(answered, McpListProgress)] == ["completed"]
    gone = scene.happens(SessionUpdateRequested({"tools": (FILMS,)}))
    assert gone[1:] == [ReleaseServer(moved)], "it has answered and is no longer waited for"


def test_a_listing_whose_item_was_deleted_is_reported_as_progress_only() -> None:
    scene, question = asked()
    item = sent(scene.effects, McpListProgress)[0].item_id
    scene.happens(ItemDeleteRequested(item))
    assert scene.happens(ToolsListed(question.listing, SHELF)) == [Tell(McpListProgress(item, "completed"))]
    scene.happens(TYPED, ResponseRequested())
    assert [tool.name for tool in scene.last(StartGeneration).prompt.tools] == ["find", "lend"]


def test_a_server_times_out_at_its_deadline_and_not_before() -> None:
    scene, question = asked()
    scene.now += LIST_TOOLS_WAIT_NS - 1
    assert scene.happens(TimePassed()) == []
    scene.now += 1
    late = scene.happens(TimePassed())
    assert late[0] == AbandonListing(question.listing)
    (error,) = sent(late, ErrorRaised)
    assert "within 30 seconds" in error.message
    scene.now += LIST_TOOLS_WAIT_NS
    assert scene.happens(TimePassed()) == [], "once"


def pausing(scene: Scene) -> AttemptId:
    """The user pauses, and a speculative attempt starts."""
    scene.pauses("Where is Emma?", ms=320)
    return scene.attempt()


def test_a_speculative_reply_without_a_pending_servers_tools_is_made_again() -> None:
    scene = Scene(Settings(tools=(BOOKS,), modality="text"), SPECULATING, MCP_ALLOWED)
    held = pausing(scene)
    assert CancelGeneration(held) in scene.lists(*SHELF)
    scene.hears(320, 0.0)
    assert scene.attempt() != held
    assert [tool.name for tool in scene.last(StartGeneration).prompt.tools] == ["find", "lend"]


# --- the outcomes of calls -----------------------------------------------------------------------------------------------------


def calls_both(**settings: Any) -> tuple[Scene, CallTool, CallTool]:
    """A session whose model calls two tools in one reply, and the calls."""
    scene = reading()
    scene.happens(TYPED, ResponseRequested(ResponseParams(**settings)))
    attempt = scene.attempt()
    for index, name in enumerate(("find", "lend")):
        scene.happens(
            ToolCallStarted(attempt, index, CallId(f"c{index}"), name),
            ToolArgumentsGenerated(attempt, index, f'{{"n":{index}}}'),
        )
    first, second = of(scene.happens(GenerationFinished(attempt, "tool_calls")), CallTool)
    return scene, first, second


def test_a_reply_is_done_when_the_last_of_its_calls_has_ended_in_any_way() -> None:
    scene, first, second = calls_both()
    assert (first.server, first.name, first.arguments) == (BOOKS, "find", '{"n":0}')
    assert (second.server, second.name, second.arguments) == (BOOKS, "lend", '{"n":1}')
    failed = scene.happens(ToolFailed(second.call, McpError("http_error", "No.", 500)))
    (progress,) = sent(failed, McpCallProgress)
    assert (progress.output_index, progress.state) == (1, "failed")
    assert not sent(failed, ResponseDone)
    ended = scene.happens(ToolAnswered(first.call, "Third shelf."))
    (progress,) = sent(ended, McpCallProgress)
    assert (progress.output_index, progress.state) == (0, "completed")
    (done,) = sent(ended, ResponseDone)
    assert done.response.status == "completed"
    found, lent = done.response.output
    assert (found.output, found.error, found.status) == ("Third shelf.", None, "completed")
    assert (lent.output, lent.error, lent.status) == (None, McpError("http_error", "No.", 500), "completed")
    assert done.response.usage is not None
    assert len(of(scene.passes(400), StartGeneration)) == 1


def test_calls_that_outlive_their_reply_are_answered_together_after_the_last() -> None:
    scene = reading(turn_detection=ServerVad(create_response=False))
    scene.happens(TYPED, ResponseRequested())
    attempt = scene.attempt()
    for index in (0, 1):
        scene.happens(ToolCallStarted(attempt, index, CallId(f"c{index}"), "find"))
    first, second = of(scene.happens(GenerationFinished(attempt, "tool_calls")), CallTool)
    scene.hears(200, 0.9)
    scene.happens(ToolAnswered(second.call, "Here."))
    scene.hears(640, 0.0)
    scene.happens(Transcribed(scene.turn(), "One moment."))
    scene.passes(400)
    assert len(of(scene.effects, StartGeneration)) == 1, "one call still runs"
    scene.happens(ToolAnswered(first.call, "There."))
    scene.passes(400)
    assert len(of(scene.effects, StartGeneration)) == 2
    assert [item.output for item in scene.last(StartGeneration).prompt.items if isinstance(item, McpCall)] == [
        "There.",
        "Here.",
    ]


def test_outcomes_of_calls_of_a_cancelled_reply_are_kept_and_not_answered() -> None:
    scene = reading()
    scene.happens(TYPED, ResponseRequested())
    (call,) = of(calls(scene), CallTool)
    scene.happens(CancelRequested())
    assert sent(scene.happens(ToolAnswered(call.call, "There.")), ItemDone)[0].item.output == "There."
    scene.passes(400)
    assert len(of(scene.effects, StartGeneration)) == 1


def test_a_speculative_reply_without_a_pending_outcome_is_made_again() -> None:
    scene = Scene(Settings(tools=(BOOKS,), modality="text"), SPECULATING, MCP_ALLOWED)
    scene.lists(*SHELF)
    scene.happens(TYPED, ResponseRequested())
    (call,) = of(calls(scene), CallTool)
    scene.happens(CancelRequested())
    held = pausing(scene)
    assert CancelGeneration(held) in scene.happens(ToolAnswered(call.call, "There."))


@pytest.mark.parametrize(
    ("settings_choice", "own", "first", "then"),
    [
        ("auto", None, "auto", "auto"),
        ("required", None, "required", "auto"),
        ("auto", "required", "required", "auto"),
        ("required", "auto", "auto", "auto"),
        ("required", "none", "none", "none"),
        ("none", None, "none", "none"),
        ("auto", ForceMcp("books"), "required", "auto"),
    ],
)
def test_a_reply_after_tool_calls_keeps_the_options_of_the_first_without_forcing_a_tool_again(
    settings_choice: Any, own: Any, first: str, then: str
) -> None:
    scene = reading()
    scene.happens(SessionUpdateRequested({"tool_choice": settings_choice}))
    params = ResponseParams(tool_choice=own, instructions="Be brief.", metadata=(("a", "b"),))
    scene.happens(TYPED, ResponseRequested(params))
    assert scene.last(StartGeneration).prompt.tool_choice == first
    (call,) = of(calls(scene), CallTool)
    scene.happens(ToolAnswered(call.call, "There."))
    scene.passes(400)
    again = scene.last(StartGeneration).prompt
    assert (again.tool_choice, again.instructions) == (then, "Be brief.")
    assert sent(scene.effects, ResponseCreated)[-1].response.metadata == (("a", "b"),)


def test_a_reply_after_tool_calls_follows_a_changed_tool_choice() -> None:
    scene = reading()
    scene.happens(TYPED, ResponseRequested())
    (call,) = of(calls(scene), CallTool)
    scene.happens(ToolAnswered(call.call, "There."), SessionUpdateRequested({"tool_choice": "none"}))
    scene.passes(400)
    assert scene.last(StartGeneration).prompt.tool_choice == "none"


@pytest.mark.parametrize("in_conversation", [True, False])
def test_a_reply_after_tool_calls_keeps_its_own_input_and_adds_the_outcomes(in_conversation: bool) -> None:
    scene = reading()
    own = Message(ItemId("own"), "user", (InputText("Where is Emma?"),))
    scene.happens(TYPED, ResponseRequested(ResponseParams(in_conversation=in_conversation, input=(own,))))
    (call,) = of(calls(scene), CallTool)
    ended = scene.happens(ToolAnswered(call.call, "There."))
    assert len(of(ended, StartGeneration)) == (not in_conversation), "an out-of-band response waits for nothing"
    scene.passes(400)
    asked_again, found = scene.last(StartGeneration).prompt.items
    assert asked_again == own
    assert isinstance(found, McpCall)
    assert found.output == "There."
    created = sent(scene.effects, ResponseCreated)
    assert [(notice.response.conversation_id is None) for notice in created] == [not in_conversation] * 2


def test_a_reply_after_tool_calls_waits_only_for_its_own_transcripts() -> None:
    scene = reading()
    scene.happens(TYPED, ResponseRequested())
    (call,) = of(calls(scene), CallTool)
    scene.happens(ToolAnswered(call.call, "There."))
    spoken = Message(ItemId(""), "user", (InputAudio(None, bytes(9_600)),))
    scene.happens(ResponseRequested(ResponseParams(in_conversation=False, input=(spoken,))))
    assert len(of(scene.passes(400), StartGeneration)) == 1


def test_a_reply_after_tool_calls_waits_a_moment_for_the_clients_own_request() -> None:
    scene = reading()
    scene.happens(TYPED, ResponseRequested())
    (call,) = of(calls(scene), CallTool)
    assert not of(scene.happens(ToolAnswered(call.call, "There.")), StartGeneration)
    scene.now += FOLLOW_UP_WAIT_NS - 1
    assert scene.happens(TimePassed()) == []
    scene.now += 1
    assert of(scene.happens(TimePassed()), StartGeneration)


def test_a_session_that_became_a_transcription_session_does_not_continue() -> None:
    scene = Scene(Settings(tools=(BOOKS,), kind="transcription"), capabilities=MCP_ALLOWED)
    scene.lists(*SHELF)
    scene.happens(TYPED)
    assert sent(scene.happens(ResponseRequested()), ErrorRaised)
    assert of(scene.passes(1_000), StartGeneration) == []


def test_a_clients_request_resets_the_count_of_replies_after_tool_calls() -> None:
    scene = reading()
    scene.happens(TYPED, ResponseRequested())
    for rounds in range(MAX_TOOL_ROUNDS):
        (call,) = of(calls(scene), CallTool)
        scene.happens(ToolAnswered(call.call, "More."))
        assert of(scene.passes(400), StartGeneration), rounds
    (call,) = of(calls(scene), CallTool)
    (error,) = sent(scene.happens(ToolAnswered(call.call, "More.")), ErrorRaised)
    assert (error.code, error.kind, error.field, error.client_event_id) == (
        "too_many_tool_rounds",
        "server_error",
        None,
        None,
    )
    assert "16 times" in error.message
    assert of(scene.passes(400), StartGeneration) == []


def test_a_call_times_out_at_its_deadline_and_not_before() -> None:
    scene, first, second = calls_both()
    scene.happens(ToolAnswered(second.call, "Here."))
    scene.now += TOOL_CALL_WAIT_NS - 1
    assert scene.happens(TimePassed()) == []
    scene.now += 1
    late = scene.happens(TimePassed())
    assert late[0] == AbandonCall(first.call)
    assert [progress.state for progress in sent(late, McpCallProgress)] == ["failed"]
    (done,) = sent(late, ResponseDone)
    given_up, answered = done.response.output
    assert given_up.error == McpError("tool_execution_error", "No answer within 60 seconds.")
    assert answered.output == "Here."
    before = scene.session.late_events
    assert scene.happens(ToolAnswered(first.call, "At last.")) == []
    assert scene.session.late_events == before + 1


# --- how calls begin -----------------------------------------------------------------------------------------------------------


def test_a_call_of_a_server_removed_meanwhile_fails_and_the_reply_continues() -> None:
    scene = reading()
    scene.happens(TYPED, ResponseRequested())
    attempt = scene.attempt()
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "find"))
    scene.happens(SessionUpdateRequested({"tools": ()}))
    ended = scene.happens(GenerationFinished(attempt, "tool_calls"))
    assert of(ended, CallTool) == []
    (item,) = sent(ended, ResponseDone)[0].response.output
    assert item.error == McpError("protocol_error", "The session has no MCP server 'books' any more.")
    assert [progress.state for progress in sent(ended, McpCallProgress)] == ["failed"]


def test_one_reply_calls_no_more_tools_at_once_than_the_limit() -> None:
    scene = reading()
    scene.happens(TYPED, ResponseRequested())
    attempt = scene.attempt()
    for index in range(MAX_RUNNING_CALLS + 1):
        scene.happens(ToolCallStarted(attempt, index, CallId(f"c{index}"), "find"))
    ended = scene.happens(GenerationFinished(attempt, "tool_calls"))
    running = of(ended, CallTool)
    assert len(running) == MAX_RUNNING_CALLS
    states = [(notice.output_index, notice.state) for notice in sent(ended, McpCallProgress)]
    assert states == [(index, "in_progress") for index in range(MAX_RUNNING_CALLS)] + [(MAX_RUNNING_CALLS, "failed")]
    for call in running:
        last = scene.happens(ToolAnswered(call.call, "Here."))
    refused = sent(last, ResponseDone)[0].response.output[-1]
    assert refused.error == McpError("protocol_error", f"At most {MAX_RUNNING_CALLS} calls of tools may run at once.")


# --- client items ----------------------------------------------------------------------------------------------------------------


def test_an_output_of_an_unknown_call_is_refused_by_its_id() -> None:
    scene = Scene(Settings(modality="text"))
    scene.happens(ItemCreateRequested(FunctionCallOutput(ItemId("o"), CallId("stranger"), "sunny")))
    (error,) = scene.notices(ErrorRaised)
    assert (error.code, error.field) == ("invalid_tool_call_id", "item.call_id")
    assert "'stranger'" in error.message
    assert scene.session.items == ()


def test_the_first_of_two_outcomes_of_a_call_counts() -> None:
    scene, call = Scene(Settings(modality="text")), CallId("call_1")
    scene.happens(ItemCreateRequested(FunctionCall(ItemId("c"), call, "weather", "{}")))
    scene.happens(ItemCreateRequested(FunctionCallOutput(ItemId("first"), call, "sunny")))
    scene.happens(ItemCreateRequested(FunctionCallOutput(ItemId("second"), call, "rainy")))
    (error,) = scene.notices(ErrorRaised)
    assert (error.code, error.field) == ("invalid_tool_call_id", "item.call_id")
    assert "answered already, by the item 'first'" in error.message
    assert [item.id for item in scene.session.items] == ["c", "first"]
    scene.happens(ItemCreateRequested(FunctionCall(ItemId("d"), call, "weather", "{}")))
    scene.happens(ItemCreateRequested(FunctionCallOutput(ItemId("third"), call, "rainy")))
    assert [item.id for item in scene.session.items] == ["c", "first", "d", "third"], "a model used its id again"
    scene.happens(
        ItemDeleteRequested(ItemId("third")), ItemCreateRequested(FunctionCallOutput(ItemId("e"), call, "snow"))
    )
    assert len(scene.notices(ErrorRaised)) == 1, "an outcome that was taken back leaves room for another"


def test_a_transcription_session_does_not_answer_a_refused_call() -> None:
    scene = Scene(Settings(kind="transcription"))
    scene.happens(ItemCreateRequested(McpApprovalRequest(ItemId("q"), "books", "lend", "{}")))
    scene.happens(ItemCreateRequested(McpApprovalResponse(ItemId("a"), ItemId("q"), False)))
    scene.passes(1_000)
    assert [item.id for item in scene.session.items] == ["q", "a"]
    assert scene.notices(ResponseCreated) == []


def test_an_output_of_a_call_that_the_client_added_is_accepted() -> None:
    scene = Scene(Settings(modality="text"))
    scene.happens(ItemCreateRequested(FunctionCall(ItemId("f"), CallId("c"), "weather", "{}")))
    scene.happens(ItemCreateRequested(FunctionCallOutput(ItemId("o"), CallId("c"), "sunny")))
    assert scene.notices(ErrorRaised) == []
    assert [item.id for item in scene.session.items] == ["f", "o"]
