"""The HTTP endpoints: models (`models_rest.py`), client secrets (`client_secrets_rest.py`), recordings to text (`transcriptions_rest.py`,
`translations_rest.py`), speech (`speech_rest.py`), own voices and consents (`voices_rest.py`, `voice_consents_rest.py`), health, metrics,
the page (`web.py`).

Every error has OpenAI's shape, and CORS headers let allowed pages read all of them.

Laws: `/health` and `/openapi.json` need no key and show no secret; all else but the page needs one wherever the server requires keys.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from parley import __version__
from parley.config import Config
from parley.runtime.engines import LoadedEngines
from parley.runtime.metrics import Metrics
from parley.server.access.access import Access, Demand
from parley.server.access.credentials import key_of_request
from parley.server.access.hosts import HostRule
from parley.server.access.origins import OriginRule
from parley.server.admission import Sessions
from parley.server.audio_upload import GONE, AudioRequests
from parley.server.client_secrets_rest import ClientSecretsRest
from parley.server.models_rest import ModelsRest
from parley.server.nothing_here import nothing_here, wants_page
from parley.server.openapi.document import document
from parley.server.openapi.operation import AnswerDescription, described, json_answer
from parley.server.own_recogniser import OwnRecogniser
from parley.server.paths import RAW_AUDIO_PATH, REALTIME_PATHS, TRANSLATION_PATHS, TWILIO_PATH
from parley.server.refusals import Refusal, Refused
from parley.server.sessions import SessionFactory, served_dialects
from parley.server.speech_rest import SpeechRest
from parley.server.text_rest import TextRest
from parley.server.transcriptions_rest import TranscriptionsRest
from parley.server.translations_rest import TranslationsRest
from parley.server.voice_consents_rest import VoiceConsentsRest
from parley.server.voices_rest import VoicesRest
from parley.server.web import Page, PageAnswers

log = logging.getLogger("parley.server")

METHODS = ("GET", "POST", "DELETE", "OPTIONS")


def rest_routes(
    config: Config,
    engines: LoadedEngines,
    *,
    access: Access,
    origins: OriginRule,
    factory: SessionFactory,
    running: Sessions,
    audio: AudioRequests,
    text: TextRest,
    metrics: Metrics,
    links: Sequence[Route] = (),
    webrtc: str = "off",
) -> list[Route]:
    """The endpoints. `links` are the endpoints of links that are opened by HTTP; `webrtc` says whether calls can be made."""
    rest = _Rest(config, engines, access, running, metrics.registry, webrtc)
    page = PageAnswers(
        config, engines, access=access, origins=origins, factory=factory, accounts=metrics.accounts, webrtc=webrtc
    )
    secrets = ClientSecretsRest(access, origins, factory, served_dialects(config.server))
    recogniser = OwnRecogniser(config, engines)
    routes: list[Route] = []
    routes += [
        *ModelsRest(config, engines, access).routes(),
        Route("/health", rest.health),
        Route("/metrics", rest.metrics),
        *(
            Route(path, rest.upgrade_required)
            for path in (*REALTIME_PATHS, *TRANSLATION_PATHS, RAW_AUDIO_PATH, TWILIO_PATH)
        ),
        *secrets.routes(),
        *links,
        *TranscriptionsRest(config, engines, audio).routes(),
        *TranslationsRest(config, engines, audio).routes(),
        *SpeechRest(config, engines, audio).routes(),
        *text.routes(),
        *VoicesRest(engines.own, recogniser, audio).routes(),
        *VoiceConsentsRest(recogniser, engines.own.store, audio).routes(),
        *Page().routes(),
        *page.routes(),
        Route("/openapi.json", ApiDocument(routes).show),
    ]
    return routes


def rest_app(routes: Sequence[Route], hosts: HostRule, origins: OriginRule) -> ASGIApp:
    """The HTTP half of the server, of these endpoints."""
    handlers: dict[Any, Callable[[Request, Any], Awaitable[Response]]] = {
        Refused: _refused,
        HTTPException: _http_error,
        ClientDisconnect: _gone,
        Exception: _bug,
    }
    app = Starlette(routes=list(routes), exception_handlers=handlers)
    # A redirect would lead to whatever host the request names.
    app.router.redirect_slashes = False
    # Outside of the routes, so that a page can read errors too.
    answered = CORSMiddleware(
        app,
        allow_origins=["*"] if origins.everyone else (),
        allow_origin_regex=None if origins.everyone else origins.pattern,
        allow_methods=METHODS,
        allow_headers=["*"],
        expose_headers=["Location", "Retry-After"],
        allow_private_network=True,
    )

    async def of_this_host(scope: Scope, receive: Receive, send: Send) -> None:
        refusal = hosts.refusal(Headers(scope=scope).get("host"))
        app = answered if refusal is None else _refusal_response(refusal)
        await app(scope, receive, send)

    return of_this_host


class ApiDocument:
    """`GET /openapi.json`: the document of these routes."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes
        self._made = b""

    @described(
        "This document",
        demand=None,
        answers={200: json_answer("The API as OpenAPI 3.1 describes it.", {"type": "object"})},
    )
    async def show(self, request: Request) -> Response:
        self._made = self._made or msgspec.json.encode(document(self._routes))
        return Response(self._made, media_type="application/json")


class _Rest:
    def __init__(
        self,
        config: Config,
        engines: LoadedEngines,
        access: Access,
        running: Sessions,
        metrics: CollectorRegistry,
        webrtc: str,
    ) -> None:
        self._config = config
        self._engines = engines
        self._access = access
        self._running = running
        self._metrics = metrics
        self._webrtc = webrtc

    @described(
        "How the server is",
        demand=None,
        answers={200: json_answer("A pipeline can be used.", "Health"), 503: json_answer("None can.", "Health")},
    )
    async def health(self, request: Request) -> Response:
        pipelines = {name: self._condition(name) for name in self._config.pipelines}
        states = {pipeline["state"] for pipeline in pipelines.values()}
        serving = bool(states & {"ready", "degraded"})
        health = {
            "parley": __version__,
            "status": "degraded" if "degraded" in states else "ok" if serving else "unavailable",
            "pipelines": pipelines,
            "default_pipeline": self._config.default_pipeline,
            "sessions": len(self._running),
            "webrtc": self._webrtc,
        }
        return _json(health, 200 if serving else 503)

    def _condition(self, name: str) -> dict[str, object]:
        """Whether a pipeline is served, and which of its engines cannot work at this moment."""
        if name in self._engines.failures:
            return {"state": "failed"}
        faults = self._engines.faults(name)
        if not faults:
            return {"state": "ready"}
        found = {stage.name: {"code": fault.code, "message": fault.message} for stage, fault in faults.items()}
        return {"state": "degraded", "faults": found}

    @described(
        "Metrics for Prometheus",
        demand="admin",
        answers={200: AnswerDescription("The metrics.", {"text/plain": {"type": "string"}})},
    )
    async def metrics(self, request: Request) -> Response:
        self._authorize(request, "admin")
        return Response(generate_latest(self._metrics), media_type=CONTENT_TYPE_LATEST)

    @described(
        "A WebSocket",
        demand=None,
        answers={
            101: AnswerDescription(
                "The WebSocket is open. Its handshake needs a key with the scope realtime, or a client secret."
            )
        },
        errors=(400, 401, 404, 426, 429),
        text="Without an upgrade it is refused with 426.",
    )
    async def upgrade_required(self, request: Request) -> Response:
        message = f"{request.url.path} is a WebSocket: connect to it with ws:// or wss://."
        refusal = Refusal(426, "upgrade_required", message)
        return _refusal_response(refusal, {"upgrade": "websocket"})

    def _authorize(self, request: Request, demand: Demand) -> None:
        grant = self._access.grant(key_of_request(request.headers), demand)
        if isinstance(grant, Refusal):
            raise Refused(grant)


async def _refused(request: Request, error: Refused) -> Response:
    return _refusal_response(error.refusal)


def _served(app: Starlette, path: str) -> set[str]:
    """The methods that `path` takes, over all its routes."""
    scope = {"type": "http", "path": path, "method": "GET", "root_path": ""}
    found = [route for route in app.routes if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE]
    return {method for route in found for method in route.methods or ()}


async def _http_error(request: Request, error: HTTPException) -> Response:
    path, headers = request.url.path, error.headers
    match error.status_code:
        case 404:
            meant = next((near for near in (f"/v1{path}", path.rstrip("/")) if _served(request.app, near)), "")
            hint = f" Did you mean {meant}?" if meant else ""
            refusal = Refusal(404, "not_found", f"There is no {request.method} {path[:200]} here.{hint}")
            if wants_page(request):
                return nothing_here(request, refusal)
        case 405:
            methods = ", ".join(sorted(_served(request.app, path)))
            headers = {"allow": methods}
            refusal = Refusal(405, "method_not_allowed", f"{path} does not take {request.method}, but {methods}.")
        case status:
            refusal = Refusal(status, "invalid_request", str(error.detail))
    return _refusal_response(refusal, headers)


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    """Nobody reads it: the client left in the middle of its body."""
    return _refusal_response(GONE)


async def _bug(request: Request, error: Exception) -> Response:
    message = "An internal error; the server's log tells more."
    return _refusal_response(Refusal(500, "internal_error", message, None, "server_error"))


def _refusal_response(refusal: Refusal, extra: Any = None) -> Response:
    return Response(refusal.body(), refusal.status, {**(extra or {}), **refusal.headers()})


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
