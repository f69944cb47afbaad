"""`/v1/realtime` over WebSocket: which handshakes become sessions, and which are attached to a call that runs.

Next on the reading path: `sessions.py` (a request becomes a session); `attached_client.py` (it joins one).

Laws: host, page, key, dialect, then the session or the call are checked in this order; a refusal comes before a session exists, and is
counted and logged with its code. It is an HTTP answer, except that of the beta dialect (`BetaRefused`). No key is logged.
Does not know: how frames travel (`connection`), what a session is made of (`sessions`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from parley.config import ServerConfig
from parley.core.words.notices import ErrorRaised
from parley.server.admission import Sessions
from parley.server.attached_client import attach
from parley.server.calls import Calls
from parley.server.links.link import Link, LongArrival, Peer
from parley.server.links.websocket.checks import HandshakeChecks
from parley.server.links.websocket.opening import Opening, read_opening
from parley.server.realtime_session import SEED_BYTES, ArrivingEvent, SessionRequest
from parley.server.refusals import BETA_REFUSED, Refusal
from parley.server.sessions import SessionFactory, served_dialects
from parley.wire.dialects import GA


class RealtimeGate:
    """A `connection.Gate`."""

    def __init__(
        self,
        server: ServerConfig,
        checks: HandshakeChecks,
        sessions: SessionFactory,
        calls: Calls,
        running: Sessions,
    ) -> None:
        self.max_message_bytes = server.max_message_bytes
        self.messages_per_second = server.messages_per_second
        self._dialects = served_dialects(server)
        self._checks = checks
        self._sessions = sessions
        self._calls = calls
        self._running = running

    def accept(
        self, target: str, headers: Mapping[str, str], subprotocols: Sequence[str], client: str
    ) -> Peer | Refusal:
        opening = read_opening(target, headers, subprotocols)
        answer = self._answer(opening, client)
        refusal = BETA_REFUSED if isinstance(answer, BetaRefused) else answer
        if isinstance(refusal, Refusal):
            self._checks.refusals.note(refusal, client)
        return answer

    def _answer(self, opening: Opening, client: str) -> Peer | Refusal:
        refusal = self._checks.page(opening.host, opening.origin) or opening.refusal
        if refusal is not None:
            return refusal
        grant = self._checks.grant(opening.key)
        if isinstance(grant, Refusal):
            return grant
        dialect = self._dialects.get(opening.dialect)
        if dialect is None:
            return BetaRefused()
        request = SessionRequest(grant, dialect, opening.model, opening.kind, client)
        if opening.call_id is not None:
            return attach(self._calls, self._running, opening.call_id, request)
        return self._sessions.open(request)


class BetaRefused:
    """Answers beta clients where the dialect is switched off, as OpenAI does: an `error` event, and close 4000."""

    def opened(self, link: Link) -> None:
        encoder = GA.encoder(event_seed=os.urandom(SEED_BYTES), wall_s=time.time)
        frame = encoder.encode(ErrorRaised(BETA_REFUSED.code, BETA_REFUSED.message))
        assert frame is not None
        link.send(frame)
        link.close("dialect_refused")

    def received(self, data: bytes) -> int:
        return 0

    def arrives(self) -> LongArrival:
        return ArrivingEvent(GA, lambda _: iter(()))

    def congested(self, waits: bool) -> None:
        pass

    def lost(self, how: str) -> None:
        pass
