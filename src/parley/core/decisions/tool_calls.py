"""Tool calls of a model in a response: the client's functions, and tools of MCP servers, which the session calls itself.

Laws: a call that has begun runs to its end, because an interruption cannot undo its effects; only the response ends.
"""

from __future__ import annotations

from dataclasses import replace

from parley.core.regions.attempt import Attempt
from parley.core.regions.entry import Entry
from parley.core.regions.response import Output, Response, new_approval_request, new_call, new_mcp_call
from parley.core.regions.tool_servers import RunningCall
from parley.core.state import State
from parley.core.words.effects import CallTool
from parley.core.words.events import ToolCallStarted
from parley.core.words.ids import ResponseId
from parley.core.words.items import McpCall, McpError
from parley.core.words.limits import MAX_RUNNING_CALLS, TOOL_CALL_WAIT_NS
from parley.core.words.notices import McpCallProgress


class ToolCalls:
    """Owns how a call begins. Shares the session's state."""

    def __init__(self, state: State) -> None:
        self.st = state

    def begin(self, attempt: Attempt, response: Response, event: ToolCallStarted) -> None:
        """Begin a call of the model: made by the client, by the session, or by the session after approval."""
        st = self.st
        if response.calls() and not response.parallel_calls:
            return
        message = response.message()
        if message is not None:
            st.tell_all(response.close(message, "completed"))
        offered = attempt.offered.get(event.name)
        if offered is None:
            entry = new_call(st.ids.item(), event.call_id or st.ids.call(), event.name)
        elif offered.asks:
            response.ask(new_approval_request(st.ids.item(), offered), event.index)
            return
        else:
            entry = new_mcp_call(st.ids.item(), offered)
        st.tell_all(response.open(entry, st.place(response, entry), event.index))

    def run(self, response: Response, output: Output) -> None:
        """Call an MCP server's tool as the model wrote it."""
        st = self.st
        st.tell_all(response.argued(output))
        item = output.entry.item
        assert isinstance(item, McpCall)
        refused = self.refusal(item)
        if refused is None:
            output.run()
            self.call(output.entry, output.index, response.id)
        else:
            output.entry.become(replace(item, error=refused))
            st.tell(McpCallProgress(item.id, output.index, "failed"))
            st.tell_all(response.close(output, "completed"))

    def call(self, entry: Entry, index: int, response: ResponseId | None) -> None:
        """Call the tool of `entry` (an `McpCall`); `index` is its place in the response."""
        st, item = self.st, entry.item
        assert isinstance(item, McpCall)
        ticket = st.ids.tool_call()
        st.tools.begin(ticket, RunningCall(entry, index, st.now + TOOL_CALL_WAIT_NS, response))
        st.tell(McpCallProgress(item.id, index, "in_progress"))
        st.do(CallTool(ticket, st.tools.listings[item.server_label].server, item.name, item.arguments))

    def refusal(self, item: McpCall) -> McpError | None:
        """None if the call can begin; else the reason."""
        if item.server_label not in self.st.tools.listings:
            return McpError("protocol_error", f"The session has no MCP server '{item.server_label}' any more.")
        if len(self.st.tools.calls) >= MAX_RUNNING_CALLS:
            return McpError("protocol_error", f"At most {MAX_RUNNING_CALLS} calls of tools may run at once.")
        return None
