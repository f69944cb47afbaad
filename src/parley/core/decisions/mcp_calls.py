"""How a call of an MCP server's tool begins.

Laws: a call once begun runs to its end: what a tool does cannot be undone by talking over it. What ends is only the response.
"""

from __future__ import annotations

from parley.core.regions.entry import Entry
from parley.core.regions.tool_servers import RunningCall
from parley.core.state import State
from parley.core.words.effects import CallTool
from parley.core.words.ids import ResponseId
from parley.core.words.items import McpCall, McpError
from parley.core.words.limits import MAX_RUNNING_CALLS, TOOL_CALL_WAIT_NS
from parley.core.words.notices import McpCallProgress


def begin_call(st: State, entry: Entry, index: int, response: ResponseId | None) -> None:
    """Have the tool of `entry` (an `McpCall`) called: `index` is its place in the response that wants it."""
    item = entry.item
    assert isinstance(item, McpCall)
    ticket = st.ids.tool_call()
    st.tools.begin(ticket, RunningCall(entry, index, st.now + TOOL_CALL_WAIT_NS, response))
    st.tell(McpCallProgress(item.id, index, "in_progress"))
    st.do(CallTool(ticket, st.tools.listings[item.server_label].server, item.name, item.arguments))


def may_call(st: State, item: McpCall) -> McpError | None:
    """None where the call can be begun; else why it cannot."""
    if item.server_label not in st.tools.listings:
        return McpError("protocol_error", f"The session has no MCP server '{item.server_label}' any more.")
    if len(st.tools.calls) >= MAX_RUNNING_CALLS:
        return McpError("protocol_error", f"At most {MAX_RUNNING_CALLS} calls of tools may run at once.")
    return None
