"""What each server event of the GA dialect tells, by its type: the table of clients, the inverse of `encode_notices`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from parley.core.words import notices as n
from parley.core.words.shell_notices import KeypadPressed
from parley.wire.encode_events import COMMON_TYPES

SERVER_EVENTS: Mapping[str, type[n.Notice]] = MappingProxyType(
    {
        **COMMON_TYPES,
        "session.created": n.SessionCreated,
        "session.updated": n.SessionUpdated,
        "input_audio_buffer.timeout_triggered": n.IdleTimeoutTriggered,
        "input_audio_buffer.dtmf_event_received": KeypadPressed,
        "conversation.item.added": n.ItemAdded,
        "conversation.item.done": n.ItemDone,
        "response.output_text.delta": n.OutputTextDelta,
        "response.output_text.done": n.OutputTextDone,
        "response.output_audio_transcript.delta": n.OutputTranscriptDelta,
        "response.output_audio_transcript.done": n.OutputTranscriptDone,
        "response.output_audio.delta": n.OutputAudioDelta,
        "response.output_audio.done": n.OutputAudioDone,
        "response.mcp_call_arguments.delta": n.McpArgumentsDelta,
        "response.mcp_call_arguments.done": n.McpArgumentsDone,
        **{f"response.mcp_call.{state}": n.McpCallProgress for state in ("in_progress", "completed", "failed")},
        **{f"mcp_list_tools.{state}": n.McpListProgress for state in ("in_progress", "completed", "failed")},
    }
)
