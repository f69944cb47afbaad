"""Notices as server events of a translation session: the event's type and its members.

Laws:
- The events are those of the `openai` package, and three of Parley's own for a client that asked for them
  (`parley.translation.clause`, `parley.translation.playing`, `parley.input_transcript.unstable`).
- A failed translation is an `error`; its text has been shown in the speaker's words.
- `elapsed_ms` counts whole frames of 200 ms; null: nothing in the audio is a translation. What belongs to conversations (items, responses,
  turns) is None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from parley.core.words import notices as n
from parley.core.words.translation_notices import TranslationPlaying, UnstableWordsChanged
from parley.wire import encode_events as common
from parley.wire.encoding import Json, Named, base64_text
from parley.wire.field_paths import translation_path
from parley.wire.translations.encode_session import session_object

FRAME_MS = 200
"""What `elapsed_ms` counts in: the hosted service consumes audio in frames of this length."""

OUTPUT_AUDIO = "session.output_audio.delta"

EXPECTED_FAILURES = frozenset({"translation_drift"})
"""Codes of translations that were withheld on purpose, with the source shown instead: no error to the client."""


def elapsed(ms: int | None) -> int | None:
    """Milliseconds as `elapsed_ms` shows them: rounded down to whole frames."""
    return None if ms is None else ms - ms % FRAME_MS


def audio_members(at: n.PartAt) -> Json:
    """The members of an event of output audio beside the audio."""
    return {"elapsed_ms": elapsed(at.elapsed_ms), "format": "pcm16", "sample_rate": 24000, "channels": 1}


def server_event(notice: n.Notice, wall_s: Callable[[], float]) -> Named | None:
    """The event of a notice; `wall_s` gives Unix seconds."""
    match notice:
        case n.SessionCreated():
            return "session.created", _session(notice, wall_s())
        case n.SessionUpdated():
            return "session.updated", _session(notice, wall_s())
        case n.TranslationClosed():
            return "session.closed", {}
        case n.ErrorRaised():
            return common.error_event(notice, translation_path)
        case n.TranscriptionFailedNotice():
            return common.error_event(n.ErrorRaised(notice.code, notice.message, kind="server_error"), translation_path)
        case n.ResponseDone():
            return _failure(notice.response)
        case n.TranscriptionDelta():
            return "session.input_transcript.delta", _words(notice.delta, notice.elapsed_ms)
        case n.OutputTextDelta() | n.OutputTranscriptDelta():
            return "session.output_transcript.delta", _words(notice.delta, notice.at.elapsed_ms)
        case n.OutputAudioDelta():
            return OUTPUT_AUDIO, {**audio_members(notice.at), "delta": base64_text(notice.audio)}
        case n.ClauseTranslated():
            return "parley.translation.clause", {field.name: getattr(notice, field.name) for field in fields(notice)}
        case TranslationPlaying():
            return "parley.translation.playing", {"end_ms": notice.end_ms, "input_ms": notice.input_ms}
        case UnstableWordsChanged():
            return "parley.input_transcript.unstable", {"text": notice.text, "elapsed_ms": elapsed(notice.elapsed_ms)}
        case _:
            return None


def _session(notice: n.SessionCreated | n.SessionUpdated, now_s: float) -> Json:
    return {"session": session_object(notice.session_id, notice.settings, common.expires_at(notice, now_s))}


def _words(delta: str, elapsed_ms: int | None) -> Json:
    return {"delta": delta, "elapsed_ms": elapsed(elapsed_ms)}


def _failure(response: n.ResponseView) -> Named | None:
    """The error of a translation that failed; None for one that did not."""
    error = response.error
    if response.status != "failed" or error is None or error.code in EXPECTED_FAILURES:
        return None
    shown: Json = {"type": error.type, "code": error.code, "message": error.message, "param": None, "event_id": None}
    return "error", {"error": shown}
