"""A conversation as plain chat messages, in and out.

Laws: messages are JSON values in the form of the chat protocols (`role`, `content`, `tool_calls`, `tool_call_id`), and can be read back;
the assistant's messages hold what the listener heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import FunctionCall, FunctionCallOutput, InputText, Item, Message, OutputText, is_empty
from parley.engines.ports import ChatMessage
from parley.library import checks
from parley.library.errors import LibraryError
from parley.runtime.generation.prompt_mapping import chat_messages

ChatDict = dict[str, Any]
"""`{"role": "user", "content": "..."}`, and what tools add to it; JSON-serialisable."""


def as_dict(message: ChatMessage) -> ChatDict:
    """One message of the chat protocol."""
    chat: ChatDict = {"role": message.role, "content": message.text}
    if message.tool_calls:
        chat["tool_calls"] = [
            {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.call_id:
        chat["tool_call_id"] = message.call_id
    return chat


def history_of(items: Iterable[Item]) -> list[ChatDict]:
    """These items as messages."""
    return [as_dict(message) for message in chat_messages(item for item in items if not is_empty(item))]


def items_of(history: Iterable[Mapping[str, Any]]) -> list[Item]:
    """These messages as items; the session gives them ids. Raises `LibraryError` naming the message that is wrong."""
    items: list[Item] = []
    if isinstance(history, str | bytes | Mapping) or not isinstance(history, Iterable):
        raise checks.refused("history", history, "Give a list of chat messages, such as another session's history.")
    for index, message in enumerate(history):
        if not isinstance(message, Mapping):
            raise checks.refused(
                f"history[{index}]", message, 'Give a message such as {"role": "user", "content": "..."}.'
            )
        role, content = message.get("role"), message.get("content") or ""
        if not isinstance(content, str):
            raise LibraryError(f"history[{index}]: content is {type(content).__name__}.", remedy="Give it as a string.")
        match role:
            case "user" | "system":
                items.append(Message(ItemId(""), role, (InputText(content),)))
            case "assistant":
                if content:
                    items.append(Message(ItemId(""), "assistant", (OutputText(content),)))
                calls = message.get("tool_calls") or []
                if not isinstance(calls, list | tuple):
                    raise checks.refused(f"history[{index}]['tool_calls']", calls, "Give a list of tool calls.")
                items += [_call(index, call) for call in calls]
            case "tool":
                call_id = message.get("tool_call_id", "")
                if not isinstance(call_id, str):
                    raise checks.refused(
                        f"history[{index}]['tool_call_id']", call_id, "Give the call's id as a string."
                    )
                items.append(FunctionCallOutput(ItemId(""), CallId(call_id), content))
            case _:
                raise LibraryError(
                    f"history[{index}]: there is no role {role!r}.", remedy="Use system, user, assistant or tool."
                )
    return items


def _call(index: int, call: Any) -> FunctionCall:
    try:
        function = call["function"]
        parts = call["id"], function["name"], function.get("arguments") or "{}"
    except (TypeError, KeyError, AttributeError) as error:
        raise LibraryError(
            f"history[{index}]: this is no tool call: {call!r}.",
            remedy='Give {"id": "...", "type": "function", "function": {"name": "...", "arguments": "{}"}}.',
        ) from error
    if not all(isinstance(part, str) for part in parts):
        raise LibraryError(
            f"history[{index}]: a tool call holds {parts!r}.", remedy="Give id, name and arguments as strings."
        )
    return FunctionCall(ItemId(""), CallId(parts[0]), parts[1], parts[2])
