"""Turns the chunks of a chat-completions stream into chat events, whatever the server's habits.

Laws: pure, one object for one reply. Reasoning never comes out. Tool calls come out numbered from 0 in the order they appear,
each with an id of its own, though servers number them by index, by id alone, or all with the same index; send them in pieces or
whole; repeat the name; leave the id out, or give the same one in every reply.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from parley.engines.llm.reasoning import ReasoningFilter
from parley.engines.ports import ChatEnd, ChatEvent, ChatRequest, EngineError, TextDelta, TokenUsage, ToolCallDelta

MAX_TOOL_CALLS: Final = 128
"""In one reply: OpenAI's own limit of tools; a model caught in a loop is stopped here."""

_REASONS: Final[dict[str, Literal["stop", "length", "tool_calls", "content_filter"]]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "eos": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
}


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


class StreamReader:
    """Feed `read()` each chunk; `end()` gives the last events."""

    def __init__(self, request: ChatRequest, reasoning_opened: bool = False) -> None:
        self._filter = ReasoningFilter(reasoning_opened)
        self._calls: list[_Call] = []
        self._taken = {call.call_id for message in request.messages for call in message.tool_calls}
        self._finish = ""
        self._usage: TokenUsage | None = None

    @property
    def finished(self) -> bool:
        """Whether the server has said why it stopped (its usage may still come)."""
        return bool(self._finish)

    @property
    def reasoning_unopened(self) -> bool:
        return self._filter.unopened

    def read(self, chunk: Any) -> list[ChatEvent]:
        """The events of one chunk (an `openai` ChatCompletionChunk, or anything shaped like it)."""
        usage = getattr(chunk, "usage", None)
        if usage is not None:
            self._usage = _usage(usage)
        events: list[ChatEvent] = []
        for choice in getattr(chunk, "choices", None) or ():
            if (getattr(choice, "index", 0) or 0) != 0:
                continue
            delta = getattr(choice, "delta", None) or getattr(choice, "message", None)
            if delta is not None:
                self._read_delta(delta, events)
            self._finish = str(getattr(choice, "finish_reason", None) or self._finish)
        return events

    def end(self) -> list[ChatEvent]:
        """The stream is over. Raises `EngineError` (`server_error`) when it broke off in the middle."""
        if not self._finish:
            raise EngineError("The model's stream ended in the middle of the reply.", code="server_error")
        events: list[ChatEvent] = []
        rest = self._filter.finish(cut_short=self._finish == "length")
        if rest:
            events.append(TextDelta(rest))
        if any(not call.begun for call in self._calls):
            raise EngineError("The model called a tool without naming it.", code="server_error")
        reason = _REASONS.get(self._finish, "stop")
        if self._calls and reason == "stop":  # (several local servers)
            reason = "tool_calls"
        return [*events, ChatEnd(reason, self._usage)]

    def _read_delta(self, delta: Any, events: list[ChatEvent]) -> None:
        for field in ("content", "refusal"):  # never "reasoning" or "reasoning_content"
            text = getattr(delta, field, None)
            if isinstance(text, str) and text:
                answer = self._filter.push(text)
                if answer:
                    events.append(TextDelta(answer))
        for piece in getattr(delta, "tool_calls", None) or ():
            self._read_call(piece, events)

    def _read_call(self, piece: Any, events: list[ChatEvent]) -> None:
        function = getattr(piece, "function", None)
        name = getattr(function, "name", None) or ""
        arguments = getattr(function, "arguments", None) or ""
        if not isinstance(arguments, str):  # a server that sends an object
            arguments = json.dumps(arguments, ensure_ascii=False)
        call = self._call_of(getattr(piece, "index", None), getattr(piece, "id", None) or "", name)
        if not call.begun:
            call.name = call.name or name
            call.held += arguments
            if call.name:
                call.begun = True
                events.append(ToolCallDelta(call.number, call.call_id, call.name, call.held))
                call.argued, call.held = bool(call.held), ""
        elif arguments:
            call.argued = True
            events.append(ToolCallDelta(call.number, arguments=arguments))

    def _call_of(self, index: int | None, server_id: str, name: str) -> _Call:
        """The call that a piece belongs to: an earlier one, or a new one."""
        for call in reversed(self._calls):
            if index is not None and call.index != index:
                continue
            if server_id and call.server_id and server_id != call.server_id:
                if index is None:
                    continue
                break  # same index, another id: servers that number every call 0
            if not server_id and name and call.argued and (name != call.name or index is None):
                break  # a new name after arguments, where no id tells
            return call
        return self._new_call(index, server_id)

    def _new_call(self, index: int | None, server_id: str) -> _Call:
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
        call = _Call(len(self._calls), index, server_id, call_id)
        self._calls.append(call)
        return call


def _usage(usage: Any) -> TokenUsage | None:
    counts = [getattr(usage, field, None) for field in ("prompt_tokens", "completion_tokens")]
    if not all(isinstance(count, int) for count in counts):
        return None
    cached = getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", None)
    return TokenUsage(counts[0] or 0, counts[1] or 0, cached if isinstance(cached, int) else 0)
