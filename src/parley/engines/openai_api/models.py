"""Which models an endpoint offers: its list, where the list is, and which of its entries chat.

Laws: a server without a list is usable, one that refuses the key or is no API is not; errors name the endpoint and the remedy.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from parley.engines.openai_api.client import EndpointClient
from parley.engines.openai_api.errors import Endpoint, StatusError, failure_of, no_api
from parley.engines.ports import EngineUnavailable

CHECK_TIMEOUT_S: Final = 5.0
"""For the list of models at start-up."""

_NOT_CHAT: Final = (
    "embed", "bge-", "rerank", "whisper", "tts", "minilm", "clip", "dall-e", "image", "moderation", "transcribe", "realtime",
    "audio", "babbage", "davinci", "sora", "flux", "kokoro", "diffusion", "e5-", "gte-",
)  # fmt: skip


async def find_models(client: EndpointClient, endpoint: Endpoint) -> list[str] | None:
    """The endpoint's models; None where it has no list. Raises `EngineUnavailable` where it cannot be used at all.

    Most servers have the API under /v1: for a base URL without a path that is tried next, and `client.base_url` keeps it where it answers.
    """
    listed = await _listed(client, endpoint)
    if listed is None and not urlsplit(endpoint.base_url).path.strip("/"):
        client.base_url = f"{endpoint.base_url}/v1"
        listed = await _listed(client, endpoint)
        if listed is None:
            client.base_url = endpoint.base_url
    return listed


async def _listed(client: EndpointClient, endpoint: Endpoint) -> list[str] | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            answer = await client.get_json("/models")
    except StatusError as error:
        if error.status not in (401, 403) and error.status < 500:
            return None
        raise _unavailable(error, endpoint) from None
    except TimeoutError:
        raise EngineUnavailable(
            f"{endpoint.shown_url} did not send its list of models within {CHECK_TIMEOUT_S:g} s.",
            code="timeout",
            remedy=f"Is it overloaded, or is {endpoint.service.base_url_flag} something else?",
        ) from None
    except Exception as error:  # noqa: BLE001 - the engine boundary
        raise _unavailable(error, endpoint) from None
    listed = models_of(answer)
    if listed is None:
        raise no_api(json.dumps(answer).encode(), replace(endpoint, base_url=client.base_url))
    return listed


def _unavailable(error: Exception, endpoint: Endpoint) -> EngineUnavailable:
    failed = failure_of(error, endpoint).error
    return EngineUnavailable(failed.message, code=failed.code, remedy=failed.remedy)


def models_of(answer: object) -> list[str] | None:
    """The names in an answer to `GET /models`; None where it is not a list of models."""
    entries: object = answer
    if isinstance(answer, dict):
        field = next((field for field in ("data", "models") if field in answer), None)
        if field is None:
            return None
        entries = answer[field] or []
    if not isinstance(entries, list):
        return None
    names = (entry.get("id") or entry.get("name") for entry in entries if isinstance(entry, dict))
    return [name for name in names if isinstance(name, str) and name]


def is_chat_model(name: str) -> bool:
    """Whether a model's name is not that of an embedding, speech or image model."""
    return not any(mark in name.lower() for mark in _NOT_CHAT)
