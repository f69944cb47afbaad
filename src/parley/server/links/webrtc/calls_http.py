"""`POST /v1/realtime/calls`: an SDP offer becomes a call; and its end, `DELETE` and `.../hangup`.

Next on the reading path: `call.py`.

Laws:
- Page, key, offer and session are checked in this order, and the session is admitted before anything of a connection is made. Every refusal
  has OpenAI's shape.
- The offer comes alone (`application/sdp`), with the session that its key, `?model=` or client secret says; or with a part `session`
  (`multipart/form-data`), which is checked and fixed as that of a client secret is.
- Calls that wait for their clients are bounded (`waiting_calls`). aiortc is imported with the first call, in a thread.

Does not know: how a call travels.
"""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.config import Config
from parley.core.words.settings import SessionKind
from parley.invocation import install
from parley.server.access.access import OPEN, Access, Grant
from parley.server.access.client_secrets import DEFAULT_SECONDS, MAX_CONFIGURATION
from parley.server.access.credentials import key_of_request
from parley.server.access.origins import OriginRule
from parley.server.audio_upload import WholeForm
from parley.server.calls import Calls, OpenCall
from parley.server.links.output_queue import OutputQueue
from parley.server.links.webrtc.offer import MAX_OFFER_BYTES, read_offer
from parley.server.openapi.operation import FORM, AnswerDescription, Body, described
from parley.server.paths import REALTIME_PATHS, TRANSLATION_PATHS
from parley.server.realtime_session import RealtimeSession, SessionRequest
from parley.server.refusal_log import RefusalLog
from parley.server.refusals import Refusal, Refused
from parley.server.request_body import body_pieces, read_body
from parley.server.sessions import SessionFactory
from parley.server.waiting_calls import MOST_WAITING, CallMaker, WaitingCalls
from parley.wire.dialects import GA, TRANSLATIONS

if TYPE_CHECKING:
    from parley.server.links.webrtc.call import WebRtcCall

MAX_BODY: Final = MAX_OFFER_BYTES + MAX_CONFIGURATION + 4096
"""A form's boundaries and headers are the rest."""

ANSWER_RETRY_S: Final = 5

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
        refusals: RefusalLog,
    ) -> None:
        self._config = config
        self._calls = calls
        self._access = access
        self._origins = origins
        self._sessions = sessions
        self._refusals = refusals
        self._state = webrtc_state(config)
        self._running: set[WebRtcCall] = set()
        self._waiting = WaitingCalls(MOST_WAITING)
        """Those whose clients have not come yet."""

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
            self._refusals.note(refused.refusal, _address(request))
            raise

    async def _create(self, request: Request, kind: SessionKind | None) -> Response:
        grant = self._grant(request)
        self._require_library()
        offer, session = await _read(request)
        wanted = self._request(request, grant, kind, session)
        read = read_offer(offer)
        make = await asyncio.to_thread(_library)
        maker = CallMaker.of(grant, wanted.client)
        if (refusal := self._waiting.refusal(maker)) is not None:
            raise Refused(refusal)
        queue = OutputQueue()
        opened = self._sessions.open(wanted, loudspeaker=queue)
        if isinstance(opened, Refusal):
            raise Refused(opened)
        per_second = self._config.server.messages_per_second
        webrtc = self._config.webrtc
        call = make(
            self._calls.new_id(),
            read,
            queue,
            webrtc,
            messages_per_second=per_second,
            connected=self._waiting.leave,
            ended=self._ended,
        )
        self._running.add(call)
        self._waiting.enter(call, maker)
        return await self._answered(call, opened)

    async def _answered(self, call: WebRtcCall, session: RealtimeSession) -> Response:
        try:
            call.attach(session)
            answer = await call.answer()
        except ConnectionError as fault:
            call.finish(f"it could not be answered: {fault}")
            message = f"The call cannot be answered: {fault}."
            raise Refused(Refusal(503, "call_not_answered", message, None, "server_error", ANSWER_RETRY_S)) from fault
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
            call.closing.add_done_callback(lambda _: self._closed(call))

    def _closed(self, call: WebRtcCall) -> None:
        """It has given back its sockets."""
        self._running.discard(call)
        self._waiting.leave(call)

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


def _address(request: Request) -> str:
    return "unknown" if request.client is None else f"{request.client.host}:{request.client.port}"


async def _read(request: Request) -> tuple[bytes, bytes | None]:
    """The offer, and the session where the request is a form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/sdp":
        return await read_body(request, MAX_OFFER_BYTES), None
    if kind != "multipart/form-data":
        message = "Send the SDP offer as application/sdp, or as multipart/form-data with the parts sdp and session."
        raise Refused(Refusal(415, "invalid_content_type", message))
    parser = WholeForm(
        request.headers, body_pieces(request, MAX_BODY), max_files=2, max_fields=2, max_part_size=MAX_CONFIGURATION
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refused(Refusal(400, "invalid_form", f"The form cannot be read: {error.message}")) from error
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
