"""`/v1/realtime` over WebSocket: a handshake becomes a session, its frames become events, its notices become frames.

Laws: `session.created` is the first frame and is sent at once; a message goes from the socket to the core in one synchronous call;
all that a session holds is let go when its link is lost. Every refusal is an HTTP answer, given before a session exists.
Does not know: what an event means (`core`), how it is written (`wire`), how frames travel (`link`).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from parley.config import Config
from parley.core.policy.policy import Policy
from parley.core.session import Session
from parley.core.spec import SessionSpec
from parley.core.words.effects import CloseReason
from parley.core.words.events import AudioArrived, ClientEvent, WindDownRequested
from parley.core.words.notices import ErrorRaised, Notice
from parley.core.words.settings import SessionKind
from parley.runtime.driver import Driver
from parley.runtime.engines import LoadedEngines
from parley.runtime.listeners import Listener
from parley.runtime.metrics import Metrics
from parley.runtime.pipeline import Pipeline
from parley.runtime.trace import Trace
from parley.runtime.turn_reports import TurnReports
from parley.server.admission import Sessions
from parley.server.auth import KeyRing
from parley.server.hosts import HostRule
from parley.server.link_ports import LinkToPeer, LongArrival, Peer
from parley.server.opening import Opening, read_opening
from parley.server.origins import OriginRule
from parley.server.pipelines import ServedPipelines, find_pipeline
from parley.server.refusals import Refusal
from parley.wire.dialect import Dialect
from parley.wire.dialects import GA
from parley.wire.long_message import structure

log = logging.getLogger("parley.server")

BETA_REFUSED = "beta_api_shape_disabled"
BETA_CLOSE = 4000

CLOSE_CODES: Mapping[CloseReason, tuple[int, str]] = {
    "session_expired": (1001, "session expired"),
    "server_shutting_down": (1001, "the server is shutting down"),
    "internal_error": (1011, "internal error"),
    "voice_detection_failed": (1011, "the voice activity model failed"),
}
"""WebSocket close codes (RFC 6455, 7.4.1) and their texts."""

SEED_BYTES = 32

MARK_BYTES = 16
"""Of a word that no client can guess."""


class RealtimeDoor:
    """Judges WebSocket handshakes (see `link.Door`): host, place, page, key, model, room; in this order."""

    def __init__(
        self,
        config: Config,
        engines: LoadedEngines,
        *,
        keys: KeyRing,
        hosts: HostRule,
        origins: OriginRule,
        sessions: Sessions,
        metrics: Metrics,
        refused: Callable[[str], None],
        policy: Policy | None = None,
    ) -> None:
        self.max_message_bytes = config.server.max_message_bytes
        self.messages_per_second = config.server.messages_per_second
        self._config = config
        self._engines = engines
        self._keys = keys
        self._hosts = hosts
        self._origins = origins
        self._sessions = sessions
        self._metrics = metrics
        self._refused = refused
        self._policy = policy
        self._pipelines = ServedPipelines(config, engines)

    def knock(
        self, target: str, headers: Mapping[str, str], subprotocols: Sequence[str], client: str
    ) -> Peer | Refusal:
        opening = read_opening(target, headers, subprotocols)
        answer = self._answer(opening, client)
        if isinstance(answer, Refusal):
            self._refused(answer.code)
            log.info("%s is refused: %d %s", client, answer.status, answer.code)
        return answer

    def _answer(self, opening: Opening, client: str) -> Peer | Refusal:
        refusal = self._hosts.refusal(opening.host) or opening.refusal
        refusal = refusal or self._origins.refusal(opening.origin) or self._keys.refusal(opening.key)
        if refusal is not None:
            return refusal
        if opening.dialect == "beta":
            return BetaRefused()
        pipeline = find_pipeline(self._config, self._engines, opening.model)
        if isinstance(pipeline, Refusal):
            return pipeline
        return self._sessions.refusal() or self._session(pipeline, opening.kind, opening.model, client)

    def _session(self, pipeline: Pipeline, kind: SessionKind, model: str, client: str) -> RealtimeSession:
        owner, capabilities = self._pipelines.terms(pipeline)
        spec = SessionSpec(
            seed=os.urandom(SEED_BYTES),
            settings=pipeline.default_settings(kind, model or pipeline.name),
            owner=owner,
            capabilities=capabilities,
            playback="remote",
            now_ns=time.monotonic_ns(),
            policy=self._policy if kind == "realtime" else None,
        )
        session = Session(spec)
        trace_dir = self._config.server.trace_dir
        return RealtimeSession(
            spec, session, pipeline, self._pipelines, self._sessions, self._metrics, client, trace_dir
        )


class RealtimeSession:
    """One conversation on one link."""

    def __init__(
        self,
        spec: SessionSpec,
        session: Session,
        pipeline: Pipeline,
        pipelines: ServedPipelines,
        sessions: Sessions,
        metrics: Metrics,
        client: str,
        trace_dir: Path | None,
        dialect: Dialect = GA,
    ) -> None:
        self._sessions = sessions
        self._who = f"{session.id} from {client} on pipeline {pipeline.name}"
        self._dialect = dialect
        self._encoder = dialect.encoder(event_seed=os.urandom(SEED_BYTES), wall_s=time.time)
        self._opened_ns = time.monotonic_ns()
        self._link: LinkToPeer
        trace = Trace(spec, session.id, trace_dir)
        measured = metrics.session(pipeline.name, session)
        listeners: list[Listener] = [self, TurnReports(measured.account, self)]
        self._driver = Driver(session, pipeline, listeners, watchers=[trace, measured], pipelines=pipelines)

    def opened(self, link: LinkToPeer) -> None:
        self._link = link
        self._sessions.enter(self)
        log.info("%s begins", self._who)
        self._driver.start()

    def received(self, data: bytes) -> int:
        event = self._dialect.decode(data)
        self._driver.post(event, self)
        return 0 if type(event) is AudioArrived else structure(data)

    def arrives(self) -> LongArrival:
        return _Arrival(self._dialect, lambda event: self._driver.post(event, self))

    def congested(self, waits: bool) -> None:
        self._driver.hold_output(waits)

    def lost(self, code: int, reason: str) -> None:
        self._sessions.leave(self)
        lasted_s = (time.monotonic_ns() - self._opened_ns) / 1e9
        log.info("%s is over after %.1f s: %d %s", self._who, lasted_s, code, reason or "(no reason given)")
        self._driver.shut(f"{code} {reason}".strip())

    def wind_down(self) -> None:
        self._driver.post(WindDownRequested())

    def close(self, code: int, reason: str) -> None:
        self._link.close(code, reason)

    def on_close(self, reason: CloseReason) -> None:
        self._link.close(*CLOSE_CODES[reason])

    def on_notice(self, notice: Notice) -> None:
        frame = self._encoder.encode(notice)
        if frame is not None:
            self._link.send(frame)


class _Arrival:
    """A long message on its way; its event is posted when all of it is here."""

    def __init__(self, dialect: Dialect, post: Callable[[ClientEvent], None]) -> None:
        self._message = dialect.long_message(os.urandom(MARK_BYTES).hex())
        self._post = post

    @property
    def values(self) -> int:
        return self._message.values

    def push(self, piece: bytes) -> None:
        self._message.push(piece)

    def finish(self) -> Iterator[None]:
        yield from self._message.decode()
        self._post(self._message.event)


class BetaRefused:
    """Who asks for the retired beta protocol is told so, as OpenAI does: an `error` event, and close 4000."""

    def opened(self, link: LinkToPeer) -> None:
        encoder = GA.encoder(event_seed=os.urandom(SEED_BYTES), wall_s=time.time)
        message = (
            "The beta Realtime API is not served here. Leave out 'OpenAI-Beta: realtime=v1' and use the GA events."
        )
        frame = encoder.encode(ErrorRaised(BETA_REFUSED, message))
        assert frame is not None
        link.send(frame)
        link.close(BETA_CLOSE, BETA_REFUSED)

    def received(self, data: bytes) -> int:
        return 0

    def arrives(self) -> LongArrival:
        return _Arrival(GA, lambda _: None)

    def congested(self, waits: bool) -> None:
        pass

    def lost(self, code: int, reason: str) -> None:
        pass
