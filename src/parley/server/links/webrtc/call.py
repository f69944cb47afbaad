"""One WebRTC call: the link between a session and the client's connection.

Next on the reading path: `transport.py` (packets and channels), `incoming.py` and `outgoing.py` (audio), `events.py`.

Laws:
- A session's `Link`: `attach` gives it its peer, and `lost` is the last that the peer hears, exactly once. `finish` may come at any time.
- The session runs from the request on: what it says before the client is connected waits, and a server may attach to it meanwhile.
- A call that nobody uses ends, with its reason in the log: no connection within `CONNECT_S`, nothing heard for `LOST_S`, neither audio
  nor a channel nor an attached server for `UNUSED_S`.
- A client is not read faster than its budget, and a long message is decoded in slices of the loop, before anything that came after it.

Does not know: HTTP, SDP, what an event means.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from aiortc import RTCDataChannel

from parley.config.values import WebRtcConfig
from parley.core.words.notices import ErrorRaised
from parley.runtime.loop_slices import slice_turn
from parley.server.links.budget import MessageBudget
from parley.server.links.link import EndReason
from parley.server.links.media_input import MediaInput
from parley.server.links.output_queue import OutputQueue
from parley.server.links.webrtc.answer import MAX_MESSAGE, LocalAudio, written_answer
from parley.server.links.webrtc.call_clock import clock_of_running_loop
from parley.server.links.webrtc.events import LOW_BYTES, EventChannel
from parley.server.links.webrtc.incoming import IncomingAudio
from parley.server.links.webrtc.offer import CallOffer
from parley.server.links.webrtc.outgoing import OutgoingAudio, RtpStream
from parley.server.links.webrtc.rtp import RtpAudio
from parley.server.links.webrtc.transport import CallTransport
from parley.server.realtime_session import RealtimeSession
from parley.server.time_limits import CLOSE_S

log = logging.getLogger("parley.server")

CONNECT_S: Final = 15.0
"""From the answer to an encrypted connection: a browser needs a second, through a relay three."""

LOST_S: Final = 15.0
"""Browsers check the connection every few seconds, whatever they send; aiortc does so every six at the latest."""

UNUSED_S: Final = 30.0
"""For a client that is connected and neither speaks nor has a channel."""

TAIL_S: Final = 0.3
"""What was sent last still waits in the client's jitter buffer, and its end is lost where the call ends before it is heard."""

LOOK_S: Final = 1.0

SLICE_BYTES: Final = 16 * 1024
"""A longer message is decoded in slices of the loop."""

MAX_CHANNELS: Final = 8
"""That a client may open one after the other; one has the events."""


BUG: Final = "call %s ends because of a bug in the server"


def _not_joined() -> None:
    """In place of leaving the clock, before the call has joined it."""


class WebRtcCall:
    """A `Link` and a `MediaLink`. In this order: `attach`, `answer`, `start`; `finish` ends it at any time.

    `connected` is called when its client has come, `ended` once, when the call is over; `closing` is then the task that gives back its
    sockets.
    """

    def __init__(
        self,
        call_id: str,
        offer: CallOffer,
        queue: OutputQueue,
        settings: WebRtcConfig,
        *,
        messages_per_second: int,
        connected: Callable[[WebRtcCall], None],
        ended: Callable[[WebRtcCall], None],
    ) -> None:
        self.id = call_id
        self.connected = False
        self.closing: asyncio.Task[None] | None = None
        self._begun = connected
        self._over = ended
        self._offer = offer
        self._transport = CallTransport(settings, self)
        self._events = EventChannel(
            expected=offer.channel is not None,
            congested=self._congested,
            give_up=self.finish,
            too_long=self._not_sent,
        )
        self._local = LocalAudio(secrets.randbits(31) + 1, uuid.uuid4().hex[:16], "parley", uuid.uuid4().hex)
        stream = RtpStream(self._local.ssrc, offer.opus, self._local.cname) if offer.listens else None
        self._outgoing = OutgoingAudio(queue, stream, played=self._played, send=self._transport.send_rtp)
        self._queue = queue
        self._budget = MessageBudget(messages_per_second, time.monotonic_ns)
        self._session: RealtimeSession | None = None
        self._incoming: IncomingAudio | None = None
        self._task: asyncio.Task[None] | None = None
        self._leave_clock: Callable[[], None] = _not_joined
        self._closing: tuple[EndReason, float] | None = None
        self._ended = False
        self._messages: deque[bytes] = deque()
        self._reading = False
        self._channels = 0
        self._used_s = time.monotonic()
        self._look_at_s = 0.0
        self._sounded_s = 0.0
        """When speech was sent last."""

    def attach(self, session: RealtimeSession) -> None:
        """Begin the session."""
        self._session = session
        self._incoming = IncomingAudio(MediaInput(session).hear)
        session.opened(self)

    async def answer(self) -> str:
        """The SDP answer. Raises `ConnectionError` where no address can be had, or where the session is over already."""
        local = await self._transport.gather()
        if self._ended:
            raise ConnectionError("the session ended before the call was answered")
        return written_answer(self._offer, local, self._local, secrets.randbits(62))

    def start(self) -> None:
        """Wait for the client, then talk."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    # --- for the session -----------------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        if self._closing is None:
            self._events.send(text)

    def close(self, reason: EndReason) -> None:
        if self._closing is not None or self._ended:
            return
        if self.connected:
            self._closing = reason, time.monotonic() + CLOSE_S
        else:
            self.finish(f"closed: {reason}")

    def hang_up(self) -> None:
        self.finish("hung up by request")

    # --- for the transport ---------------------------------------------------------------------------------------------

    def packet(self, packet: RtpAudio) -> None:
        incoming = self._incoming
        if incoming is None or not self._offer.speaks:
            return
        now_s = self._used_s = time.monotonic()
        try:
            incoming.packet(packet.source, packet.sequence, packet.timestamp, packet.payload, now_s)
        except Exception:  # the session's boundary: a bug ends this call and no other
            log.exception(BUG, self.id)
            self.finish("an internal error")

    def channel(self, channel: RTCDataChannel) -> None:
        self._channels += 1
        if self._channels > MAX_CHANNELS:
            self.finish(f"the client opened more than {MAX_CHANNELS} channels")
        elif self._events.open:
            channel.close()
        else:
            channel.bufferedAmountLowThreshold = LOW_BYTES
            channel.on("message", self._message)
            channel.on("bufferedamountlow", self._events.pump)
            channel.on("close", self._events.closed)
            self._events.opened(channel, self._offer.max_message)

    def patience(self) -> Awaitable[None] | None:
        if self._ended:
            return None
        if self._messages:
            return self._read_messages()
        wait_s = self._budget.wait_s()
        return asyncio.sleep(wait_s) if wait_s > 0 else None

    # --- messages ------------------------------------------------------------------------------------------------------

    def _message(self, data: str | bytes) -> None:
        message = data.encode() if isinstance(data, str) else data
        self._budget.spend(len(message))
        if self._closing is not None or self._ended:
            return
        if len(message) > MAX_MESSAGE:
            self._tell("message_too_large", f"A message may have {MAX_MESSAGE} bytes; this one had {len(message)}.")
        elif self._messages or len(message) > SLICE_BYTES:
            self._messages.append(message)
        else:
            self._hand_over(message)

    def _hand_over(self, message: bytes) -> None:
        session = self._session
        if session is None:
            return
        try:
            self._budget.charge(session.received(message))
        except Exception:  # the session's boundary: a bug ends this call and no other
            log.exception(BUG, self.id)
            self.finish("an internal error")

    async def _read_messages(self) -> None:
        """The messages that wait, each before the next. Nothing else of the client is read meanwhile."""
        self._reading = True
        try:
            while self._messages and self._session is not None:
                message = self._messages.popleft()
                if len(message) <= SLICE_BYTES:
                    self._hand_over(message)
                    continue
                arrival = self._session.arrives()
                for at in range(0, len(message), SLICE_BYTES):
                    arrival.push(message[at : at + SLICE_BYTES])
                    await slice_turn()
                for _ in arrival.finish():
                    await slice_turn()
                self._budget.charge(arrival.values)
        except Exception:  # the session's boundary: a bug ends this call and no other
            log.exception(BUG, self.id)
            self.finish("an internal error")
        finally:
            self._reading = False

    def _not_sent(self, size: int) -> None:
        limit = self._offer.max_message
        self._tell(
            "message_too_large", f"An event of {size} bytes was not sent: the client takes messages of {limit} bytes."
        )

    def _tell(self, code: str, message: str) -> None:
        if self._session is not None:
            self._session.on_notice(ErrorRaised(code, message))

    def _congested(self, waits: bool) -> None:
        if self._session is not None:
            self._session.congested(waits)

    def _played(self, samples: int) -> None:
        self._sounded_s = time.monotonic()
        if self._session is not None:
            self._session.played(samples)

    # --- the life of a call --------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._connect()
            if not self._ended:
                self._leave_clock = clock_of_running_loop().join(self._ring)
        except TimeoutError:
            self.finish(f"no connection was made within {CONNECT_S:.0f} s")
        except ConnectionError as fault:
            self.finish(str(fault) or "the connection was lost")
        except Exception:  # the session's boundary: a bug ends this call and no other
            log.exception(BUG, self.id)
            self.finish("an internal error")

    def _ring(self) -> None:
        """The clock of all calls: every 20 ms."""
        incoming = self._incoming
        if incoming is None:
            return
        try:
            self._outgoing.send_due(self._tick, lambda: incoming.report)
        except Exception:  # the session's boundary: a bug ends this call and no other
            log.exception(BUG, self.id)
            self.finish("an internal error")

    async def _connect(self) -> None:
        async with asyncio.timeout(CONNECT_S):
            await self._transport.connect(self._offer)
        self.connected = True
        self._begun(self)
        self._used_s = time.monotonic()

    def _tick(self, now_s: float) -> bool:
        """Before each packet. Returns whether the call goes on."""
        if self._incoming is not None and not self._reading:
            self._incoming.tick(now_s)
        if self._closing is not None:
            reason, until_s = self._closing
            heard = not len(self._queue) and now_s - self._sounded_s > TAIL_S
            if now_s > until_s or (heard and self._events.idle and self._transport.idle):
                self.finish(f"closed: {reason}")
        elif now_s >= self._look_at_s:
            self._look_at_s = now_s + LOOK_S
            self._look()
        return not self._ended

    def _look(self) -> None:
        """End a call that nobody uses."""
        if self._events.open or (self._session is not None and self._session.watched):
            self._used_s = time.monotonic()
        if self._transport.silent_s > LOST_S:
            self.finish(f"nothing was heard of the client for {LOST_S:.0f} s")
        elif time.monotonic() - self._used_s > UNUSED_S:
            self.finish(f"the client neither spoke nor had a channel for {UNUSED_S:.0f} s")

    def finish(self, how: str) -> None:
        """End the call and its session; `how` is for the log. The first one counts."""
        if self._ended:
            return
        self._ended = True
        session, self._session, self._incoming = self._session, None, None
        self._leave_clock()
        self._events.closed()
        self._messages.clear()
        if session is not None:
            session.lost(how)
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        self.closing = asyncio.get_running_loop().create_task(self._close(task))
        self._over(self)

    async def _close(self, running: asyncio.Task[None] | None) -> None:
        if running is not None:
            await asyncio.wait((running,))
        await self._transport.close()
