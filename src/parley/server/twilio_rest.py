"""`POST /v1/telephony/twilio/voice`: the webhook that Twilio asks what to do with a call; the answer connects it.

Laws: only requests that Twilio has signed are answered, so `telephony.twilio_auth_token` must be set. The TwiML holds no key: the stream
that it opens is signed as well.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import quoteattr

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.server.links.telephone.telephone_call import WISHES, CallWishes
from parley.server.links.twilio.signature import Signatures
from parley.server.openapi.operation import PLAIN, AnswerDescription, Body, QueryField, described
from parley.server.paths import TWILIO_PATH
from parley.server.refusals import Refusal, Refused
from parley.server.request_body import read_body

MOST_BYTES: Final = 64 * 1024
"""Twilio's forms have some forty parameters of a few words."""

NOT_CONFIGURED: Final = Refusal(
    403,
    "telephony_not_configured",
    "Set telephony.twilio_auth_token (PARLEY_TELEPHONY_TWILIO_AUTH_TOKEN): this webhook answers only what Twilio has signed.",
)


class TwilioRest:
    """The webhook."""

    def __init__(self, signatures: Signatures) -> None:
        self._signatures = signatures

    def routes(self) -> list[Route]:
        return [Route(f"{TWILIO_PATH}/voice", self.voice, methods=["POST"])]

    @described(
        "What Twilio is to do with a call",
        demand=None,
        answers={200: AnswerDescription("TwiML that connects the call.", {"text/xml": PLAIN})},
        errors=(400, 413),
        body=Body({"application/x-www-form-urlencoded": {"type": "object"}}, required=False),
        query=tuple(QueryField(name, f"The call's {name}.") for name in WISHES),
        text="Only what Twilio has signed is answered (X-Twilio-Signature).",
    )
    async def voice(self, request: Request) -> Response:
        """TwiML that connects the call to this server. The query says how it is to begin: `pipeline`, `voice` and the like."""
        if not self._signatures.checked:
            raise Refused(NOT_CONFIGURED)
        form = parse_qsl((await read_body(request, MOST_BYTES)).decode("utf-8", "replace"), keep_blank_values=True)
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        refusal = self._signatures.refusal(target, request.headers, form)
        if refusal is not None:
            raise Refused(refusal)
        parameters = dict(request.query_params)
        unknown = next((name for name in parameters if name not in WISHES), None)
        if unknown is not None:
            message = f"Unknown parameter: {unknown[:100]!r}. There are {', '.join(WISHES)}."
            raise Refused(Refusal(400, "unknown_parameter", message, param=unknown[:100]))
        wishes = CallWishes.read(parameters)
        if isinstance(wishes, Refusal):
            raise Refused(wishes)
        return Response(self._twiml(request.headers.get("host"), parameters), media_type="text/xml")

    def _twiml(self, host: str | None, parameters: dict[str, str]) -> str:
        url = f"wss://{self._signatures.public_host(host)}{TWILIO_PATH}"
        named = "".join(
            f"<Parameter name={quoteattr(name)} value={quoteattr(value)}/>" for name, value in parameters.items()
        )
        stream = f"<Stream url={quoteattr(url)}>{named}</Stream>"
        return f'<?xml version="1.0" encoding="UTF-8"?><Response><Connect>{stream}</Connect></Response>'
