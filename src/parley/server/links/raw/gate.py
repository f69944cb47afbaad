"""`/v1/audio/stream` over WebSocket: which handshakes become raw audio streams.

Laws: host, page, query, key, then the session are checked in this order, as those of `/v1/realtime` are; a refusal comes before a session
exists. No key is logged, nor the query that may hold one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from parley.config import ServerConfig
from parley.server.calls import Calls
from parley.server.links.link import Peer
from parley.server.links.raw.opening import read_raw_opening
from parley.server.links.raw.stream import SHOWN, RawStream
from parley.server.links.websocket.checks import HandshakeChecks
from parley.server.realtime_session import SessionRequest
from parley.server.refusals import Refusal
from parley.server.sessions import SessionFactory
from parley.wire.dialects import GA

PARAMETER_OF: Final = {
    "session.audio.output.voice": "voice",
    "session.audio.input.transcription.language": "language",
    "session.audio.input.transcription": "language",
}
"""The parameters of a handshake that become these members of the session."""


class RawGate:
    """A `connection.Gate`."""

    def __init__(self, server: ServerConfig, checks: HandshakeChecks, sessions: SessionFactory, calls: Calls) -> None:
        self.max_message_bytes = server.max_message_bytes
        self.messages_per_second = server.messages_per_second
        self._checks = checks
        self._sessions = sessions
        self._calls = calls

    def accept(
        self, target: str, headers: Mapping[str, str], subprotocols: Sequence[str], client: str
    ) -> Peer | Refusal:
        answer = self._answer(target, headers, subprotocols, client)
        if isinstance(answer, Refusal):
            self._checks.refusals.note(answer, client)
        return answer

    def _answer(
        self, target: str, headers: Mapping[str, str], subprotocols: Sequence[str], client: str
    ) -> RawStream | Refusal:
        if (refusal := self._checks.page(headers.get("host"), headers.get("origin"))) is not None:
            return refusal
        opening = read_raw_opening(target, headers, subprotocols)
        if isinstance(opening, Refusal):
            return opening
        grant = self._checks.grant(opening.key)
        if isinstance(grant, Refusal):
            return grant
        stream = RawStream(opening, self._calls)
        shown = SHOWN[opening.events]
        request = SessionRequest(grant, GA, opening.model, client=client, wishes=opening.wishes, shown=shown)
        session = self._sessions.open(request, stream.output)
        if isinstance(session, Refusal):
            return replace(session, param=PARAMETER_OF.get(session.param or "", session.param))
        stream.carry(session)
        return stream
