"""Where the `openai` package's beta types say less than the protocol's documentation and wire, and what strict reading does about it."""

from __future__ import annotations

import copy
from typing import Any

UNLISTED = {"transcription_session.created": "transcription_session.updated"}
"""Events of the real wire that the types do not list, and the listed event of the same shape."""

UNTYPED = {
    # Shown in sessions by the real wire; the types describe the request.
    "session.object",
    "session.expires_at",
    "session.client_secret",
    "session.include",
    # The types' transcription session has neither.
    "session.id",
    "session.input_audio_noise_reduction",
    "session.turn_detection.create_response",
    "session.turn_detection.interrupt_response",
    "session.turn_detection.eagerness",
}

_MODEL, _RECOGNIZER = "gpt-4o-realtime-preview", "whisper-1"


def as_typed(event: dict[str, Any]) -> dict[str, Any]:
    """The event with what the types' lists cannot hold replaced: models are OpenAI's only, a forced function is said to be a string, and
    a transcription session is said to have a key always."""
    event = copy.deepcopy(event)
    event["type"] = UNLISTED.get(event["type"], event["type"])
    session = event.get("session")
    if not isinstance(session, dict):
        return event
    if "model" in session:
        session["model"] = _MODEL
    if isinstance(choice := session.get("tool_choice"), dict):
        assert set(choice) == {"type", "name"}
        session["tool_choice"] = "auto"
    if event["type"].startswith("transcription_session"):
        assert session.pop("client_secret") is None
        session["client_secret"] = {"value": "", "expires_at": 0}
        if session["input_audio_transcription"]:
            session["input_audio_transcription"]["model"] = _RECOGNIZER
    return event
