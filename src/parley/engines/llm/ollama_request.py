"""A chat request in the words of Ollama's own API (`POST /api/chat`).

Laws: pure. A prompt is never cut silently: `truncate` and `shift` are false, so that Ollama refuses what does not fit `num_ctx`, and ends
a reply that reaches it. What the API has no word for is refused by name.

Source: Ollama's documentation of `/api/chat`, and the request fields of `api/types.go` (0.33).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, Literal

from parley.engines.ports import ChatMessage, ChatRequest, EngineRefused, ForceTool, Tool

Think = bool | Literal["low", "medium", "high"]

_DATA_URL: Final = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)
_NO_EFFORT: Final = frozenset({"none", "minimal"})


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """What `/api/show` says of a model. `capabilities` None: an older Ollama, which does not say."""

    context_length: int | None = None
    own_num_ctx: int | None = None
    family: str = ""
    capabilities: frozenset[str] | None = None

    def lacks(self, capability: str) -> bool:
        """Whether the model is known not to have it."""
        return self.capabilities is not None and capability not in self.capabilities

    @property
    def sees(self) -> bool:
        return self.capabilities is not None and "vision" in self.capabilities

    @property
    def thinks(self) -> bool:
        return self.capabilities is not None and "thinking" in self.capabilities

    @property
    def thinks_in_levels(self) -> bool:
        """Whether `think` is a level: such a model always thinks."""
        return self.family == "gptoss"


def traits_of(shown: object) -> ModelTraits:
    """The traits in an answer to `POST /api/show`; what is missing or malformed is left open."""
    answer = shown if isinstance(shown, dict) else {}
    facts, details = answer.get("model_info"), answer.get("details")
    lengths = [
        value
        for key, value in (facts.items() if isinstance(facts, dict) else ())
        if str(key).endswith(".context_length") and isinstance(value, int)
    ]
    named, parameters = answer.get("capabilities"), answer.get("parameters")
    own = re.search(r"^\s*num_ctx\s+(\d+)\s*$", parameters, re.MULTILINE) if isinstance(parameters, str) else None
    return ModelTraits(
        context_length=min(lengths, default=None),
        own_num_ctx=int(own[1]) if own else None,
        family=str(details.get("family") or "") if isinstance(details, dict) else "",
        capabilities=frozenset(map(str, named)) if isinstance(named, list) else None,
    )


def request_body(
    request: ChatRequest, model: str, traits: ModelTraits, num_ctx: int, think: Think
) -> dict[str, object]:
    """The JSON body, without `keep_alive`. Raises `EngineRefused` for what Ollama or the model cannot do."""
    names = {call.call_id: call.name for message in request.messages for call in message.tool_calls}
    options: dict[str, object] = {"num_ctx": num_ctx}
    if request.max_tokens is not None:
        options["num_predict"] = request.max_tokens
    if request.temperature is not None:
        options["temperature"] = request.temperature
    body: dict[str, object] = {
        "model": model,
        "messages": [_message(message, names, traits, model) for message in request.messages],
        "stream": True,
        "truncate": False,
        "shift": False,
        "options": options,
    }
    if tools := _tools(request, traits, model):
        body["tools"] = tools
    if request.json_schema:
        body["format"] = _json(request.json_schema, "the reply's JSON Schema")
    if not traits.lacks("thinking") and (traits.thinks or think):
        body["think"] = _think(request.reasoning_effort, think, traits)
    return body


def _think(effort: str, think: Think, traits: ModelTraits) -> Think:
    wanted: Think = think
    if effort in ("low", "medium", "high"):
        wanted = effort  # type: ignore[assignment]
    elif effort:
        wanted = "high" if effort not in _NO_EFFORT else False
    if traits.thinks_in_levels:
        return wanted if isinstance(wanted, str) else "medium" if wanted else "low"
    return bool(wanted)


def _message(message: ChatMessage, names: dict[str, str], traits: ModelTraits, model: str) -> dict[str, object]:
    match message.role:
        case "tool":
            return {
                "role": "tool",
                "content": message.text,
                "tool_name": names.get(message.call_id, ""),
                "tool_call_id": message.call_id,
            }
        case "assistant" if message.tool_calls:
            calls = [
                {"id": call.call_id, "function": {"name": call.name, "arguments": _json(call.arguments, call.name)}}
                for call in message.tool_calls
            ]
            return {"role": "assistant", "content": message.text, "tool_calls": calls}
        case _ if message.images:
            if not traits.sees:
                raise EngineRefused(
                    f"The model {model!r} of Ollama sees no images.",
                    "Use one that does: `ollama show MODEL` lists `vision` among its capabilities.",
                    code="images_unsupported",
                )
            images = [_image(image.url) for image in message.images]
            return {"role": message.role, "content": message.text, "images": images}
        case role:
            return {"role": role, "content": message.text}


def _image(url: str) -> str:
    """The base64 of a `data:` URL. Ollama fetches no others."""
    head = _DATA_URL.match(url)
    if head is None:
        raise EngineRefused(
            "Ollama takes images as base64 only.", "Send the image as a data: URL.", code="invalid_image"
        )
    return url[head.end() :]


def _tools(request: ChatRequest, traits: ModelTraits, model: str) -> list[dict[str, object]]:
    if not request.tools or request.tool_choice == "none":
        return []
    if request.tool_choice == "required" or isinstance(request.tool_choice, ForceTool):
        raise EngineRefused(
            "Ollama cannot be made to call a tool: its API has no tool_choice.",
            "Set tool_choice to auto, or use an engine that has it, such as openai.",
            code="tool_choice_unsupported",
        )
    if traits.lacks("tools"):
        raise tools_unsupported(model)
    return [_tool(tool) for tool in request.tools]


def tools_unsupported(model: str) -> EngineRefused:
    """The error for a model that cannot call tools."""
    return EngineRefused(
        f"The model {model!r} of Ollama calls no tools.",
        "Use one that does: `ollama show MODEL` lists `tools` among its capabilities.",
        code="tools_unsupported",
    )


def _tool(tool: Tool) -> dict[str, object]:
    parameters = _json(tool.parameters, f"the parameters of the tool {tool.name!r}")
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters},
    }


def _json(text: str, what: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise EngineRefused(f"JSON was expected in {what}: {error}.", code="invalid_value") from None
