"""What went wrong with Ollama, in one sentence with the command that puts it right.

Laws: pure; what is not Ollama's own is worded as for every endpoint (`openai_api.errors`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from parley.engines.llm.ollama_request import tools_unsupported
from parley.engines.openai_api.errors import (
    Endpoint,
    Failure,
    StatusError,
    StreamError,
    failure_of,
    models_named,
    quoted,
)
from parley.engines.ports import EngineError, EngineRefused, EngineUnavailable

_MEMORY: Final = re.compile(
    r"more system memory|out of memory|not enough memory|insufficient memory|unable to allocate|cudaMalloc failed"
    r"|failed to allocate|cannot allocate",
    re.IGNORECASE,
)
_CONTEXT: Final = re.compile(
    r"exceed_context_size|exceeds? the (available )?context|longer than the context|input length exceeds", re.IGNORECASE
)
_NOT_FOUND: Final = re.compile(r"model .*not found|no such model", re.IGNORECASE)
_BUSY: Final = re.compile(r"server busy|maximum pending requests", re.IGNORECASE)
_CLOUD: Final = re.compile(r"unauthorized|signin|sign in", re.IGNORECASE)
_MAX_NESTED: Final = 3


def ollama_failure(error: BaseException, endpoint: Endpoint, num_ctx: int) -> Failure:
    """Map whatever a request raised."""
    if isinstance(error, StatusError | StreamError):
        said = _words(error.body, endpoint)
        status = error.status if isinstance(error, StatusError) else 500
        known = _known(status, said, endpoint, num_ctx)
        if known is not None:
            return known
    failure = failure_of(error, endpoint)
    if failure.error.code == "connection_failed" and "refused" in failure.error.message:
        return Failure(not_running(endpoint.shown_url), failure.retry_after_s)
    if failure.error.code == "invalid_base_url":
        return Failure(no_ollama(endpoint.shown_url))
    return failure


def not_running(where: str) -> EngineUnavailable:
    """Nothing listens there."""
    return EngineUnavailable(
        f"Ollama does not run at {where}: the connection was refused.",
        "Start it: `ollama serve`; or correct --llm-base-url.",
        code="connection_failed",
    )


def no_ollama(where: str) -> EngineUnavailable:
    """Something else answers there."""
    return EngineUnavailable(
        f"What answers at {where} is no Ollama.",
        "Correct --llm-base-url, such as http://127.0.0.1:11434; for other servers use the engine openai.",
        code="invalid_base_url",
    )


def not_pulled(model: str, where: str, models: Sequence[str]) -> EngineUnavailable:
    """The server does not have this model."""
    others = f" It {models_named(model, models)}" if models else ""
    return EngineUnavailable(
        f"Ollama at {where} has no model {model!r}.", f"Get it: `ollama pull {model}`.{others}", code="model_not_found"
    )


def _known(status: int, said: str, endpoint: Endpoint, num_ctx: int) -> Failure | None:
    """The failures that Ollama reports in words of its own."""
    model, where = endpoint.model, endpoint.shown_url
    if _MEMORY.search(said):
        return Failure(
            EngineUnavailable(
                f"Ollama has not enough memory for {model!r}: {said}.",
                f"Free memory, use a smaller model, or lower num_ctx (now {num_ctx}).",
                code="out_of_memory",
            )
        )
    if _CONTEXT.search(said):
        return Failure(
            EngineRefused(
                f"The conversation is too long for {model!r} with num_ctx {num_ctx}: {said}.",
                "Raise num_ctx in llm_options, or lower the pipeline's context_tokens.",
                code="context_length_exceeded",
            )
        )
    if _BUSY.search(said):
        return Failure(EngineError(f"Ollama at {where} is busy: {said}.", code="server_overloaded"), 0)
    if status == 400 and "does not support tools" in said:
        return Failure(tools_unsupported(model))
    if status == 400 and "does not support thinking" in said:
        return Failure(no_thinking(model))
    if status == 404 and _NOT_FOUND.search(said):
        return Failure(not_pulled(model, where, endpoint.models))
    if status == 401 and _CLOUD.search(said):
        return Failure(
            EngineUnavailable(
                f"Ollama wants an account for {model!r}.", "Sign in: `ollama signin`.", code="invalid_api_key"
            )
        )
    return None


def no_thinking(model: str) -> EngineUnavailable:
    """The option `think` was set for a model that has no thinking."""
    return EngineUnavailable(
        f"The model {model!r} of Ollama does not think.",
        "Remove the option think, or use a model that lists `thinking` in `ollama show MODEL`.",
        code="invalid_engine_option",
    )


def _words(body: Any, endpoint: Endpoint) -> str:
    """The server's words in one line. Newer versions put the runner's JSON into the text of their own."""
    for _ in range(_MAX_NESTED):
        if isinstance(body, dict):
            body = body.get("error") or body.get("message") or ""
        elif isinstance(body, str) and body.lstrip().startswith("{"):
            try:
                body = json.loads(body)
            except (ValueError, RecursionError):
                break
    text = body.get("message", "") if isinstance(body, dict) else body
    return quoted(" ".join(str(text).split()), endpoint).rstrip(".")
