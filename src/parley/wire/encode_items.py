"""Items as JSON values of the GA protocol.

Laws: a member is there with a value or not there at all, except `transcript` of the user's audio, which is null until it is known
(clients drop events with other nulls, and fail without that key). Audio, and images sent as data, appear only in
`conversation.item.retrieved`: elsewhere they would outgrow what clients can receive.
"""

from __future__ import annotations

from binascii import b2a_base64
from typing import assert_never

from parley.core.items import (
    Content,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    Message,
    OutputAudio,
    OutputText,
)

Json = dict[str, object]


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
        case _:
            assert_never(item)


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


def base64_text(audio: bytes) -> str:
    return b2a_base64(audio, newline=False).decode("ascii")
