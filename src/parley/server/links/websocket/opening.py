"""Reads a WebSocket handshake: which conversation is asked for, by whom, in which dialect.

Laws: pure; every query parameter that means something is honoured or refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeaderFormat
from websockets.headers import parse_subprotocol
from websockets.typing import Subprotocol

from parley.core.words.settings import SessionKind
from parley.server.access.credentials import presented_key
from parley.server.paths import REALTIME_PATHS
from parley.server.refusals import Refusal

SUBPROTOCOL = Subprotocol("realtime")
BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
BETA_FEATURE = "realtime=v1"
"""Member of the list in the header `OpenAI-Beta`."""

_INTENTS: dict[str, SessionKind] = {"realtime": "realtime", "transcription": "transcription"}


@dataclass(frozen=True, slots=True)
class Opening:
    """What a handshake asks for. `kind` None: not said. `dialect` is a name of `wire.dialects`; `key` what was presented,
    unchecked; `origin` None: not a browser."""

    path: str
    model: str
    kind: SessionKind | None
    dialect: str
    key: str | None
    origin: str | None
    host: str | None
    refusal: Refusal | None = None


def read_opening(target: str, headers: Mapping[str, str], subprotocols: Sequence[str]) -> Opening:
    """The handshake for `target` (path and query). `headers` has lower-case names. A fault stands in `refusal`."""
    raw_path, _, query = target.partition("?")
    path = unquote(raw_path)
    fields = parse_qs(query, keep_blank_values=True, max_num_fields=None)
    intent = fields.get("intent", [""])[-1]
    features = [feature.replace(" ", "") for feature in headers.get("openai-beta", "").split(",")]
    beta = BETA_FEATURE in features or BETA_SUBPROTOCOL in subprotocols
    return Opening(
        path=path,
        model=fields.get("model", [""])[-1],
        kind=_INTENTS.get(intent),
        dialect="beta" if beta else "ga",
        key=presented_key(headers.get("authorization"), subprotocols),
        origin=headers.get("origin"),
        host=headers.get("host"),
        refusal=_fault(path, intent, fields),
    )


def _fault(path: str, intent: str, fields: Mapping[str, Sequence[str]]) -> Refusal | None:
    if path.rstrip("/") not in REALTIME_PATHS:
        return Refusal(404, "not_found", f"There is no WebSocket at {path[:200]}. Connect to /v1/realtime?model=NAME.")
    if intent and intent not in _INTENTS:
        return Refusal(400, "invalid_value", "intent must be 'realtime', 'transcription' or absent.", param="intent")
    if "call_id" in fields:
        call = fields["call_id"][-1]
        return Refusal(404, "call_id_not_found", f"No call {call[:100]!r} is running here.", param="call_id")
    return None


def combined_headers(headers: Headers) -> dict[str, str]:
    """The values of each header, by its lower-case name. Lines of one name are one list (RFC 9110, section 5.3): two credentials are
    none."""
    combined: dict[str, str] = {}
    for name, value in headers.raw_items():
        name = name.lower()
        combined[name] = f"{combined[name]}, {value}" if name in combined else value
    return combined


def offered_subprotocols(headers: Headers) -> list[str]:
    """What the client offered, in its order; a header that cannot be read offers nothing."""
    offered: list[str] = []
    for header in headers.get_all("Sec-WebSocket-Protocol"):
        try:
            offered += parse_subprotocol(header)
        except InvalidHeaderFormat:
            continue
    return offered


def select_subprotocol(offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """A browser that offered subprotocols gives up unless one is chosen; the others carry keys and must not be echoed."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None
