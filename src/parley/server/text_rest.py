"""`POST /v1/chat/completions` and `/v1/responses`, handed on to the language model of a pipeline.

Laws:
- Off unless `server.text_api` is set: whoever has a key with the scope `text` spends what the model's owner pays for.
- The client's key and headers stay here, and the endpoint's do too (see `engines.ports.forwarding`): only the body goes on, with the
  pipeline's model, and only status, content type and body come back.
- A pipeline with a moderator is refused: it judges clauses of a conversation, and nothing may pass it by.
- Nothing is answered before the model's first bytes. Where the client goes away, the endpoint's request is closed. What fails later ends
  the stream with an error event.
- `MAX_REQUESTS` at once, each counted for its key as a session is. Of an answer that is not streamed, `MAX_ANSWER_BYTES` are taken.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.config import Config
from parley.engines.openai_api.answer import MAX_ANSWER_BYTES
from parley.engines.ports import (
    LLM,
    MODERATION,
    EngineError,
    ForwardedHead,
    ForwardFailed,
    ForwardRefused,
    ForwardRequest,
    ForwardsRequests,
    TextApi,
    text_apis,
)
from parley.runtime.engines import LoadedEngines
from parley.runtime.generation.streams import closing
from parley.runtime.pipeline import LoadedPipeline
from parley.server.access.access import Access
from parley.server.access.origins import OriginRule
from parley.server.admission import Sessions
from parley.server.audio_upload import STOPPING, until_gone
from parley.server.openapi.operation import EVENTS, SSE, AnswerDescription, Schema, described, json_body
from parley.server.pipelines import pipeline_with
from parley.server.refusals import Refusal, RefusalType, Refused
from parley.server.rest_places import BUSY_RETRY_S, RestPlaces
from parley.server.streamed_answer import EVENT_STREAM, StreamedAnswer
from parley.server.text_body import read_text_body

log = logging.getLogger("parley.server")

MAX_REQUESTS: Final = 32
"""At once: they wait for an endpoint, and hold a body of 8 MiB at the most."""

TEXT_MODELS: Final = ("gpt-", "chatgpt-", "o1", "o3", "o4")
"""What stock clients send as `model`, with any ending: they stand for the default pipeline, whatever its model is."""

NAMES: Final[dict[TextApi, str]] = {"chat": "chat completions", "responses": "responses"}

OFF: Final = Refusal(
    404,
    "text_api_disabled",
    "The text APIs are switched off on this server. Its owner can set server.text_api = true (PARLEY_TEXT_API).",
)
NOTHING_STORED: Final = Refusal(
    404,
    "nothing_stored",
    "This server stores no completions and no responses: it has POST /v1/chat/completions and POST /v1/responses only.",
)
BUSY: Final = Refusal(
    429,
    "too_many_text_requests",
    f"The server hands on {MAX_REQUESTS} requests for text already. Try again in {BUSY_RETRY_S} s.",
    None,
    "rate_limit_error",
    BUSY_RETRY_S,
)

ANSWERS: Final[dict[str, Schema]] = {"application/json": "ForwardedAnswer", SSE: EVENTS}
FORWARD_ERRORS: Final = (400, 404, 409, 413, 415, 422, 429, 502, 504)
FORWARDED: Final = "Handed on to the language model of a pipeline (server.text_api)."

_STATUS: Final = {"rate_limit_exceeded": 429, "insufficient_quota": 429, "timeout": 504}


class TextRest:
    """The endpoints. `routes()` is what to mount."""

    def __init__(
        self, config: Config, engines: LoadedEngines, access: Access, origins: OriginRule, running: Sessions
    ) -> None:
        self._config = config
        self._engines = engines
        self._places = RestPlaces(access, origins, running, scope="text", most=MAX_REQUESTS, busy=BUSY)

    def __len__(self) -> int:
        """How many requests are being handed on."""
        return len(self._places)

    def routes(self) -> list[Route]:
        below = ["GET", "POST", "DELETE"]
        return [
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/chat/completions/{rest:path}", self.nothing_stored, methods=below),
            Route("/v1/responses", self.responses, methods=["POST"]),
            Route("/v1/responses/{rest:path}", self.nothing_stored, methods=below),
        ]

    @described(
        "Complete a chat",
        demand="text",
        answers={200: AnswerDescription("The completion, or its events.", ANSWERS)},
        errors=FORWARD_ERRORS,
        body=json_body("ChatCompletionBody"),
        text=FORWARDED,
    )
    async def chat(self, request: Request) -> Response:
        return await self._answer(request, "chat")

    @described(
        "Make a response",
        demand="text",
        answers={200: AnswerDescription("The response, or its events.", ANSWERS)},
        errors=FORWARD_ERRORS,
        body=json_body("ResponseBody"),
        text=FORWARDED,
    )
    async def responses(self, request: Request) -> Response:
        return await self._answer(request, "responses")

    @described("Nothing is stored", demand="text", answers={}, errors=(404,), text="Always refused.")
    async def nothing_stored(self, request: Request) -> Response:
        self._places.grant(request)
        raise Refused(NOTHING_STORED if self._config.server.text_api else OFF)

    async def _answer(self, request: Request, api: TextApi) -> Response:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._places.admitted(request))
            if not self._config.server.text_api:
                raise Refused(OFF)
            body = await read_text_body(request, api)
            engine = self._engine(body.model, api)
            forwarded = _forwarded(engine, ForwardRequest(api, body.fields, body.stream))
            pieces = await stack.enter_async_context(aclosing(forwarded))
            head = await until_gone(request, anext(pieces))
            if isinstance(head, ForwardedHead) and head.streamed:
                stopped = _broken(STOPPING, api)
                return StreamedAnswer(_events(pieces, api), EVENT_STREAM, stack.pop_all(), stopped=stopped)
            return Response(
                await until_gone(request, _whole(pieces)),
                media_type="application/json",
                headers={"cache-control": "no-store"},
            )

    def _engine(self, model: str, api: TextApi) -> ForwardsRequests:
        """The language model that answers. Raises `Refused`."""
        pipeline = self._pipeline(model)
        name = pipeline.name
        if MODERATION in pipeline.engines:
            message = f"The pipeline {name!r} has a moderator, which these requests would pass by. {self._others(api)}"
            raise Refused(Refusal(400, "pipeline_moderated", message, "model"))
        engine: object = pipeline.engines[LLM]
        if not isinstance(engine, ForwardsRequests) or api not in engine.apis:
            named = pipeline.engines[LLM].info.name
            message = f"The language model of the pipeline {name!r} ({named}) has no API for {NAMES[api]}. {self._others(api)}"
            raise Refused(Refusal(400, "api_not_available", message, "model"))
        return engine

    def _pipeline(self, model: str) -> LoadedPipeline:
        """By its name, by the name of its own model, or the default one for OpenAI's names. Raises `Refused`."""
        if model not in self._config.pipelines:
            of_model = [
                name
                for name in self._engines.pipelines
                if (spec := self._config.pipelines[name].engines.get(LLM)) is not None and model and spec.model == model
            ]
            if of_model:
                default = self._config.default_pipeline
                model = default if default in of_model else of_model[0]
            elif model.startswith(TEXT_MODELS):
                model = ""
        return pipeline_with(self._config, self._engines, model, LLM, "language model", "no_language_model")

    def _others(self, api: TextApi) -> str:
        able = [
            name
            for name, pipeline in self._engines.pipelines.items()
            if MODERATION not in pipeline.engines and api in text_apis(pipeline.engines.find(LLM))
        ]
        if able:
            return f"These pipelines can be used as `model`: {', '.join(able)}."
        other = (
            "openai, ollama and llama"
            if api == "chat"
            else "responses, openai (with OpenAI itself) and ollama (from 0.13.3)"
        )
        return f"No pipeline of this server can be used; the engines that can are {other}."


async def _forwarded(engine: ForwardsRequests, request: ForwardRequest) -> AsyncGenerator[ForwardedHead | bytes, None]:
    """The answer. Raises `Refused`."""
    try:
        async with closing(engine.forward(request)) as pieces:
            async for piece in pieces:
                yield piece
    except ForwardRefused as error:
        raise Refused(Refusal(error.status, error.code, error.message, error.param)) from error
    except EngineError as error:
        wait_s = math.ceil(error.retry_after_s) if isinstance(error, ForwardFailed) else 0
        status = _STATUS.get(error.code, 502)
        kind: RefusalType = "rate_limit_error" if status == 429 else "server_error"
        raise Refused(Refusal(status, error.code, str(error), None, kind, wait_s)) from error


async def _events(pieces: AsyncGenerator[ForwardedHead | bytes, None], api: TextApi) -> AsyncGenerator[bytes, None]:
    """The bytes as they come; a failure is the last event."""
    try:
        async for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
    except Refused as refused:
        log.warning("an answer of a language model broke off: %s", refused.refusal.message)
        yield _broken(refused.refusal, api)


def _broken(refusal: Refusal, api: TextApi) -> bytes:
    """The failure as clients of either API read it. The first line ends an event that was cut off."""
    told = msgspec.json.decode(refusal.body())
    if api == "chat":
        return b"\n\ndata: " + msgspec.json.encode(told) + b"\n\n"
    said = {"type": "error", "code": refusal.code, "message": refusal.message, "param": None, **told}
    return b"\n\nevent: error\ndata: " + msgspec.json.encode(said) + b"\n\n"


async def _whole(pieces: AsyncGenerator[ForwardedHead | bytes, None]) -> bytes:
    """The document. Raises `Refused`."""
    data = bytearray()
    async for piece in pieces:
        data += piece if isinstance(piece, bytes) else b""
        if len(data) > MAX_ANSWER_BYTES:
            message = f"The endpoint's answer is larger than {MAX_ANSWER_BYTES >> 20} MiB; ask for a stream."
            raise Refused(Refusal(502, "server_error", message, None, "server_error"))
    return bytes(data)
