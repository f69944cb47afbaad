"""The notices about the arguments of a call while the model writes them: they name one call, come in order and end once."""

from __future__ import annotations

from parley.core.words.ids import ItemId, ResponseId
from parley.core.words.items import FunctionCall, McpCall
from parley.core.words.notices import FunctionArgumentsDelta, FunctionArgumentsDone, McpArgumentsDelta, McpArgumentsDone
from parley.testing.rules.base import Handlers, Rule
from parley.testing.rules.entries import ItemEntry
from parley.testing.rules.response_lifecycle import ResponseLifecycle


class Arguments(Rule):
    """3, for calls: deltas join to the done, and nothing comes after it (4.5 and 4.12)."""

    law = "3"

    def __init__(self, responses: ResponseLifecycle) -> None:
        self._responses = responses

    def effect_handlers(self) -> Handlers:
        return {
            FunctionArgumentsDelta: self._arguments,
            FunctionArgumentsDone: self._arguments_done,
            McpArgumentsDelta: self._mcp_arguments,
            McpArgumentsDone: self._mcp_arguments_done,
        }

    def _arguments(self, notice: FunctionArgumentsDelta) -> None:
        entry = self._call(notice.response_id, notice.output_index, notice.item_id, notice.call_id, "arguments.delta")
        entry.arguments += notice.delta

    def _arguments_done(self, notice: FunctionArgumentsDone) -> None:
        entry = self._call(notice.response_id, notice.output_index, notice.item_id, notice.call_id, "arguments.done")
        self.require(
            notice.arguments == entry.arguments, f"deltas {entry.arguments!r}, done {notice.arguments!r}", "order 4.5"
        )
        self.require(
            isinstance(entry.item, FunctionCall) and notice.name == entry.item.name,
            f"other name in {notice}",
            "order 4.5",
        )
        entry.arguments_done = True

    def _mcp_arguments(self, notice: McpArgumentsDelta) -> None:
        self._mcp_call(notice, "mcp_call_arguments.delta").arguments += notice.delta

    def _mcp_arguments_done(self, notice: McpArgumentsDone) -> None:
        entry = self._mcp_call(notice, "mcp_call_arguments.done")
        self.require(
            notice.arguments == entry.arguments, f"deltas {entry.arguments!r}, done {notice.arguments!r}", "order 4.12"
        )
        entry.arguments_done = True

    def _mcp_call(self, notice: McpArgumentsDelta | McpArgumentsDone, what: str) -> ItemEntry:
        record = self._responses.alive(notice.response_id, what)
        entry = self._responses.entry(record, notice.output_index, notice.item_id, what)
        self.require(isinstance(entry.item, McpCall), f"{what} of {entry.item}", "order 4.12")
        self.require(entry.done is None and not entry.arguments_done, f"{what} after the call's end")
        return entry

    def _call(self, response: ResponseId, index: int, item: ItemId, call: str, what: str) -> ItemEntry:
        entry = self._responses.entry(self._responses.alive(response, what), index, item, what)
        self.require(
            isinstance(entry.item, FunctionCall) and entry.item.call_id == call,
            f"{what} names call {call}",
            "order 4.5",
        )
        self.require(entry.done is None and not entry.arguments_done, f"{what} after the call's end")
        return entry
