"""`POST /v1/realtime/client_secrets`, and the beta dialect's `/v1/realtime/sessions` and `/v1/realtime/transcription_sessions`.

Each answers with a client secret (`access/client_secrets.py`) and with the session that it opens, as the core would begin it.

Laws: only a key with the scope `realtime` makes secrets, and only pages of allowed origins; a session that could not be opened gets no
secret. A body is read up to `MAX_BODY` bytes. Answers are never cached.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.core.words.settings import SessionKind
from parley.server.access.access import OPEN, Access, Grant
from parley.server.access.client_secrets import (
    DEFAULT_SECONDS,
    MAX_CONFIGURATION,
    MAX_SECONDS,
    MIN_SECONDS,
    ClientSecret,
    TooLarge,
)
from parley.server.access.credentials import key_of_request
from parley.server.access.origins import OriginRule
from parley.server.openapi.operation import described, json_answer, json_body
from parley.server.realtime_session import SessionRequest
from parley.server.refusals import BETA_REFUSED, Refusal, Refused
from parley.server.request_body import read_body
from parley.server.sessions import SessionFactory
from parley.wire.dialect import Dialect

MAX_BODY = MAX_CONFIGURATION
"""Bytes. A token holds less."""

BETA_OFF = replace(
    BETA_REFUSED,
    message="The beta Realtime API is switched off on this server (server.beta). Use POST /v1/realtime/client_secrets.",
)

_AT = re.compile(r" - at `\$\.?(?P<param>[^`]*)`$")


class ExpiresAfter(msgspec.Struct, forbid_unknown_fields=True):
    """How long a client secret is valid."""

    seconds: Annotated[int, msgspec.Meta(ge=MIN_SECONDS, le=MAX_SECONDS)] = DEFAULT_SECONDS
    anchor: Literal["created_at"] = "created_at"


class ClientSecretBody(msgspec.Struct, forbid_unknown_fields=True):
    """The session that a client secret opens, as `session.update` has it."""

    session: dict[str, Any] | None = None
    expires_after: ExpiresAfter | None = None


class _BetaSecret(msgspec.Struct, forbid_unknown_fields=True):
    expires_after: ExpiresAfter | None = None
    expires_at: ExpiresAfter | None = None
    """`expires_after` as `transcription_sessions` calls it."""


class ClientSecretsRest:
    """The endpoints. `routes()` is what to mount. `dialects`: those that are served."""

    def __init__(
        self, access: Access, origins: OriginRule, factory: SessionFactory, dialects: Mapping[str, Dialect]
    ) -> None:
        self._access = access
        self._origins = origins
        self._factory = factory
        self._dialects = dialects

    def routes(self) -> list[Route]:
        return [
            Route("/v1/realtime/client_secrets", self.create, methods=["POST"]),
            Route("/v1/realtime/translations/client_secrets", self.create_for_translation, methods=["POST"]),
            Route("/v1/realtime/sessions", self.create_beta_session, methods=["POST"]),
            Route("/v1/realtime/transcription_sessions", self.create_beta_transcription_session, methods=["POST"]),
        ]

    @described(
        "Make a client secret",
        demand="realtime",
        answers={200: json_answer("The secret, and the session that it opens.", "ClientSecret")},
        errors=(400, 404, 413, 429),
        body=json_body(ClientSecretBody, required=False),
    )
    async def create(self, request: Request) -> Response:
        grant = self._grant(request)
        body = await _decoded(request, ClientSecretBody)
        session = {"type": "realtime"} if body.session is None else body.session
        value, secret, shown = self._made(grant, session, "ga", body.expires_after, path="session")
        return _answer({"value": value, "expires_at": secret.expires_at, "session": shown})

    @described(
        "Make a client secret for translation sessions",
        demand="realtime",
        answers={200: json_answer("The secret, and the session that it opens.", "ClientSecret")},
        errors=(400, 404, 413, 429),
        body=json_body(ClientSecretBody, required=False),
    )
    async def create_for_translation(self, request: Request) -> Response:
        grant = self._grant(request)
        body = await _decoded(request, ClientSecretBody)
        value, secret, shown = self._made(grant, body.session or {}, "translations", body.expires_after, path="session")
        return _answer({"value": value, "expires_at": secret.expires_at, "session": shown})

    @described(
        "Make a client secret, as the beta dialect has it",
        demand="realtime",
        answers={200: json_answer("The session, with the secret that opens it.", "BetaSession")},
        errors=(400, 404, 413, 429),
        body=json_body("BetaSessionBody", required=False),
    )
    async def create_beta_session(self, request: Request) -> Response:
        return await self._create_beta(request, "realtime")

    @described(
        "Make a client secret for transcription sessions, as the beta dialect has it",
        demand="realtime",
        answers={200: json_answer("The session, with the secret that opens it.", "BetaSession")},
        errors=(400, 404, 413, 429),
        body=json_body("BetaSessionBody", required=False),
    )
    async def create_beta_transcription_session(self, request: Request) -> Response:
        return await self._create_beta(request, "transcription")

    async def _create_beta(self, request: Request, kind: SessionKind) -> Response:
        grant = self._grant(request)
        if "beta" not in self._dialects:
            raise Refused(BETA_OFF)
        session = await _decoded(request, dict[str, Any])
        wanted = _converted(session.pop("client_secret", None), _BetaSecret | None, "client_secret") or _BetaSecret()
        expires_after = wanted.expires_after or wanted.expires_at
        value, secret, shown = self._made(grant, session, "beta", expires_after, kind=kind)
        return _answer({**shown, "client_secret": {"value": value, "expires_at": secret.expires_at}})

    def _grant(self, request: Request) -> Grant:
        grant = self._access.grant(key_of_request(request.headers), "realtime")
        if isinstance(grant, Refusal):
            raise Refused(grant)
        # Without keys, a foreign page could have this browser's user make secrets.
        refusal = self._origins.refusal(request.headers.get("origin"), request.headers.get("host"))
        if refusal is not None:
            raise Refused(refusal)
        return grant

    def _made(
        self,
        grant: Grant,
        session: dict[str, Any],
        dialect: str,
        expires_after: ExpiresAfter | None,
        *,
        kind: SessionKind | None = None,
        path: str = "",
    ) -> tuple[str, ClientSecret, dict[str, object]]:
        """The token, what it says, and the session it opens."""
        seconds = expires_after.seconds if expires_after is not None else DEFAULT_SECONDS
        key = "" if grant.key is OPEN else grant.key.id
        secret = self._access.secrets.secret(session, key=key, dialect=dialect, seconds=seconds, kind=kind, path=path)
        plan = self._factory.plan(SessionRequest(Grant(grant.key, secret), self._dialects[dialect]))
        if isinstance(plan, Refusal):
            raise Refused(plan)
        try:
            token = self._access.secrets.token(secret)
        except TooLarge as error:
            raise Refused(Refusal(400, "session_too_large", str(error), param="session")) from None
        return token, secret, self._factory.shown(plan, grant, self._dialects[dialect], time.time())


async def _decoded(request: Request, kind: type[Any]) -> Any:
    """The body as a `kind`; an empty object where there is none."""
    try:
        return msgspec.json.decode(await read_body(request, MAX_BODY) or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise Refused(_invalid(error, "")) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused(Refusal(400, "invalid_json", f"The body is not valid JSON: {error}.")) from None


def _converted(value: object, kind: Any, path: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise Refused(_invalid(error, path)) from None


def _invalid(error: msgspec.ValidationError, path: str) -> Refusal:
    message = str(error)
    at = _AT.search(message)
    param = ".".join(part for part in (path, at["param"] if at is not None else "") if part)
    said = message if at is None else message[: at.start()]
    return Refusal(400, "invalid_value", f"Invalid '{param or 'body'}': {said}.", param=param or None)


def _answer(value: object) -> Response:
    body = msgspec.json.encode(value)
    return Response(body, media_type="application/json", headers={"cache-control": "no-store"})
