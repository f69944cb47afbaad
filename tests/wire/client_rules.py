"""What stock clients demand of a server event beyond its published types.

Each rule is one that a client's own code enforces: by throwing, by dropping the event, or by waiting for ever. Nulls are the
commonest offence: `@openai/agents` reads most members as "a value or absent" and drops the whole event at the first null.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Json = dict[str, object]

NULLABLE = {
    "previous_item_id",
    "transcript",
    "output",
    # the response
    "status_details",
    "usage",
    "metadata",
    "conversation_id",
    # the session
    "tracing",
    "prompt",
    "include",
    "transcription",
    "noise_reduction",
    "turn_detection",
    "idle_timeout_ms",
}
"""Members that may be null anywhere; `code`, `param` and `event_id` may be in the `error` event only."""

SPOKEN = ("input_audio", "output_audio")


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that an event breaks: where, and what the client then does."""

    path: str
    why: str


def broken_rules(event: Json) -> list[Broken]:
    """Every rule that the event breaks."""
    found = [*_nulls(event)]
    for path, value in _objects(event, ""):
        if isinstance(value.get("type"), str):
            found += _item(path, value, str(event.get("type")))
            found += _content(path, value)
        if "voice" in value and not isinstance(value["voice"], str):
            found.append(Broken(f"{path}.voice", "agents-js drops an event whose voice is not a string"))
    found += _usage(event)
    return found


def _objects(value: object, path: str) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict):
        yield path, value
        for name, inner in value.items():
            yield from _objects(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _objects(inner, f"{path}[{index}]")


def _nulls(event: Json) -> Iterator[Broken]:
    for path, value in _objects(event, ""):
        if path == "error" and event.get("type") == "error":
            continue
        # What a client itself wrote comes back as it was: JSON Schemas and trace metadata may hold nulls.
        if ".parameters" in path or ".tracing" in path:
            continue
        for name, inner in value.items():
            if inner is None and name not in NULLABLE:
                yield Broken(f"{path}.{name}" if path else name, "agents-js drops an event with this null")


def _item(path: str, item: Json, event: str) -> Iterator[Broken]:
    if path.rsplit(".", 1)[-1].split("[")[0] not in ("item", "output"):
        return
    about_mcp = str(item["type"]).startswith("mcp_")
    for name in ("id",) if about_mcp else ("id", "status"):
        if not isinstance(item.get(name), str):
            yield Broken(f"{path}.{name}", "agents-js throws on an item without it")
    if item["type"] == "message" and not isinstance(item.get("content"), list):
        yield Broken(f"{path}.content", "agents-js throws on a message without content")
    if item["type"] == "mcp_call" and "output" not in item:
        yield Broken(f"{path}.output", "agents-js throws on an MCP call without the key")
    if item["type"] == "function_call":
        for name in ("call_id", "name", "arguments"):
            if not isinstance(item.get(name), str):
                yield Broken(f"{path}.{name}", "agents-js throws on a function call without it")
        if event == "response.output_item.added" and item.get("status") == "completed":
            yield Broken(f"{path}.status", "agents-js runs the tool twice when the call is added as completed")


def _content(path: str, part: Json) -> Iterator[Broken]:
    if part["type"] in SPOKEN and "transcript" not in part:
        yield Broken(f"{path}.transcript", "agents-js throws on audio content without the key")
    if part["type"] in ("input_text", "output_text") and not isinstance(part.get("text"), str):
        yield Broken(f"{path}.text", "agents-js throws on text content without text")


def _usage(event: Json) -> Iterator[Broken]:
    response = event.get("response")
    usage = response.get("usage") if isinstance(response, dict) else None
    if not isinstance(usage, dict):
        return
    if usage.get("total_tokens") != usage.get("input_tokens", 0) + usage.get("output_tokens", 0):
        yield Broken("response.usage.total_tokens", "bills do not add up")
    for name in ("input_token_details", "output_token_details"):
        details = usage.get(name)
        for kind in ("text_tokens", "audio_tokens"):
            if not isinstance(details, dict) or not isinstance(details.get(kind), int):
                yield Broken(f"response.usage.{name}.{kind}", "agents-js drops usage without it")
