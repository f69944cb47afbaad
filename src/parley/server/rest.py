"""The HTTP endpoints: models (`models_rest.py`), client secrets (`client_secrets_rest.py`), recordings to text (`transcriptions_rest.py`,
`translations_rest.py`), speech (`speech_rest.py`), own voices and consents (`voices_rest.py`, `voice_consents_rest.py`), health, metrics,
the page (`web.py`).

Every error has OpenAI's shape, and CORS headers let allowed pages read all of them.

Laws: `/health` needs no key and shows no secret; all else but the page needs one wherever the server requires keys.
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
from starlette.requests import Request
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
from parley.server.audio_upload import AudioRequests
from parley.server.client_secrets_rest import ClientSecretsRest
from parley.server.models_rest import ModelsRest
from parley.server.own_recogniser import OwnRecogniser
from parley.server.paths import REALTIME_PATHS, TRANSLATION_PATHS
from parley.server.refusals import Refusal, Refused
from parley.server.sessions import SessionFactory, served_dialects
from parley.server.speech_rest import SpeechRest
from parley.server.transcriptions_rest import TranscriptionsRest
from parley.server.translations_rest import TranslationsRest
from parley.server.voice_consents_rest import VoiceConsentsRest
from parley.server.voices_rest import VoicesRest
from parley.server.web import Page, PageAnswers

log = logging.getLogger("parley.server")

METHODS = ("GET", "POST", "DELETE", "OPTIONS")


def rest_app(
    config: Config,
    engines: LoadedEngines,
    *,
    access: Access,
    hosts: HostRule,
    origins: OriginRule,
    factory: SessionFactory,
    running: Sessions,
    audio: AudioRequests,
    metrics: Metrics,
    links: Sequence[Route] = (),
    webrtc: str = "off",
) -> ASGIApp:
    """The HTTP half of the server. `links` are the endpoints of links that are opened by HTTP; `webrtc` says whether calls can be made."""
    rest = _Rest(config, engines, access, running, metrics.registry, webrtc)
    page = PageAnswers(
        config, engines, access=access, origins=origins, factory=factory, accounts=metrics.accounts, webrtc=webrtc
    )
    secrets = ClientSecretsRest(access, origins, factory, served_dialects(config.server))
    recogniser = OwnRecogniser(config, engines)
    routes = [
        *ModelsRest(config, engines, access).routes(),
        Route("/health", rest.health),
        Route("/metrics", rest.metrics),
        *(Route(path, rest.upgrade_required) for path in (*REALTIME_PATHS, *TRANSLATION_PATHS)),
        *secrets.routes(),
        *links,
        *TranscriptionsRest(config, engines, audio).routes(),
        *TranslationsRest(config, engines, audio).routes(),
        *SpeechRest(config, engines, audio).routes(),
        *VoicesRest(engines.own, recogniser, audio).routes(),
        *VoiceConsentsRest(recogniser, engines.own.store, audio).routes(),
        *Page().routes(),
        *page.routes(),
    ]
    handlers: dict[Any, Callable[[Request, Any], Awaitable[Response]]] = {
        Refused: _refused,
        HTTPException: _http_error,
        Exception: _bug,
    }
    # Outside of the routes, so that a page can read errors too.
    answered = CORSMiddleware(
        Starlette(routes=routes, exception_handlers=handlers),
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

    async def metrics(self, request: Request) -> Response:
        self._authorize(request, "admin")
        return Response(generate_latest(self._metrics), media_type=CONTENT_TYPE_LATEST)

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


def _served(app: Starlette, path: str) -> bool:
    """Whether a route is there for `path`."""
    scope = {"type": "http", "path": path, "method": "GET", "root_path": ""}
    return any(route.matches(scope)[0] is not Match.NONE for route in app.routes)


async def _http_error(request: Request, error: HTTPException) -> Response:
    path = request.url.path
    match error.status_code:
        case 404:
            hint = f" Did you mean /v1{path}?" if _served(request.app, f"/v1{path}") else ""
            refusal = Refusal(404, "not_found", f"There is no {request.method} {path} here.{hint}")
        case 405:
            refusal = Refusal(405, "method_not_allowed", f"{path} does not take {request.method}.")
        case status:
            refusal = Refusal(status, "invalid_request", str(error.detail))
    return _refusal_response(refusal, error.headers)


async def _bug(request: Request, error: Exception) -> Response:
    message = "An internal error; the server's log tells more."
    return _refusal_response(Refusal(500, "internal_error", message, None, "server_error"))


def _refusal_response(refusal: Refusal, extra: Any = None) -> Response:
    return Response(refusal.body(), refusal.status, {**(extra or {}), **refusal.headers()})


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
