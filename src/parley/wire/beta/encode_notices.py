"""Notices as server events of the beta dialect: the event's type and its members.

Laws: the table is closed, a new notice without a line here is a type error. None where the beta has no event: an item's end (it knows
only `conversation.item.created`), idle timeouts, and all that concerns MCP servers, whose items are left out of responses too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import assert_never

from parley.core.words import notices as n
from parley.core.words.items import (
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
from parley.core.words.shell_notices import KeypadPressed
from parley.core.words.turn_measured import TurnMeasured
from parley.core.words.unstable_transcript import UnstableTranscript
from parley.wire import encode_events as common
from parley.wire.beta.encode_session import format_name, modalities, session_object, temperature
from parley.wire.encode_items import audio_part, item_members
from parley.wire.encode_settings import token_limit
from parley.wire.encoding import Json, Named
from parley.wire.field_paths import beta_path

OUTPUT = "response."
"""Begins the types of the events that carry the content of a part."""

OmittedNotice = (
    n.IdleTimeoutTriggered
    | n.McpArgumentsDelta
    | n.McpArgumentsDone
    | n.McpCallProgress
    | n.McpListProgress
    | n.TranslationNotice
    | KeypadPressed
)
"""Notices about features that no client of this dialect can request."""


def server_event(notice: n.Notice, wall_s: Callable[[], float]) -> Named | None:
    """The event of a notice; `wall_s` gives Unix seconds."""
    match notice:
        case n.SessionCreated() | n.SessionUpdated():
            return _session_event(notice, wall_s())
        case n.ConversationCreated():
            conversation: Json = {"id": notice.conversation_id, "object": "realtime.conversation"}
            return "conversation.created", {"conversation": conversation}
        case n.ErrorRaised():
            return common.error_event(notice, beta_path)
        case n.RateLimitsUpdated():
            return common.rate_limits(notice)
        case TurnMeasured():
            return common.turn_metrics(notice)
        case UnstableTranscript():
            return common.unstable_transcript(notice)
    if isinstance(notice, common.PartNotice):
        return common.part_event(notice, OUTPUT)
    if isinstance(notice, common.InputNotice):
        return common.input_event(notice)
    if isinstance(notice, common.ItemNotice):
        return item_event(notice)
    if isinstance(notice, common.ResponseNotice):
        return response_event(notice)
    if isinstance(notice, common.OutputBufferNotice):
        return common.output_buffer_event(notice)
    if isinstance(notice, OmittedNotice):
        return None
    assert_never(notice)


def _session_event(notice: n.SessionCreated | n.SessionUpdated, now_s: float) -> Named:
    prefix = "session" if notice.settings.kind == "realtime" else "transcription_session"
    kind = "created" if isinstance(notice, n.SessionCreated) else "updated"
    return f"{prefix}.{kind}", {
        "session": session_object(notice.session_id, notice.settings, common.expires_at(notice, now_s))
    }


def item_event(notice: common.ItemNotice) -> Named | None:
    """What happened to the conversation."""
    match notice:
        case n.ItemAdded():
            item = item_object(notice.item)
            body: Json = {"previous_item_id": notice.previous_item_id, "item": item}
            return None if item is None else ("conversation.item.created", body)
        case n.ItemDone():
            return None
        case n.ItemRetrieved():
            whole = item_object(notice.item, whole=True)
            return None if whole is None else common.retrieved(whole)
        case n.ItemTruncated():
            return common.truncated(notice)
        case n.ItemDeleted():
            return common.deleted(notice)
        case _:
            assert_never(notice)


def response_event(notice: common.ResponseNotice) -> Named | None:
    """What happened to a response as a whole, to its items and its calls."""
    match notice:
        case n.ResponseCreated():
            return "response.created", {"response": response_object(notice.response)}
        case n.ResponseDone():
            return "response.done", {"response": response_object(notice.response)}
        case n.OutputItemAdded() | n.OutputItemDone():
            item = item_object(notice.item)
            return None if item is None else common.output_item_event(notice, item)
        case n.FunctionArgumentsDelta():
            return common.arguments_delta(notice)
        case n.FunctionArgumentsDone():
            return common.arguments_done(notice, named=False)
        case _:
            assert_never(notice)


def response_object(view: n.ResponseView) -> Json:
    """The response, its output without audio."""
    items = [item_object(item) for item in view.output]
    return {
        "object": "realtime.response",
        "id": view.id,
        "status": view.status,
        "status_details": common.status_details(view),
        "output": [item for item in items if item is not None],
        "conversation_id": view.conversation_id,
        "modalities": modalities(view.modality),
        "voice": view.voice,
        "output_audio_format": format_name(view.output_format),
        "temperature": temperature(view.temperature),
        "max_output_tokens": token_limit(view.max_output_tokens),
        "usage": None if view.usage is None else common.usage_object(view.usage, detailed=False),
        "metadata": None if view.metadata is None else dict(view.metadata),
    }


def item_object(item: Item, *, whole: bool = False) -> Json | None:
    """The item; `whole` adds the audio that it holds. None for what the beta has no item for."""
    if not isinstance(item, Message | FunctionCall | FunctionCallOutput):
        return None
    return {"id": item.id, "object": "realtime.item", **item_members(item, partial(_content, whole=whole))}


def _content(part: Content, *, whole: bool) -> Json | None:
    match part:
        case InputText():
            return {"type": "input_text", "text": part.text}
        case OutputText():
            return {"type": "text", "text": part.text}
        case InputAudio():
            return audio_part("input_audio", part, whole=whole)
        case OutputAudio():
            return audio_part("audio", part, whole=whole)
        case InputImage():
            return None
        case _:
            assert_never(part)
