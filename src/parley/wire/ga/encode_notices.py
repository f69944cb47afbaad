"""Notices as server events of the GA protocol: the event's type and its members, in the order of the real wire.

Laws: the table is closed, a new notice without a line here is a type error; what a dialect doesn't say is None. The event's own id
and JSON text are the encoder's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import msgspec

from parley.core.words import notices as n
from parley.core.words.settings import Modality
from parley.wire.encoding import Json, Named, base64_text, error_param, part_members
from parley.wire.field_paths import ga_path
from parley.wire.ga.encode_items import item_object
from parley.wire.ga.encode_response import response_object
from parley.wire.ga.encode_session import session_object

InputNotice = (
    n.SpeechStarted
    | n.SpeechStopped
    | n.IdleTimeoutTriggered
    | n.InputCommitted
    | n.InputCleared
    | n.TranscriptionDelta
    | n.TranscriptionCompleted
    | n.TranscriptionFailedNotice
)
ItemNotice = n.ItemAdded | n.ItemDone | n.ItemRetrieved | n.ItemTruncated | n.ItemDeleted
ResponseNotice = (
    n.ResponseCreated
    | n.ResponseDone
    | n.OutputItemAdded
    | n.OutputItemDone
    | n.FunctionArgumentsDelta
    | n.FunctionArgumentsDone
    | n.OutputBufferStarted
    | n.OutputBufferStopped
    | n.OutputBufferCleared
)
PartNotice = (
    n.ContentPartAdded
    | n.ContentPartDone
    | n.OutputTextDelta
    | n.OutputTextDone
    | n.OutputTranscriptDelta
    | n.OutputTranscriptDone
    | n.OutputAudioDelta
    | n.OutputAudioDone
)
McpNotice = n.McpArgumentsDelta | n.McpArgumentsDone | n.McpCallProgress | n.McpListProgress


def server_event(notice: n.Notice, wall_s: Callable[[], float]) -> Named | None:
    """The event of a notice; `wall_s` gives Unix seconds."""
    match notice:
        case n.SessionCreated():
            return "session.created", _session(notice, wall_s())
        case n.SessionUpdated():
            return "session.updated", _session(notice, wall_s())
        case n.ConversationCreated():
            return None
        case n.ErrorRaised():
            return "error", {"error": _error(notice)}
        case n.RateLimitsUpdated():
            return "rate_limits.updated", {"rate_limits": [_rate_limit(limit) for limit in notice.limits]}
    if isinstance(notice, PartNotice):
        return part_event(notice)
    if isinstance(notice, InputNotice):
        return input_event(notice)
    if isinstance(notice, ItemNotice):
        return item_event(notice)
    if isinstance(notice, ResponseNotice):
        return response_event(notice)
    if isinstance(notice, McpNotice):
        return mcp_event(notice)
    assert_never(notice)


def _session(notice: n.SessionCreated | n.SessionUpdated, now_s: float) -> Json:
    expires_at = round(now_s + notice.expires_in_ms / 1000)
    return {"session": session_object(notice.session_id, notice.settings, expires_at)}


def _error(notice: n.ErrorRaised) -> Json:
    return {
        "type": notice.kind,
        "code": notice.code,
        "message": notice.message,
        "param": error_param(notice, ga_path),
        "event_id": notice.client_event_id,
    }


def _rate_limit(limit: n.RateLimit) -> Json:
    return {
        "name": limit.name,
        "limit": limit.limit,
        "remaining": limit.remaining,
        "reset_seconds": limit.reset_seconds,
    }


def input_event(notice: InputNotice) -> Named:
    """What happened to the user's audio."""
    match notice:
        case n.SpeechStarted():
            return "input_audio_buffer.speech_started", {
                "audio_start_ms": notice.audio_start_ms,
                "item_id": notice.item_id,
            }
        case n.SpeechStopped():
            return "input_audio_buffer.speech_stopped", {"audio_end_ms": notice.audio_end_ms, "item_id": notice.item_id}
        case n.IdleTimeoutTriggered():
            return "input_audio_buffer.timeout_triggered", {
                "audio_start_ms": notice.audio_start_ms,
                "audio_end_ms": notice.audio_end_ms,
                "item_id": notice.item_id,
            }
        case n.InputCommitted():
            return "input_audio_buffer.committed", {
                "previous_item_id": notice.previous_item_id,
                "item_id": notice.item_id,
            }
        case n.InputCleared():
            return "input_audio_buffer.cleared", {}
        case n.TranscriptionDelta() | n.TranscriptionCompleted() | n.TranscriptionFailedNotice():
            return _transcription_event(notice)
        case _:
            assert_never(notice)


def _transcription_event(
    notice: n.TranscriptionDelta | n.TranscriptionCompleted | n.TranscriptionFailedNotice,
) -> Named:
    prefix = "conversation.item.input_audio_transcription."
    body: Json = {"item_id": notice.item_id, "content_index": notice.content_index}
    match notice:
        case n.TranscriptionDelta():
            return prefix + "delta", body | {"delta": notice.delta}
        case n.TranscriptionCompleted():
            body |= {"transcript": notice.transcript, "usage": {"type": "duration", "seconds": notice.seconds}}
            if notice.logprobs:
                body["logprobs"] = msgspec.Raw(notice.logprobs.encode())
            return prefix + "completed", body
        case n.TranscriptionFailedNotice():
            error: Json = {"type": "transcription_error", "code": notice.code, "message": notice.message}
            return prefix + "failed", body | {"error": error}
        case _:
            assert_never(notice)


def item_event(notice: ItemNotice) -> Named:
    """What happened to the conversation."""
    match notice:
        case n.ItemAdded():
            return "conversation.item.added", {
                "previous_item_id": notice.previous_item_id,
                "item": item_object(notice.item),
            }
        case n.ItemDone():
            return "conversation.item.done", {
                "previous_item_id": notice.previous_item_id,
                "item": item_object(notice.item),
            }
        case n.ItemRetrieved():
            return "conversation.item.retrieved", {"item": item_object(notice.item, whole=True)}
        case n.ItemTruncated():
            return "conversation.item.truncated", {
                "item_id": notice.item_id,
                "content_index": notice.content_index,
                "audio_end_ms": notice.audio_end_ms,
            }
        case n.ItemDeleted():
            return "conversation.item.deleted", {"item_id": notice.item_id}
        case _:
            assert_never(notice)


def response_event(notice: ResponseNotice) -> Named:
    """What happened to a response as a whole, to its items and its calls."""
    match notice:
        case n.ResponseCreated():
            return "response.created", {"response": response_object(notice.response)}
        case n.ResponseDone():
            return "response.done", {"response": response_object(notice.response)}
        case n.OutputItemAdded():
            return "response.output_item.added", _output_item(notice)
        case n.OutputItemDone():
            return "response.output_item.done", _output_item(notice)
        case n.FunctionArgumentsDelta():
            return "response.function_call_arguments.delta", _call(notice) | {"delta": notice.delta}
        case n.FunctionArgumentsDone():
            body = _call(notice) | {"name": notice.name, "arguments": notice.arguments}
            return "response.function_call_arguments.done", body
        case n.OutputBufferStarted():
            return "output_audio_buffer.started", {"response_id": notice.response_id}
        case n.OutputBufferStopped():
            return "output_audio_buffer.stopped", {"response_id": notice.response_id}
        case n.OutputBufferCleared():
            return "output_audio_buffer.cleared", {"response_id": notice.response_id}
        case _:
            assert_never(notice)


def _output_item(notice: n.OutputItemAdded | n.OutputItemDone) -> Json:
    return {
        "response_id": notice.response_id,
        "output_index": notice.output_index,
        "item": item_object(notice.item),
    }


def _call(notice: n.FunctionArgumentsDelta | n.FunctionArgumentsDone) -> Json:
    return {
        "response_id": notice.response_id,
        "item_id": notice.item_id,
        "output_index": notice.output_index,
        "call_id": notice.call_id,
    }


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


def part_event(notice: PartNotice) -> Named:
    """What happened to one content part."""
    body = part_members(notice.at)
    match notice:
        case n.ContentPartAdded():
            return "response.content_part.added", body | {"part": _part(notice.modality, "")}
        case n.ContentPartDone():
            return "response.content_part.done", body | {"part": _part(notice.modality, notice.text)}
        case n.OutputTextDelta():
            return "response.output_text.delta", body | {"delta": notice.delta}
        case n.OutputTextDone():
            return "response.output_text.done", body | {"text": notice.text}
        case n.OutputTranscriptDelta():
            return "response.output_audio_transcript.delta", body | {"delta": notice.delta}
        case n.OutputTranscriptDone():
            return "response.output_audio_transcript.done", body | {"transcript": notice.transcript}
        case n.OutputAudioDelta():
            return "response.output_audio.delta", body | {"delta": base64_text(notice.audio)}
        case n.OutputAudioDone():
            return "response.output_audio.done", body
        case _:
            assert_never(notice)


def _part(modality: Modality, text: str) -> Json:
    return {"type": "audio", "transcript": text} if modality == "audio" else {"type": "text", "text": text}
