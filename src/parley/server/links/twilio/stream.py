"""One call of Twilio's Media Streams: the `Peer` of its WebSocket, and the `CallLink` of its session.

Laws:
- The session begins with the `start` message, which may bring the key; no session exists before that, and a stream that has not begun
  within `START_S` is closed.
- Audio goes both ways as it is: mu-law, 8 kHz. It is sent `LEAD_MS` ahead at the most; what was played is told by marks, and an
  interruption has Twilio drop the rest (`clear`).
- After `start`, what cannot be read is ignored: a telephone call does not end for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final, Protocol

from parley.server.access.access import Grant
from parley.server.links.link import EndReason, Link, LongArrival
from parley.server.links.pacing import PacedOutput
from parley.server.links.telephone.telephone_call import Caller, CallFactory, CallWishes, TelephoneCall
from parley.server.links.twilio import messages
from parley.server.links.twilio.marks import MarkReports
from parley.server.links.twilio.messages import ENCODING, PCMU, StreamMessage, StreamStart
from parley.server.refusals import Refusal

START_S: Final = 10.0
"""Twilio sends it at once."""

LEAD_MS: Final = 400
"""Twilio holds what it was sent and drops it when told; more would only be sent in vain."""

LONGEST_SID: Final = 64
"""Twilio's have 34 letters and digits."""


class StreamDoor(Protocol):
    """Lets streams begin: what `gate.TwilioGate` is to them."""

    def admit(self, key: str | None, presented: Grant | None) -> Grant | Refusal:
        """What the call is allowed, by the key in its parameters or by what the handshake presented."""

    def refuse(self, refusal: Refusal, client: str) -> None: ...

    def began(self, stream: TwilioStream) -> None:
        """It has begun, or never will."""


class DroppedArrival:
    """A long message, which no message of Twilio is."""

    values = 0

    def push(self, piece: bytes) -> None:
        pass

    def finish(self) -> Iterator[None]:
        return iter(())


class TwilioStream:
    """`presented` is what the handshake may open; None: the `start` message must bring a key."""

    def __init__(self, door: StreamDoor, calls: CallFactory, client: str, presented: Grant | None) -> None:
        self._door = door
        self._calls = calls
        self._client = client
        self._presented = presented
        self._link: Link | None = None
        self._sid = ""
        self._call: TelephoneCall | None = None
        self._reports: MarkReports | None = None
        self._waits: asyncio.TimerHandle | None = None

    # --- for the WebSocket ---------------------------------------------------------------------------------------------

    def opened(self, link: Link) -> None:
        self._link = link
        self._waits = asyncio.get_running_loop().call_later(START_S, self._too_late)

    def received(self, data: bytes) -> int:
        message = messages.read_message(data)
        if message is None or self._link is None:
            return 0
        if self._call is None:
            if message.event == "start" and message.start is not None and self._waits is not None:
                self._begin(message.start)
        else:
            self._take(self._call, message)
        return 0

    def arrives(self) -> LongArrival:
        return DroppedArrival()

    def congested(self, waits: bool) -> None:
        if self._call is not None:
            self._call.congested(waits)

    def lost(self, how: str) -> None:
        self._began()
        self._link = None
        reports, self._reports = self._reports, None
        if reports is not None:
            reports.close()
        call, self._call = self._call, None
        if call is not None:
            call.end(how)

    # --- the call ------------------------------------------------------------------------------------------------------

    def _begin(self, start: StreamStart) -> None:
        self._began()
        refusal = self._refusal(start)
        if refusal is not None:
            self._door.refuse(refusal, f"the call {_call_sid(start)} from {self._client}")
            self.close("call_refused")

    def _refusal(self, start: StreamStart) -> Refusal | None:
        """Why the call cannot begin; None once it has."""
        written = start.media_format
        if (written.encoding, written.sample_rate, written.channels) != (ENCODING, PCMU.rate, 1):
            return Refusal(400, "invalid_value", f"The stream is not {ENCODING} at 8000 Hz, one channel.")
        parameters = start.custom_parameters
        grant = self._door.admit(parameters.get("key"), self._presented)
        if isinstance(grant, Refusal):
            return grant
        wishes = CallWishes.read(parameters)
        if isinstance(wishes, Refusal):
            return wishes
        self._sid = start.stream_sid
        loop = asyncio.get_running_loop()
        self._reports = MarkReports(self._mark, self._clear, self._played, loop)
        output = PacedOutput(PCMU, self._say, self._reports, loop=loop, lead_ms=LEAD_MS)
        caller = Caller(self._client, _call_sid(start))
        call = self._calls.begin(self, output, PCMU, wishes, grant=grant, caller=caller)
        if isinstance(call, Refusal):
            output.close()
            return call
        self._call = call
        return None

    def _take(self, call: TelephoneCall, message: StreamMessage) -> None:
        match message.event:
            case "media" if message.media is not None and message.media.track == "inbound":
                call.hear(message.media.payload)
            case "mark" if message.mark is not None and self._reports is not None:
                self._reports.marked(message.mark.name)
            case "dtmf" if message.dtmf is not None:
                call.press(message.dtmf.digit)
            case "stop":
                self.close("session_closed")
            case _:
                pass

    def _too_late(self) -> None:
        refusal = Refusal(408, "request_timeout", f"No start message came within {START_S:g} s.")
        self._began()
        self._door.refuse(refusal, self._client)
        self.close("call_refused")

    def _began(self) -> None:
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None
            self._door.began(self)

    # --- for the session -----------------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """A telephone shows no events."""

    def close(self, reason: EndReason) -> None:
        if self._link is not None:
            self._link.close(reason)

    def hang_up(self) -> None:
        self.close("session_closed")

    # --- for the output ------------------------------------------------------------------------------------------------

    def _say(self, audio: bytes) -> None:
        if self._link is not None:
            self._link.send(messages.media_message(self._sid, audio))

    def _mark(self, name: str) -> None:
        if self._link is not None:
            self._link.send(messages.mark_message(self._sid, name))

    def _clear(self) -> None:
        if self._link is not None:
            self._link.send(messages.clear_message(self._sid))

    def _played(self, samples: int) -> None:
        if self._call is not None:
            self._call.session.played(samples)


def _call_sid(start: StreamStart) -> str:
    """Twilio's id of the call; "" where it is none: it goes into the log."""
    sid = start.call_sid
    return sid if len(sid) <= LONGEST_SID and sid.isascii() and sid.isalnum() else ""
