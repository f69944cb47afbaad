"""Puts tool calls together out of the pieces that servers send.

Laws: pure, one object for one reply. Each call comes out once, with a name and an id that no call before it has; what is no call of a
function is given back by name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from parley.engines.ports import ChatEvent, ChatRequest, EngineError, ToolCallDelta

MAX_TOOL_CALLS: Final = 128
"""In one reply: OpenAI's own limit of tools; a model caught in a loop is stopped here."""

MAX_HELD_CHARS: Final = 256 * 1024
"""Arguments that come before the name of their function: the most that one response may hold."""

_STRUCTURE: Final = re.compile(r'[\[\]{}"\\]')


@dataclass(slots=True)
class _Call:
    """One call: its number out, and what the server calls it."""

    number: int
    index: int | None
    server_id: str
    call_id: str
    name: str = ""
    held: str = ""  # arguments that came before the name
    begun: bool = False
    argued: bool = False
    named_again: bool = False  # after complete arguments, with none of its own: the next ones are another call's
    arguments: _Nesting = field(default_factory=lambda: _Nesting())


class _Nesting:
    """Whether a JSON object that comes in pieces is complete; looks at each character once."""

    __slots__ = ("_depth", "_escaped", "_in_string", "complete")

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = -1
        self.complete = False

    def push(self, text: str) -> None:
        for match in _STRUCTURE.finditer(text):
            at, mark = match.start(), match.group()
            if self._in_string:
                if at == self._escaped:
                    continue
                if mark == "\\":
                    self._escaped = at + 1
                elif mark == '"':
                    self._in_string = False
            elif mark == '"':
                self._in_string = True
            elif mark != "\\":
                self._depth += 1 if mark in "[{" else -1
                self.complete = self._depth <= 0
        self._escaped = self._escaped - len(text) if self._escaped >= len(text) else -1


class CallReader:
    """The calls of one reply so far."""

    def __init__(self, request: ChatRequest) -> None:
        self._calls: list[_Call] = []
        self._taken = {call.call_id for message in request.messages for call in message.tool_calls}

    def __len__(self) -> int:
        return len(self._calls)

    def read(self, pieces: list[Any], events: list[ChatEvent]) -> list[str]:
        """Take the `tool_calls` of one delta; returns what among them is no call of a function."""
        strange: list[str] = []
        named: set[int] = set()  # calls named in this delta: a second name is a second call
        for piece in pieces:
            function = piece.get("function") if isinstance(piece, dict) else None
            if isinstance(piece, dict) and function is None and piece.get("type") in (None, "function"):
                function = piece  # (name and arguments beside the id)
            if not isinstance(piece, dict) or not isinstance(function, dict):
                kind = piece.get("type") if isinstance(piece, dict) else piece
                strange.append(f"the tool call {str(kind)[:60]!r}")
                continue
            self._read_piece(piece, function, named, events)
        return strange

    def check(self) -> None:
        """Raises `EngineError` when a call was never named."""
        if any(not call.begun for call in self._calls):
            raise EngineError("The model called a tool without naming it.", code="server_error")

    def _read_piece(
        self, piece: dict[str, Any], function: dict[str, Any], named: set[int], events: list[ChatEvent]
    ) -> None:
        name, arguments = function.get("name"), function.get("arguments")
        name = name if isinstance(name, str) else ""
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):  # a server that sends an object
            arguments = json.dumps(arguments, ensure_ascii=False)
        server_id = piece.get("id")
        call = self._call_of(_number(piece.get("index")), str(server_id or ""), name, bool(arguments), named)
        call.arguments.push(arguments)
        if name:
            named.add(call.number)
        if not call.begun:
            call.name = call.name or name
            call.held += arguments
            if len(call.held) > MAX_HELD_CHARS:
                raise EngineError(
                    f"The model wrote more than {MAX_HELD_CHARS >> 10} Ki characters of arguments without naming a tool.",
                    code="server_error",
                )
            if call.name:
                call.begun = True
                events.append(ToolCallDelta(call.number, call.call_id, call.name, call.held))
                call.argued, call.held = bool(call.held), ""
        elif arguments:
            call.argued = True
            events.append(ToolCallDelta(call.number, arguments=arguments))

    def _call_of(self, index: int | None, server_id: str, name: str, argued: bool, named: set[int]) -> _Call:
        """The call that a piece belongs to: an earlier one, or a new one."""
        for call in reversed(self._calls):
            if index is not None and call.index != index:
                continue
            if server_id and call.server_id and server_id != call.server_id:
                if index is None:
                    continue
                break  # same index, another id: servers that number every call 0
            if call.named_again and argued:
                return self._new_call(index, server_id, call.name)
            if name and call.name and self._begins_another(call, index, server_id, name, named):
                if name == call.name and not argued and call.number not in named:
                    call.named_again = True  # the beginning of another call, or the name once more in the last piece
                    return call
                break
            return call
        return self._new_call(index, server_id)

    @staticmethod
    def _begins_another(call: _Call, index: int | None, server_id: str, name: str, named: set[int]) -> bool:
        """Whether a name without an id begins another call: a new name does, and one that comes after complete arguments."""
        if name != call.name:
            return True
        if server_id and server_id == call.server_id:
            return False
        return call.arguments.complete or call.number in named or (index is None and call.argued)

    def _new_call(self, index: int | None, server_id: str, name: str = "") -> _Call:
        if len(self._calls) >= MAX_TOOL_CALLS:
            raise EngineError(
                f"The model made more than {MAX_TOOL_CALLS} tool calls in one reply.", code="server_error"
            )
        call_id = server_id
        number = len(self._taken)
        while not call_id or call_id in self._taken:  # missing, or the same as an earlier call's
            call_id = f"call_{number}"
            number += 1
        self._taken.add(call_id)
        call = _Call(len(self._calls), index, server_id, call_id, name)
        self._calls.append(call)
        return call


def _number(index: object) -> int | None:
    """An index as servers write it: a number, or one in quotes."""
    if isinstance(index, str) and index.isdecimal():
        return int(index[:9])
    return index if isinstance(index, int) else None
