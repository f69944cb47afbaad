"""Items as JSON values of the GA protocol.

Laws: those of `wire.encode_items`; `output` of an MCP call is null until it is known; images sent as data appear only in
`conversation.item.retrieved`.
"""

from __future__ import annotations

from functools import partial
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
    McpItem,
    McpListTools,
    McpTool,
    Message,
    OutputAudio,
    OutputText,
)
from parley.wire.encode_items import audio_part, item_members
from parley.wire.encode_settings import raw
from parley.wire.encoding import Json


def item_object(item: Item, *, whole: bool = False) -> Json:
    """The item; `whole` adds the audio that it holds and images sent as data."""
    if isinstance(item, Message | FunctionCall | FunctionCallOutput):
        return {"id": item.id, **item_members(item, partial(_content, whole=whole))}
    return {"id": item.id, **_mcp_members(item)}


def _mcp_members(item: McpItem) -> Json:
    match item:
        case McpListTools():
            tools = [_tool(tool) for tool in item.tools]
            return {"type": "mcp_list_tools", "server_label": item.server_label, "tools": tools}
        case McpCall():
            return {
                "type": "mcp_call",
                "server_label": item.server_label,
                "name": item.name,
                "arguments": item.arguments,
                "output": item.output,
                **_call_extras(item),
            }
        case McpApprovalRequest():
            return {
                "type": "mcp_approval_request",
                "server_label": item.server_label,
                "name": item.name,
                "arguments": item.arguments,
            }
        case McpApprovalResponse():
            decision: Json = {
                "type": "mcp_approval_response",
                "approval_request_id": item.approval_request_id,
                "approve": item.approve,
            }
            return decision | ({"reason": item.reason} if item.reason else {})
        case _:
            assert_never(item)


def _tool(tool: McpTool) -> Json:
    shown: Json = {"name": tool.name, "description": tool.description, "input_schema": raw(tool.input_schema)}
    return shown | ({"annotations": raw(tool.annotations)} if tool.annotations else {})


def _call_extras(item: McpCall) -> Json:
    extras: Json = {}
    if item.approval_request_id is not None:
        extras["approval_request_id"] = item.approval_request_id
    if item.error is not None:
        code = {} if item.error.type == "tool_execution_error" else {"code": item.error.code}
        extras["error"] = {"type": item.error.type, "message": item.error.message, **code}
    return extras


def _content(part: Content, *, whole: bool) -> Json:
    match part:
        case InputText():
            return {"type": "input_text", "text": part.text}
        case OutputText():
            return {"type": "output_text", "text": part.text}
        case InputAudio():
            return audio_part("input_audio", part, whole=whole)
        case OutputAudio():
            return audio_part("output_audio", part, whole=whole)
        case InputImage():
            image: Json = {"type": "input_image", "detail": part.detail}
            if whole or not part.image_url.startswith("data:"):
                image["image_url"] = part.image_url
            return image
        case _:
            assert_never(part)
