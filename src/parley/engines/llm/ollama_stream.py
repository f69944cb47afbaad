"""Turns the lines of Ollama's `/api/chat` into chat events.

Laws:
- Pure, one object for one reply. What is kept of an unfinished line is bounded by `MAX_LINE_BYTES`. Thinking never comes out.
- Nothing is dropped silently: a line that is no JSON object, an end without `done`, and an unknown reason fail the reply.
- Tool calls come out whole, numbered from 0, each with an id of its own: older servers give none.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from parley.engines.llm.openai_calls import CallReader
from parley.engines.llm.reasoning import ReasoningFilter
from parley.engines.llm.token_counts import token_count
from parley.engines.openai_api.errors import StreamError
from parley.engines.ports import ChatEnd, ChatEvent, ChatRequest, EngineError, TextDelta, TokenUsage

MAX_LINE_BYTES: Final = 256 * 1024
"""One line: a reply of some 60,000 tokens sent whole."""

MAX_QUOTE_CHARS: Final = 60

_REASONS: Final[dict[str, Literal["stop", "length"]]] = {"": "stop", "stop": "stop", "length": "length"}


class LineReader:
    """Feed it bytes as they come; it gives complete lines without their ends, empty ones left out."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that are complete by now. Raises `EngineError` for one that is too long."""
        *lines, rest = piece.split(b"\n")
        complete = []
        for line in lines:
            self._rest += line
            self._check()
            complete.append(bytes(self._rest).strip())
            self._rest.clear()
        self._rest += rest
        self._check()
        return [line for line in complete if line]

    def end(self) -> list[bytes]:
        """The line that the stream ended in, if any."""
        line = bytes(self._rest).strip()
        self._rest.clear()
        return [line] if line else []

    def _check(self) -> None:
        if len(self._rest) > MAX_LINE_BYTES:
            raise _malformed(f"a line has more than {MAX_LINE_BYTES >> 10} KiB")


class OllamaReader:
    """Feed `read()` each line; `end()` gives the last chat events."""

    def __init__(self, request: ChatRequest) -> None:
        self._filter = ReasoningFilter()
        self._calls = CallReader(request)
        self._reason: str | None = None
        self._usage: TokenUsage | None = None
        self.progress = 0
        """Grows with each piece of the reply."""

    @property
    def finished(self) -> bool:
        """Whether the line with `done` has come."""
        return self._reason is not None

    @property
    def done(self) -> bool:
        return self.finished

    def read(self, line: bytes) -> list[ChatEvent]:
        """The chat events of one line. Raises `StreamError` where it reports a failure, `EngineError` where it is no line of a reply."""
        try:
            chunk = json.loads(line)
        except (ValueError, RecursionError):
            raise _malformed(f"a line is {_named(line)}") from None
        if not isinstance(chunk, dict):
            raise _malformed(f"a line is {_named(line)}")
        if chunk.get("error"):
            raise StreamError(chunk)
        message = chunk.get("message")
        if not isinstance(message, dict) and not chunk.get("done"):
            raise _malformed(f"a line is {_named(line)}")
        events: list[ChatEvent] = []
        if isinstance(message, dict):
            self._read_message(message, events)
        if chunk.get("done"):
            self.progress += 1
            self._reason = str(chunk.get("done_reason") or "")
            self._usage = _usage(chunk)
        return events

    def end(self) -> list[ChatEvent]:
        """The stream is over. Raises `EngineError` (`server_error`) when it broke off, or ended for no known reason."""
        if self._reason is None:
            raise EngineError(
                "Ollama's stream ended in the middle of the reply.", "Its log may say why.", code="server_error"
            )
        reason = _REASONS.get(self._reason)
        if reason is None:
            raise EngineError(
                f"Ollama ended the reply with the done_reason {self._reason[:MAX_QUOTE_CHARS]!r}.", code="server_error"
            )
        rest = self._filter.finish(cut_short=reason == "length")
        events: list[ChatEvent] = [TextDelta(rest)] if rest else []
        self._calls.check()
        calls = len(self._calls) > 0 and reason == "stop"
        return [*events, ChatEnd("tool_calls" if calls else reason, self._usage)]

    def _read_message(self, message: dict[str, Any], events: list[ChatEvent]) -> None:
        content, calls = message.get("content"), message.get("tool_calls")
        if message.get("thinking"):
            self.progress += 1
        if content:
            if not isinstance(content, str):
                raise _malformed("content is no text")
            self.progress += 1
            answer = self._filter.push(content)
            if answer:
                events.append(TextDelta(answer))
        if calls:
            if not isinstance(calls, list):
                raise _malformed("tool_calls is no list")
            self.progress += 1
            strange = self._calls.read(calls, events)
            if strange:
                raise _malformed(", ".join(strange))


def _usage(chunk: dict[str, Any]) -> TokenUsage | None:
    """The counts of the last line, which leaves out a count of 0."""
    prompt, made = token_count(chunk.get("prompt_eval_count")), token_count(chunk.get("eval_count"))
    return None if prompt is None and made is None else TokenUsage(prompt or 0, made or 0)


def _malformed(what: str) -> EngineError:
    return EngineError(
        f"Ollama's stream is malformed: {what}.", "Is it Ollama that answers there?", code="server_error"
    )


def _named(line: bytes) -> str:
    text = " ".join(line.decode("utf-8", "replace").split())
    return repr(text if len(text) <= MAX_QUOTE_CHARS else f"{text[:MAX_QUOTE_CHARS]}...")
