"""Language models: a prompt to text and tool calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from parley.engines.ports.engine import Engine

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image as a `data:` or `https:` URL.

    `at` is where in its message it stands: how many characters of the text come before it; None: all of them.
    """

    url: str
    detail: Literal["auto", "low", "high"] = "auto"
    at: int | None = None


@dataclass(frozen=True, slots=True)
class AudioPart:
    """The sound of words of its message: 16-bit little-endian mono samples, `sample_rate` in Hz.

    The words stand in the message's text, from `start` to `end`: a model that hears is given the sound instead of them, any other
    reads them.
    """

    pcm: bytes
    sample_rate: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model made earlier; `arguments` is JSON text."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of the prompt. `audio` only on the user's messages, `tool_calls` on the assistant's, `call_id` on
    a tool's. `heard_ms`: where the listener stopped hearing a spoken message of the assistant's, whose text ends there too; None: it was
    not cut."""

    role: Role
    text: str = ""
    images: tuple[ImagePart, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    audio: tuple[AudioPart, ...] = ()
    heard_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; `parameters` is a JSON Schema as JSON text."""

    name: str
    description: str
    parameters: str = '{"type":"object","properties":{}}'


@dataclass(frozen=True, slots=True)
class ForceTool:
    """`tool_choice` that demands this one function."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | ForceTool


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A whole prompt. `max_tokens` None means the model's own limit, `temperature` None its own."""

    messages: tuple[ChatMessage, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    reasoning_effort: str = ""
    temperature: float | None = None
    json_schema: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call. `call_id` and `name` come with the first piece of each `index`; later ones carry
    `arguments` only."""

    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Measured by the model's server, in tokens."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ChatEnd:
    """The last thing a stream yields: why it ended, and its usage, None where the server does not report it."""

    reason: Literal["stop", "length", "tool_calls", "content_filter"]
    usage: TokenUsage | None = None


ChatEvent = TextDelta | ToolCallDelta | ChatEnd


@runtime_checkable
class LanguageModel(Engine, Protocol):
    def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Stream one reply; ends with exactly one `ChatEnd`. Closing the iterator (`aclose`) closes the upstream request.

        Raises `EngineError` (`invalid_api_key`, `model_not_found`, `connection_failed`, `timeout`,
        `rate_limit_exceeded`, `context_length_exceeded`, `server_error`).
        """
        ...
