"""Reads a WebSocket handshake: which conversation is asked for, by whom, in which dialect.

Laws: pure; every known query parameter is honoured or refused by name.
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
from parley.server.paths import REALTIME_PATHS, TRANSLATION_PATHS
from parley.server.refusals import Refusal

SUBPROTOCOL = Subprotocol("realtime")
BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
BETA_FEATURE = "realtime=v1"
"""Member of the list in the header `OpenAI-Beta`."""

_INTENTS: dict[str, SessionKind] = {"realtime": "realtime", "transcription": "transcription"}


NO_MODEL = Refusal(
    400,
    "missing_required_parameter",
    "Missing required parameter: 'model'. Connect to /v1/realtime/translations?model=NAME.",
    param="model",
)


@dataclass(frozen=True, slots=True)
class Opening:
    """What a handshake asks for. `kind` None: not said. `dialect` is a name of `wire.dialects`; `key` what was presented,
    unchecked; `origin` None: not a browser; `call_id` the call to attach to, None: a session of its own."""

    path: str
    model: str
    kind: SessionKind | None
    dialect: str
    key: str | None
    origin: str | None
    host: str | None
    call_id: str | None = None
    refusal: Refusal | None = None


def read_opening(target: str, headers: Mapping[str, str], subprotocols: Sequence[str]) -> Opening:
    """The handshake for `target` (path and query). `headers` has lower-case names. `refusal` holds the fault, where there is one."""
    raw_path, _, query = target.partition("?")
    path = unquote(raw_path)
    fields = parse_qs(query, keep_blank_values=True, max_num_fields=None)
    intent = fields.get("intent", [""])[-1]
    features = [feature.replace(" ", "") for feature in headers.get("openai-beta", "").split(",")]
    beta = BETA_FEATURE in features or BETA_SUBPROTOCOL in subprotocols
    translates = path.rstrip("/") in TRANSLATION_PATHS
    model, key = fields.get("model", [""])[-1], presented_key(headers.get("authorization"), subprotocols)
    call_id = fields["call_id"][-1] if "call_id" in fields else None
    if translates:
        fault = _translation_fault(intent, beta=beta)
        if fault is None and call_id is None and not model and not (key or "").startswith("ek_"):
            fault = NO_MODEL
    else:
        fault = _fault(path, intent)
    if fault is None and call_id is not None:
        fault = _sideband_fault(fields)
    return Opening(
        path=path,
        model=model,
        kind="translation" if translates else _INTENTS.get(intent),
        dialect="translations" if translates else "beta" if beta else "ga",
        key=key,
        origin=headers.get("origin"),
        host=headers.get("host"),
        call_id=call_id,
        refusal=fault,
    )


def _fault(path: str, intent: str) -> Refusal | None:
    if path.rstrip("/") not in REALTIME_PATHS:
        return Refusal(404, "not_found", f"There is no WebSocket at {path[:200]}. Connect to /v1/realtime?model=NAME.")
    if intent and intent not in _INTENTS:
        return Refusal(400, "invalid_value", "intent must be 'realtime', 'transcription' or absent.", param="intent")
    return None


def _sideband_fault(fields: Mapping[str, Sequence[str]]) -> Refusal | None:
    """What is wrong with a handshake that names a call."""
    for name in ("model", "intent"):
        if name in fields:
            message = (
                f"call_id attaches to a call that runs, whose {name} was chosen when it began; leave {name!r} out."
            )
            return Refusal(400, "unknown_parameter", message, param=name)
    return None


def _translation_fault(intent: str, *, beta: bool) -> Refusal | None:
    """What is wrong with the handshake of a translation session."""
    if beta:
        return Refusal(400, "beta_api_shape_disabled", "Translation sessions are only available on the GA API.")
    if intent:
        message = "Translation sessions take no 'intent'; leave it out."
        return Refusal(400, "unknown_parameter", message, param="intent")
    return None


def combined_headers(headers: Headers) -> dict[str, str]:
    """The values of each header, by its lower-case name. Lines of one name are one list (RFC 9110, section 5.3), so two credentials make
    one that is unknown."""
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
    """A browser that offered subprotocols closes the connection unless one is chosen; others carry keys and must not be echoed."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None
