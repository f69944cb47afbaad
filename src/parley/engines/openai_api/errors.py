"""What went wrong with an endpoint, in one sentence with its remedy, and whether trying again may help.

Laws: pure; the HTTP library's exceptions are recognised by their names, so that this file imports nothing heavy. No key and no
password in a URL, and no value of a header, is ever part of a message, not even where the server repeats it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from parley.engines.openai_api.keys import key_setting
from parley.engines.openai_api.service import Service
from parley.engines.ports import EngineError, EngineRefused, EngineUnavailable
from parley.errors import ParleyError

MAX_QUOTE_CHARS: Final = 300
"""Of a server's own words: enough for a sentence, not for a page of HTML."""

_MAX_MODELS_NAMED: Final = 8

_CONTEXT: Final = re.compile(
    r"context[ _-]?(length|window|size)|maximum context|exceeds? .{0,40}context|n_ctx|prompt is too long|too many tokens",
    re.I,
)
_TITLE: Final = re.compile(r"<title[^>]*>\s*([^<]{1,80})", re.IGNORECASE)
_MAX_SEEN_CHARS: Final = 80
_KEYS: Final = re.compile(r"\b(?:sk|gsk|pk|key|hf|xai|Bearer)[-_ ][A-Za-z0-9_\-*.]{6,}")
_RETRIED_STATUS: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class StatusError(ParleyError):
    """An answer with a status other than 2xx; `body` is its JSON, or its text."""

    def __init__(self, status: int, body: object, retry_after: str = "") -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body
        self.retry_after = retry_after


class StreamError(ParleyError):
    """A failure that the server reports inside the stream; `body` is what it says, JSON or text."""

    def __init__(self, body: object) -> None:
        super().__init__("an error inside the stream")
        self.body = body


class NothingMoreCame(ParleyError, TimeoutError):
    """The stream is open, and nothing of the answer has come for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"nothing for {seconds:g} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is: what messages are written from. `secrets` are what a message may not hold, the key among them."""

    base_url: str
    model: str
    service: Service
    key: str = field(default="", repr=False)
    key_setting: str = ""
    models: Sequence[str] = ()
    secrets: Sequence[str] = field(default=(), repr=False)

    @property
    def shown_url(self) -> str:
        return shown(self.base_url)

    def hide(self, text: str) -> str:
        """A text of the server's without the secrets that it repeats."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
            for length in range(len(secret) - 1, 3, -1):  # (cut off by who quoted it)
                text = text.replace(f"{secret[:length]}...", "***...")
        return text


def shown(url: str) -> str:
    """The URL without what may be secret in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


@dataclass(frozen=True, slots=True)
class Failure:
    """`retry_after_s` None: trying again is no use; 0: at once or when one likes; else: not before."""

    error: EngineError
    retry_after_s: float | None = None


def failure_of(error: BaseException, endpoint: Endpoint) -> Failure:
    """Map whatever a request raised."""
    if isinstance(error, StatusError):
        return _status_failure(error, endpoint)
    if isinstance(error, StreamError):
        return Failure(stream_failure(error.body, endpoint), 0)
    if isinstance(error, EngineError):
        return Failure(_hidden(error, endpoint))
    name, service = type(error).__name__, endpoint.service
    if isinstance(error, NothingMoreCame):
        return Failure(
            EngineError(
                f"{service.title} at {endpoint.shown_url} stopped in the middle of its {service.answer}: nothing more came "
                f"for {error.seconds:g} s.",
                code="timeout",
                remedy=f"Is it overloaded? The option {service.idle_option} sets how long it may pause.",
            )
        )
    if isinstance(error, TimeoutError) or "Timeout" in name:
        return Failure(
            EngineError(
                f"{service.title} at {endpoint.shown_url} did not answer in time.",
                code="timeout",
                remedy=f"Is it overloaded? The option timeout_s sets how long it may take to {service.first}.",
            ),
            retry_after_s=0 if name == "ConnectTimeout" else None,
        )
    if name == "DecodingError":
        return Failure(
            EngineError(
                f"The answer of {endpoint.shown_url} cannot be decompressed.",
                code="server_error",
                remedy="Is there a proxy in between that compresses it?",
            )
        )
    if _is_network(error):
        return Failure(_unreachable(error, endpoint), retry_after_s=0)
    return Failure(
        EngineError(f"The answer of {endpoint.shown_url} was malformed ({name}).", code="server_error"),
    )


def model_not_found(endpoint: Endpoint) -> EngineUnavailable:
    """The server does not have this model: name those that it has, and the one with the nearest name."""
    remedy = f"Name another one: {endpoint.service.model_flag}"
    if endpoint.models:
        remedy = f"It {models_named(endpoint.model, endpoint.models)}"
    return EngineUnavailable(
        f"The server at {endpoint.shown_url} has no model {endpoint.model!r}.", code="model_not_found", remedy=remedy
    )


def models_named(wanted: str, models: Sequence[str]) -> str:
    """ "has: a, b. Did you mean 'b'?": the first models of a server, and the one whose name is nearest to `wanted`."""
    near = difflib.get_close_matches(wanted.lower(), [model.lower() for model in models], n=1, cutoff=0.5)
    meant = next((model for model in models if near and wanted not in models and model.lower() == near[0]), "")
    more = len(models) - _MAX_MODELS_NAMED
    named = ", ".join(models[:_MAX_MODELS_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"has: {named}." + (f" Did you mean {meant!r}?" if meant else "")


def _status_failure(error: StatusError, endpoint: Endpoint) -> Failure:
    status = error.status
    code, said = said_by(error.body, endpoint)
    where, service = endpoint.shown_url, endpoint.service
    match status:
        case 401:
            wants, remedy = ("refuses the API key", "Correct") if endpoint.key else ("wants an API key", "Set")
            return Failure(
                EngineUnavailable(
                    f"{where} {wants}.",
                    code="invalid_api_key",
                    remedy=f"{remedy} {endpoint.key_setting or key_setting(service.stage)}.",
                )
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
                    f"The {service.input} is too long for {endpoint.model!r}{said}",
                    code="context_length_exceeded",
                    remedy=service.too_long,
                )
            )
        case 400 | 404 if code == "model_not_found" or re.search(
            r"\bmodel\b.{0,80}\bnot\b|\bno\b.{0,20}\bmodel\b", said, re.I
        ):
            return Failure(model_not_found(endpoint))
        case 404 | 405:
            return Failure(
                EngineUnavailable(
                    f"There is no {service.api} at {where} (HTTP {status}).",
                    code="invalid_base_url",
                    remedy=f"Correct {service.base_url_flag}; it usually ends in /v1.",
                )
            )
        case _ if 400 <= status < 500 and status not in _RETRIED_STATUS:
            return Failure(EngineRefused(f"{where} refused the request (HTTP {status}){said}", code="invalid_request"))
    after = _retry_after_s(error) if status in _RETRIED_STATUS else None
    return Failure(EngineError(f"{where} failed (HTTP {status}){said}", code="server_error"), after)


def _rate_failure(error: StatusError, code: str, said: str, endpoint: Endpoint) -> Failure:
    if code == "insufficient_quota" or "quota" in said:
        return Failure(
            EngineError(f"The account at {endpoint.shown_url} has no credit left{said}", code="insufficient_quota")
        )
    after = _retry_after_s(error)
    wait = f" It asks to wait {after:g} s." if after else ""
    return Failure(
        EngineError(f"{endpoint.shown_url} has had too many requests{said}{wait}", code="rate_limit_exceeded"), after
    )


def stream_failure(body: object, endpoint: Endpoint) -> EngineError:
    """What a server reports instead of an answer, or in the middle of one."""
    where, service = endpoint.shown_url, endpoint.service
    code, said = said_by(body, endpoint)
    if code == "context_length_exceeded" or _CONTEXT.search(said):
        return EngineRefused(
            f"The {service.input} is too long for the model at {where}{said}",
            code="context_length_exceeded",
            remedy=service.too_long,
        )
    return EngineError(f"{where} broke the {service.answer} off{said}", code="server_error")


def no_api(body: bytes, endpoint: Endpoint) -> EngineUnavailable:
    """What is raised where something answers that is not the API."""
    return EngineUnavailable(
        f"What answers at {endpoint.shown_url} is no OpenAI-compatible API{seen(body, endpoint)}.",
        code="invalid_base_url",
        remedy=f"Correct {endpoint.service.base_url_flag}; it usually ends in /v1.",
    )


def seen(body: bytes, endpoint: Endpoint) -> str:
    """What a body that is no answer looks like, as the end of a sentence."""
    text = endpoint.hide(body.decode("utf-8", "replace").strip())
    if not text:
        return " (an empty answer)"
    if text.startswith("<"):
        title = _TITLE.search(text)
        return f" but a web page ({' '.join(title.group(1).split())!r})" if title else " but a web page"
    return f" ({' '.join(text[:_MAX_SEEN_CHARS].split())!r})"


def _unreachable(error: BaseException, endpoint: Endpoint) -> EngineUnavailable:
    chain: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 6:
        chain.append(f"{type(cause).__name__} {cause}")
        cause = cause.__cause__ or cause.__context__
    text, flag = " ".join(chain), endpoint.service.base_url_flag
    if re.search(r"name resolution|Name or service|nodename|getaddrinfo|gaierror", text):
        why, remedy = "the host name is unknown", f"Correct {flag}."
    elif re.search(r"refused|Connect call failed|All connection attempts failed", text):
        why, remedy = "the connection was refused", f"Start that server, or correct {flag}."
    elif re.search(r"SSL|CERTIFICATE|certificate", text):
        why, remedy = "TLS failed", f"Does {flag} begin with the right one of http:// and https://?"
    elif re.search(r"UnsupportedProtocol|InvalidURL", text):
        why, remedy = (
            "it is not an http:// or https:// URL",
            f"Correct {flag}, such as {endpoint.service.example_url}.",
        )
    else:
        why, remedy = "the connection broke", "Look into that server's log."
    return EngineUnavailable(
        f"{endpoint.service.title} at {endpoint.shown_url} cannot be reached: {why}.",
        code="connection_failed",
        remedy=remedy,
    )


def _is_network(error: BaseException) -> bool:
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in {"httpx2", "httpcore2", "anyio"}


def said_by(body: Any, endpoint: Endpoint) -> tuple[str, str]:
    """The error code, and the server's words as the end of a sentence (": ..." or ".")."""
    if isinstance(body, list) and body:  # (Google's: a list of one)
        body = body[0]
    if isinstance(body, dict):
        nested = [body.get("error"), body.get("detail")]  # (detail: FastAPI's)
        body = next((one for one in nested if isinstance(one, dict)), body)
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    code = str(fields.get("code") or fields.get("type") or "")
    message = (
        fields.get("message")
        or fields.get("error")
        or _validation_faults(fields.get("detail"))
        or (body if isinstance(body, str) else "")
    )
    words = " ".join(str(message).split())
    if not words or words.startswith("<"):
        return code, "."
    return code, f": {quoted(words, endpoint).rstrip('.')}."


def _validation_faults(detail: object) -> object:
    """FastAPI's list of what is wrong in a request, as text ("body.voice: Input should be ..."); anything else as it is."""
    if not isinstance(detail, list):
        return detail
    faults = [fault for fault in detail if isinstance(fault, dict)]
    return "; ".join(f"{'.'.join(map(str, fault.get('loc') or ()))}: {fault.get('msg', '')}" for fault in faults)


def without_secrets(words: str, endpoint: Endpoint) -> str:
    """A server's words without any key in them."""
    return _KEYS.sub("***", endpoint.hide(words))


def quoted(words: str, endpoint: Endpoint) -> str:
    """The beginning of a server's words, without any key in it."""
    return without_secrets(words, endpoint)[:MAX_QUOTE_CHARS]


def _hidden(error: EngineError, endpoint: Endpoint) -> EngineError:
    """An error that quotes the server, without the secrets that it repeats."""
    message = endpoint.hide(error.message)
    return error if message == error.message else type(error)(message, error.remedy, code=error.code)


def _retry_after_s(error: StatusError) -> float:
    try:
        return max(0.0, float(error.retry_after))
    except ValueError:
        return 0.0  # (a date: rare, and then our own pause will do)
