"""Reads the items that clients create, and the items and references of a response's own input.

Laws: an id that the client gave is kept verbatim, none is ""; audio is decoded, but its format is the session's (the item
says PCM16 until the session sets it); `status` has no effect and is kept; `object` may only be "realtime.item".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import (
    Content,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputText,
    Item,
    ItemReference,
    ItemStatus,
    Message,
    OutputAudio,
    OutputText,
)
from parley.core.words.limits import MAX_APPEND_BYTES, MAX_ITEM_TEXT
from parley.wire import limits
from parley.wire.schema import Fields, Reader, array, audio, fields, invalid, missing, one_of, record, shown, text

Role = Literal["user", "assistant", "system"]
ReadContent = Callable[[Fields], Content]
ReadItem = Callable[[Fields, ItemId], Item]

ID = text(limits.MAX_ID, 1)

_WORDS = text(MAX_ITEM_TEXT)
_AUDIO = audio(MAX_APPEND_BYTES)
_ROLE: Reader[Role] = one_of("user", "assistant", "system")
_OBJECT = one_of("realtime.item")
_STATUS: Reader[ItemStatus] = one_of("in_progress", "completed", "incomplete")


class ItemReader:
    """Reads items of one dialect. `content` has the readers of content parts by role and type, `others` those of item types beyond
    messages, function calls and their outputs; `foreign` are another dialect's content types, with their names here."""

    def __init__(
        self,
        content: Mapping[Role, Mapping[str, ReadContent]],
        *,
        others: Mapping[str, ReadItem],
        foreign: tuple[str, Mapping[str, str]],
    ) -> None:
        types = ("message", "function_call", "function_call_output", *others)
        self.types = types
        self._type = one_of(*types)
        self._input_type = one_of(*types, "item_reference")
        self._others = others
        self._content = {
            role: array(_part(readers, foreign), limits.MAX_CONTENT_PARTS) for role, readers in content.items()
        }

    def item(self, value: object, path: str) -> Item:
        """An item of `conversation.item.create`."""
        members = fields(value, path)
        return self._item(members, members.take("type", self._type))

    def input_item(self, value: object, path: str) -> Item | ItemReference:
        """An element of a response's own input: an item, or the id of one in the conversation."""
        members = fields(value, path)
        named = members.take("type", self._input_type)
        if named != "item_reference":
            return self._item(members, named)
        reference = ItemReference(ItemId(members.take("id", ID)))
        members.finish()
        return reference

    def _item(self, members: Fields, named: str) -> Item:
        given = ItemId(members.find("id", ID) or "")
        members.find("object", _OBJECT)
        status = members.find("status", _STATUS) or "completed"
        made: Item
        if named == "message":
            role = members.take("role", _ROLE)
            made = Message(given, role, members.take("content", self._content[role]), status)
        elif named == "function_call":
            name = members.take("name", text(limits.MAX_NAME, 1))
            call_id = CallId(members.find("call_id", ID) or "")
            made = FunctionCall(given, call_id, name, members.take("arguments", _WORDS), status)
        elif named == "function_call_output":
            call_id = CallId(members.take("call_id", ID))
            made = FunctionCallOutput(given, call_id, members.take("output", _WORDS), status)
        else:
            made = self._others[named](members, given)
        members.finish()
        return made


def _part(readers: Mapping[str, ReadContent], foreign: tuple[str, Mapping[str, str]]) -> Reader[Content]:
    supported = one_of(*readers)
    dialect, names = foreign

    def named(value: object, path: str) -> str:
        if isinstance(value, str) and names.get(value) in readers:
            raise invalid(path, f"Invalid value for '{path}': {shown(value)}, the {dialect} name of '{names[value]}'.")
        return supported(value, path)

    return record(lambda members: readers[members.take("type", named)](members))


def input_text(members: Fields) -> InputText:
    return InputText(members.take("text", _WORDS))


def output_text(members: Fields) -> OutputText:
    return OutputText(members.take("text", _WORDS))


def input_audio(members: Fields) -> InputAudio:
    """The user's audio, its words, or both; one of them must be there."""
    heard, transcript = members.find("audio", _AUDIO), members.find("transcript", _WORDS)
    if heard is None and transcript is None:
        raise missing(members.at("audio"))
    return InputAudio(transcript=transcript, audio=heard)


def output_audio(members: Fields) -> OutputAudio:
    """The assistant's audio; without its words there is nothing that a model could read again."""
    spoken = members.find("audio", _AUDIO)
    return OutputAudio(transcript=members.take("transcript", _WORDS), audio=spoken)
