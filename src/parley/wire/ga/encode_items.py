"""Items as JSON values of the GA protocol.

Laws: a member is there with a value or not there at all, except `transcript` of the user's audio and `output` of an MCP call, which
are null until they are known (clients drop events with other nulls, and fail without those keys). Audio, and images sent as data, appear
only in `conversation.item.retrieved`: elsewhere they would outgrow what clients can receive.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

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
    McpTool,
    Message,
    OutputAudio,
    OutputText,
)
from parley.wire.encoding import Json, base64_text


def item_object(item: Item, *, whole: bool = False) -> Json:
    """The item; `whole` adds the audio that it holds and images sent as data."""
    match item:
        case Message():
            return {
                "id": item.id,
                "type": "message",
                "status": item.status,
                "role": item.role,
                "content": [_content(part, whole) for part in item.content],
            }
        case FunctionCall():
            return {
                "id": item.id,
                "type": "function_call",
                "status": item.status,
                "name": item.name,
                "call_id": item.call_id,
                "arguments": item.arguments,
            }
        case FunctionCallOutput():
            return {
                "id": item.id,
                "type": "function_call_output",
                "status": item.status,
                "call_id": item.call_id,
                "output": item.output,
            }
        case McpListTools():
            tools = [_tool(tool) for tool in item.tools]
            return {"id": item.id, "type": "mcp_list_tools", "server_label": item.server_label, "tools": tools}
        case McpCall():
            return {
                "id": item.id,
                "type": "mcp_call",
                "server_label": item.server_label,
                "name": item.name,
                "arguments": item.arguments,
                "output": item.output,
                **_call_extras(item),
            }
        case McpApprovalRequest():
            return {
                "id": item.id,
                "type": "mcp_approval_request",
                "server_label": item.server_label,
                "name": item.name,
                "arguments": item.arguments,
            }
        case McpApprovalResponse():
            decision: Json = {
                "id": item.id,
                "type": "mcp_approval_response",
                "approval_request_id": item.approval_request_id,
                "approve": item.approve,
            }
            return decision | ({"reason": item.reason} if item.reason else {})
        case _:
            assert_never(item)


def _tool(tool: McpTool) -> Json:
    shown: Json = {"name": tool.name, "description": tool.description, "input_schema": _raw(tool.input_schema)}
    return shown | ({"annotations": _raw(tool.annotations)} if tool.annotations else {})


def _raw(json_text: str) -> msgspec.Raw:
    return msgspec.Raw(json_text.encode())


def _call_extras(item: McpCall) -> Json:
    extras: Json = {}
    if item.approval_request_id is not None:
        extras["approval_request_id"] = item.approval_request_id
    if item.error is not None:
        code = {} if item.error.type == "tool_execution_error" else {"code": item.error.code}
        extras["error"] = {"type": item.error.type, "message": item.error.message, **code}
    return extras


def _content(part: Content, whole: bool) -> Json:
    match part:
        case InputText():
            return {"type": "input_text", "text": part.text}
        case OutputText():
            return {"type": "output_text", "text": part.text}
        case InputAudio():
            return {"type": "input_audio", "transcript": part.transcript, **_audio(part.audio, whole)}
        case OutputAudio():
            return {"type": "output_audio", "transcript": part.transcript, **_audio(part.audio, whole)}
        case InputImage():
            image: Json = {"type": "input_image", "detail": part.detail}
            if whole or not part.image_url.startswith("data:"):
                image["image_url"] = part.image_url
            return image
        case _:
            assert_never(part)


def _audio(audio: bytes | None, whole: bool) -> Json:
    return {"audio": base64_text(audio)} if whole and audio is not None else {}
