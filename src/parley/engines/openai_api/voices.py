"""The voices of an OpenAI-compatible speech endpoint: OpenAI's names, the list that a server gives, and what it says against a voice.

Laws: a server without a list of voices is usable; its list is what `GET /audio/voices` answers, as Kokoro-FastAPI and vLLM-Omni have it.
Voices that were made of recordings (`custom_voices`, another Parley lists them) are for those who made them, and not in it.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

from parley.engines.openai_api.client import EndpointClient
from parley.engines.openai_api.errors import Endpoint, StatusError, StreamError, said_by

OPENAI_VOICES: Final = (
    "alloy",
    "ash",
    "ballad",
    "cedar",
    "coral",
    "echo",
    "fable",
    "marin",
    "nova",
    "onyx",
    "sage",
    "shimmer",
    "verse",
)

_UNKNOWN: Final = re.compile(r"\bunknown\b|not (be )?found|not exist|\bno (such )?voice\b", re.IGNORECASE)

CHECK_TIMEOUT_S: Final = 5.0
"""For the list of voices at start-up."""


async def find_voices(client: EndpointClient) -> tuple[str, ...]:
    """The voices that the server lists, () where it has no list."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return voices_of(await client.get_json("/audio/voices"))
    except Exception:  # noqa: BLE001 - an addition of some servers: whatever else answers there is no list
        return ()


def voices_of(answer: object) -> tuple[str, ...]:
    """The names in an answer to `GET /audio/voices`: texts, or objects with an `id`, `voice_id` or `name`; () for anything else."""
    entries: object = answer
    if isinstance(answer, dict):
        entries = answer.get("voices") or answer.get("data")
    if not isinstance(entries, list):
        return ()
    names = (
        entry.get("id") or entry.get("voice_id") or entry.get("name") if isinstance(entry, dict) else entry
        for entry in entries
        if not (isinstance(entry, dict) and entry.get("object") == "audio.voice")
    )
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str) and name))


def is_about_the_voice(error: BaseException, endpoint: Endpoint) -> bool:
    """Whether a server refused a request for its voice."""
    if isinstance(error, StatusError):
        if error.status not in (400, 404, 422):
            return False
    elif not isinstance(error, StreamError):
        return False
    _, words = said_by(error.body, endpoint)
    reported = error.body.get("error") if isinstance(error.body, dict) else None
    param = str(reported.get("param")) if isinstance(reported, dict) else ""
    return "voice" in param.split(".") or re.search(r"\bvoices?\b", words, re.IGNORECASE) is not None


def is_voice_unknown(error: BaseException, endpoint: Endpoint) -> bool:
    """Whether a server refused a request because it has no such voice."""
    if not isinstance(error, StatusError | StreamError) or not is_about_the_voice(error, endpoint):
        return False
    code, words = said_by(error.body, endpoint)
    gone = isinstance(error, StatusError) and error.status == 404
    return gone or code in ("unknown_voice", "voice_not_found") or _UNKNOWN.search(words) is not None
