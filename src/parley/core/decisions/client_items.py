"""Items from a client: checked, completed with defaults, and converted to the session's formats.

Laws: does not change the session; a refusal is a `PeerError` that names the field and the remedy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from parley.core.regions.entry import Entry
from parley.core.state import State
from parley.core.words.errors import PeerError
from parley.core.words.items import (
    Content,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    Item,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpListTools,
    Message,
    OutputAudio,
    text_of,
)
from parley.core.words.limits import MAX_AUDIO_PARTS, MAX_IMAGE_BYTES, MAX_ITEM_TEXT


def accept_item(st: State, item: Item, where: str) -> Entry:
    """The item as an entry, checked and with an id; its audio is not transcribed yet. Raises `PeerError`."""
    if not item.id:
        item = replace(item, id=st.ids.item())
    size = 0
    audio = 0
    match item:
        case Message(content=content):
            for index, part in enumerate(content):
                size += len(text_of(part))
                if isinstance(part, InputImage):
                    _check_image(st, part, f"{where}.content[{index}]")
                if isinstance(part, InputAudio) and part.audio is not None:
                    audio += st.input.format.samples(len(part.audio))
            if sum(isinstance(part, InputAudio) for part in content) > MAX_AUDIO_PARTS:
                raise PeerError(
                    f"An item holds at most {MAX_AUDIO_PARTS} parts of audio; join them or send several items.",
                    code="invalid_value",
                    field=f"{where}.content",
                )
            item = replace(item, content=tuple(_in_our_formats(st, part) for part in content))
        case FunctionCall(arguments=text):
            size = len(text)
            item = item if item.call_id else replace(item, call_id=st.ids.call())
        case FunctionCallOutput(output=text):
            size = len(text)
        case McpCall() | McpListTools() | McpApprovalRequest() | McpApprovalResponse():
            pass  # the wire has bounded them
        case _:
            assert_never(item)
    if size > MAX_ITEM_TEXT:
        raise PeerError(f"An item holds at most {MAX_ITEM_TEXT} characters.", code="invalid_value", field=where)
    return Entry(replace(item, status="completed") if item.status == "in_progress" else item, input_samples=audio)


def _in_our_formats(st: State, part: Content) -> Content:
    """Audio from a client is in the session's formats, for input and for output."""
    match part:
        case InputAudio():
            return replace(part, format=st.settings.input_format)
        case OutputAudio():
            return replace(part, format=st.settings.output_format)
        case _:
            return part


def _check_image(st: State, image: InputImage, where: str) -> None:
    if not st.capabilities.images:
        raise PeerError(
            "The language model of this pipeline cannot see images; choose one that can.",
            code="unsupported_content_type",
            field=f"{where}.type",
        )
    if len(image.image_url) > MAX_IMAGE_BYTES:
        raise PeerError(
            f"An image may take {MAX_IMAGE_BYTES // 1024 // 1024} MiB at the most.",
            code="invalid_value",
            field=f"{where}.image_url",
        )


def untranscribed_audio(item: Item) -> list[tuple[int, bytes]]:
    """The audio of a message without a transcript: its place in the content, and its whole samples."""
    if not isinstance(item, Message):
        return []
    parts = [
        (index, part.audio[: len(part.audio) - len(part.audio) % part.format.frame_bytes])
        for index, part in enumerate(item.content)
        if isinstance(part, InputAudio) and part.audio and part.transcript is None
    ]
    return [(index, audio) for index, audio in parts if audio]
