"""What an error of a Realtime server means for a link that translates. Pure; an unknown error is a refusal of what it answers."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from parley.client.event_fields import Json, text_of


class ErrorMeaning(Enum):
    """RATE: try later. BUSY: a response is in progress that is not ours. GONE: the item does not exist. OUT_OF_BAND: the server takes no
    `conversation` or `input` in a request. EMPTY: too little audio was committed. VOICE: the voice cannot change now. EXPIRED: the session
    is over, another may be opened. FINAL: the account, the key or the dialect is refused. OTHER: anything else."""

    RATE = auto()
    BUSY = auto()
    GONE = auto()
    OUT_OF_BAND = auto()
    EMPTY = auto()
    VOICE = auto()
    EXPIRED = auto()
    FINAL = auto()
    OTHER = auto()


_FINAL: Final = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "invalid_api_key",
        "account_deactivated",
        "billing_hard_limit_reached",
        "beta_api_shape_disabled",
    }
)

_CODES: Final = {
    "conversation_already_has_active_response": ErrorMeaning.BUSY,
    "input_audio_buffer_commit_empty": ErrorMeaning.EMPTY,
    "cannot_update_voice": ErrorMeaning.VOICE,
    "session_expired": ErrorMeaning.EXPIRED,
    "invalid_item_reference": ErrorMeaning.GONE,
    "item_delete_invalid_item_id": ErrorMeaning.GONE,
    "item_not_found": ErrorMeaning.GONE,
}

_GONE: Final = re.compile(r"item\b.*\b(?:(?:does not|doesn't) exist|not found|unknown id)|no such item", re.IGNORECASE)
_OUT_OF_BAND: Final = re.compile(r"(?:^|\bresponse\.)(?:conversation|input)\b(?!_)")
_OUT_OF_BAND_SAID: Final = re.compile(
    r"item_reference|out.of.band|\bresponse\.(?:conversation|input)\b(?!_)|['\"`](?:conversation|input)['\"`]"
)


def meaning_of(error: Json) -> ErrorMeaning:
    """What an error object says: that of an `error` event, or of a failed response."""
    code, kind = text_of(error, "code"), text_of(error, "type")
    message, param = text_of(error, "message"), text_of(error, "param")
    if code in _FINAL or kind in _FINAL:
        return ErrorMeaning.FINAL
    if code in _CODES:
        return _CODES[code]
    if "rate_limit" in code or "rate_limit" in kind or code == "429":
        return ErrorMeaning.RATE
    if _GONE.search(message):
        return ErrorMeaning.GONE
    if _OUT_OF_BAND.search(param) or (not param and _OUT_OF_BAND_SAID.search(message)):
        return ErrorMeaning.OUT_OF_BAND
    return ErrorMeaning.OTHER


def words_of(error: Json) -> str:
    """The server's own words."""
    return text_of(error, "message") or text_of(error, "code") or "the server gave no reason"


RATE_WAITS_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""How long a request waits after each refusal for its rate, where the server does not say; then it is given up."""

MAX_RATE_WAIT_S: Final = 30.0

BUSY_WAIT_S: Final = 0.5
BUSY_WAITS: Final = 20
"""A response that somebody else started is waited for so often, then the request is given up."""

_TRY_AGAIN: Final = re.compile(r"try again in (\d+(?:\.\d+)?)\s*(ms|s)\b", re.IGNORECASE)


def rate_wait_s(error: Json, refusals: int) -> float | None:
    """How long to wait after this refusal, the server's own figure where it gives one; None: no longer. `refusals` were before it."""
    if refusals >= len(RATE_WAITS_S):
        return None
    found = _TRY_AGAIN.search(text_of(error, "message"))
    if found is None:
        return RATE_WAITS_S[refusals]
    said_s = float(found[1]) / (1000 if found[2].lower() == "ms" else 1)
    return min(MAX_RATE_WAIT_S, max(said_s, 0.1))
