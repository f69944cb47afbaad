"""A chat request in the words of OpenAI's Responses API (`POST /responses`).

Laws: pure; says everything the request says and nothing more. The conversation is sent whole with each request, and the server stores
nothing of it (`store` false); input that does not fit the model is refused by the server and not cut (`truncation` is left at its default).

Source: the parameter types of the package `openai` 3.57 (`types/responses/response_create_params.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

from parley.engines.llm.message_parts import parts_of
from parley.engines.llm.request_parts import json_of
from parley.engines.ports import (
    AudioPart,
    ChatMessage,
    ChatRequest,
    ForceTool,
    ImagePart,
    Tool,
    ToolChoice,
)


def request_body(request: ChatRequest, model: str, effort: str = "") -> dict[str, object]:
    """The JSON body; `effort` is the reasoning effort of a request that names none.

    Raises `EngineRefused` for a JSON Schema that is no JSON.
    """
    body: dict[str, object] = {
        "model": model,
        "input": [item for message in request.messages for item in _items(message)],
        "stream": True,
        "store": False,
    }
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _tool_choice(request.tool_choice)
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.max_tokens is not None:
        body["max_output_tokens"] = request.max_tokens
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.reasoning_effort or effort:
        body["reasoning"] = {"effort": request.reasoning_effort or effort}
    if request.json_schema:
        schema = json_of(request.json_schema, "the reply's JSON Schema")
        body["text"] = {"format": {"type": "json_schema", "name": "reply", "schema": schema}}
    return body


def _items(message: ChatMessage) -> Iterator[dict[str, object]]:
    """A message is one item, and each of its calls another."""
    if message.role == "tool":
        yield {"type": "function_call_output", "call_id": message.call_id, "output": message.text}
        return
    if message.text or message.images or not message.tool_calls:
        content: object = [_part(part) for part in parts_of(message, hears=False)] if message.images else message.text
        yield {"type": "message", "role": message.role, "content": content}
    for call in message.tool_calls:
        yield {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}


def _part(part: str | ImagePart | AudioPart) -> dict[str, object]:
    match part:
        case ImagePart(url=url, detail=detail):
            return {"type": "input_image", "image_url": url, "detail": detail}
        case str() as text:
            return {"type": "input_text", "text": text}
        case AudioPart():
            raise TypeError("a message of the Responses API holds no audio")


def _tool(tool: Tool) -> dict[str, object]:
    """`strict` is said, as the server would else take it to be true, and refuse most schemas."""
    parameters = json_of(tool.parameters, f"the parameters of the tool {tool.name!r}")
    named = {"type": "function", "name": tool.name, "description": tool.description}
    return {**named, "parameters": parameters, "strict": False}


def _tool_choice(choice: ToolChoice) -> object:
    if isinstance(choice, ForceTool):
        return {"type": "function", "name": choice.name}
    return choice
