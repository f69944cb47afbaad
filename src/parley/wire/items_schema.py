"""Reads the items that clients create, and the items and references of a response's own input.

Laws: an id that the client gave is kept verbatim, none is ""; audio is decoded but its format is the session's to name (it stands
in the item as PCM16 until the session says otherwise); `status` has no effect and is kept; `object` may only be "realtime.item".
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import (
    Content,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    ItemReference,
    ItemStatus,
    Message,
    OutputAudio,
    OutputText,
)
from parley.core.words.limits import MAX_APPEND_BYTES, MAX_IMAGE_BYTES, MAX_ITEM_TEXT
from parley.wire import limits, mcp_schema
from parley.wire.schema import Fields, Reader, array, audio, fields, invalid, missing, one_of, record, shown, text

Role = Literal["user", "assistant", "system"]

ID = text(limits.MAX_ID, 1)
ITEM_TYPES = ("message", "function_call", "function_call_output", *mcp_schema.ITEM_TYPES)

_WORDS = text(MAX_ITEM_TEXT)
_AUDIO = audio(MAX_APPEND_BYTES)
_ROLE: Reader[Role] = one_of("user", "assistant", "system")
_TYPE = one_of(*ITEM_TYPES)
_INPUT_TYPE = one_of(*ITEM_TYPES, "item_reference")
_OBJECT = one_of("realtime.item")
_STATUS: Reader[ItemStatus] = one_of("in_progress", "completed", "incomplete")
_DETAIL: Reader[Literal["auto", "low", "high"]] = one_of("auto", "low", "high")
_IMAGE_DATA = re.compile(r"data:image/(png|jpe?g|webp|gif);base64,")
_CONTENT_TYPES = {
    "user": ("input_text", "input_audio", "input_image"),
    "assistant": ("output_text", "output_audio"),
    "system": ("input_text",),
}
_BETA_CONTENT = {"text": "output_text", "audio": "output_audio"}


def item(value: object, path: str) -> Item:
    """An item of `conversation.item.create`."""
    members = fields(value, path)
    return _item(members, members.take("type", _TYPE))


def input_item(value: object, path: str) -> Item | ItemReference:
    """An element of a response's own input: an item, or the id of one in the conversation."""
    members = fields(value, path)
    named = members.take("type", _INPUT_TYPE)
    if named != "item_reference":
        return _item(members, named)
    reference = ItemReference(ItemId(members.take("id", ID)))
    members.finish()
    return reference


def _item(members: Fields, named: str) -> Item:
    given = ItemId(members.find("id", ID) or "")
    members.find("object", _OBJECT)
    status = members.find("status", _STATUS) or "completed"
    made: Item
    if named == "message":
        role = members.take("role", _ROLE)
        made = Message(given, role, members.take("content", _CONTENT[role]), status)
    elif named == "function_call":
        name = members.take("name", text(limits.MAX_NAME, 1))
        made = FunctionCall(
            given, CallId(members.find("call_id", ID) or ""), name, members.take("arguments", _WORDS), status
        )
    elif named in mcp_schema.ITEM_TYPES:
        made = mcp_schema.mcp_item(members, named, given)
    else:
        made = FunctionCallOutput(given, CallId(members.take("call_id", ID)), members.take("output", _WORDS), status)
    members.finish()
    return made


def _content(role: Role) -> Reader[Content]:
    supported = one_of(*_CONTENT_TYPES[role])

    def named(value: object, path: str) -> str:
        if role == "assistant" and isinstance(value, str) and value in _BETA_CONTENT:
            raise invalid(
                path, f"Invalid value for '{path}': {shown(value)}, the beta name of '{_BETA_CONTENT[value]}'."
            )
        return supported(value, path)

    def reader(members: Fields) -> Content:
        match members.take("type", named):
            case "input_text":
                return InputText(members.take("text", _WORDS))
            case "input_audio":
                return _input_audio(members)
            case "input_image":
                detail = members.find("detail", _DETAIL) or "auto"
                return InputImage(members.take("image_url", _image_url), detail)
            case "output_text":
                return OutputText(members.take("text", _WORDS))
            case _:
                return _output_audio(members)

    return record(reader)


_CONTENT: dict[str, Reader[tuple[Content, ...]]] = {
    role: array(_content(role), limits.MAX_CONTENT_PARTS) for role in get_args(Role)
}


def _input_audio(members: Fields) -> InputAudio:
    """The user's audio, its words, or both; one of them must be there."""
    heard, transcript = members.find("audio", _AUDIO), members.find("transcript", _WORDS)
    if heard is None and transcript is None:
        raise missing(members.at("audio"))
    return InputAudio(transcript=transcript, audio=heard)


def _output_audio(members: Fields) -> OutputAudio:
    """The assistant's audio; without its words there is nothing that a model could read again."""
    spoken = members.find("audio", _AUDIO)
    return OutputAudio(transcript=members.take("transcript", _WORDS), audio=spoken)


def _image_url(value: object, path: str) -> str:
    url = text(MAX_IMAGE_BYTES, 1)(value, path)
    if _IMAGE_DATA.match(url):
        return url
    if not url.startswith("https://"):
        raise invalid(
            path,
            f"Invalid '{path}': {shown(url)}. Expected 'data:image/png;base64,…' (or jpeg, webp, gif) or an https URL.",
        )
    return text(limits.MAX_IMAGE_LINK)(url, path)
