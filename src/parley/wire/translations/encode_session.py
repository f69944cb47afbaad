"""The session object of translation sessions.

Laws: it shows the full effective settings; `transcription` and `noise_reduction` are null where they are off. Parley's own: `include` is
there only for a client that asked for something, the voice only where the client or the server's owner has named one, the language of the
speaker only where the client has.
"""

from __future__ import annotations

from parley.core.words.ids import SessionId
from parley.core.words.settings import NoiseReduction, Settings, Transcription
from parley.wire.encode_settings import included
from parley.wire.encoding import Json


def session_object(session_id: SessionId, settings: Settings, expires_at: int) -> Json:
    """The session as clients and requests for client secrets see it; `expires_at` in Unix seconds."""
    session: Json = {
        "id": session_id,
        "type": "translation",
        "model": settings.model,
        "expires_at": expires_at,
        "audio": {
            "input": {
                "transcription": transcription_object(settings.transcription),
                "noise_reduction": noise_reduction_object(settings.noise_reduction),
            },
            "output": {"language": settings.target_language, **({"voice": settings.voice} if settings.voice else {})},
        },
    }
    if wanted := included(settings.include):
        session["include"] = wanted
    return session


def transcription_object(wanted: Transcription | None) -> Json | None:
    if wanted is None:
        return None
    return {"model": wanted.model, **({"language": wanted.language} if wanted.language else {})}


def noise_reduction_object(wanted: NoiseReduction | None) -> Json | None:
    """Without a strength where a client's own request leaves it as it was."""
    if wanted is None:
        return None
    strength: Json = {} if wanted.strength is None else {"strength": wanted.strength}
    return {"type": wanted.type, **strength}
