"""What the endpoints of own voices and of consents share: pages of a list, a new name, and the refusals of the store.

Laws: a list is the newest first; a body is read up to `MAX_BODY` bytes; nothing of a recording is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, ParamSpec, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from parley.audio.private_files import is_full_disk
from parley.engines.voices.records import OwnConsent, OwnVoice, VoiceRefused
from parley.server.openapi.operation import QueryField
from parley.server.refusals import Refusal, Refused
from parley.server.request_body import read_body, too_large

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", OwnVoice, OwnConsent)

log = logging.getLogger("parley.server")

USUAL_PAGE, MAX_PAGE = 20, 100
MAX_BODY: Final = 16 << 10
"""Bytes of a JSON body: a name."""

PAGE_FIELDS: Final = (
    QueryField("after", "The id after which the page begins."),
    QueryField(
        "limit",
        "How many there are on it.",
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": USUAL_PAGE},
    ),
)

_REMEDIES: Final = {
    "voice_not_found": "GET /v1/audio/voices lists those that there are.",
    "name_taken": "Choose another name, or delete that voice first.",
}
"""In place of the commands that the server's owner is told."""

_STATUS: Final = {"voice_not_found": 404, "consent_not_found": 404, "name_taken": 409, "clip_too_large": 413}


class Renamed(msgspec.Struct, forbid_unknown_fields=True):
    """A new name."""

    name: str


async def stored(fields: Mapping[str, str], function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """What `function`, which reads or writes the store, returns; it runs in a thread. Raises `Refused`. `fields` are the request's names of
    those of a `VoiceRefused`."""
    try:
        return await asyncio.to_thread(function, *args, **named)
    except VoiceRefused as error:
        raise Refused(refusal_of(error, fields)) from error
    except OSError as error:
        log.error("the own voices cannot be read or written: %s", error)
        if is_full_disk(error):
            full = Refusal(507, "storage_full", "The server's disk is full; nothing was changed.", None, "server_error")
            raise Refused(full) from error
        message = "The server cannot read or write its voices; its log tells more."
        raise Refused(Refusal(500, "storage_failed", message, None, "server_error")) from error


def refusal_of(error: VoiceRefused, fields: Mapping[str, str]) -> Refusal:
    """The refusal for what the store refuses."""
    message = f"{error.message} {_REMEDIES.get(error.code, error.remedy)}".strip()
    return Refusal(_STATUS.get(error.code, 400), error.code, message, fields.get(error.field, error.field))


async def new_name(request: Request) -> str:
    """The name in a body `{"name": ...}`. Raises `Refused`."""
    received = await read_body(request, MAX_BODY, too_large(MAX_BODY, "name"))
    try:
        return msgspec.json.decode(received, type=Renamed).name
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        message = f'The body must be JSON, {{"name": "..."}} and nothing else: {error}.'
        raise Refused(Refusal(400, "invalid_value", message, "name")) from None


def page_of(request: Request, records: Sequence[R], shown: Callable[[R], dict[str, object]]) -> Response:
    """The page that the query's `after` and `limit` ask for. Raises `Refused`."""
    newest = list(reversed(records))
    limit = _limit(request.query_params.get("limit"))
    if after := request.query_params.get("after", ""):
        places = [place for place, one in enumerate(newest) if one.id == after]
        if not places:
            raise Refused(Refusal(400, "invalid_value", f"There is nothing with the id {after[:100]!r}.", "after"))
        newest = newest[places[0] + 1 :]
    data = newest[:limit]
    return answer(
        {
            "object": "list",
            "data": [shown(one) for one in data],
            "first_id": data[0].id if data else None,
            "last_id": data[-1].id if data else None,
            "has_more": len(newest) > limit,
        }
    )


def _limit(given: str | None) -> int:
    if given is None:
        return USUAL_PAGE
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= MAX_PAGE):
        raise Refused(Refusal(400, "invalid_value", f"limit must be a number from 1 to {MAX_PAGE}.", "limit"))
    return int(given)


def answer(value: object) -> Response:
    """An answer, which no cache keeps."""
    body: bytes = msgspec.json.encode(value)
    return Response(body, media_type="application/json", headers={"cache-control": "no-store"})
