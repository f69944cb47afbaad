"""Notices as server events that all dialects write alike: the event's type and its members, in the order of the real wire.

Laws: the event's own id and JSON text are the encoder's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import assert_never

from parley.core.words import notices as n
from parley.core.words.settings import Modality
from parley.core.words.shell_notices import KeypadPressed
from parley.core.words.turn_measured import TurnMeasured
from parley.core.words.unstable_transcript import UnstableTranscript
from parley.wire.encode_settings import raw
from parley.wire.encoding import Json, Named, base64_text, error_param, part_members

InputNotice = (
    n.InputSpeechStarted
    | n.InputSpeechStopped
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
OutputBufferNotice = n.OutputBufferStarted | n.OutputBufferStopped | n.OutputBufferCleared

COMMON_TYPES: Mapping[str, type[n.Notice]] = {
    "error": n.ErrorRaised,
    "rate_limits.updated": n.RateLimitsUpdated,
    "input_audio_buffer.speech_started": n.InputSpeechStarted,
    "input_audio_buffer.speech_stopped": n.InputSpeechStopped,
    "input_audio_buffer.committed": n.InputCommitted,
    "input_audio_buffer.cleared": n.InputCleared,
    "conversation.item.input_audio_transcription.delta": n.TranscriptionDelta,
    "conversation.item.input_audio_transcription.completed": n.TranscriptionCompleted,
    "conversation.item.input_audio_transcription.failed": n.TranscriptionFailedNotice,
    "conversation.item.retrieved": n.ItemRetrieved,
    "conversation.item.truncated": n.ItemTruncated,
    "conversation.item.deleted": n.ItemDeleted,
    "response.created": n.ResponseCreated,
    "response.done": n.ResponseDone,
    "response.output_item.added": n.OutputItemAdded,
    "response.output_item.done": n.OutputItemDone,
    "response.content_part.added": n.ContentPartAdded,
    "response.content_part.done": n.ContentPartDone,
    "response.function_call_arguments.delta": n.FunctionArgumentsDelta,
    "response.function_call_arguments.done": n.FunctionArgumentsDone,
    "output_audio_buffer.started": n.OutputBufferStarted,
    "output_audio_buffer.stopped": n.OutputBufferStopped,
    "output_audio_buffer.cleared": n.OutputBufferCleared,
    "parley.turn.metrics": TurnMeasured,
    "parley.input_transcript.unstable": UnstableTranscript,
}
"""What the server events that all dialects have tell, by their types: for clients."""


def expires_at(notice: n.SessionCreated | n.SessionUpdated, now_s: float) -> int:
    """When the session ends, in Unix seconds."""
    return round(now_s + notice.expires_in_ms / 1000)


def turn_metrics(notice: TurnMeasured) -> Named:
    """An event of Parley's own, for a client that asked for it: where the time of a turn went."""
    return "parley.turn.metrics", {field.name: getattr(notice, field.name) for field in fields(notice)}


def unstable_transcript(notice: UnstableTranscript) -> Named:
    """An event of Parley's own, for a client that asked for it: words of a turn that may still change."""
    return "parley.input_transcript.unstable", {
        "item_id": notice.item_id,
        "content_index": notice.content_index,
        "text": notice.text,
    }


def keypad_event(notice: KeypadPressed) -> Named:
    """What the caller of a telephone call has pressed."""
    return "input_audio_buffer.dtmf_event_received", {"event": notice.key, "received_at": notice.at_s}


def input_event(notice: InputNotice) -> Named:
    """What happened to the user's audio."""
    match notice:
        case n.InputSpeechStarted():
            return "input_audio_buffer.speech_started", {
                "audio_start_ms": notice.audio_start_ms,
                "item_id": notice.item_id,
            }
        case n.InputSpeechStopped():
            return "input_audio_buffer.speech_stopped", {"audio_end_ms": notice.audio_end_ms, "item_id": notice.item_id}
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
                body["logprobs"] = raw(notice.logprobs)
            return prefix + "completed", body
        case n.TranscriptionFailedNotice():
            error: Json = {"type": "transcription_error", "code": notice.code, "message": notice.message}
            return prefix + "failed", body | {"error": error}
        case _:
            assert_never(notice)


def retrieved(item: Json) -> Named:
    return "conversation.item.retrieved", {"item": item}


def truncated(notice: n.ItemTruncated) -> Named:
    return "conversation.item.truncated", {
        "item_id": notice.item_id,
        "content_index": notice.content_index,
        "audio_end_ms": notice.audio_end_ms,
    }


def deleted(notice: n.ItemDeleted) -> Named:
    return "conversation.item.deleted", {"item_id": notice.item_id}


def output_item_event(notice: n.OutputItemAdded | n.OutputItemDone, item: Json) -> Named:
    """`item` is the notice's, as the dialect writes it."""
    kind = "response.output_item.added" if isinstance(notice, n.OutputItemAdded) else "response.output_item.done"
    return kind, {
        "response_id": notice.response_id,
        "output_index": notice.output_index,
        "item": item,
    }


def arguments_delta(notice: n.FunctionArgumentsDelta) -> Named:
    return "response.function_call_arguments.delta", _call(notice) | {"delta": notice.delta}


def arguments_done(notice: n.FunctionArgumentsDone, *, named: bool) -> Named:
    """`named`: the dialect repeats the function's name."""
    name: Json = {"name": notice.name} if named else {}
    return "response.function_call_arguments.done", _call(notice) | name | {"arguments": notice.arguments}


def _call(notice: n.FunctionArgumentsDelta | n.FunctionArgumentsDone) -> Json:
    return {
        "response_id": notice.response_id,
        "item_id": notice.item_id,
        "output_index": notice.output_index,
        "call_id": notice.call_id,
    }


def output_buffer_event(notice: OutputBufferNotice) -> Named:
    body: Json = {"response_id": notice.response_id}
    match notice:
        case n.OutputBufferStarted():
            return "output_audio_buffer.started", body
        case n.OutputBufferStopped():
            return "output_audio_buffer.stopped", body
        case n.OutputBufferCleared():
            return "output_audio_buffer.cleared", body
        case _:
            assert_never(notice)


def part_event(notice: PartNotice, prefix: str) -> Named:
    """What happened to one content part. `prefix` begins the types of the events that carry its content, which are the dialect's own."""
    at = part_members(notice.at)
    match notice:
        case n.ContentPartAdded():
            return "response.content_part.added", at | {"part": _part(notice.modality, "")}
        case n.ContentPartDone():
            return "response.content_part.done", at | {"part": _part(notice.modality, notice.text)}
        case n.OutputTextDelta():
            return f"{prefix}text.delta", at | {"delta": notice.delta}
        case n.OutputTextDone():
            return f"{prefix}text.done", at | {"text": notice.text}
        case n.OutputTranscriptDelta():
            return f"{prefix}audio_transcript.delta", at | {"delta": notice.delta}
        case n.OutputTranscriptDone():
            return f"{prefix}audio_transcript.done", at | {"transcript": notice.transcript}
        case n.OutputAudioDelta():
            return f"{prefix}audio.delta", at | {"delta": base64_text(notice.audio)}
        case n.OutputAudioDone():
            return f"{prefix}audio.done", at
        case _:
            assert_never(notice)


def _part(modality: Modality, text: str) -> Json:
    return {"type": "audio", "transcript": text} if modality == "audio" else {"type": "text", "text": text}


def error_event(notice: n.ErrorRaised, path: Callable[[str], str]) -> Named:
    """`path` gives the dialect's path of a core field."""
    error: Json = {
        "type": notice.kind,
        "code": notice.code,
        "message": notice.message,
        "param": error_param(notice, path),
        "event_id": notice.client_event_id,
    }
    return "error", {"error": error}


def rate_limits(notice: n.RateLimitsUpdated) -> Named:
    limits = [
        {
            "name": limit.name,
            "limit": limit.limit,
            "remaining": limit.remaining,
            "reset_seconds": limit.reset_seconds,
        }
        for limit in notice.limits
    ]
    return "rate_limits.updated", {"rate_limits": limits}


def status_details(view: n.ResponseView) -> Json | None:
    """How a response ended; None where there is nothing to say."""
    if view.status in ("in_progress", "completed"):
        return None
    details: Json = {"type": view.status}
    if view.reason is not None:
        details["reason"] = view.reason
    if view.error is not None:
        details["error"] = {"type": view.error.type, "code": view.error.code, "message": view.error.message}
    return details


def usage_object(usage: n.Usage, *, detailed: bool) -> Json:
    """Totals are sums of the parts. No engine says what kind the cached tokens were: they count as text. `detailed`: the dialect
    counts the tokens of images apart, and the kinds of the cached ones."""
    taken = usage.input_text + usage.input_audio + usage.input_image
    given = usage.output_text + usage.output_audio
    spent: Json = {"text_tokens": usage.input_text, "audio_tokens": usage.input_audio}
    if detailed:
        spent["image_tokens"] = usage.input_image
    spent["cached_tokens"] = usage.input_cached
    if detailed:
        spent["cached_tokens_details"] = {"text_tokens": usage.input_cached, "audio_tokens": 0, "image_tokens": 0}
    return {
        "total_tokens": taken + given,
        "input_tokens": taken,
        "output_tokens": given,
        "input_token_details": spent,
        "output_token_details": {"text_tokens": usage.output_text, "audio_tokens": usage.output_audio},
    }
