"""Reads the query of a raw audio stream: how its frames are written, and what its session begins with.

Laws: pure; every parameter is honoured or refused by name, and what is left out has a default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args
from urllib.parse import parse_qs, unquote

from parley.core.words.errors import PeerError
from parley.core.words.settings import SettingsPatch
from parley.server.access.credentials import presented_key
from parley.server.links.media_call import media_wishes
from parley.server.links.media_format import ENCODINGS, RATES, MediaFormat
from parley.server.links.pacing import LEAD_MS_LEAST
from parley.server.paths import RAW_AUDIO_PATH
from parley.server.refusals import Refusal
from parley.wire.settings_schema import language as read_language

Events = Literal["none", "basic", "all"]

EVENTS: Final[tuple[Events, ...]] = get_args(Events)
PARAMETERS: Final = ("rate", "format", "pipeline", "model", "language", "voice", "events", "lead_ms", "key")

LEAD_MS: Final = 160
"""A home network delivers within it, nearly always; an interruption takes so long to be heard where the device drops nothing."""

LEAD_MS_MOST: Final = 5_000

_USUAL_RATE: Final = {"pcm16": 24_000, "float32": 24_000, "pcmu": 8_000, "pcma": 8_000}


@dataclass(frozen=True, slots=True)
class RawOpening:
    """What a raw stream is to be. `key` is what was presented, unchecked."""

    form: MediaFormat
    lead_ms: int
    model: str
    events: Events
    key: str | None
    wishes: SettingsPatch


def read_raw_opening(target: str, headers: Mapping[str, str], subprotocols: Sequence[str]) -> RawOpening | Refusal:
    """The stream that a handshake for `target` (path and query) asks for, or what is wrong with it. `headers` has lower-case names."""
    path, _, query = target.partition("?")
    if unquote(path).rstrip("/") != RAW_AUDIO_PATH:
        return Refusal(
            404, "not_found", f"There is no WebSocket at {unquote(path)[:200]}. Connect to {RAW_AUDIO_PATH}."
        )
    given = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True, max_num_fields=None).items()}
    unknown = next((name for name in given if name not in PARAMETERS), None)
    if unknown is not None:
        known = ", ".join(PARAMETERS)
        return Refusal(
            400, "unknown_parameter", f"Unknown parameter: {unknown[:100]!r}. There are {known}.", param=unknown[:100]
        )
    return _read(given, presented_key(headers.get("authorization"), subprotocols) or given.get("key"))


def _read(given: Mapping[str, str], key: str | None) -> RawOpening | Refusal:
    encoding = given.get("format") or "pcm16"
    if encoding not in ENCODINGS:
        return _invalid("format", f"one of {', '.join(ENCODINGS)}")
    rate = _number(given.get("rate") or str(_USUAL_RATE[encoding]))
    if rate not in RATES:
        return _invalid("rate", f"one of {', '.join(map(str, RATES))} (Hz)")
    lead_ms = _number(given.get("lead_ms") or str(LEAD_MS))
    if lead_ms is None or not LEAD_MS_LEAST <= lead_ms <= LEAD_MS_MOST:
        return _invalid("lead_ms", f"milliseconds from {LEAD_MS_LEAST} to {LEAD_MS_MOST}")
    events = given.get("events") or "basic"
    if events not in EVENTS:
        return _invalid("events", f"one of {', '.join(EVENTS)}")
    model, pipeline = given.get("model", ""), given.get("pipeline", "")
    if model and pipeline and model != pipeline:
        return Refusal(400, "invalid_value", "'model' and 'pipeline' mean the same; leave one out.", param="model")
    language = given.get("language", "")
    try:
        language = read_language(language, "language") if language else ""
    except PeerError as error:
        return Refusal(400, error.code, error.message, param="language")
    form = MediaFormat(encoding, rate)
    return RawOpening(
        form=form,
        lead_ms=lead_ms,
        model=pipeline or model,
        events=events,
        key=key,
        wishes=media_wishes(form, given.get("voice", ""), language),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _invalid(name: str, wanted: str) -> Refusal:
    return Refusal(400, "invalid_value", f"'{name}' must be {wanted}.", param=name)
