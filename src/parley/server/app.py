"""Builds the application and serves it.

Next on the reading path: `links/websocket/gate.py` (a handshake is read), `sessions.py` (a session is opened), then `runtime/driver.py`.

Laws: the port is taken and every engine is loaded and warm before the first connection; the server does not start without its
default pipeline, and serves no other that could not be loaded. Chatter goes to stderr; no secret is logged.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from prometheus_client import Counter
from starlette.types import Receive, Scope, Send

from parley.config import Config, ServerConfig
from parley.core.policy.policy import Policy
from parley.engines.voices.shelf import engines_by_kind
from parley.engines.voices.store import VoiceStore
from parley.errors import ParleyError
from parley.runtime.cache_metrics import CacheMetrics
from parley.runtime.chain_metrics import ChainMetrics
from parley.runtime.engine_caches import EngineCaches
from parley.runtime.engine_opening import EngineReport
from parley.runtime.engines import LoadedEngines, unavailable
from parley.runtime.guard_metrics import GuardMetrics
from parley.runtime.metrics import Metrics
from parley.runtime.prewarming import prewarm
from parley.runtime.unsupported import SettingUnsupported, where_set
from parley.server.access.access import Access
from parley.server.access.hosts import HostRule
from parley.server.access.origins import OriginRule
from parley.server.access.quotas import Quotas
from parley.server.admission import Sessions
from parley.server.audio_upload import AudioRequests
from parley.server.calls import Calls
from parley.server.descriptors import FIX, open_files_needed, raise_open_files_limit
from parley.server.http_connection import Patience
from parley.server.lifetime import Uvicorn, listen
from parley.server.links.audiosocket.listener import AudioSocketDoor, listen_for_calls
from parley.server.links.raw.gate import RawGate
from parley.server.links.telephone.telephone_call import CallFactory
from parley.server.links.twilio.gate import TwilioGate
from parley.server.links.twilio.signature import Signatures
from parley.server.links.webrtc.calls_http import CallsHttp, webrtc_state
from parley.server.links.websocket.by_path import GateByPath
from parley.server.links.websocket.checks import HandshakeChecks
from parley.server.links.websocket.gate import RealtimeGate
from parley.server.paths import RAW_AUDIO_PATH, TWILIO_PATH
from parley.server.refusal_log import RefusalLog
from parley.server.rest import rest_app, rest_routes
from parley.server.sessions import SessionFactory
from parley.server.startup import Startup
from parley.server.text_rest import TextRest
from parley.server.tls import tls_context, tls_warning
from parley.server.twilio_rest import TwilioRest

log = logging.getLogger("parley.server")

QUIET_LOGGERS = ("uvicorn", "websockets", "httpx", "httpx2", "httpcore", "httpcore2", "openai", "aioice", "aiortc")
"""They log single requests and packets, which may contain keys, words and addresses."""


class Application:
    """The ASGI application (HTTP), and beside it the gate of the WebSockets, which do not pass through ASGI; see `links`. A link of
    another kind opens its sessions with `factory`, and enters those that others may attach to in `calls`.

    Serve it with `lifetime.Uvicorn`, which knows both. Raises `ConfigError` for a key file that cannot be used.
    """

    def __init__(self, config: Config, engines: LoadedEngines, policy: Policy | None = None) -> None:
        self.config = config
        server = config.server
        self.access = access_of(server)
        hosts = HostRule(server.host, server.allowed_hosts, server.public_url)
        origins = origins_of(server, self.access)
        metrics = Metrics()
        metrics.watch_lag(engines.tick_lag_ms)
        metrics.registry.register(ChainMetrics(engines.chains()))
        metrics.registry.register(GuardMetrics(engines.guarded()))
        metrics.registry.register(CacheMetrics(engines.caches))
        refusals = RefusalLog(_refusal_counter(metrics))
        self._checks = HandshakeChecks(self.access, hosts, origins, refusals)
        self.sessions = Sessions(
            server.max_sessions, server.admission_lag_ms, engines.tick_lag_ms, Quotas(wall_s=time.time)
        )
        self.calls = Calls()
        self.factory = SessionFactory(
            config,
            engines,
            running=self.sessions,
            secrets=self.access.secrets,
            metrics=metrics,
            policy=policy,
        )
        self._signatures = Signatures(config.telephony.twilio_auth_token, config.telephony.public_url)
        self.telephone = CallFactory(config.telephony, self.factory, self.calls)
        self.gate = self._gates()
        self.webrtc = CallsHttp(
            config, self.calls, access=self.access, origins=origins, sessions=self.factory, refusals=refusals
        )
        self.audio = AudioRequests(self.access, origins, self.sessions)
        self.text = TextRest(config, engines, self.access, origins, self.sessions)
        self.routes = rest_routes(
            config,
            engines,
            access=self.access,
            origins=origins,
            factory=self.factory,
            running=self.sessions,
            audio=self.audio,
            text=self.text,
            metrics=metrics,
            links=[*self.webrtc.routes(), *TwilioRest(self._signatures).routes()],
            webrtc=webrtc_state(config),
        )
        self._rest = rest_app(self.routes, hosts, origins)

    def _gates(self) -> GateByPath:
        """What WebSocket handshakes come to."""
        server = self.config.server
        realtime = RealtimeGate(server, self._checks, self.factory, self.calls, self.sessions)
        raw = RawGate(server, self._checks, self.factory, self.calls)
        twilio = TwilioGate(server, self._checks, self.access, self._signatures, self.telephone)
        return GateByPath(realtime, {RAW_AUDIO_PATH: raw, TWILIO_PATH: twilio})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("Parley's WebSockets need parley.server.lifetime.Uvicorn; start it with `parley serve`.")
        await self._rest(scope, receive, send)

    def end_unallowed(self) -> None:
        """Close the sessions whose key was revoked, or has used its minutes of the day. Called once a second."""
        if len(self.sessions):
            self.sessions.end_unallowed(self.access.session_keys())

    def server(self, on_started: Callable[[], None] = lambda: None, patience: Patience | None = None) -> Uvicorn:
        """What serves it. Next: `await server.serve_on(listen(config.server))`. Raises `ConfigError` for unusable TLS files."""
        return Uvicorn(
            self,
            self.gate,
            self.sessions,
            self.config.server,
            on_started=on_started,
            every_second=self.end_unallowed,
            ending=self.webrtc.end_all,
            patience=patience or Patience(),
            calls=AudioSocketDoor(self.config, self.access, self._checks, self.telephone).connection,
        )


def _refusal_counter(metrics: Metrics) -> Callable[[str], None]:
    """Counts handshakes and calls that are refused, by their code."""
    refusals = Counter("parley_refusals", "Handshakes refused, by code.", ["code"], registry=metrics.registry)
    return lambda code: refusals.labels(code).inc()


def access_of(server: ServerConfig) -> Access:
    """Who may use the server. Raises `ConfigError` for a key file that cannot be used."""
    return Access(
        server.api_keys,
        server.keys_file,
        required=server.exposed and not server.insecure,
        secret_key=server.secret_key,
        single_use=server.client_secret_single_use,
    )


def origins_of(server: ServerConfig, access: Access) -> OriginRule:
    """Which pages may talk to the server."""
    tls = server.tls_cert is not None
    return OriginRule(server.allowed_origins, server.public_url, tls=tls, key_required=access.key_required)


def create_app(config: Config, engines: LoadedEngines, *, policy: Policy | None = None) -> Application:
    """The application for engines that are open. `policy`: one of your own for the sessions that converse."""
    return Application(config, engines, policy)


def serve(config: Config, *, policy: Policy | None = None, open_page: bool = False) -> None:
    """Load the engines and serve until SIGINT or SIGTERM. Blocks. `policy` as for `create_app`; `open_page` shows the page in this
    machine's browser once connections are taken.

    Raises `ConfigError` when the address cannot be had, or an engine does not have the voice or the language that is set;
    `EngineUnavailable` when the default pipeline cannot be loaded.
    """
    _set_up_logging()
    limit, needed = raise_open_files_limit(), open_files_needed(config.server.max_sessions)
    if limit is not None and limit < needed:
        log.warning(
            "%d sessions need %d open files, and the limit is %d. %s", config.server.max_sessions, needed, limit, FIX
        )
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(config, policy, Startup(config, open_page=open_page)))


async def _serve(config: Config, policy: Policy | None, startup: Startup) -> None:
    calls = listen_for_calls(config.telephony)
    try:
        async with opened(config, startup) as (listener, engines):
            # The models live as long as the server: the garbage collector should not walk them in the middle of a sentence.
            gc.collect()
            gc.freeze()
            try:
                app = create_app(config, engines, policy=policy)
                origins = origins_of(config.server, app.access)
                server = app.server(lambda: startup.announce(listener, engines, app.access, origins))
                await server.serve_on(listener, calls)
            finally:
                gc.unfreeze()
    finally:
        if calls is not None:
            calls.close()
    startup.farewell()


@asynccontextmanager
async def opened(config: Config, startup: Startup) -> AsyncIterator[tuple[socket.socket, LoadedEngines]]:
    """The port taken and the engines loaded; both are let go at the end.

    Raises `EngineUnavailable` where the default pipeline cannot be had, and `ConfigError` where an engine of it lacks what is set.
    """
    # Faults of these files are found before a minute is spent on the engines.
    startup.warn(tls_warning(config.server, datetime.now(UTC)))
    tls_context(config.server)
    access_of(config.server)
    listener = listen(config.server)
    try:
        with startup.loading():
            caches, voices = EngineCaches.of(config), VoiceStore(limit=config.own_voices.limit)
            engines = await LoadedEngines.open_all(
                config.pipelines.values(),
                startup.report,
                voices=voices,
                caches=caches,
                required=config.default_pipeline,
            )
            if config.default_pipeline not in engines.failures:
                # A session may be told which engines can speak with a voice; it must not wait for their modules.
                await asyncio.to_thread(engines_by_kind)
        preparing = asyncio.create_task(_prepare_speech(engines))
        try:
            if config.default_pipeline in engines.failures:
                raise _unservable(config, engines.failures[config.default_pipeline])
            yield listener, engines
        finally:
            preparing.cancel()
            await asyncio.wait([preparing])
            await engines.close()
    finally:
        listener.close()


def _unservable(config: Config, failures: Sequence[EngineReport]) -> ParleyError:
    """Why the default pipeline is not served, with the place of a setting that an engine cannot honour."""
    error = unavailable(failures)
    return where_set(error, config, config.default_pipeline) if isinstance(error, SettingUnsupported) else error


async def _prepare_speech(engines: LoadedEngines) -> None:
    """Speak the phrases that the pipelines will need into the speech cache, where there is one."""
    if engines.caches.speech is not None:
        await prewarm(engines.caches.speech, engines.pipelines.values())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


def _set_up_logging() -> None:
    """Log lines go to stderr, unless the embedding program has configured logging."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
