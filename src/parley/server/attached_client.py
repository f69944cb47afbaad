"""A sideband: a client that is attached to a call which another one holds. It watches, changes the session, and answers its tools.

Next on the reading path: `realtime_session.py`, the session of the call. `links/websocket/gate.py` reads the call's id from a handshake.

Laws:
- It is introduced to the session as it is (`session.created`), then takes every notice in a dialect of its own; an error in what it asks
  for goes to it alone.
- It holds nothing: a slow one does not delay the call's output, and is closed by its link at the link's limit.
- No audio streams over it. The call's audio travels as media, and what it appends is refused.
- What a client secret fixes for the call does not bind the holder of the key that made it (`core.words.rights`).
- It is no session: it takes no place among the sessions, and none of the sessions and minutes of its key. A call has `MAX_SIDEBANDS` at the
  most. It ends with the call, or when its own key no longer allows it; the call goes on without it.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import replace
from typing import Final

from parley.core.words.effects import CloseReason
from parley.core.words.events import (
    AudioArrived,
    ClientErred,
    ClientEvent,
    ItemCreateRequested,
    ResponseRequested,
    SessionUpdateRequested,
)
from parley.core.words.notices import ErrorRaised, Notice
from parley.server.admission import Sessions
from parley.server.calls import Calls
from parley.server.links.link import Link, LongArrival
from parley.server.paths import OPENED_AT
from parley.server.realtime_session import SEED_BYTES, ArrivingEvent, RealtimeSession, SessionRequest
from parley.server.refusals import Refusal
from parley.wire.long_message import structure

log = logging.getLogger("parley.server")

MAX_SIDEBANDS: Final = 8
"""Of one call: a backend, a screen or two that watch, and room for those that connect again before their old connection has ended."""

MAX_OF_A_SECRET: Final = MAX_SIDEBANDS // 2
"""So that the holder of a client secret cannot keep the backend from its call."""

LIMIT_RETRY_S: Final = 20
"""A connection that broke without a word is noticed within two pings."""

_NO_AUDIO = "The audio of a call travels as its media: a connection with call_id neither sends nor receives any."


def attach(calls: Calls, running: Sessions, call_id: str, request: SessionRequest) -> AttachedClient | Refusal:
    """The peer of a connection that asks for the call with this id. Next: its link calls `opened`."""
    call = calls.find(call_id, request.grant)
    if isinstance(call, Refusal):
        return call
    if running.leaving is not None:
        return running.leaving
    session = call.session
    if session.kind not in request.dialect.kinds:
        message = f"This call is a {session.kind} session: connect to {OPENED_AT[session.kind]}?call_id={call_id}."
        return Refusal(400, "invalid_value", message, param="call_id")
    with_secret = sum(one.grant.secret is not None for one in session.attached)
    if len(session.attached) >= MAX_SIDEBANDS or (request.grant.secret is not None and with_secret >= MAX_OF_A_SECRET):
        message = (
            f"A call has {MAX_SIDEBANDS} attached clients at the most, {MAX_OF_A_SECRET} of them with a client secret. "
            "Try again when one has left."
        )
        return Refusal(429, "sideband_limit_reached", message, "call_id", "rate_limit_error", LIMIT_RETRY_S)
    return AttachedClient(call_id, session, running, request)


class AttachedClient:
    """The `Peer` of a sideband's link, and a listener of the session."""

    def __init__(self, call_id: str, session: RealtimeSession, running: Sessions, request: SessionRequest) -> None:
        self.grant = request.grant
        self._name = f"{request.client} on call {call_id}"
        self._session = session
        self._running = running
        self._owns = request.grant.secret is None and session.grant.secret is not None
        self._dialect = request.dialect
        self._encoder = self._dialect.encoder(event_seed=os.urandom(SEED_BYTES), wall_s=time.time)
        self._link: Link

    # --- for the link --------------------------------------------------------------------------------------------------

    def opened(self, link: Link) -> None:
        self._link = link
        self._running.attach(self)
        log.info("%s is attached", self._name)
        if not self._session.attach(self):
            self.call_ended()

    def received(self, data: bytes) -> int:
        event = self._dialect.decode(data)
        self._session.post(self._asked(event), self)
        return structure(data)

    def arrives(self) -> LongArrival:
        return ArrivingEvent(self._dialect, lambda event: self._session.post_in_slices(self._asked(event), self))

    def _asked(self, event: ClientEvent) -> ClientEvent:
        """The event as this client may ask for it."""
        match event:
            case AudioArrived(event_id=event_id):
                return ClientErred("invalid_value", _NO_AUDIO, "type", event_id=event_id)
            case SessionUpdateRequested() | ItemCreateRequested() | ResponseRequested() if self._owns:
                return replace(event, asker="owner")
            case _:
                return event

    def congested(self, waits: bool) -> None:
        """The call goes on; the link bounds what waits."""

    def lost(self, how: str) -> None:
        self._running.detach(self)
        self._session.detach(self)
        log.info("%s is detached: %s", self._name, how)

    # --- for admission and the session ---------------------------------------------------------------------------------

    def access_ended(self, refusal: Refusal) -> None:
        self.on_notice(ErrorRaised(refusal.code, refusal.message, kind=refusal.type))
        self._link.close("access_ended")

    def call_ended(self) -> None:
        self._link.close("call_ended")

    def on_close(self, reason: CloseReason) -> None:
        self._link.close(reason)

    def on_notice(self, notice: Notice) -> None:
        frame = self._encoder.encode(notice)
        if frame is not None:
            self._link.send(frame)
