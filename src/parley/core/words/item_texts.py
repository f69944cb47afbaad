"""What each kind of item says to a model: which texts, in how many messages, and which other item it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from parley.core.words.items import (
    Content,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpListTools,
    Message,
    OutputAudio,
    OutputText,
    text_of,
)


def bond(item: Item) -> str | None:
    """What a call and its outcome have in common, and no other item has; None for an item that stands alone."""
    match item:
        case FunctionCall(call_id=call_id) | FunctionCallOutput(call_id=call_id):
            return f"call {call_id}"
        case McpApprovalRequest(id=request) | McpApprovalResponse(approval_request_id=request):
            return f"request {request}"
        case McpCall(approval_request_id=request) if request is not None:
            return f"request {request}"
        case _:
            return None


def prompt_messages(item: Item) -> int:
    """How many messages of a prompt it becomes: a call that the session has made brings its outcome."""
    match item:
        case McpListTools():
            return 0
        case McpCall():
            return 2
        case _:
            return 1


def images(item: Item) -> int:
    """How many images it has."""
    return sum(isinstance(part, InputImage) for part in item.content) if isinstance(item, Message) else 0


def whole_texts(item: Item) -> tuple[str, ...]:
    """The texts that say nothing unless they are whole, such as the JSON of a call."""
    match item:
        case FunctionCall() | McpApprovalRequest() | McpCall():
            return item.name, item.arguments
        case McpApprovalResponse(reason=reason):
            return (reason,)
        case _:
            return ()


def shortenable_texts(item: Item) -> tuple[str, ...]:
    """The texts that still say something when they are shortened; JSON that a program must read is not among them."""
    match item:
        case Message(content=content):
            return tuple(text_of(part) for part in content)
        case FunctionCallOutput(output=output):
            return (output,)
        case McpCall(output=output, error=error):
            return (output or "", "" if error is None else error.message)
        case _:
            return ()


def with_texts(item: Item, texts: Sequence[str]) -> Item:
    """The item with these texts in place of its `shortenable_texts()`, in their order."""
    match item:
        case Message(content=content):
            parts = tuple(_with_text(part, text) for part, text in zip(content, texts, strict=True))
            return replace(item, content=parts)
        case FunctionCallOutput():
            return replace(item, output=texts[0])
        case McpCall(output=output, error=error):
            shortened = None if output is None else texts[0]
            return replace(item, output=shortened, error=None if error is None else replace(error, message=texts[1]))
        case _:
            return item


def _with_text(part: Content, text: str) -> Content:
    match part:
        case InputText() | OutputText():
            return replace(part, text=text)
        case InputAudio(transcript=transcript):
            return part if transcript is None else replace(part, transcript=text)
        case OutputAudio():
            return replace(part, transcript=text)
        case InputImage():
            return part
        case _:
            assert_never(part)
