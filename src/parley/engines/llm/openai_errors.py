"""What went wrong with a chat endpoint, in one sentence with its mend, and whether trying again may help.

Laws: pure; the `openai` package's exceptions are recognised by their attributes, so that this file imports nothing heavy. No key
and no password in a URL is ever part of a message, not even where the server repeats it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from parley.engines.ports import EngineError, EngineRefused, EngineUnavailable

_MAX_QUOTE_CHARS: Final = 300
"""Of a server's own words: enough for a sentence, not for a page of HTML."""

_MAX_MODELS_NAMED: Final = 8

_CONTEXT: Final = re.compile(
    r"context[ _-]?(length|window|size)|maximum context|exceeds? .{0,40}context|n_ctx|prompt is too long|too many tokens",
    re.I,
)
_KEYS: Final = re.compile(r"\b(?:sk|gsk|pk|key|hf|xai|Bearer)[-_ ][A-Za-z0-9_\-*.]{6,}")
_RETRIED_STATUS: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is: what messages are written from."""

    base_url: str
    model: str
    key: str = ""
    key_setting: str = "PARLEY_LLM_API_KEY"
    models: Sequence[str] = ()

    @property
    def shown_url(self) -> str:
        parts = urlsplit(self.base_url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


@dataclass(frozen=True, slots=True)
class Failure:
    """`retry_after_s` None: trying again is no use; 0: at once or when one likes; else: not before."""

    error: EngineError
    retry_after_s: float | None = None


def failure_of(error: BaseException, endpoint: Endpoint) -> Failure:
    """Map whatever a request raised."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return _status_failure(status, error, endpoint)
    if isinstance(error, EngineError):
        return Failure(error)
    name = type(error).__name__
    if isinstance(error, TimeoutError) or "Timeout" in name:
        return Failure(
            EngineError(
                f"The language model at {endpoint.shown_url} did not answer in time.",
                code="timeout",
                mend="Is it overloaded? The option timeout_s sets how long it may take to the first token.",
            ),
            retry_after_s=0 if "ConnectTimeout" in repr(error.__cause__) else None,
        )
    if name == "APIConnectionError" or _is_network(error):
        return Failure(_unreachable(error, endpoint), retry_after_s=0)
    if name == "APIError":  # an error inside the stream
        return _stream_failure(error, endpoint)
    return Failure(
        EngineError(f"The answer of {endpoint.shown_url} was malformed ({name}).", code="server_error"),
    )


def model_not_found(endpoint: Endpoint) -> EngineUnavailable:
    """The server does not have this model: name those that it has, the nearest one first."""
    near = difflib.get_close_matches(endpoint.model, endpoint.models, n=1, cutoff=0.5)
    named = ", ".join(endpoint.models[:_MAX_MODELS_NAMED]) + (
        ", ..." if len(endpoint.models) > _MAX_MODELS_NAMED else ""
    )
    hint = f"Did you mean {near[0]!r}? " if near else ""
    mend = f"{hint}It has: {named}." if named else "Name another one: --llm openai:MODEL"
    return EngineUnavailable(
        f"The server at {endpoint.shown_url} has no model {endpoint.model!r}.", code="model_not_found", mend=mend
    )


def _status_failure(status: int, error: BaseException, endpoint: Endpoint) -> Failure:
    code, said = _body(error, endpoint)
    where = endpoint.shown_url
    match status:
        case 401:
            wants, mend = ("refuses the API key", "Correct") if endpoint.key else ("wants an API key", "Set")
            return Failure(
                EngineUnavailable(f"{where} {wants}.", code="invalid_api_key", mend=f"{mend} {endpoint.key_setting}.")
            )
        case 403:
            return Failure(
                EngineUnavailable(
                    f"{where} does not allow this key to use {endpoint.model!r}{said}", code="permission_denied"
                )
            )
        case 429:
            return _rate_failure(error, code, said, endpoint)
        case 400 | 413 | 422 if code == "context_length_exceeded" or _CONTEXT.search(said):
            return Failure(
                EngineRefused(
                    f"The conversation is too long for {endpoint.model!r}{said}",
                    code="context_length_exceeded",
                    mend="Lower the pipeline's context_tokens, or use a model with a larger context.",
                )
            )
        case 400 | 404 if code == "model_not_found" or re.search(
            r"\bmodel\b.{0,80}\bnot\b|\bno\b.{0,20}\bmodel\b", said, re.I
        ):
            return Failure(model_not_found(endpoint))
        case 404 | 405:
            return Failure(
                EngineUnavailable(
                    f"There is no chat-completions API at {where} (HTTP {status}).",
                    code="invalid_base_url",
                    mend="Correct --llm-base-url; it usually ends in /v1.",
                )
            )
        case _ if 400 <= status < 500 and status not in _RETRIED_STATUS:
            return Failure(EngineRefused(f"{where} refused the request (HTTP {status}){said}", code="invalid_request"))
    after = _retry_after_s(error) if status in _RETRIED_STATUS else None
    return Failure(EngineError(f"{where} failed (HTTP {status}){said}", code="server_error"), after)


def _rate_failure(error: BaseException, code: str, said: str, endpoint: Endpoint) -> Failure:
    if code == "insufficient_quota" or "quota" in said:
        return Failure(
            EngineError(f"The account at {endpoint.shown_url} has no credit left{said}", code="insufficient_quota")
        )
    after = _retry_after_s(error)
    wait = f" It asks to wait {after:g} s." if after else ""
    return Failure(
        EngineError(f"{endpoint.shown_url} has had too many requests{said}{wait}", code="rate_limit_exceeded"), after
    )


def _stream_failure(error: BaseException, endpoint: Endpoint) -> Failure:
    code, said = _body(error, endpoint)
    if code == "context_length_exceeded" or _CONTEXT.search(said):
        return Failure(
            EngineRefused(
                f"The conversation is too long for {endpoint.model!r}{said}",
                code="context_length_exceeded",
                mend="Lower the pipeline's context_tokens, or use a model with a larger context.",
            )
        )
    return Failure(EngineError(f"{endpoint.shown_url} broke the reply off{said}", code="server_error"), 0)


def _unreachable(error: BaseException, endpoint: Endpoint) -> EngineUnavailable:
    chain: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 6:
        chain.append(f"{type(cause).__name__} {cause}")
        cause = cause.__cause__ or cause.__context__
    told = " ".join(chain)
    if re.search(r"name resolution|Name or service|nodename|getaddrinfo|gaierror", told):
        why, mend = "the host name is unknown", "Correct --llm-base-url."
    elif re.search(r"refused|Connect call failed|All connection attempts failed", told):
        why, mend = "the connection was refused", "Start that server, or correct --llm-base-url."
    elif re.search(r"SSL|CERTIFICATE|certificate", told):
        why, mend = "TLS failed", "Does --llm-base-url begin with the right one of http:// and https://?"
    elif re.search(r"UnsupportedProtocol|InvalidURL", told):
        why, mend = "it is no http:// or https:// URL", "Correct --llm-base-url, such as http://localhost:11434/v1."
    else:
        why, mend = "the connection broke", "Is that server well? Its log may tell."
    return EngineUnavailable(
        f"The language model at {endpoint.shown_url} cannot be reached: {why}.", code="connection_failed", mend=mend
    )


def _is_network(error: BaseException) -> bool:
    """Errors of the HTTP library that the `openai` package lets through while a body is read."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in {
        "httpx",
        "httpx2",
        "httpcore",
        "anyio",
    }


def _body(error: BaseException, endpoint: Endpoint) -> tuple[str, str]:
    """The error code, and the server's words as the end of a sentence (": ..." or ".")."""
    body: Any = getattr(error, "body", None)
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    code = str(fields.get("code") or fields.get("type") or "")
    message = (
        fields.get("message") or fields.get("error") or fields.get("detail") or (body if isinstance(body, str) else "")
    )
    words = " ".join(str(message).split())
    if not words or words.startswith("<"):
        return code, "."
    if endpoint.key and len(endpoint.key) > 3:
        words = words.replace(endpoint.key, "***")
    words = _KEYS.sub("***", words)[:_MAX_QUOTE_CHARS].rstrip(".")
    return code, f": {words}."


def _retry_after_s(error: BaseException) -> float:
    headers = getattr(getattr(error, "response", None), "headers", None)
    value = headers.get("retry-after", "") if headers is not None else ""
    try:
        return max(0.0, float(value))
    except ValueError:
        return 0.0  # (a date: rare, and then our own pause will do)
