"""A session as its link knows it: messages in the client's dialect go in and come out.

Next on the reading path: `runtime/driver.py`. `sessions.SessionFactory` makes these.

Laws: a message is decoded and happens in the call that brought it; a notice is encoded and sent in the call that told it.
Does not know: handshakes, frames (`links`), what an event means (`core`).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from parley.core.session import Session
from parley.core.words.effects import CloseReason
from parley.core.words.events import AudioArrived, AudioPlayed, ClientEvent, WindDownRequested
from parley.core.words.ids import ItemId, ResponseId
from parley.core.words.notices import ErrorRaised, Notice, OutputAudioDelta, PartAt
from parley.core.words.settings import AudioFormat, SessionKind, SettingsPatch
from parley.core.words.shell_notices import KeypadPressed
from parley.runtime.driver import Driver
from parley.runtime.listeners import Listener
from parley.runtime.metrics import Metrics
from parley.runtime.original_bed import OriginalBed
from parley.runtime.original_mix import OriginalMix
from parley.runtime.perform import Loudspeaker
from parley.runtime.pipeline import LoadedPipeline
from parley.runtime.trace import Trace
from parley.runtime.turn_reports import TurnReports
from parley.server.access.access import Grant
from parley.server.admission import Sessions
from parley.server.links.link import Link, LongArrival
from parley.server.pipelines import ServedPipelines
from parley.server.refusals import Refusal
from parley.wire.dialect import Dialect
from parley.wire.long_message import structure

log = logging.getLogger("parley.server")

SEED_BYTES = 32

MARK_BYTES = 16
"""Length of an unpredictable marker in a message."""


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What a client asks for, on any link. `kind` None and `model` "": as the client secret says, else a conversation with the default
    pipeline. `client` is its address, for the log. `wishes`: how the handshake wants the session to begin. `shown`: the notices that the
    link takes, all of them where it is None; no others are encoded."""

    grant: Grant
    dialect: Dialect
    model: str = ""
    kind: SessionKind | None = None
    client: str = ""
    wishes: SettingsPatch = field(default_factory=SettingsPatch)
    shown: Collection[type[Notice]] | None = None


class Attached(Listener, Protocol):
    """Who listens to a session beside its link, and asks for things in it; see `attached_client`."""

    @property
    def grant(self) -> Grant: ...
    def call_ended(self) -> None:
        """The session is over because its link is gone."""


class RealtimeSession:
    """One conversation on one link: the link's `Peer`. `paced`: the link plays the output audio. `original`: the listener of a translation
    hears the speaker too."""

    def __init__(
        self,
        session: Session,
        trace: Trace,
        pipeline: LoadedPipeline,
        request: SessionRequest,
        *,
        pipelines: ServedPipelines,
        running: Sessions,
        metrics: Metrics,
        loudspeaker: Loudspeaker | None,
        original: OriginalMix | OriginalBed | None = None,
    ) -> None:
        self.grant = request.grant
        self.paced = loudspeaker is not None and loudspeaker is not original
        self._running = running
        self._name = f"{session.id} from {request.client} on pipeline {pipeline.name}"
        self._dialect = request.dialect
        self._shown = request.shown
        self._encoder = self._dialect.encoder(event_seed=os.urandom(SEED_BYTES), wall_s=time.time)
        self._opened_ns = time.monotonic_ns()
        self._link: Link
        self._attached: dict[Attached, TurnReports] = {}
        measured = metrics.session(pipeline.name, session)
        self._turns = measured.account
        listeners: list[Listener] = [self, TurnReports(self._turns, self)]
        self._driver = Driver(
            session,
            pipeline,
            listeners,
            watchers=[trace, measured] if original is None else [trace, measured, original],
            pipelines=pipelines,
            loudspeaker=loudspeaker,
        )
        if isinstance(original, OriginalMix):
            original.connect(self._mixed, self.played)

    # --- for the link --------------------------------------------------------------------------------------------------

    def opened(self, link: Link) -> None:
        self._link = link
        self._running.enter(self)
        log.info("%s begins", self._name)
        self._driver.start()

    def received(self, data: bytes) -> int:
        event = self._dialect.decode(data)
        self._driver.post(event, self)
        return 0 if type(event) is AudioArrived else structure(data)

    def arrives(self) -> LongArrival:
        return ArrivingEvent(self._dialect, lambda event: self._driver.post_in_slices(event, self))

    def congested(self, waits: bool) -> None:
        self._driver.hold_output(waits)

    @property
    def input_format(self) -> AudioFormat:
        """What `hear` takes at this moment; the client may change it."""
        return self._driver.session.settings.input_format

    def hear(self, audio: bytes) -> None:
        """Input audio, where the link carries it beside the messages; see `links/media_input.py`."""
        if (
            not self._driver.session.ending
        ):  # what a client says while it asks for the end is on its way already, and no fault of its own
            self._driver.post(AudioArrived(audio), self)

    def played(self, samples: int) -> None:
        """That many samples of output audio (24 kHz) have been played, where the link has a loudspeaker."""
        self._driver.post(AudioPlayed(samples))

    def key_pressed(self, key: str) -> None:
        """The caller has pressed a key of the telephone: all who listen to the session are told."""
        self._driver.tell(KeypadPressed(key, round(time.time())))

    def lost(self, how: str) -> None:
        self._running.leave(self)
        lasted_s = (time.monotonic_ns() - self._opened_ns) / 1e9
        log.info("%s is over after %.1f s: %s", self._name, lasted_s, how)
        self._driver.shut(how)
        for one in tuple(self._attached):
            one.call_ended()

    # --- for those who attach to it ------------------------------------------------------------------------------------

    @property
    def kind(self) -> SessionKind:
        """What kind of session it is at this moment."""
        return self._driver.session.settings.kind

    @property
    def attached(self) -> Collection[Attached]:
        """Who is attached at this moment."""
        return self._attached.keys()

    @property
    def watched(self) -> bool:
        """Whether anyone is attached: the session then goes on while its audio does, with or without the messages of its own client."""
        return bool(self._attached)

    def attach(self, client: Attached) -> bool:
        """Introduce the session to `client`, which takes its notices from now on; False where the session is over."""
        reports = TurnReports(self._turns, client)
        joined = self._driver.join(client, reports)
        if joined:
            self._attached[client] = reports
        return joined

    def detach(self, client: Attached) -> None:
        """Nothing happens where it was not attached."""
        reports = self._attached.pop(client, None)
        if reports is not None:
            self._driver.leave(client, reports)

    def post(self, event: ClientEvent, client: Attached) -> None:
        """Let an event of an attached client happen; as `received`."""
        self._driver.post(event, client)

    def post_in_slices(self, event: ClientEvent, client: Attached) -> Iterator[None]:
        """The same for a long one; as `Driver.post_in_slices`."""
        return self._driver.post_in_slices(event, client)

    # --- for admission -------------------------------------------------------------------------------------------------

    def wind_down(self) -> None:
        self._driver.post(WindDownRequested())

    def access_ended(self, refusal: Refusal) -> None:
        self.on_notice(ErrorRaised(refusal.code, refusal.message, kind=refusal.type))
        self._link.close("access_ended")

    # --- for the driver ------------------------------------------------------------------------------------------------

    def on_close(self, reason: CloseReason) -> None:
        self._link.close(reason)

    def _mixed(self, audio: bytes, elapsed_ms: int | None) -> None:
        """Send audio in which the listener hears the speaker too. The dialect of translation sessions knows no responses and items."""
        self.on_notice(OutputAudioDelta(PartAt(ResponseId(""), ItemId(""), 0, 0, elapsed_ms), audio))

    def on_notice(self, notice: Notice) -> None:
        if self._shown is not None and type(notice) not in self._shown:
            return
        frame = self._encoder.encode(notice)
        if frame is not None:
            self._link.send(frame)


class ArrivingEvent:
    """A long message that is arriving; its event is posted when it is complete."""

    def __init__(self, dialect: Dialect, post: Callable[[ClientEvent], Iterator[None]]) -> None:
        self._message = dialect.long_message(os.urandom(MARK_BYTES).hex())
        self._post = post

    @property
    def values(self) -> int:
        return self._message.values

    def push(self, piece: bytes) -> None:
        self._message.push(piece)

    def finish(self) -> Iterator[None]:
        yield from self._message.decode()
        yield from self._post(self._message.event)
