"""What is told of the arguments of a call while the model writes them: in one call's name, in order, and ended once."""

from __future__ import annotations

from parley.core.words.ids import ItemId, ResponseId
from parley.core.words.items import FunctionCall, McpCall
from parley.core.words.notices import FunctionArgumentsDelta, FunctionArgumentsDone, McpArgumentsDelta, McpArgumentsDone
from parley.testing.rules.base import Hearing, Rule
from parley.testing.rules.entries import ItemEntry
from parley.testing.rules.response_lifecycle import Ledgers


class Arguments(Rule):
    """3, for calls: deltas join to the done, and nothing comes after it (4.5 and 4.12)."""

    law = "3"

    def __init__(self, ledgers: Ledgers) -> None:
        self._ledgers = ledgers

    def hears(self) -> Hearing:
        return {
            FunctionArgumentsDelta: self._arguments,
            FunctionArgumentsDone: self._arguments_done,
            McpArgumentsDelta: self._mcp_arguments,
            McpArgumentsDone: self._mcp_arguments_done,
        }

    def _arguments(self, told: FunctionArgumentsDelta) -> None:
        entry = self._call(told.response_id, told.output_index, told.item_id, told.call_id, "arguments.delta")
        entry.arguments += told.delta

    def _arguments_done(self, told: FunctionArgumentsDone) -> None:
        entry = self._call(told.response_id, told.output_index, told.item_id, told.call_id, "arguments.done")
        self.require(
            told.arguments == entry.arguments, f"deltas {entry.arguments!r}, done {told.arguments!r}", "order 4.5"
        )
        self.require(
            isinstance(entry.item, FunctionCall) and told.name == entry.item.name, f"other name in {told}", "order 4.5"
        )
        entry.arguments_done = True

    def _mcp_arguments(self, told: McpArgumentsDelta) -> None:
        self._mcp_call(told, "mcp_call_arguments.delta").arguments += told.delta

    def _mcp_arguments_done(self, told: McpArgumentsDone) -> None:
        entry = self._mcp_call(told, "mcp_call_arguments.done")
        self.require(
            told.arguments == entry.arguments, f"deltas {entry.arguments!r}, done {told.arguments!r}", "order 4.12"
        )
        entry.arguments_done = True

    def _mcp_call(self, told: McpArgumentsDelta | McpArgumentsDone, what: str) -> ItemEntry:
        ledger = self._ledgers.alive(told.response_id, what)
        entry = self._ledgers.entry(ledger, told.output_index, told.item_id, what)
        self.require(isinstance(entry.item, McpCall), f"{what} of {entry.item}", "order 4.12")
        self.require(entry.done is None and not entry.arguments_done, f"{what} after the call's end")
        return entry

    def _call(self, response: ResponseId, index: int, item: ItemId, call: str, what: str) -> ItemEntry:
        entry = self._ledgers.entry(self._ledgers.alive(response, what), index, item, what)
        self.require(
            isinstance(entry.item, FunctionCall) and entry.item.call_id == call,
            f"{what} names call {call}",
            "order 4.5",
        )
        self.require(entry.done is None and not entry.arguments_done, f"{what} after the call's end")
        return entry
