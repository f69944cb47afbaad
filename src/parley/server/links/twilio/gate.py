"""`/v1/telephony/twilio` over WebSocket: which handshakes become calls.

Laws:
- Whoever calls shows a key (in the path, or as a parameter of the TwiML) or Twilio's signature; where `telephony.twilio_auth_token` is set,
  the signature is demanded from everyone. Nothing is open where sessions need a key elsewhere.
- Connections whose call has not begun are bounded (`waiting_calls`).
- No key is logged, nor the path that may hold one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote

from parley.config import ServerConfig
from parley.server.access.access import Access, Grant
from parley.server.links.link import Peer
from parley.server.links.telephone.telephone_call import CallFactory
from parley.server.links.twilio.signature import Signatures
from parley.server.links.twilio.stream import TwilioStream
from parley.server.links.websocket.checks import HandshakeChecks
from parley.server.paths import TWILIO_PATH
from parley.server.refusals import Refusal
from parley.server.waiting_calls import MOST_WAITING, CallMaker, WaitingCalls

NO_KEY: Final = Refusal(
    401,
    "invalid_api_key",
    "The call brought no API key. Give the <Stream> a parameter: <Parameter name='key' value='KEY'/>, or set "
    "telephony.twilio_auth_token, so that Twilio's signature is enough.",
)


class TwilioGate:
    """A `connection.Gate`, and the `StreamDoor` of its streams."""

    def __init__(
        self,
        server: ServerConfig,
        checks: HandshakeChecks,
        access: Access,
        signatures: Signatures,
        calls: CallFactory,
    ) -> None:
        self.max_message_bytes = server.max_message_bytes
        self.messages_per_second = server.messages_per_second
        self._checks = checks
        self._access = access
        self._signatures = signatures
        self._calls = calls
        self._waiting = WaitingCalls(MOST_WAITING)

    def accept(
        self, target: str, headers: Mapping[str, str], subprotocols: Sequence[str], client: str
    ) -> Peer | Refusal:
        answer = self._answer(target, headers, client)
        if isinstance(answer, Refusal):
            self._checks.refusals.note(answer, client)
        return answer

    def _answer(self, target: str, headers: Mapping[str, str], client: str) -> TwilioStream | Refusal:
        if (refusal := self._checks.page(headers.get("host"), headers.get("origin"))) is not None:
            return refusal
        if self._signatures.checked:
            refusal = self._signatures.refusal(target, headers, schemes=("wss", "https"))
            if refusal is not None:
                return refusal
        key = unquote(target.partition("?")[0]).removeprefix(TWILIO_PATH).strip("/")
        presented = self._checks.grant(key) if key else self._without_key()
        if isinstance(presented, Refusal):
            return presented
        maker = CallMaker.of(presented, client)
        if (refusal := self._waiting.refusal(maker)) is not None:
            return refusal
        stream = TwilioStream(self, self._calls, client, presented)
        self._waiting.enter(stream, maker)
        return stream

    def _without_key(self) -> Grant | Refusal | None:
        """What a handshake without a key may open; None: its `start` message must bring one."""
        if self._signatures.checked:
            return self._access.account(self._calls.config.key_name)
        return Grant() if self._access.open else None

    # --- for its streams -----------------------------------------------------------------------------------------------

    def admit(self, key: str | None, presented: Grant | None) -> Grant | Refusal:
        if key:
            return self._checks.grant(key)
        return NO_KEY if presented is None else presented

    def refuse(self, refusal: Refusal, client: str) -> None:
        self._checks.refusals.note(refusal, client, refusal.message)

    def began(self, stream: TwilioStream) -> None:
        self._waiting.leave(stream)
