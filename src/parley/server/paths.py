"""Paths that more than one part of the server must know."""

from __future__ import annotations

from collections.abc import Mapping

from parley.core.words.settings import SessionKind

REALTIME_PATHS = ("/v1/realtime", "/realtime")
"""The second for clients whose base URL was given without `/v1`."""

TRANSLATION_PATHS = tuple(f"{path}/translations" for path in REALTIME_PATHS)
"""Of translation sessions."""

TWILIO_PATH = "/v1/telephony/twilio"
"""Of Twilio's Media Streams; a key may follow it."""

RAW_AUDIO_PATH = "/v1/audio/stream"
"""Of WebSockets whose binary frames are audio."""

OPENED_AT: Mapping[SessionKind, str] = {
    "realtime": "/v1/realtime",
    "transcription": "/v1/realtime",
    "translation": "/v1/realtime/translations",
}
"""Where the dialect of each kind of session is spoken."""
