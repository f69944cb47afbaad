"""The MCP servers of a session and their running calls.

Laws: the tools of each server are listed once; a call that has begun runs to its end, whatever happens to its response.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from parley.core.regions.entry import Entry
from parley.core.words.ids import ListingId, ResponseId, ToolCallId
from parley.core.words.items import McpListTools, McpTool
from parley.core.words.settings import McpServer


@dataclass(slots=True)
class Listing:
    """An MCP server of the session's and the question for its tools. `deadline_ns` None: it has answered."""

    id: ListingId
    server: McpServer
    entry: Entry
    deadline_ns: int | None

    def answered(self) -> None:
        self.deadline_ns = None


@dataclass(slots=True)
class RunningCall:
    """A call of an MCP tool under way. `index` is its place in its response; `response` None: it belongs to none, or to one that was
    interrupted. `wanted`: a reply is to follow its outcome."""

    entry: Entry
    index: int
    deadline_ns: int
    response: ResponseId | None
    wanted: bool = True


class ToolServers:
    """The region."""

    def __init__(self) -> None:
        self.listings: dict[str, Listing] = {}
        """The servers by their labels; only this region changes it."""
        self.calls: dict[ToolCallId, RunningCall] = {}

    # --- servers -------------------------------------------------------------------------------------------------------------

    def add(self, listing: Listing) -> None:
        self.listings[listing.server.label] = listing

    def remove(self, label: str) -> Listing:
        return self.listings.pop(label)

    def awaited(self) -> list[Listing]:
        """Those that have not answered."""
        return [listing for listing in self.listings.values() if listing.deadline_ns is not None]

    def tools(self) -> dict[str, tuple[McpTool, ...]]:
        """What each server has, by its label, as far as it has answered."""
        return {
            label: listing.entry.item.tools
            for label, listing in self.listings.items()
            if isinstance(listing.entry.item, McpListTools)
        }

    # --- calls ---------------------------------------------------------------------------------------------------------------

    def begin(self, ticket: ToolCallId, call: RunningCall) -> None:
        self.calls[ticket] = call

    def take(self, ticket: ToolCallId) -> RunningCall | None:
        """The call, which is over; None for one that is unknown."""
        return self.calls.pop(ticket, None)

    def runs_for(self, response: ResponseId) -> bool:
        return any(call.response == response for call in self.calls.values())

    def leave_response(self, response: ResponseId, *, wanted: bool) -> None:
        """The response is over before its calls are: they run on by themselves. `wanted`: a reply is to follow their outcome."""
        for call in self.calls.values():
            if call.response == response:
                call.response = None
                call.wanted = wanted

    def answered_by_reply(self, entries: Collection[Entry]) -> None:
        """A reply waits for the outcomes awaited among `entries`: no other follows them."""
        for call in self.calls.values():
            if call.entry.awaiting and call.entry in entries:
                call.wanted = False

    @property
    def follow_up_wanted(self) -> bool:
        """Whether a reply is to follow any call that still runs."""
        return any(call.wanted for call in self.calls.values())

    def deadline_ns(self) -> int | None:
        """When (monotonic ns) the first server or call has been waited for long enough."""
        if not self.listings and not self.calls:
            return None
        waits = [listing.deadline_ns for listing in self.listings.values() if listing.deadline_ns is not None]
        return min((*waits, *(call.deadline_ns for call in self.calls.values())), default=None)

    def clear(self) -> None:
        self.listings.clear()
        self.calls.clear()
