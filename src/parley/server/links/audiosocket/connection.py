"""One call of Asterisk's AudioSocket: the TCP connection, and the `CallLink` of its session.

Laws:
- The first frame is the call's UUID, within `UUID_S`; where the server names UUIDs, it is one of those. The session begins then.
- Audio goes out in frames of 20 ms on the clock, `LEAD_MS` ahead: Asterisk plays what it gets and can drop nothing. It is written as
  Asterisk writes its own.
- Kinds of frame that nobody knows are ignored. Asterisk says no goodbye: it closes the connection when the call is over.
- A connection that sends more than its messages per second is read more slowly; one that reads nothing for `STALL_S` ends.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, cast
from uuid import UUID

from parley.server.access.access import Grant
from parley.server.links.audiosocket import frames
from parley.server.links.audiosocket.frames import AUDIO, AudioSocketReader, frame, silence
from parley.server.links.audiosocket.stalls import CallerStalls
from parley.server.links.budget import MessageBudget
from parley.server.links.link import EndReason
from parley.server.links.pacing import ClockedReports, PacedOutput
from parley.server.links.telephone.telephone_call import Caller, CallFactory, CallWishes, TelephoneCall
from parley.server.links.websocket.reading import address_of
from parley.server.refusals import Refusal
from parley.server.time_limits import CLOSE_S, STALL_S

log = logging.getLogger("parley.server")

UUID_S: Final = 5.0
"""Asterisk sends it at once."""

AT_ONCE: Final = 64
"""Frames read at one go: more than a second of audio."""

LEAD_MS: Final = 40
"""An interruption is heard so much later, because nothing that was sent can be dropped."""

FORM_S: Final = 0.2
"""Asterisk's first audio comes within 20 ms, and shows the rate of the call; a silent Asterisk is spoken to at the narrow one."""

NARROW: Final = 0x10
"""The kind of audio that every Asterisk knows."""

KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds, and probes: an Asterisk that is gone without a word is noticed within a minute."""


ENDINGS: Final[frozenset[EndReason]] = frozenset({"session_closed"})
"""Why a conversation ends as it should. The others are errors to Asterisk, whose dialplan may then do something else for the caller."""


class CallDoor(Protocol):
    """Lets calls begin: what `listener.AudioSocketDoor` is to them."""

    def admit(self, uuid: str) -> Grant | Refusal:
        """What the call of this UUID is allowed."""

    def refuse(self, refusal: Refusal, client: str) -> None: ...

    def waits(self, connection: AudioSocketConnection, client: str) -> Refusal | None:
        """A connection of this address has yet to say which call it is; why it may not."""

    def began(self, connection: AudioSocketConnection) -> None:
        """Its call has begun, or never will."""


class AudioSocketConnection(asyncio.Protocol):
    """`connections` is uvicorn's set of what it must close when it stops."""

    def __init__(self, door: CallDoor, calls: CallFactory, connections: set[Any], per_second: int) -> None:
        self._door = door
        self._calls = calls
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self._client = ""
        self._reader = AudioSocketReader()
        self._budget = MessageBudget(per_second, time.monotonic_ns)
        self._paused = False
        """Whether nothing is read from the socket for now."""
        self._kind = NARROW
        self._call: TelephoneCall | None = None
        self._stalls: CallerStalls | None = None
        self._how = "Asterisk closed the connection"
        self._timers: dict[str, asyncio.TimerHandle] = {}

    # --- asyncio -------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._client = address_of(self.transport)
        self._connections.add(self)
        _keep_alive(self.transport.get_extra_info("socket"))
        self._after(UUID_S, "uuid", self._too_late)
        if (refusal := self._door.waits(self, self._client)) is not None:
            self._refuse(refusal)

    def data_received(self, data: bytes) -> None:
        self._reader.push(data)
        self._read()

    def _read(self) -> None:
        """The frames that are here; after some, others have their turn."""
        self._stop("read")
        for _ in range(AT_ONCE):
            whole = self._reader.next()
            if whole is None or self.transport.is_closing():
                self._let_read()
                return
            kind, payload = whole
            try:
                self._take(kind, payload)
            except Exception:  # the session's boundary: a bug ends this call and no other
                log.exception("a call is ended because of a bug in the server")
                self.close("internal_error")
            self._budget.spend(len(payload))
            if self._budget.spent:
                break
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()
        self._after(self._budget.wait_s(), "read", self._read)

    def _let_read(self) -> None:
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        self._after(STALL_S, "stall", self._unread)
        if self._call is not None:
            self._call.congested(True)

    def resume_writing(self) -> None:
        self._stop("stall")
        if self._call is not None:
            self._call.congested(False)

    def _unread(self) -> None:
        self._how = f"Asterisk took nothing for {STALL_S:g} s"
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not isinstance(
            exc, ConnectionError
        ):  # it resets those on which it has left something unread
            self._how = f"the connection broke: {exc}"
        self._connections.discard(self)
        self._door.began(self)
        for name in tuple(self._timers):
            self._stop(name)
        if self._stalls is not None:
            self._stalls.close()
        call, self._call, self._stalls = self._call, None, None
        if call is not None:
            call.end(self._how)

    def shutdown(self) -> None:
        """uvicorn stops."""
        self.close("server_shutting_down")

    # --- the call ------------------------------------------------------------------------------------------------------

    def _take(self, kind: int, payload: bytes) -> None:
        if self._call is None or self._stalls is None:
            self._begin(kind, payload)
        elif kind in AUDIO:
            self._stalls.heard()
            if kind != self._kind:
                self._kind = kind
                self._call.written_in(AUDIO[kind])
            if "form" in self._timers:
                self._speak()
            self._call.hear(payload)
        elif kind == frames.DTMF:
            self._call.press(payload.decode("latin-1"))
        elif kind == frames.HANG_UP or kind == frames.ERROR:
            self._how = "hung up" if kind == frames.HANG_UP else f"Asterisk reports the error {payload[:8].hex()}"
            self._end(frames.HANG_UP)

    def _begin(self, kind: int, payload: bytes) -> None:
        self._stop("uuid")
        self._door.began(self)
        refusal = self._refusal(kind, payload)
        if refusal is not None:
            self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> None:
        self._door.refuse(refusal, f"the call from {self._client}")
        self.close("call_refused")

    def _refusal(self, kind: int, payload: bytes) -> Refusal | None:
        """Why the call cannot begin; None once it has."""
        if kind != frames.UUID or len(payload) != 16:
            return Refusal(
                400, "invalid_handshake", "The first frame is not the UUID of a call: this is no AudioSocket."
            )
        uuid = str(UUID(bytes=payload))
        grant = self._door.admit(uuid)
        if isinstance(grant, Refusal):
            return grant
        form = AUDIO[NARROW]
        reports = ClockedReports(self._played)
        output = PacedOutput(form, self._say, reports, loop=self._loop, lead_ms=LEAD_MS, whole_frames=True)
        output.hold(True)
        caller = Caller(self._client, uuid)
        call = self._calls.begin(self, output, form, CallWishes(), grant=grant, caller=caller)
        if isinstance(call, Refusal):
            output.close()
            return call
        self._call = call
        self._stalls = CallerStalls(self._loop, self._hear_silence, self._say_silence)
        self._after(FORM_S, "form", self._speak)
        return None

    def _speak(self) -> None:
        """The rate of the call is known, as far as it ever will be."""
        self._stop("form")
        if self._call is not None:
            self._call.output.hold(False)

    def _too_late(self) -> None:
        self._refuse(Refusal(408, "request_timeout", f"No UUID came within {UUID_S:g} s."))

    # --- for the session -----------------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """A telephone shows no events."""

    def close(self, reason: EndReason) -> None:
        if not self.transport.is_closing():
            self._how = reason.replace("_", " ")
            self._end(frames.HANG_UP if reason in ENDINGS else frames.ERROR)

    def hang_up(self) -> None:
        self.close("session_closed")

    def _end(self, kind: int) -> None:
        if self._stalls is not None:
            self._stalls.close()
        self.transport.write(frame(kind))
        self.transport.close()
        self._after(CLOSE_S, "close", self.transport.abort)

    # --- for the output ------------------------------------------------------------------------------------------------

    def _say(self, audio: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(frame(self._kind, audio))
            if self._stalls is not None:
                self._stalls.said()

    def _played(self, samples: int) -> None:
        if self._call is not None:
            self._call.session.played(samples)

    # --- for the stalls ------------------------------------------------------------------------------------------------

    def _hear_silence(self) -> None:
        if self._call is not None:
            self._call.hear(silence(self._kind))

    def _say_silence(self) -> None:
        self._say(silence(self._kind))

    # --- clocks --------------------------------------------------------------------------------------------------------

    def _after(self, seconds: float, name: str, then: Callable[[], None]) -> None:
        self._stop(name)
        self._timers[name] = self._loop.call_later(seconds, then)

    def _stop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()


def _keep_alive(sock: socket.socket | None) -> None:
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
