"""The values a conversation is made of.

Laws: frozen; audio is bytes in the wire format they came or went in; `transcript` is None while it is unknown. What
the listener heard of an assistant's words is already applied in the items that leave the core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parley.core.ids import CallId, ItemId
from parley.core.settings import AudioFormat

ItemStatus = Literal["in_progress", "completed", "incomplete"]


@dataclass(frozen=True, slots=True)
class InputText:
    text: str


@dataclass(frozen=True, slots=True)
class InputAudio:
    """`audio` is None where it is not asked for or no longer kept."""

    transcript: str | None = None
    audio: bytes | None = None
    format: AudioFormat = AudioFormat.PCM16


@dataclass(frozen=True, slots=True)
class InputImage:
    image_url: str
    detail: Literal["auto", "low", "high"] = "auto"


@dataclass(frozen=True, slots=True)
class OutputText:
    text: str


@dataclass(frozen=True, slots=True)
class OutputAudio:
    """`exact` is False where the words kept after a truncation were reckoned in proportion to the audio."""

    transcript: str
    audio: bytes | None = None
    format: AudioFormat = AudioFormat.PCM16
    exact: bool = True


Content = InputText | InputAudio | InputImage | OutputText | OutputAudio


@dataclass(frozen=True, slots=True)
class Message:
    id: ItemId
    role: Literal["user", "assistant", "system"]
    content: tuple[Content, ...]
    status: ItemStatus = "completed"


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """`arguments` is JSON text."""

    id: ItemId
    call_id: CallId
    name: str
    arguments: str
    status: ItemStatus = "completed"


@dataclass(frozen=True, slots=True)
class FunctionCallOutput:
    id: ItemId
    call_id: CallId
    output: str
    status: ItemStatus = "completed"


Item = Message | FunctionCall | FunctionCallOutput


@dataclass(frozen=True, slots=True)
class ItemReference:
    """Stands, in a response's own input, for an item of the conversation."""

    id: ItemId
