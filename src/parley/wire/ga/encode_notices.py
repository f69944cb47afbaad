"""Notices as server events of the GA protocol: the event's type and its members, in the order of the real wire.

Laws: the table is closed, a new notice without a line here is a type error; what the dialect has no event for is None. The event's own
id and JSON text are the encoder's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from parley.core.words import notices as n
from parley.core.words.shell_notices import KeypadPressed
from parley.core.words.translation_notices import TranslationPlaying, UnstableWordsChanged
from parley.core.words.turn_measured import TurnMeasured
from parley.core.words.unstable_transcript import UnstableTranscript
from parley.wire import encode_events as common
from parley.wire.encoding import Json, Named
from parley.wire.field_paths import ga_path
from parley.wire.ga.encode_items import item_object
from parley.wire.ga.encode_response import response_object
from parley.wire.ga.encode_session import session_object

OUTPUT = "response.output_"
"""Begins the types of the events that carry the content of a part."""

McpNotice = n.McpArgumentsDelta | n.McpArgumentsDone | n.McpCallProgress | n.McpListProgress


def server_event(notice: n.Notice, wall_s: Callable[[], float]) -> Named | None:
    """The event of a notice; `wall_s` gives Unix seconds."""
    match notice:
        case n.SessionCreated():
            return "session.created", _session(notice, wall_s())
        case n.SessionUpdated():
            return "session.updated", _session(notice, wall_s())
        case (
            n.ConversationCreated()
            | n.ClauseTranslated()
            | UnstableWordsChanged()
            | TranslationPlaying()
            | n.TranslationClosed()
        ):
            return None
        case n.ErrorRaised():
            return common.error_event(notice, ga_path)
        case n.RateLimitsUpdated():
            return common.rate_limits(notice)
        case TurnMeasured():
            return common.turn_metrics(notice)
        case UnstableTranscript():
            return common.unstable_transcript(notice)
        case KeypadPressed():
            return common.keypad_event(notice)
        case n.IdleTimeoutTriggered():
            return _timeout_event(notice)
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
    if isinstance(notice, McpNotice):
        return mcp_event(notice)
    assert_never(notice)


def _session(notice: n.SessionCreated | n.SessionUpdated, now_s: float) -> Json:
    return {"session": session_object(notice.session_id, notice.settings, common.expires_at(notice, now_s))}


def _timeout_event(notice: n.IdleTimeoutTriggered) -> Named:
    return "input_audio_buffer.timeout_triggered", {
        "audio_start_ms": notice.audio_start_ms,
        "audio_end_ms": notice.audio_end_ms,
        "item_id": notice.item_id,
    }


def item_event(notice: common.ItemNotice) -> Named:
    """What happened to the conversation."""
    match notice:
        case n.ItemAdded() | n.ItemDone():
            kind = "conversation.item.added" if isinstance(notice, n.ItemAdded) else "conversation.item.done"
            return kind, {"previous_item_id": notice.previous_item_id, "item": item_object(notice.item)}
        case n.ItemRetrieved():
            return common.retrieved(item_object(notice.item, whole=True))
        case n.ItemTruncated():
            return common.truncated(notice)
        case n.ItemDeleted():
            return common.deleted(notice)
        case _:
            assert_never(notice)


def response_event(notice: common.ResponseNotice) -> Named:
    """What happened to a response as a whole, to its items and its calls."""
    match notice:
        case n.ResponseCreated():
            return "response.created", {"response": response_object(notice.response)}
        case n.ResponseDone():
            return "response.done", {"response": response_object(notice.response)}
        case n.OutputItemAdded() | n.OutputItemDone():
            return common.output_item_event(notice, item_object(notice.item))
        case n.FunctionArgumentsDelta():
            return common.arguments_delta(notice)
        case n.FunctionArgumentsDone():
            return common.arguments_done(notice, named=True)
        case _:
            assert_never(notice)


def mcp_event(notice: McpNotice) -> Named:
    """What happens to a call of an MCP server's tool, and to the question which tools it has."""
    match notice:
        case n.McpArgumentsDelta():
            # A stock client drops the event without `obfuscation`.
            return "response.mcp_call_arguments.delta", _argued(notice) | {"delta": notice.delta, "obfuscation": ""}
        case n.McpArgumentsDone():
            return "response.mcp_call_arguments.done", _argued(notice) | {"arguments": notice.arguments}
        case n.McpCallProgress():
            body: Json = {"item_id": notice.item_id, "output_index": notice.output_index}
            return f"response.mcp_call.{notice.state}", body
        case n.McpListProgress():
            return f"mcp_list_tools.{notice.state}", {"item_id": notice.item_id}
        case _:
            assert_never(notice)


def _argued(notice: n.McpArgumentsDelta | n.McpArgumentsDone) -> Json:
    return {"response_id": notice.response_id, "item_id": notice.item_id, "output_index": notice.output_index}
