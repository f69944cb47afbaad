"""Turns the events of a Responses stream into chat events.

Laws:
- Pure, one object for one reply. Reasoning never comes out. A refusal is text: the model says it.
- Text and arguments are taken from their deltas; where a server sends none, from the events that hold them whole.
- Nothing is dropped silently: output that is neither message, call nor reasoning fails the reply at its end, and a stream that ends
  without `response.completed`, `response.incomplete` or `response.failed` fails it too.

Source: the event types of the package `openai` 3.57 (`types/responses`).
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from parley.engines.llm.openai_calls import CallReader
from parley.engines.llm.token_counts import token_usage
from parley.engines.openai_api.errors import MAX_QUOTE_CHARS, StreamError
from parley.engines.openai_api.server_events import UNKNOWN, ServerEvent
from parley.engines.ports import ChatEnd, ChatEvent, ChatRequest, EngineError, EngineRefused, TextDelta, TokenUsage

_CUT: Final[dict[str, Literal["length", "content_filter"]]] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}
"""Why a response is incomplete. Every other reason means that it failed."""

_SIGNS_OF_LIFE: Final = frozenset(
    {
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_text.annotation.added",
        "keepalive",
        "ping",
    }
)

_REFUSALS: Final = ("invalid", "image", "unsupported", "policy")
"""Parts of the codes that say that the request is at fault, and not the server."""

_MAX_UNREAD: Final = 8
_NAME_CHARS: Final = 60


class ResponsesReader:
    """Feed `read()` each event; `end()` gives the last chat events."""

    def __init__(self, request: ChatRequest) -> None:
        self._calls = CallReader(request)
        self._said: set[tuple[object, object]] = set()
        """(output index, content index) of each text whose pieces came."""
        self._argued: set[object] = set()
        """Output index of each call whose arguments came."""
        self._called: set[object] = set()
        self._reason: Literal["stop", "length", "content_filter"] | None = None
        self._usage: TokenUsage | None = None
        self._lost: dict[str, None] = {}
        self._unread: dict[str, None] = {}
        self.progress = 0
        """Grows with each piece of the reply."""

    @property
    def finished(self) -> bool:
        """Whether the response's last event has come."""
        return self._reason is not None

    @property
    def done(self) -> bool:
        return self.finished

    @property
    def unread(self) -> tuple[str, ...]:
        """What of the stream was not understood."""
        return (*self._lost, *self._unread)

    def read(self, event: ServerEvent) -> list[ChatEvent]:
        """The chat events of one server event. Raises `StreamError` or `EngineError` where it reports a failure or is malformed."""
        if event.data.strip() == "[DONE]":
            return []
        try:
            said = json.loads(event.data)
        except (ValueError, RecursionError):
            if event.name == UNKNOWN:
                self._note(self._unread, f"the line {_named(event.data)}")
                return []
            raise _malformed(f"an event is {_named(event.data)}") from None
        if not isinstance(said, dict):
            raise _malformed(f"an event is {_named(event.data)}")
        events: list[ChatEvent] = []
        self._read_event(str(said.get("type") or event.name), said, events)
        return events

    def end(self) -> list[ChatEvent]:
        """The stream is over. Raises `EngineError` (`server_error`) when it broke off, or held what cannot be read."""
        if self._reason is None:
            raise EngineError("The model's stream ended in the middle of the reply.", code="server_error")
        if self._lost:
            raise EngineError(
                f"The model's reply holds what Parley cannot read: {', '.join(self._lost)}.",
                "Use a model that answers in text, and no tools but functions.",
                code="server_error",
            )
        self._calls.check()
        calls = len(self._calls) > 0 and self._reason == "stop"
        return [ChatEnd("tool_calls" if calls else self._reason, self._usage)]

    # --- events ---

    def _read_event(self, kind: str, said: dict[str, Any], events: list[ChatEvent]) -> None:
        match kind:
            case "response.output_text.delta" | "response.refusal.delta":
                self._say(_part(said), said.get("delta"), events)
            case "response.output_text.done" | "response.refusal.done" if _part(said) not in self._said:
                self._say(_part(said), said.get("text") or said.get("refusal"), events)
            case "response.function_call_arguments.delta":
                self._argue(said.get("output_index"), said.get("delta"), events)
            case "response.function_call_arguments.done" if said.get("output_index") not in self._argued:
                self._argue(said.get("output_index"), said.get("arguments"), events)
            case "response.output_item.added":
                self._read_item(said.get("output_index"), said.get("item"), events, whole=False)
            case "response.output_item.done":
                self._read_item(said.get("output_index"), said.get("item"), events, whole=True)
            case "response.completed" | "response.incomplete" | "response.failed":
                self._finish(kind, said.get("response"), events)
            case "error":
                raise failure(said)
            case _ if "reasoning" in kind:
                self.progress += 1
            case _ if kind not in _SIGNS_OF_LIFE and not kind.endswith(".done"):
                self._note(self._unread, f"the event {_named(kind)}")

    def _read_item(self, index: object, item: object, events: list[ChatEvent], *, whole: bool) -> None:
        if not isinstance(item, dict):
            raise _malformed(f"an item is {_named(item)}")
        match item.get("type"):
            case "function_call":
                if index not in self._called:
                    self._called.add(index)
                    self._call(index, {"name": item.get("name")}, events, str(item.get("call_id") or ""))
                if whole and index not in self._argued:
                    self._argue(index, item.get("arguments"), events)
            case "message" if whole:
                for at, part in enumerate(_listed(item.get("content"))):
                    if isinstance(part, dict) and not self._is_said(index, at):
                        self._say((index, at), part.get("text") or part.get("refusal"), events)
            case "reasoning":
                self.progress += 1
            case "message":
                pass
            case other:
                self._note(self._lost, f"the item {_named(other)}")

    def _finish(self, kind: str, response: object, events: list[ChatEvent]) -> None:
        if not isinstance(response, dict):
            raise _malformed(f"a response is {_named(response)}")
        if kind == "response.failed":
            raise failure(response.get("error"))
        if not self._said and not len(self._calls):  # (servers that send no pieces; some number the items anew here)
            for index, item in enumerate(_listed(response.get("output"))):
                self._read_item(index, item, events, whole=True)
        self.progress += 1
        self._usage = _usage(response.get("usage"))
        if kind == "response.completed":
            self._reason = "stop"
            return
        details = response.get("incomplete_details")
        why = details.get("reason") if isinstance(details, dict) else None
        cut = _CUT.get(str(why))
        if cut is None:
            raise EngineError(f"The model's server left the reply incomplete: {_named(why)}.", code="server_error")
        self._reason = cut

    def _say(self, part: tuple[object, object], text: object, events: list[ChatEvent]) -> None:
        if text is None or text == "":
            return
        if not isinstance(text, str):
            raise _malformed(f"text is {_named(text)}")
        self._said.add(part)
        self.progress += 1
        events.append(TextDelta(text))

    def _is_said(self, index: object, at: int) -> bool:
        """Whether a part's pieces came; pieces without a number may be those of any part."""
        return (index, at) in self._said or any(None in part for part in self._said)

    def _argue(self, index: object, arguments: object, events: list[ChatEvent]) -> None:
        if not arguments:
            return
        if not isinstance(arguments, str):
            raise _malformed(f"arguments are {_named(arguments)}")
        self._argued.add(index)
        self._call(index, {"arguments": arguments}, events)

    def _call(self, index: object, function: dict[str, object], events: list[ChatEvent], call_id: str = "") -> None:
        self.progress += 1
        piece: dict[str, object] = {"index": index, "function": function}
        self._calls.read([piece | ({"id": call_id} if call_id else {})], events)

    def _note(self, where: dict[str, None], what: str) -> None:
        if len(where) < _MAX_UNREAD:
            where[what] = None


def failure(error: object) -> EngineError | StreamError:
    """What a failed response or an `error` event reports."""
    fields = error if isinstance(error, dict) else {"message": error or "no reason was given"}
    inner = fields.get("error")
    fields = inner if isinstance(inner, dict) else fields
    code = str(fields.get("code") or "")
    message = " ".join(str(fields.get("message") or code).split())[:MAX_QUOTE_CHARS]
    if code == "rate_limit_exceeded":
        return EngineError(f"The model's server has had too many requests: {message}", code="rate_limit_exceeded")
    if any(word in code for word in _REFUSALS):
        return EngineRefused(
            f"The model's server refused the request ({_named(code)}): {message}", code="invalid_request"
        )
    return StreamError({"code": code, "message": message})


def _part(said: dict[str, Any]) -> tuple[object, object]:
    return said.get("output_index"), said.get("content_index")


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _usage(usage: object) -> TokenUsage | None:
    if not isinstance(usage, dict):
        return None
    details = usage.get("input_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return token_usage(usage.get("input_tokens"), usage.get("output_tokens"), cached)


def _malformed(what: str) -> EngineError:
    return EngineError(f"The model's stream is malformed: {what}.", code="server_error")


def _named(what: object) -> str:
    """A thing of the stream as a message names it."""
    text = what if isinstance(what, str) else json.dumps(what, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return repr(text if len(text) <= _NAME_CHARS else f"{text[:_NAME_CHARS]}...")
