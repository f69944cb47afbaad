"""Turns the events of a chat-completions stream into chat events, whatever the server's habits.

Laws:
- Pure, one object for one reply. Reasoning never comes out.
- Nothing is dropped in silence: what the model wrote and this file cannot read (a picture, a call of a tool that is no function) fails
  the reply at its end; every other thing it does not know is in `unread`, and fails a reply in which nothing else was found.
- Only what the model makes is progress: text, reasoning, calls, the end. Empty pieces and signs of life are none.
- Tool calls come out numbered from 0 in the order they appear, each with an id of its own, though servers number them by index, by id
  alone, or all with the same index; send them in pieces or whole; repeat the name; leave the id out, or give the same one in every reply.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from parley.engines.llm.openai_calls import CallReader
from parley.engines.llm.reasoning import ReasoningFilter
from parley.engines.llm.token_counts import token_usage
from parley.engines.openai_api.errors import StreamError
from parley.engines.openai_api.server_events import UNKNOWN, ServerEvent
from parley.engines.ports import ChatEnd, ChatEvent, ChatRequest, EngineError, TextDelta, TokenUsage

_REASONS: Final[dict[str, Literal["stop", "length", "tool_calls", "content_filter"]]] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "complete": "stop",
    "completed": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "content_filtered": "content_filter",
    "prohibited_content": "content_filter",
    "recitation": "content_filter",
    "refusal": "content_filter",
    "safety": "content_filter",
    "sensitive": "content_filter",
}
"""Why a model ended, in the words of OpenAI, Anthropic, Google, Mistral, Zhipu and TGI. Every other word means that it failed."""

_NO_REASON: Final = frozenset({"", "null", "none"})
_REASONING: Final = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
_READ: Final = frozenset({"role", "content", "refusal", "tool_calls", "function_call", *_REASONING})
_MAX_UNREAD: Final = 8
"""Kinds of things named in one message."""

_NAME_CHARS: Final = 60

MAX_PARTS: Final = 1024
"""Choices, parts of a content, or pieces of calls in one chunk: what a server sends whole has a handful."""

MAX_COMPARED_CHARS: Final = 256 * 1024
"""Text kept to know a message that is sent once more at the end: the most that one response may hold."""


class StreamReader:
    """Feed `read()` each event; `end()` gives the last chat events."""

    def __init__(self, request: ChatRequest, reasoning_opened: bool = False) -> None:
        self._filter = ReasoningFilter(reasoning_opened)
        self._calls = CallReader(request)
        self._finish = ""
        self._choice: object = None
        self._usage: TokenUsage | None = None
        self._said: list[str] = []
        self._said_chars = 0
        self._in_deltas = False
        self._lost: dict[str, None] = {}
        self._unread: dict[str, None] = {}
        self.done = False
        """Whether the server has closed the stream by its word."""
        self.progress = 0
        """Grows with each piece of the reply."""

    @property
    def finished(self) -> bool:
        """Whether the server has said why it stopped (its usage may still come)."""
        return bool(self._finish)

    @property
    def reasoning_unopened(self) -> bool:
        return self._filter.unopened

    @property
    def unread(self) -> tuple[str, ...]:
        """What of the stream was not understood."""
        return (*self._lost, *self._unread)

    def read(self, event: ServerEvent) -> list[ChatEvent]:
        """The chat events of one server event. Raises `StreamError` where it reports a failure, `EngineError` where it is none."""
        if event.data.strip() == "[DONE]":
            self.done = True
            return []
        try:
            chunk = json.loads(event.data)
        except (ValueError, RecursionError):
            if event.name == UNKNOWN:
                self._note(self._unread, f"the line {_named(event.data)}")
                return []
            if event.name != "error":
                raise _malformed(f"a chunk is {_named(event.data)}") from None
            chunk = event.data
        if event.name == "error":
            raise StreamError(chunk)
        if not isinstance(chunk, dict):
            raise _malformed(f"a chunk is {_named(event.data)}")
        return self.read_chunk(chunk, event.name)

    def read_chunk(self, chunk: dict[str, Any], name: str = "") -> list[ChatEvent]:
        """The chat events of one chunk, which is what the data of an event is; raises as `read()`. `name` is that of the event."""
        if _reports_failure(chunk):
            raise StreamError(chunk)
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._usage = _usage(usage) or self._usage
        events: list[ChatEvent] = []
        if "choices" in chunk:
            for choice in _listed(chunk["choices"], "choices"):
                if not isinstance(choice, dict):
                    raise _malformed(f"a choice is {_named(choice)}")
                self._read_choice(choice, events)
        elif "usage" not in chunk and chunk.get("type") not in ("ping", "keepalive"):
            self._note(self._unread, f"the event {_named(name or chunk.get('type') or list(chunk)[:4])}")
        return events

    def end(self) -> list[ChatEvent]:
        """The stream is over. Raises `EngineError` (`server_error`) when it broke off in the middle, or made no sense."""
        reason = self._reason()
        events: list[ChatEvent] = []
        rest = self._filter.finish(cut_short=reason == "length")
        if rest:
            events.append(TextDelta(rest))
        self._calls.check()
        return [*events, ChatEnd(reason, self._usage)]

    def _reason(self) -> Literal["stop", "length", "tool_calls", "content_filter"]:
        made = bool(self._said_chars or len(self._calls))
        if self._lost or (self._unread and not made):
            raise EngineError(
                f"The model's stream holds what Parley cannot read: {', '.join(self.unread)}.",
                code="server_error",
                remedy="Use an endpoint of OpenAI's chat-completions API, and a model that answers in text.",
            )
        if not self._finish:
            if not self.done:
                raise EngineError("The model's stream ended in the middle of the reply.", code="server_error")
            if not made:
                raise EngineError("The model's stream ended before anything was written.", code="server_error")
        reason = _REASONS.get(self._finish.lower()) if self._finish else "stop"
        if reason is None:
            raise EngineError(
                f"The model's server ended the reply with the finish_reason {_named(self._finish)}.",
                code="server_error",
            )
        if len(self._calls) and reason == "stop":  # (several local servers)
            return "tool_calls"
        return reason

    # --- one choice ---

    def _read_choice(self, choice: dict[str, Any], events: list[ChatEvent]) -> None:
        number = choice.get("index") or 0
        if self._choice is None:
            self._choice = number
        elif number != self._choice:
            self._note(self._unread, f"the choice {_named(number)} beside the first one")
            return
        if choice.get("error"):
            raise StreamError(choice)
        finish = choice.get("finish_reason")
        if finish is not None and str(finish).lower() not in _NO_REASON:
            self._finish = str(finish)
            self.progress += 1
        delta, message, text = choice.get("delta"), choice.get("message"), choice.get("text")
        if isinstance(delta, dict) and (delta or not isinstance(message, dict)):
            self._in_deltas = True
            self._read_delta(delta, events)
        elif isinstance(message, dict):
            self._read_delta(self._news(message) if self._in_deltas and self.finished else message, events)
        elif delta is not None or text is not None:  # (text: the completions API)
            self._read_content(text if delta is None else delta, events)

    def _news(self, message: dict[str, Any]) -> dict[str, Any]:
        """Of the whole message that some servers send after its pieces: what the pieces did not hold."""
        news = dict(message)
        if len(self._calls):
            news.pop("tool_calls", None)
            news.pop("function_call", None)
        content, said = news.get("content"), "".join(self._said)
        if isinstance(content, str) and said:
            if not content.startswith(said):
                self._note(self._unread, "a last message that differs from its pieces")
            news["content"] = content[len(said) :] if content.startswith(said) else ""
        return news

    def _read_delta(self, delta: dict[str, Any], events: list[ChatEvent]) -> None:
        for field in ("content", "refusal"):
            self._read_content(delta.get(field), events)
        if any(delta.get(field) for field in _REASONING):
            self.progress += 1
        calls = delta.get("tool_calls")
        if not calls and isinstance(delta.get("function_call"), dict):  # (the API before tools)
            calls = [{"function": delta["function_call"]}]
        if calls:
            self.progress += 1
            if isinstance(calls, dict):
                calls = [calls]
            for strange in self._calls.read(_listed(calls, "tool_calls"), events):
                self._note(self._lost, strange)
        for field in delta.keys() - _READ:
            if delta[field]:
                self._note(self._unread, f"the field {_named(field)}")

    def _read_content(self, content: object, events: list[ChatEvent]) -> None:
        if isinstance(content, str):
            self._say(content, events)
        elif isinstance(content, dict):
            self._read_content([content], events)
        elif isinstance(content, list):
            for part in _listed(content, "content"):
                self._read_part(part, events)
        elif content is not None:
            self._note(self._lost, f"content that is {_named(content)}")

    def _read_part(self, part: object, events: list[ChatEvent]) -> None:
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, str):
            self._say(part, events)
        elif kind in ("thinking", "reasoning"):
            self.progress += 1
        elif isinstance(part, dict) and isinstance(text := part.get("text") or part.get("refusal"), str):
            self._say(text, events)
        elif not (isinstance(part, dict) and kind in ("text", "output_text", "refusal")):
            self._note(self._lost, f"the content part {_named(kind or part)}")

    def _say(self, text: str, events: list[ChatEvent]) -> None:
        if not text:
            return
        self.progress += 1
        self._said_chars += len(text)
        if self._said_chars <= MAX_COMPARED_CHARS:
            self._said.append(text)
        answer = self._filter.push(text)
        if answer:
            events.append(TextDelta(answer))

    def _note(self, where: dict[str, None], what: str) -> None:
        if len(where) < _MAX_UNREAD:
            where[what] = None


def _malformed(what: str) -> EngineError:
    return EngineError(f"The model's stream is malformed: {what}.", code="server_error")


def _listed(value: object, field: str) -> list[Any]:
    """A list of the stream. Raises `EngineError` where it is none, or too long for one chunk."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise _malformed(f"{field} is {_named(value)}")
    if len(value) > MAX_PARTS:
        raise _malformed(f"{field} has {len(value)} parts in one chunk")
    return value


def _reports_failure(chunk: dict[str, Any]) -> bool:
    if chunk.get("error"):
        return True
    if "choices" in chunk:
        return False
    if isinstance(chunk.get("message"), str) and ("code" in chunk or "status" in chunk):
        return True
    return "error" in (chunk.get("object"), chunk.get("type")) or "detail" in chunk


def _named(what: object) -> str:
    """A thing of the stream as a message names it."""
    text = what if isinstance(what, str) else json.dumps(what, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return repr(text if len(text) <= _NAME_CHARS else f"{text[:_NAME_CHARS]}...")


def _usage(usage: dict[str, Any]) -> TokenUsage | None:
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return token_usage(usage.get("prompt_tokens"), usage.get("completion_tokens"), cached)
