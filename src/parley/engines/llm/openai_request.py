"""A chat request in the words of OpenAI's chat-completions API.

Laws: pure; says everything the request says and nothing more (an option that was not given is not sent, as many servers refuse
what they do not know).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from parley.engines.llm.message_parts import has_parts, parts_of, wav_of
from parley.engines.llm.request_parts import json_of, refuses
from parley.engines.ports import (
    AudioPart,
    ChatMessage,
    ChatRequest,
    ForceTool,
    ImagePart,
    Tool,
    ToolChoice,
)


@dataclass(frozen=True, slots=True)
class ChatDialect:
    """What one server takes; changed when it refuses something (`without`)."""

    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    stream_options: bool = True
    temperature: bool = True

    def without(self, refusal: str) -> ChatDialect | None:
        """The dialect to try after a 400 or 422 that says `refusal`; None when it names nothing that could be said otherwise."""
        if self.stream_options and ("stream_options" in refusal or "include_usage" in refusal):
            return replace(self, stream_options=False)
        if self.temperature and refuses(refusal, "temperature"):
            return replace(self, temperature=False)
        if refuses(refusal, self.max_tokens):
            other: Literal["max_tokens", "max_completion_tokens"] = (
                "max_tokens" if self.max_tokens == "max_completion_tokens" else "max_completion_tokens"
            )
            return replace(self, max_tokens=other)
        return None


def request_body(request: ChatRequest, model: str, dialect: ChatDialect, *, hears: bool = False) -> dict[str, object]:
    """The JSON body, without `stream`; `hears`: with the sound of what the user said, where there is any.

    Raises `EngineRefused` when a tool's or the reply's JSON Schema is no JSON.
    """
    body: dict[str, object] = {"model": model, "messages": [_message(message, hears) for message in request.messages]}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _tool_choice(request.tool_choice)
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.max_tokens is not None:
        body[dialect.max_tokens] = request.max_tokens
    if request.temperature is not None and dialect.temperature:
        body["temperature"] = request.temperature
    if request.reasoning_effort:
        body["reasoning_effort"] = request.reasoning_effort
    if request.json_schema:
        schema = json_of(request.json_schema, "the reply's JSON Schema")
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
    if dialect.stream_options:
        body["stream_options"] = {"include_usage": True}
    return body


def _message(message: ChatMessage, hears: bool) -> dict[str, object]:
    match message.role:
        case "tool":
            return {"role": "tool", "tool_call_id": message.call_id, "content": message.text}
        case "assistant" if message.tool_calls:
            calls = [
                {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in message.tool_calls
            ]
            return {"role": "assistant", "content": message.text or None, "tool_calls": calls}
        case _ if has_parts(message, hears=hears):
            return {"role": message.role, "content": [_part(part) for part in parts_of(message, hears=hears)]}
        case role:
            return {"role": role, "content": message.text}


def _part(part: str | ImagePart | AudioPart) -> dict[str, object]:
    match part:
        case ImagePart(url=url, detail=detail):
            return {"type": "image_url", "image_url": {"url": url, "detail": detail}}
        case AudioPart():
            return {"type": "input_audio", "input_audio": {"data": wav_of(part), "format": "wav"}}
        case text:
            return {"type": "text", "text": text}


def _tool(tool: Tool) -> dict[str, object]:
    parameters = json_of(tool.parameters, f"the parameters of the tool {tool.name!r}")
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters},
    }


def _tool_choice(choice: ToolChoice) -> object:
    if isinstance(choice, ForceTool):
        return {"type": "function", "function": {"name": choice.name}}
    return choice
