"""The voices of an OpenAI-compatible speech endpoint: OpenAI's names, and the list that a server gives.

Laws: a server without a list of voices is usable; its list is what `GET /audio/voices` answers, as Kokoro-FastAPI and vLLM-Omni have it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from parley.engines.openai_api.client import EndpointClient

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
    )
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str) and name))
