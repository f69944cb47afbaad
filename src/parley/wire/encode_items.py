"""Items that all dialects have, as JSON values.

Laws: a member is there with a value or not there at all, except `transcript` of the user's audio, which is null until it is known
(clients drop events with other nulls, and fail without that key). Audio appears only in `conversation.item.retrieved`: elsewhere it
would outgrow what clients can receive.
"""

from __future__ import annotations

from collections.abc import Callable

from parley.core.words.items import Content, FunctionCall, FunctionCallOutput, InputAudio, Message, OutputAudio
from parley.wire.encoding import Json, base64_text

ConversationItem = Message | FunctionCall | FunctionCallOutput


def item_members(item: ConversationItem, content: Callable[[Content], Json | None]) -> Json:
    """The item's members but its id; `content` writes a part of a message, None leaves it out."""
    match item:
        case Message():
            parts = [content(part) for part in item.content]
            return {
                "type": "message",
                "status": item.status,
                "role": item.role,
                "content": [part for part in parts if part is not None],
            }
        case FunctionCall():
            return {
                "type": "function_call",
                "status": item.status,
                "name": item.name,
                "call_id": item.call_id,
                "arguments": item.arguments,
            }
        case FunctionCallOutput():
            return {
                "type": "function_call_output",
                "status": item.status,
                "call_id": item.call_id,
                "output": item.output,
            }


def audio_part(kind: str, part: InputAudio | OutputAudio, *, whole: bool) -> Json:
    """A part with its transcript; `whole` adds the audio that it holds."""
    audio = {"audio": base64_text(part.audio)} if whole and part.audio is not None else {}
    return {"type": kind, "transcript": part.transcript, **audio}
