"""The browser page at `/`, and the few answers it needs that the Realtime protocol does not give.

Laws: GET only; the page's files hold no secret and need no key, everything below `/parley/` needs one. The page may load nothing
from other origins and cannot be framed. A file is read once, at start-up; a browser asks each time whether it has changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.config import Config
from parley.core.words.ids import SessionId
from parley.runtime.engines import LoadedEngines
from parley.runtime.turns import TurnAccount
from parley.runtime.waterfall import measured
from parley.server.access.access import Access
from parley.server.access.credentials import key_of_request
from parley.server.access.origins import OriginRule
from parley.server.openapi.operation import AnswerDescription, QueryField, described, described_as, json_answer
from parley.server.page_pipelines import described_for_page
from parley.server.realtime_session import SessionRequest
from parley.server.refusals import Refusal, Refused
from parley.server.sessions import SessionFactory
from parley.text.consent import PHRASES
from parley.web import TYPES, page_files
from parley.wire.dialects import GA, TRANSLATIONS

ENTRANCE = "index.html"
FAVICON = "icons/favicon.ico"

GUARD = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; "
        "media-src 'self' blob: mediastream:; manifest-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "permissions-policy": "microphone=(self), speaker-selection=(self), camera=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""Only the page's own files can run in it, whatever text captions and models contain."""

ALWAYS_ASK = "no-cache"
FONTS_KEPT = "public, max-age=2592000"
"""Fonts change only with releases, and text moves when its font arrives late."""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    headers: Mapping[str, str]


_KINDS = [kind.partition(";")[0] for kind in TYPES.values()]

UNCHANGED = AnswerDescription("It is as it was (If-None-Match).")


class Page:
    """The page's files, in memory. `routes()` is what to mount."""

    def __init__(self) -> None:
        self._files = {name: _loaded(name, path.read_bytes()) for name, path in page_files().items()}

    def routes(self) -> list[Route]:
        return [
            Route("/", self.entrance, methods=["GET"]),
            Route("/favicon.ico", self.favicon, methods=["GET"]),
            Route("/assets/{name:path}", self.asset, methods=["GET"]),
        ]

    @described(
        "The page",
        demand=None,
        answers={200: AnswerDescription("The page.", {"text/html": {"type": "string"}}), 304: UNCHANGED},
    )
    async def entrance(self, request: Request) -> Response:
        return _served(self._files[ENTRANCE], request)

    @described(
        "The page's icon",
        demand=None,
        answers={
            200: AnswerDescription("The icon.", {TYPES[".ico"]: {"type": "string", "format": "binary"}}),
            304: UNCHANGED,
        },
        text="Where browsers look for one that no page names.",
    )
    async def favicon(self, request: Request) -> Response:
        return _served(self._files[FAVICON], request)

    @described(
        "A file of the page",
        demand=None,
        answers={
            200: AnswerDescription("The file.", {kind: {"type": "string"} for kind in sorted(set(_KINDS))}),
            304: UNCHANGED,
        },
        errors=(404,),
    )
    async def asset(self, request: Request) -> Response:
        file = self._files.get(request.path_params["name"])
        if file is None:
            raise Refused(Refusal(404, "not_found", f"The page has no file {request.url.path[:200]}."))
        return _served(file, request)


def _loaded(name: str, body: bytes) -> _File:
    suffix = name[name.rindex(".") :]
    return _File(
        body,
        {
            **GUARD,
            "content-type": TYPES[suffix],
            "etag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
            "cache-control": FONTS_KEPT if suffix == ".woff2" else ALWAYS_ASK,
        },
    )


def _served(file: _File, request: Request) -> Response:
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or file.headers["etag"] in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(status_code=304, headers=file.headers)
    return Response(file.body, headers=file.headers)


_ADMITTED = {"conversation": GA, "translation": TRANSLATIONS}
"""The kinds of session that the page opens, with their dialects."""


class PageAnswers:
    """Answers for the page, beside the protocol: `/parley/pipelines`, `/parley/admission`, `/parley/consent`, `/parley/webrtc`,
    `/parley/sessions/{id}/turns`. `webrtc` says whether calls can be made (`links/webrtc/calls_http.py`)."""

    def __init__(
        self,
        config: Config,
        engines: LoadedEngines,
        *,
        access: Access,
        origins: OriginRule,
        factory: SessionFactory,
        accounts: Mapping[SessionId, TurnAccount],
        webrtc: str = "off",
    ) -> None:
        self._config = config
        self._engines = engines
        self._access = access
        self._origins = origins
        self._factory = factory
        self._accounts = accounts
        self._webrtc = webrtc

    def routes(self) -> list[Route]:
        answers: dict[str, Callable[[Request], object]] = {
            "/parley/pipelines": self.pipelines,
            "/parley/admission": self.admission,
            "/parley/consent": self.consent,
            "/parley/webrtc": self.calls,
            "/parley/sessions/{session_id}/turns": self.turns,
        }
        return [Route(path, self._guarded(answer), methods=["GET"]) for path, answer in answers.items()]

    def _guarded(self, answer: Callable[[Request], object]) -> Callable[[Request], object]:
        async def endpoint(request: Request) -> Response:
            grant = self._access.grant(key_of_request(request.headers), "realtime")
            if isinstance(grant, Refusal):
                raise Refused(grant)
            request.state.grant = grant
            body = msgspec.json.encode(answer(request))
            return Response(body, media_type="application/json", headers={"cache-control": "no-store"})

        return described_as(endpoint, answer)

    @described("What can be talked to", demand="realtime", answers={200: json_answer("The pipelines.", "Pipelines")})
    def pipelines(self, request: Request) -> object:
        """What can be talked to, the default first; voices as `session.audio.output.voice` takes them; and the addresses of the MCP servers
        that sessions may name ("*": any)."""
        served = sorted(self._engines.pipelines.values(), key=lambda one: one.name != self._config.default_pipeline)
        pipelines = [described_for_page(pipeline) for pipeline in served]
        return {"pipelines": pipelines, "tool_servers": self._config.server.allowed_mcp_servers}

    @described(
        "Whether a session could begin now",
        demand="realtime",
        answers={200: json_answer("One could.", "Admission")},
        errors=(400, 404, 429),
        query=(
            QueryField("kind", "Of the session.", {"enum": ["conversation", "translation"]}),
            QueryField("model", "A pipeline."),
            QueryField("origin", "The page's."),
        ),
    )
    def admission(self, request: Request) -> object:
        """Whether a session could begin now: a browser does not show a page why its WebSocket was refused. `kind` is `conversation`
        (where it is left out) or `translation`."""
        asked = request.query_params
        dialect = _ADMITTED.get(asked.get("kind", "conversation"))
        if dialect is None:
            message = f"kind must be one of {', '.join(map(repr, _ADMITTED))}."
            raise Refused(Refusal(400, "invalid_value", message, param="kind"))
        wanted = SessionRequest(request.state.grant, dialect, asked.get("model", ""))
        refusal = self._origins.refusal(asked.get("origin"), request.headers.get("host"))
        refusal = refusal or self._factory.outlook(wanted)
        if refusal is not None:
            raise Refused(refusal)
        return {"open": True}

    @described(
        "What is read aloud by who consents to a voice",
        demand="realtime",
        answers={200: json_answer("The sentences, by language.", "ConsentPhrases")},
    )
    def consent(self, request: Request) -> object:
        """What a person reads aloud who consents to a voice of theirs, by language."""
        return {"phrases": {language: phrase.text for language, phrase in PHRASES.items()}}

    @described(
        "Whether calls over WebRTC can be made",
        demand="realtime",
        answers={200: json_answer("The state, and the RTCConfiguration of a call.", "Calls")},
    )
    def calls(self, request: Request) -> object:
        """Whether calls can be made, and the `RTCConfiguration` for them: the ICE servers of this server."""
        webrtc = self._config.webrtc
        servers: list[dict[str, object]] = [
            {"urls": url}
            if url.startswith("stun")
            else {"urls": url, "username": webrtc.ice_username, "credential": webrtc.ice_credential}
            for url in webrtc.ice_servers
        ]
        return {"state": self._webrtc, "configuration": {"iceServers": servers}}

    @described(
        "The last turns of a session",
        demand="realtime",
        answers={200: json_answer("The turns, with the times of their steps.", "Turns")},
        errors=(404,),
    )
    def turns(self, request: Request) -> object:
        """The session's last turns, oldest first; see `runtime/waterfall.py`."""
        session_id = request.path_params["session_id"]
        account = self._accounts.get(SessionId(session_id))
        if account is None:
            raise Refused(Refusal(404, "session_not_found", f"No session {session_id[:100]!r} is open here."))
        return {"session_id": session_id, "turns": measured(account.turns)}
