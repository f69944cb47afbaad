"""MCP servers: each listing and call is made once and gets one outcome, and no tool runs without the approval it needs.

Laws kept here: the order of protocol 4.12; a call that began ends in exactly one of completed and failed, whatever happens to its
response; a tool that needs approval is called once, after its approval.
"""

from __future__ import annotations

from parley.core.words.effects import CallTool, ListTools
from parley.core.words.events import ToolsListed
from parley.core.words.ids import ItemId, ListingId
from parley.core.words.items import McpApprovalRequest, McpApprovalResponse, McpCall, McpTool
from parley.core.words.limits import MAX_RUNNING_CALLS
from parley.core.words.notices import ItemAdded, ItemDone, McpCallProgress, McpListProgress
from parley.testing.rules.base import Handlers, Rule


class McpServers(Rule):
    """4.12: the notices and effects about the tools and calls of MCP servers."""

    law = "order 4.12"

    def __init__(self) -> None:
        self.listings: dict[ItemId, str] = {}
        self.calls: dict[ItemId, str] = {}
        self._begun: set[ItemId] = set()
        self._asked: dict[ListingId, str] = {}
        self._tools: dict[str, dict[str, McpTool]] = {}
        self._requests: dict[ItemId, McpApprovalRequest] = {}
        self._approved: set[ItemId] = set()
        self._items: dict[ItemId, McpCall] = {}
        self._last_begun: ItemId | None = None

    @property
    def busy(self) -> bool:
        """Whether a server or a tool has yet to answer."""
        return "in_progress" in self.listings.values() or "in_progress" in self.calls.values()

    def event_handlers(self) -> Handlers:
        return {ToolsListed: self._listed}

    def effect_handlers(self) -> Handlers:
        return {
            ListTools: self._list,
            CallTool: self._call,
            ItemAdded: self._added,
            ItemDone: self._done,
            McpCallProgress: self._call_progress,
            McpListProgress: self._list_progress,
        }

    def finish(self, quiet: bool) -> None:
        if quiet:
            self.require(not self.busy, f"without an outcome: {self.listings} {self.calls}")

    def _listed(self, event: ToolsListed) -> None:
        if event.listing in self._asked:
            self._tools[self._asked[event.listing]] = {tool.name: tool for tool in event.tools}

    def _list(self, effect: ListTools) -> None:
        self._asked[effect.listing] = effect.server.label

    def _added(self, notice: ItemAdded) -> None:
        match notice.item:
            case McpApprovalResponse(approval_request_id=request, approve=True):
                self._approved.add(request)
            case McpCall() as call:
                self._items[call.id] = call

    def _done(self, notice: ItemDone) -> None:
        match notice.item:
            case McpApprovalRequest() as request:
                self._requests[request.id] = request
            case McpCall() as call:
                state = self.calls.get(call.id)
                self.require(state != "in_progress", f"call {call.id} is done before its outcome")
                if state is not None:
                    answered = call.output is not None if state == "completed" else call.error is not None
                    self.require(answered, f"call {call.id} {state}, and its item says {call.output} / {call.error}")

    def _call_progress(self, notice: McpCallProgress) -> None:
        before = self.calls.get(notice.item_id)
        if notice.state == "in_progress":
            self.require(before is None, f"call {notice.item_id} begins and already was {before}")
            self._last_begun = notice.item_id
        else:
            self.require(
                before in (None, "in_progress"), f"call {notice.item_id} is {notice.state} after it was {before}"
            )
            never_began = before is None and notice.state == "completed"
            self.require(not never_began, f"call {notice.item_id} completed without having begun")
        self.calls[notice.item_id] = notice.state
        running = sum(state == "in_progress" for state in self.calls.values())
        self.require(running <= MAX_RUNNING_CALLS, f"{running} calls of tools at once", "11")

    def _list_progress(self, notice: McpListProgress) -> None:
        before = self.listings.get(notice.item_id)
        expected = None if notice.state == "in_progress" else "in_progress"
        self.require(before == expected, f"list {notice.item_id} is {notice.state} after it was {before}")
        self.listings[notice.item_id] = notice.state

    def _call(self, effect: CallTool) -> None:
        begun = self._last_begun
        self.require(begun is not None and begun not in self._begun, f"{effect} was not announced, or is made twice")
        if begun is None:
            return
        self._begun.add(begun)
        item = self._items.get(begun)
        if item is None:
            return  # a call of an out-of-band response, whose item is in no conversation
        request = item.approval_request_id
        if request is not None:
            asked = self._requests.get(request)
            self.require(request in self._approved, f"{effect} was never approved")
            if asked is not None:
                self.require(
                    (effect.name, effect.arguments) == (asked.name, asked.arguments),
                    f"{asked} was approved, {effect} was made",
                )
            return
        tool = self._tools.get(effect.server.label, {}).get(effect.name)
        if tool is not None:
            asks = effect.server.asks(tool.name, tool.read_only)
            self.require(not asks, f"{effect} needs approval and has none")
