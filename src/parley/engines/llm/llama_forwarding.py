"""A chat-completions request of a client, answered by llama.cpp in this process as an endpoint would answer it.

Laws:
- llama.cpp passes over fields that it does not know, so those that it does not honour are refused here by name, as are addresses
  of images, which it would fetch by itself, and its own fields (grammars, slots), which could harm the process that it runs in.
- llama.cpp always streams, so that a request can be stopped at any token; a document is put together of the pieces.
- An answer has the model's name, never the path of its file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import msgspec

from parley.engines.llm.reply_stream import TimeLimits
from parley.engines.openai_api.errors import NothingMoreCame, StreamError
from parley.engines.ports import (
    EngineError,
    EngineRefused,
    ForwardedHead,
    ForwardFailed,
    ForwardRefused,
    ForwardRequest,
)

Chunk = Mapping[str, Any]

HONOURED: Final = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "min_p",
        "model",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "repeat_penalty",
        "response_format",
        "seed",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_k",
        "top_logprobs",
        "top_p",
    }
)
LABELS: Final = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "store", "user"})
"""They ask nothing of a model; `store` is refused before it comes here, unless it is false."""

NO_THINKING: Final = frozenset({"none", "minimal"})
"""Values of `reasoning_effort`."""

DONE: Final = b"data: [DONE]\n\n"


class ChatForwarding:
    """How one loaded model is asked. `think`: whether it thinks where a request does not say; `extra` is laid over every request;
    `reads_tools`: its chat template has tools."""

    def __init__(self, shown_model: str, think: bool, extra: Mapping[str, object], *, reads_tools: bool) -> None:
        self.shown_model = shown_model
        self._think = think
        self._extra = extra
        self._reads_tools = reads_tools

    def body(self, request: ForwardRequest) -> dict[str, object]:
        """What llama.cpp is asked. Raises `ForwardRefused`, which names the field."""
        given = {name: msgspec.json.decode(text) for name, text in request.fields.items()}
        fields = {name: value for name, value in given.items() if value is not None and name not in LABELS}
        if fields.get("n") == 1:
            del fields["n"]
        for name in fields:
            if name not in HONOURED:
                known = "One answer is made for each request" if name == "n" else f"llama.cpp here has no {name}"
                raise _refused(f"{known}; leave {name} out.", name, "unsupported_parameter")
        _check_addresses(fields["messages"])
        if (limit := fields.pop("max_completion_tokens", None)) is not None:
            fields.setdefault("max_tokens", limit)
        self._choose_tools(fields)
        words = self._thinking(fields.pop("reasoning_effort", None))
        if not request.stream:
            fields["stream_options"] = {"include_usage": True}
        return {**fields, "chat_template_kwargs": words, "cache_prompt": True, **self._extra}

    def _choose_tools(self, fields: dict[str, Any]) -> None:
        """llama.cpp reads names of choices only, and no tools where the template has none."""
        tools, choice = fields.get("tools"), fields.get("tool_choice")
        if tools and not self._reads_tools:
            message = f"The chat template of {self.shown_model} has no tools; leave tools out, or use another model."
            raise _refused(message, "tools", "unsupported_parameter")
        if not isinstance(choice, dict):
            return
        function = choice.get("function")
        name = function.get("name") if choice.get("type") == "function" and isinstance(function, dict) else None
        named = [tool for tool in tools or () if isinstance(name, str) and _name(tool) == name]
        if not named:
            raise _refused(
                "tool_choice must be auto, none, required, or a function of tools by its name.", "tool_choice"
            )
        fields["tools"], fields["tool_choice"] = named, "required"

    def _thinking(self, effort: object) -> dict[str, object]:
        if effort is None:
            return {"enable_thinking": self._think}
        if not isinstance(effort, str):
            raise _refused("reasoning_effort must be a word, such as none, low, medium or high.", "reasoning_effort")
        thinks = effort not in NO_THINKING
        return {"enable_thinking": thinks, **({"reasoning_effort": effort} if thinks else {})}


async def answered(
    chunks: AsyncGenerator[Chunk, None], shown_model: str, streamed: bool, limits: TimeLimits
) -> AsyncGenerator[ForwardedHead | bytes, None]:
    """The answer of `ForwardsRequests.forward`, made of llama.cpp's chunks: events within `limits`, or the document within
    `limits.first_s`. Closes `chunks`. Raises `StreamError` where one reports a failure, `TimeoutError`, `NothingMoreCame`, `EngineError`.
    """
    loop, whole, began = asyncio.get_running_loop(), Completion(), False
    deadline = loop.time() + limits.first_s
    async with aclosing(chunks):
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    chunk = await anext(chunks, None)
            except TimeoutError:
                raise (NothingMoreCame(limits.idle_s) if began else TimeoutError()) from None
            if chunk is None:
                break
            if chunk.get("error"):
                raise StreamError(chunk)
            if "prompt_progress" in chunk:  # how much of the prompt was read
                continue
            shown = {**chunk, "model": shown_model}
            whole.add(shown)
            if streamed:
                if not began:
                    yield ForwardedHead(streamed=True)
                began = True
                yield b"data: " + msgspec.json.encode(shown) + b"\n\n"
                deadline = loop.time() + limits.idle_s
    document = whole.document()
    if not streamed:
        yield ForwardedHead(streamed=False)
    yield DONE if streamed else document


def forward_error(error: EngineError) -> EngineError:
    """What `ForwardsRequests.forward` raises for what went wrong: a request that is at fault is the client's."""
    if isinstance(error, ForwardRefused | ForwardFailed):
        return error
    if isinstance(error, EngineRefused) and error.code == "overloaded":
        return ForwardFailed(error.message, error.remedy, code="rate_limit_exceeded", retry_after_s=1.0)
    if isinstance(error, EngineRefused):
        param = "messages" if error.code == "context_length_exceeded" else None
        return ForwardRefused(error.message, status=400, code=error.code, param=param)
    return error


class Completion:
    """Puts the chunks of one streamed answer together to a `chat.completion`. `add()` each, then `document()`."""

    def __init__(self) -> None:
        self._envelope: dict[str, Any] = {}
        self._finish: object = None
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._scores: dict[str, list[Any]] = {}

    def add(self, chunk: Chunk) -> None:
        """One chunk, in order."""
        self._envelope.update({name: value for name, value in chunk.items() if name != "choices"})
        for choice in chunk.get("choices") or ():
            self._finish = choice.get("finish_reason") or self._finish
            for name, tokens in (choice.get("logprobs") or {}).items():
                self._scores.setdefault(name, []).extend(tokens or ())
            for name, value in (choice.get("delta") or {}).items():
                if name == "tool_calls":
                    self._add_calls(value or ())
                elif name != "role" and isinstance(value, str):
                    self._texts.setdefault(name, []).append(value)

    def _add_calls(self, pieces: Sequence[Chunk]) -> None:
        for piece in pieces:
            call = self._calls.setdefault(piece.get("index", 0), {"id": "", "type": "function", "function": {}})
            call["id"] = piece.get("id") or call["id"]
            function = call["function"]
            for name, text in (piece.get("function") or {}).items():
                function[name] = function.get(name, "") + (text or "")

    def document(self) -> bytes:
        """The answer as JSON. Raises `EngineError` where it broke off."""
        if self._finish is None:
            raise EngineError("llama.cpp ended without the end of its answer.", "Ask again.", code="server_error")
        texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
        message: dict[str, Any] = {"role": "assistant", "content": None, **texts}
        if self._calls:
            message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
        elif message["content"] is None:
            message["content"] = ""
        scores = self._scores or None
        choice = {"index": 0, "message": message, "logprobs": scores, "finish_reason": self._finish}
        return msgspec.json.encode({**self._envelope, "object": "chat.completion", "choices": [choice]})


def _check_addresses(messages: object) -> None:
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            image = part.get("image_url") if isinstance(part, dict) else None
            address = image.get("url") if isinstance(image, dict) else image
            if image is not None and not (isinstance(address, str) and address.startswith("data:")):
                raise _refused("Images are taken as data: URLs only; send the image itself.", "messages")


def _name(tool: object) -> object:
    function = tool.get("function") if isinstance(tool, dict) else None
    return function.get("name") if isinstance(function, dict) else None


def _refused(message: str, param: str, code: str = "invalid_value") -> ForwardRefused:
    return ForwardRefused(message, status=400, code=code, param=param)
