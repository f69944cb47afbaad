"""Tools of MCP servers, which the session calls itself: which servers it has, and the outcome of each call.

Laws: a server's tools are listed once, when a session names it; the outcome of a call always reaches its item, whatever
happened to its response; a tool that needs approval is called only for a request that the client has approved;
every wait has a limit. Does not know how a server is reached.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, assert_never

from parley.core.decisions.responses import Responses
from parley.core.decisions.tool_calls import ToolCalls
from parley.core.regions.attempt import Plan
from parley.core.regions.entry import Entry
from parley.core.regions.open_responses import AwaitingCalls
from parley.core.regions.response import Response
from parley.core.regions.tool_servers import Listing, RunningCall
from parley.core.regions.work_queue import PendingWork
from parley.core.state import State
from parley.core.words.effects import AbandonCall, AbandonListing, ListTools, ReleaseServer
from parley.core.words.errors import Fault, PeerError
from parley.core.words.events import ToolAnswered, ToolFailed, ToolListingFailed, ToolsListed
from parley.core.words.ids import CallId, ToolCallId
from parley.core.words.items import (
    FunctionCall,
    FunctionCallOutput,
    Item,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpError,
    McpListTools,
)
from parley.core.words.limits import LIST_TOOLS_WAIT_NS, MAX_TOOL_ROUNDS, TOOL_CALL_WAIT_NS
from parley.core.words.notices import ErrorRaised, ItemAdded, ItemDone, McpCallProgress, McpListProgress
from parley.core.words.settings import McpServer, ToolSource
from parley.core.words.work import AwaitedCall, AwaitedListing


class ServerTools:
    """Owns every decision about MCP servers, and the outcome of their calls. Shares the session's state."""

    def __init__(self, state: State, responses: Responses, calls: ToolCalls) -> None:
        self.st = state
        self.responses = responses
        self.calls = calls

    # --- the servers ---------------------------------------------------------------------------------------------------------

    def configure(self, sources: tuple[ToolSource, ...]) -> None:
        """The session's tools may have changed: list the tools of new servers, release removed servers."""
        st = self.st
        wanted = {source.label: source for source in sources if isinstance(source, McpServer)}
        for label, listing in list(st.tools.listings.items()):
            if wanted.get(label) != listing.server:
                st.tools.remove(label)
                if listing.deadline_ns is not None:
                    st.do(AbandonListing(listing.id))
                    self._close_listing(listing, "failed")
                st.do(ReleaseServer(listing.server))
        for label, server in wanted.items():
            if label not in st.tools.listings:
                self._list(server)

    def _list(self, server: McpServer) -> None:
        st = self.st
        entry = Entry(McpListTools(st.ids.item(), server.label, status="in_progress"))
        listing = Listing(st.ids.listing(), server, entry, st.now + LIST_TOOLS_WAIT_NS)
        st.tools.add(listing)
        st.tell(ItemAdded(entry.item, st.conversation.insert(entry)))
        st.tell(McpListProgress(entry.item.id, "in_progress"))
        st.do(ListTools(listing.id, server))

    def handle(self, event: ToolsListed | ToolListingFailed | ToolAnswered | ToolFailed) -> None:
        """Handle the answer of a server."""
        match event:
            case ToolsListed() | ToolListingFailed():
                self._listed(event)
            case ToolAnswered(output=output):
                self._ended(event, output, None)
            case ToolFailed(error=error):
                self._ended(event, None, error)
            case _:
                assert_never(event)

    def _listing(self, event: ToolsListed | ToolListingFailed) -> Listing | None:
        for listing in self.st.tools.awaited():
            if listing.id == event.listing:
                return listing
        self.st.late += 1
        return None

    def _listed(self, event: ToolsListed | ToolListingFailed) -> None:
        """Offer a server's tools from the next reply on, or report the failure to the client."""
        listing = self._listing(event)
        if listing is None:
            return
        if isinstance(event, ToolListingFailed):
            self._give_up(listing, event.fault)
            return
        item = listing.entry.item
        assert isinstance(item, McpListTools)
        allowed = tuple(tool for tool in event.tools if listing.server.allows(tool.name, tool.read_only))
        listing.entry.become(replace(item, tools=allowed))
        self._close_listing(listing, "completed")

    def _give_up(self, listing: Listing, fault: Fault) -> None:
        self._close_listing(listing, "failed")
        label = listing.server.label
        self.st.tell(
            ErrorRaised(
                fault.code, f"Listing the tools of MCP server '{label}' failed: {fault.message}", kind="server_error"
            )
        )

    def _close_listing(self, listing: Listing, state: Literal["completed", "failed"]) -> None:
        st, entry = self.st, listing.entry
        listing.answered()
        entry.become(replace(entry.item, status="completed"))
        self.responses.drop_speculation()
        if not entry.deleted:
            st.tell(ItemDone(entry.item, st.conversation.previous(entry.item.id)))
        st.tell(McpListProgress(entry.item.id, state))

    # --- items of the client's ------------------------------------------------------------------------------------------------

    def check_item(self, item: Item) -> None:
        """Raises `PeerError` for a client's item that is the outcome of no call or a decision on no request, or comes second."""
        match item:
            case FunctionCallOutput(call_id=call_id):
                self._check_outcome(call_id)
            case McpApprovalResponse():
                self.check_decision(item)
            case _:
                pass

    def _check_outcome(self, call_id: CallId) -> None:
        """Raises `PeerError` unless a call with this id has no outcome yet. Several clients may run the tools of one session, and some
        models use an id again."""
        items = [entry.item for entry in self.st.conversation.entries()]
        calls = sum(isinstance(one, FunctionCall) and one.call_id == call_id for one in items)
        outcomes = [one.id for one in items if isinstance(one, FunctionCallOutput) and one.call_id == call_id]
        if not calls:
            message = f"No function call with the call_id '{call_id}' is in the conversation."
        elif len(outcomes) >= calls:
            message = f"The function call '{call_id}' was answered already, by the item '{outcomes[-1]}'."
        else:
            return
        raise PeerError(message, code="invalid_tool_call_id", field="item.call_id")

    def item_accepted(self, item: Item) -> None:
        """Act on a client's item, accepted by `check_item` and added to the conversation."""
        if isinstance(item, McpApprovalResponse):
            self.decided(item)

    # --- approval ------------------------------------------------------------------------------------------------------------

    def check_decision(self, decision: McpApprovalResponse) -> None:
        """Raises `PeerError` if the request does not exist or was answered already."""
        st = self.st
        request = self._request(decision)
        if request is None:
            raise PeerError(
                f"No approval request with the id '{decision.approval_request_id}' is in the conversation.",
                code="invalid_value",
                field="item.approval_request_id",
            )
        for other in st.conversation.entries():
            item = other.item
            if isinstance(item, McpApprovalResponse) and item.approval_request_id == decision.approval_request_id:
                raise PeerError(
                    f"The approval request '{decision.approval_request_id}' was answered already, by '{item.id}'.",
                    code="invalid_value",
                    field="item.approval_request_id",
                )
        if decision.approve and request.server_label not in st.tools.listings:
            raise PeerError(
                f"The session has no MCP server '{request.server_label}' any more; name it in session.tools again.",
                code="invalid_value",
                field="item.approval_request_id",
            )

    def _request(self, decision: McpApprovalResponse) -> McpApprovalRequest | None:
        """The request that this decides, if it is in the conversation."""
        entry = self.st.conversation.entry(decision.approval_request_id)
        return entry.item if entry is not None and isinstance(entry.item, McpApprovalRequest) else None

    def decided(self, decision: McpApprovalResponse) -> None:
        """The client has decided, and the decision was checked: an approved call is made at once, a refused one is left to the
        model to talk about."""
        st, request = self.st, self._request(decision)
        assert request is not None
        if not decision.approve:
            self._go_on(Plan())
            return
        item = McpCall(
            st.ids.item(),
            request.server_label,
            request.name,
            request.arguments,
            approval_request_id=request.id,
            status="in_progress",
        )
        call = Entry(item, awaiting=1)
        st.tell(ItemAdded(item, st.conversation.insert(call)))
        refused = self.calls.refusal(item)
        if refused is None:
            self.calls.call(call, 0, None)
        else:
            self._end(RunningCall(call, 0, 0, None), None, refused)

    # --- the calls -----------------------------------------------------------------------------------------------------------

    def _ended(self, event: ToolAnswered | ToolFailed, output: str | None, error: McpError | None) -> None:
        call = self.st.tools.take(event.call)
        if call is None:
            self.st.late += 1
        else:
            self._end(call, output, error)

    def _end(self, call: RunningCall, output: str | None, error: McpError | None) -> None:
        st, entry = self.st, call.entry
        response = None if call.response is None else st.responses.get(call.response)
        assert isinstance(entry.item, McpCall)
        entry.become(replace(entry.item, output=output, error=error, status="completed"))
        entry.await_nothing()
        self.responses.drop_speculation()
        st.tell(McpCallProgress(entry.item.id, call.index, "completed" if error is None else "failed"))
        if response is None:
            if entry.item.id in st.conversation:
                st.tell(ItemDone(entry.item, st.conversation.previous(entry.item.id)))
            self.responses.start_waiting()
            if call.wanted and not st.tools.follow_up_wanted:
                self._go_on(Plan())
            return
        st.tell_all(response.answered(call.index))
        position = st.responses.position(response)
        if not st.tools.runs_for(response.id) and isinstance(position, AwaitingCalls):
            self.responses.delivery.end(response, "completed")
            self._go_on(position.plan, response)

    def _go_on(self, plan: Plan, response: Response | None = None) -> None:
        """Queue a reply to the outcomes of calls, with the options of the reply that made them.

        A choice of tool that was forced has been obeyed: now the model chooses.
        """
        st = self.st
        if not st.policy.speaks:
            return
        if st.tool_rounds >= MAX_TOOL_ROUNDS:
            message = f"The model has called tools {MAX_TOOL_ROUNDS} times in a row; it goes on when it is asked again."
            st.tell(ErrorRaised("too_many_tool_rounds", message, kind="server_error"))
            return
        choice = st.settings.tool_choice if plan.params.tool_choice is None else plan.params.tool_choice
        params = plan.params if choice in ("auto", "none") else replace(plan.params, tool_choice="auto")
        entries = plan.entries
        if entries is not None and response is not None:
            entries = (*entries, *(output.entry for output in response.outputs))
        if params.in_conversation:
            self.responses.queue(PendingWork(Plan(params, entries), st.now + st.owner.follow_up_wait_ns, follows=True))
        else:
            self.responses.start_now(PendingWork(Plan(params, entries)))

    def fail_overdue(self) -> None:
        """Fail every listing and every call that has timed out."""
        st = self.st
        for listing in st.tools.awaited():
            if listing.deadline_ns is not None and listing.deadline_ns <= st.now:
                self._abandon_listing(listing)
        for ticket, call in list(st.tools.calls.items()):
            if call.deadline_ns <= st.now:
                self._abandon_call(ticket)

    def abandon(self, work: AwaitedListing | AwaitedCall) -> None:
        """Fail work that the shell has abandoned."""
        if isinstance(work, AwaitedCall):
            if work.call in self.st.tools.calls:
                self._abandon_call(work.call)
            else:
                self.st.late += 1
            return
        for listing in self.st.tools.awaited():
            if listing.id == work.listing:
                self._abandon_listing(listing)
                return
        self.st.late += 1

    def _abandon_listing(self, listing: Listing) -> None:
        self.st.do(AbandonListing(listing.id))
        seconds = LIST_TOOLS_WAIT_NS // 1_000_000_000
        self._give_up(listing, Fault("timeout", f"it did not answer within {seconds} seconds."))

    def _abandon_call(self, ticket: ToolCallId) -> None:
        call = self.st.tools.take(ticket)
        assert call is not None
        self.st.do(AbandonCall(ticket))
        seconds = TOOL_CALL_WAIT_NS // 1_000_000_000
        self._end(call, None, McpError("tool_execution_error", f"No answer within {seconds} seconds."))
