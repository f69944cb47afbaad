"""How a call of an MCP server's tool begins, and how it outlives the response that wanted it.

Laws: a call once begun runs to its end: what a tool does cannot be undone by talking over it. What ends is only the response.
"""

from __future__ import annotations

from parley.core.regions.entry import Entry
from parley.core.regions.response import Response
from parley.core.state import RunningCall, State
from parley.core.words.effects import CallTool
from parley.core.words.items import McpCall, McpError
from parley.core.words.limits import MAX_RUNNING_CALLS, TOOL_CALL_WAIT_NS
from parley.core.words.notices import McpCallProgress


def begin_call(st: State, entry: Entry, index: int, response: Response | None) -> None:
    """Have the tool of `entry` (an `McpCall`) called: `index` is its place in the response that wants it."""
    item = entry.item
    assert isinstance(item, McpCall)
    ticket = st.ids.tool_call()
    st.calls[ticket] = RunningCall(entry, index, st.now + TOOL_CALL_WAIT_NS, response)
    st.tell(McpCallProgress(item.id, index, "in_progress"))
    st.do(CallTool(ticket, st.servers[item.server_label].server, item.name, item.arguments))


def may_call(st: State, item: McpCall) -> McpError | None:
    """None where the call can be begun; else why it cannot."""
    if item.server_label not in st.servers:
        return McpError("protocol_error", f"The session has no MCP server '{item.server_label}' any more.")
    if len(st.calls) >= MAX_RUNNING_CALLS:
        return McpError("protocol_error", f"At most {MAX_RUNNING_CALLS} calls of tools may run at once.")
    return None


def let_run(st: State, response: Response, *, wanted: bool) -> None:
    """The response is over before its calls are: they run on by themselves. `wanted`: what comes of them is to be told."""
    for call in st.calls.values():
        if call.response is response:
            call.response = None
            call.wanted = wanted
