"""One raw audio stream: binary frames are audio both ways, text frames are events of the GA dialect.

Laws:
- The audio goes out at the listener's pace, `lead_ms` ahead at the most; an interruption sends nothing more of it, and then says so
  (`output_audio_buffer.cleared`).
- Events that carry audio do not exist here. Which others are encoded and sent is the client's choice (`SHOWN`); whatever it chose, it may
  send any.
- After `session.created` comes `parley.call.created`, with the id by which others attach to the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Final, cast

import msgspec

from parley.core.words.notices import Notice
from parley.server.calls import Calls
from parley.server.links.link import AudioLink, EndReason, Link, LongArrival
from parley.server.links.media_call import MediaCall
from parley.server.links.pacing import ClockedReports, PacedOutput
from parley.server.links.raw.opening import Events, RawOpening
from parley.server.realtime_session import RealtimeSession
from parley.wire.dialects import GA

BASIC: Final = frozenset(
    {
        "session.created",
        "session.updated",
        "error",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "response.output_audio_transcript.done",
        "response.output_text.done",
        "response.function_call_arguments.done",
        "response.done",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "output_audio_buffer.cleared",
    }
)
"""What a device needs to show what goes on; the others are deltas, and the conversation's items."""

SHOWN: Final[Mapping[Events, Collection[type[Notice]] | None]] = {
    "none": (),
    "basic": frozenset(GA.server_events[name] for name in BASIC),
    "all": None,
}
"""The notices that a stream takes, by the client's choice; None: all."""


class RawStream:
    """The `Peer` of a WebSocket and the `CallLink` of its session."""

    def __init__(self, opening: RawOpening, calls: Calls) -> None:
        self._opening = opening
        self._calls = calls
        self._link: AudioLink | None = None
        self._call: MediaCall | None = None
        self.output = PacedOutput(
            opening.form,
            self._send_audio,
            ClockedReports(self._played),
            loop=asyncio.get_running_loop(),
            lead_ms=opening.lead_ms,
        )
        """The loudspeaker of the session."""

    def carry(self, session: RealtimeSession) -> None:
        """This is its session. Call it before the link opens."""
        self._call = MediaCall(self._calls, session, self.output, self._opening.form)

    # --- for the WebSocket ---------------------------------------------------------------------------------------------

    def opened(self, link: Link) -> None:
        self._link = cast(AudioLink, link)
        call = self._running
        call.begin(self)
        if self._opening.events != "none":
            created = {"type": "parley.call.created", "call_id": call.id}
            self._link.send(msgspec.json.encode(created).decode())

    def received(self, data: bytes) -> int:
        return self._running.session.received(data)

    def arrives(self) -> LongArrival:
        return self._running.session.arrives()

    def heard(self, audio: bytes) -> None:
        self._running.hear(audio)

    def congested(self, waits: bool) -> None:
        self._running.congested(waits)

    def lost(self, how: str) -> None:
        call, self._call, self._link = self._running, None, None
        call.end(how)

    # --- for the session -----------------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        if self._link is not None:
            self._link.send(text)

    def close(self, reason: EndReason) -> None:
        if self._link is not None:
            self._link.close(reason)

    def hang_up(self) -> None:
        self.close("session_closed")

    # --- for the output ------------------------------------------------------------------------------------------------

    def _send_audio(self, audio: bytes) -> None:
        if self._link is not None:
            self._link.send_audio(audio)

    def _played(self, samples: int) -> None:
        if self._call is not None:
            self._call.session.played(samples)

    @property
    def _running(self) -> MediaCall:
        assert self._call is not None, "the link is used before it was opened, or after it was lost"
        return self._call
