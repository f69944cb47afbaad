"""The MCP servers and running calls of a session: their tools, their timeouts, and which outcomes are answered."""

from __future__ import annotations

from parley.core.regions.entry import Entry
from parley.core.regions.tool_servers import Listing, RunningCall, ToolServers
from parley.core.words.ids import ItemId, ListingId, ResponseId, ToolCallId
from parley.core.words.items import InputText, McpCall, McpListTools, McpTool, Message
from parley.core.words.settings import McpServer

R, S = ResponseId("r"), ResponseId("s")
FIND = McpTool("find")


def listing(label: str, deadline_ns: int | None = None, *tools: McpTool) -> Listing:
    entry = Entry(McpListTools(ItemId(f"i-{label}"), label, tools))
    return Listing(ListingId(len(label)), McpServer(label, f"https://{label}.example"), entry, deadline_ns)


def call(response: ResponseId | None = R, deadline_ns: int = 0, *, awaiting: int = 0, item: str = "m") -> RunningCall:
    entry = Entry(McpCall(ItemId(item), "books", "find", "{}"), awaiting=awaiting)
    return RunningCall(entry, 0, deadline_ns, response)


def running(*calls: RunningCall) -> ToolServers:
    servers = ToolServers()
    for number, one in enumerate(calls):
        servers.begin(ToolCallId(number), one)
    return servers


def test_each_server_is_known_by_its_label_with_its_listed_tools() -> None:
    servers = ToolServers()
    servers.add(books := listing("books", None, FIND))
    servers.add(asked := listing("films", 5))
    assert dict(servers.listings) == {"books": books, "films": asked}
    assert servers.tools() == {"books": (FIND,), "films": ()}
    assert servers.awaited() == [asked]
    asked.answered()
    assert servers.awaited() == []
    assert servers.remove("books") is books
    assert servers.tools() == {"films": ()}


def test_an_entry_that_is_not_a_tool_listing_offers_none() -> None:
    servers = ToolServers()
    odd = listing("books")
    odd.entry.become(Message(ItemId("i"), "user", (InputText("hello"),)))
    servers.add(odd)
    assert servers.tools() == {}


def test_the_earliest_timeout_is_the_next_deadline() -> None:
    servers = ToolServers()
    assert servers.deadline_ns() is None
    servers.add(books := listing("books", 30))
    assert servers.deadline_ns() == 30
    servers.begin(ToolCallId(1), call(deadline_ns=20))
    servers.begin(ToolCallId(2), call(deadline_ns=40))
    assert servers.deadline_ns() == 20
    servers.take(ToolCallId(1))
    assert servers.deadline_ns() == 30
    books.answered()
    servers.take(ToolCallId(2))
    assert servers.deadline_ns() is None


def test_a_call_ends_once() -> None:
    servers = running(one := call())
    assert servers.runs_for(R)
    assert not servers.runs_for(S)
    assert servers.take(ToolCallId(0)) is one
    assert servers.take(ToolCallId(0)) is None
    assert not servers.runs_for(R)


def test_calls_continue_after_their_response_ends() -> None:
    servers = running(mine := call(R), other := call(S))
    servers.leave_response(R, wanted=False)
    assert (mine.response, mine.wanted) == (None, False)
    assert (other.response, other.wanted) == (S, True)
    assert servers.follow_up_wanted
    servers.leave_response(S, wanted=False)
    assert not servers.follow_up_wanted


def test_a_reply_waiting_for_an_outcome_is_the_only_one_that_follows_it() -> None:
    servers = running(
        seen := call(None, awaiting=1, item="seen"),
        unseen := call(None, awaiting=1, item="unseen"),
        done := call(None, item="done"),
    )
    servers.answered_by_reply((seen.entry, done.entry))
    assert (seen.wanted, unseen.wanted, done.wanted) == (False, True, True)


def test_closing_the_session_leaves_no_server_and_no_call() -> None:
    servers = running(call(deadline_ns=7))
    servers.add(listing("books", 5))
    servers.clear()
    assert (dict(servers.listings), servers.calls, servers.deadline_ns(), servers.follow_up_wanted) == (
        {},
        {},
        None,
        False,
    )
