"""What each server event of the beta dialect tells, by its type: the table of clients, the inverse of `encode_notices`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from parley.core.words import notices as n
from parley.wire.encode_events import COMMON_TYPES

SERVER_EVENTS: Mapping[str, type[n.Notice]] = MappingProxyType(
    {
        **COMMON_TYPES,
        "session.created": n.SessionCreated,
        "session.updated": n.SessionUpdated,
        "transcription_session.created": n.SessionCreated,
        "transcription_session.updated": n.SessionUpdated,
        "conversation.created": n.ConversationCreated,
        "conversation.item.created": n.ItemAdded,
        "response.text.delta": n.OutputTextDelta,
        "response.text.done": n.OutputTextDone,
        "response.audio_transcript.delta": n.OutputTranscriptDelta,
        "response.audio_transcript.done": n.OutputTranscriptDone,
        "response.audio.delta": n.OutputAudioDelta,
        "response.audio.done": n.OutputAudioDone,
    }
)
