"""`POST /v1/realtime/calls`: an SDP offer becomes a call; and its end, `DELETE` and `.../hangup`.

Next on the reading path: `call.py`.

Laws:
- Page, key, offer and session are checked in this order, and the session is admitted before anything of a connection is made. Every refusal
  has OpenAI's shape.
- The offer comes alone (`application/sdp`), with the session that its key, `?model=` or client secret says; or with a part `session`
  (`multipart/form-data`), which is checked and fixed as that of a client secret is.
- At most `MAX_CONNECTING` calls wait for their clients, and fewer of one caller. aiortc is imported with the first call, in a thread.

Does not know: how a call travels.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from parley.config import Config
from parley.core.words.settings import SessionKind
from parley.invocation import install
from parley.server.access.access import OPEN, Access, Grant
from parley.server.access.client_secrets import DEFAULT_SECONDS, MAX_CONFIGURATION
from parley.server.access.credentials import key_of_request
from parley.server.access.origins import OriginRule
from parley.server.audio_upload import GONE, WholeForm
from parley.server.calls import Calls, OpenCall
from parley.server.links.output_queue import OutputQueue
from parley.server.links.webrtc.offer import MAX_OFFER_BYTES, read_offer
from parley.server.openapi.operation import FORM, AnswerDescription, Body, described
from parley.server.paths import REALTIME_PATHS, TRANSLATION_PATHS
from parley.server.realtime_session import RealtimeSession, SessionRequest
from parley.server.refusals import Refusal, Refused
from parley.server.sessions import SessionFactory
from parley.wire.dialects import GA, TRANSLATIONS

if TYPE_CHECKING:
    from parley.server.links.webrtc.call import WebRtcCall

log = logging.getLogger("parley.server")

MAX_BODY: Final = MAX_OFFER_BYTES + MAX_CONFIGURATION + 4096
"""A form's boundaries and headers are the rest."""

MAX_CONNECTING: Final = 64
"""Calls whose clients have not come yet. Each has sockets and a session; a client comes within a second."""

MAX_CONNECTING_OF_ONE: Final = MAX_CONNECTING // 2
"""Of one key or, where the server asks for none, one address."""

MAX_CONNECTING_OF_SECRET: Final = 8
"""Of one client secret, which one visitor of a page has."""

CONNECTING_RETRY_S: Final = 5

CALL_BODY: Final = Body(
    {
        "application/sdp": {"type": "string", "minLength": 1},
        FORM: {
            "type": "object",
            "properties": {
                "sdp": {"type": "string", "minLength": 1},
                "session": {"type": "string", "contentMediaType": "application/json"},
            },
            "required": ["sdp"],
            "additionalProperties": False,
        },
    }
)

CALL_ANSWERS: Final = {
    201: AnswerDescription(
        "The answer; Location names the call.",
        {"application/sdp": {"type": "string"}},
        {"Location": "The call."},
    )
}
CALL_ERRORS: Final = (400, 404, 413, 415, 429, 501)

_INTENTS: Final[dict[str, SessionKind]] = {"realtime": "realtime", "transcription": "transcription"}

Caller = tuple[Literal["secret", "key", "address"], str]

OFF = Refusal(501, "webrtc_not_available", "WebRTC is switched off on this server (webrtc.calls). Use the WebSocket.")


def webrtc_state(config: Config) -> str:
    """Whether calls can be made: `ready`, `off` (webrtc.calls) or `not_installed` (the extra `webrtc`)."""
    if not config.webrtc.enabled:
        return "off"
    return "ready" if importlib.util.find_spec("aiortc") is not None else "not_installed"


class CallsHttp:
    """The endpoints. `routes()` is what to mount, `end_all` the end of the server."""

    def __init__(
        self,
        config: Config,
        calls: Calls,
        *,
        access: Access,
        origins: OriginRule,
        sessions: SessionFactory,
        refused: Callable[[str], None],
    ) -> None:
        self._config = config
        self._calls = calls
        self._access = access
        self._origins = origins
        self._sessions = sessions
        self._refused = refused
        self._state = webrtc_state(config)
        self._running: dict[WebRtcCall, Caller] = {}
        """Each with who makes it (`_caller`)."""

    def __len__(self) -> int:
        """The calls that have not given back their sockets."""
        return len(self._running)

    def routes(self) -> list[Route]:
        routes = []
        for path in REALTIME_PATHS:
            routes += [
                Route(f"{path}/calls", self.create, methods=["POST"]),
                Route(f"{path}/calls/{{call_id}}", self.hang_up, methods=["DELETE"]),
                Route(f"{path}/calls/{{call_id}}/hangup", self.hang_up, methods=["POST"]),
                Route(f"{path}/calls/{{call_id}}/{{action:str}}", self.telephone_only, methods=["POST"]),
            ]
        routes += [Route(f"{path}/calls", self.create_translation, methods=["POST"]) for path in TRANSLATION_PATHS]
        return routes

    @described(
        "Begin a call over WebRTC",
        demand="session",
        answers=CALL_ANSWERS,
        errors=CALL_ERRORS,
        body=CALL_BODY,
    )
    async def create(self, request: Request) -> Response:
        return await self._counted(request, None)

    @described(
        "Begin a call over WebRTC that is translated",
        demand="session",
        answers=CALL_ANSWERS,
        errors=CALL_ERRORS,
        body=CALL_BODY,
    )
    async def create_translation(self, request: Request) -> Response:
        return await self._counted(request, "translation")

    @described("End a call", demand="session", answers={200: AnswerDescription("It has ended.")}, errors=(404,))
    async def hang_up(self, request: Request) -> Response:
        self._found(request).link.hang_up()
        return Response(status_code=200)

    @described("What only calls by SIP can do", demand="session", answers={}, errors=(400, 404), text="Always refused.")
    async def telephone_only(self, request: Request) -> Response:
        """`accept`, `refer` and `reject` are for calls that come by SIP."""
        call, action = self._found(request), request.path_params["action"]
        if action not in ("accept", "refer", "reject"):
            raise Refused(Refusal(404, "not_found", f"A call has no action {action[:40]!r}; it has hangup."))
        message = f"{action} is for calls that come by SIP; {call.id} was made by its own client. It can be hung up."
        raise Refused(Refusal(400, "not_a_sip_call", message, "call_id"))

    def _found(self, request: Request) -> OpenCall:
        call = self._calls.find(request.path_params["call_id"], self._grant(request))
        if isinstance(call, Refusal):
            raise Refused(call)
        return call

    # --- a call begins -------------------------------------------------------------------------------------------------

    async def _counted(self, request: Request, kind: SessionKind | None) -> Response:
        try:
            return await self._create(request, kind)
        except Refused as refused:
            refusal = refused.refusal
            self._refused(refusal.code)
            log.info("%s is refused: %d %s", _address(request), refusal.status, refusal.code)
            raise

    async def _create(self, request: Request, kind: SessionKind | None) -> Response:
        grant = self._grant(request)
        self._require_library()
        offer, session = await _read(request)
        wanted = self._request(request, grant, kind, session)
        read = read_offer(offer)
        make = await asyncio.to_thread(_library)
        caller = _caller(grant, wanted.client)
        self._require_room(caller)
        queue = OutputQueue()
        opened = self._sessions.open(wanted, loudspeaker=queue)
        if isinstance(opened, Refusal):
            raise Refused(opened)
        per_second = self._config.server.messages_per_second
        webrtc = self._config.webrtc
        call = make(self._calls.new_id(), read, queue, webrtc, messages_per_second=per_second, ended=self._ended)
        self._running[call] = caller
        return await self._answered(call, opened)

    def _require_room(self, caller: Caller) -> None:
        """Raises `Refused` where too many calls wait for their clients: a caller whose clients never come leaves room for others."""
        waiting = [who for call, who in self._running.items() if not call.connected]
        most = MAX_CONNECTING_OF_SECRET if caller[0] == "secret" else MAX_CONNECTING_OF_ONE
        if len(waiting) < MAX_CONNECTING and waiting.count(caller) < most:
            return
        message = f"Too many calls wait for their clients already. Try again in {CONNECTING_RETRY_S} s."
        raise Refused(Refusal(503, "too_many_calls", message, None, "server_error", CONNECTING_RETRY_S))

    async def _answered(self, call: WebRtcCall, session: RealtimeSession) -> Response:
        try:
            call.attach(session)
            answer = await call.answer()
        except ConnectionError as fault:
            call.finish(f"it could not be answered: {fault}")
            message = f"The call cannot be answered: {fault}."
            raise Refused(
                Refusal(503, "call_not_answered", message, None, "server_error", CONNECTING_RETRY_S)
            ) from fault
        except BaseException:
            call.finish("its request was given up")
            raise
        self._calls.enter(OpenCall(call.id, session, call))
        call.start()
        headers = {"location": f"{REALTIME_PATHS[0]}/calls/{call.id}", "cache-control": "no-store"}
        return Response(answer, 201, headers, "application/sdp")

    def _ended(self, call: WebRtcCall) -> None:
        self._calls.leave(call.id)
        if call.closing is not None:
            call.closing.add_done_callback(lambda _: self._running.pop(call, None))

    async def end_all(self) -> None:
        """End every call that is left, and wait until it has given back its sockets."""
        for call in tuple(self._running):
            call.finish("the server is shutting down")
        await asyncio.gather(*(call.closing for call in tuple(self._running) if call.closing is not None))

    # --- what is asked for ---------------------------------------------------------------------------------------------

    def _grant(self, request: Request) -> Grant:
        # A form, and text, are requests that any page may have a browser send, without asking first.
        refusal = self._origins.refusal(request.headers.get("origin"), request.headers.get("host"))
        if refusal is not None:
            raise Refused(refusal)
        grant = self._access.grant(key_of_request(request.headers), "session")
        if isinstance(grant, Refusal):
            raise Refused(grant)
        return grant

    def _require_library(self) -> None:
        if self._state == "off":
            raise Refused(OFF)
        if self._state == "not_installed":
            message = f"This server has no WebRTC. Its owner can install it: {install('webrtc')}"
            raise Refused(Refusal(501, "webrtc_not_available", message))

    def _request(
        self, request: Request, grant: Grant, kind: SessionKind | None, session: bytes | None
    ) -> SessionRequest:
        """The session that the request asks for, unchecked but for its form."""
        intent = request.query_params.get("intent", "")
        if intent and (kind is not None or intent not in _INTENTS):
            message = "Translation calls take no 'intent'; leave it out."
            if kind is None:
                message = "intent must be 'realtime', 'transcription' or absent."
            raise Refused(Refusal(400, "invalid_value", message, "intent"))
        dialect = GA if kind is None else TRANSLATIONS
        if session is not None:
            grant = self._configured(grant, session, dialect.name)
        model = request.query_params.get("model", "")
        return SessionRequest(grant, dialect, model, kind or _INTENTS.get(intent), _address(request))

    def _configured(self, grant: Grant, session: bytes, dialect: str) -> Grant:
        """The grant with this configuration, as if a client secret had been made of it and was used at once."""
        if grant.secret is not None:
            message = "The client secret says which session it opens; leave out the part 'session'."
            raise Refused(Refusal(400, "session_not_allowed", message, "session"))
        try:
            configuration = msgspec.json.decode(session, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            message = f"The part 'session' is not a JSON object: {error}."
            raise Refused(Refusal(400, "invalid_json", message, "session")) from None
        key = "" if grant.key is OPEN else grant.key.id
        secret = self._access.secrets.secret(
            configuration, key=key, dialect=dialect, seconds=DEFAULT_SECONDS, kind=None, path="session"
        )
        return Grant(grant.key, secret)


def _library() -> type[WebRtcCall]:
    """The class of calls, with aiortc behind it. Takes a second the first time."""
    from parley.server.links.webrtc.call import WebRtcCall

    return WebRtcCall


def _caller(grant: Grant, address: str) -> Caller:
    """Whom a call that waits is counted for. `grant` is that of the request, not of the session in its form."""
    if grant.secret is not None:
        return "secret", grant.secret.id
    return ("address", address.rpartition(":")[0]) if grant.key is OPEN else ("key", grant.key.id)


def _address(request: Request) -> str:
    return "unknown" if request.client is None else f"{request.client.host}:{request.client.port}"


async def _read(request: Request) -> tuple[bytes, bytes | None]:
    """The offer, and the session where the request is a form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/sdp":
        return b"".join([piece async for piece in _bounded(request, MAX_OFFER_BYTES)]), None
    if kind != "multipart/form-data":
        message = "Send the SDP offer as application/sdp, or as multipart/form-data with the parts sdp and session."
        raise Refused(Refusal(415, "invalid_content_type", message))
    parser = WholeForm(
        request.headers, _bounded(request, MAX_BODY), max_files=2, max_fields=2, max_part_size=MAX_CONFIGURATION
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refused(Refusal(400, "invalid_form", f"The form cannot be read: {error.message}")) from error
    except ClientDisconnect:
        raise Refused(GONE) from None
    parts: dict[str, bytes] = {}
    try:
        for name, value in form.multi_items():
            if name not in ("sdp", "session") or name in parts:
                message = f"The form has the parts 'sdp' and 'session', once each; {name[:40]!r} is one too many."
                raise Refused(Refusal(400, "unknown_parameter", message, name[:100]))
            parts[name] = await value.read() if isinstance(value, UploadFile) else value.encode()
    finally:
        await form.close()
    if "sdp" not in parts:
        raise Refused(Refusal(400, "missing_required_parameter", "The form has no part 'sdp'.", "sdp"))
    return parts["sdp"], parts.get("session")


async def _bounded(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """The body. Raises `Refused` beyond the limit, and where the client goes away."""
    received = 0
    try:
        async for piece in request.stream():
            received += len(piece)
            if received > limit:
                raise Refused(Refusal(413, "request_too_large", f"The body may have {limit} bytes."))
            yield piece
    except ClientDisconnect:
        raise Refused(GONE) from None
