"""Opens sessions: finds the pipeline, makes the settings, admits, builds. Every link and the REST endpoints use this one place.

Next on the reading path: `realtime_session.py`. A link reads its handshake into a `SessionRequest`, has `access.Access` check the
credential, and calls `SessionFactory.open`; the `RealtimeSession` it gets is the link's `Peer`.

Laws: a refusal comes before anything runs, and is the same on every transport. The configuration in a client secret gives
the session its initial settings and fixes some of them; the core checks it when the secret is made and again when it is used.
Does not know: handshakes, HTTP, frames (`links`), what an event means (`core`) or how it is written (`wire`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from parley.config import Config, ServerConfig
from parley.core.policy.policy import Policy
from parley.core.session import Session
from parley.core.spec import PlaybackKind, SessionSpec
from parley.core.words.effects import Tell
from parley.core.words.errors import PeerError
from parley.core.words.events import SessionUpdateRequested
from parley.core.words.notices import ErrorRaised
from parley.core.words.settings import PinnedSettings, Settings, SettingsPatch
from parley.engines.ports import TTS
from parley.invocation import command
from parley.runtime.engines import LoadedEngines
from parley.runtime.metrics import Metrics
from parley.runtime.original_bed import MixingLoudspeaker, OriginalBed
from parley.runtime.original_mix import OriginalMix
from parley.runtime.perform import Loudspeaker
from parley.runtime.pipeline import LoadedPipeline
from parley.runtime.trace import traced
from parley.server.access.access import Grant
from parley.server.access.client_secrets import ClientSecret, ClientSecrets
from parley.server.admission import Sessions
from parley.server.paths import OPENED_AT
from parley.server.pipelines import ServedPipelines, find_pipeline
from parley.server.realtime_session import SEED_BYTES, RealtimeSession, SessionRequest
from parley.server.refusals import Refusal
from parley.wire.dialect import Dialect
from parley.wire.dialects import DIALECTS

log = logging.getLogger("parley.server")

USED_RETRY_S = 60


def served_dialects(server: ServerConfig) -> Mapping[str, Dialect]:
    """The dialects that clients of this server may choose, by name."""
    return {name: dialect for name, dialect in DIALECTS.items() if server.beta or name != "beta"}


@dataclass(frozen=True, slots=True)
class PlannedSession:
    """A session that could be opened: its pipeline, its settings at the beginning, and what its client cannot change."""

    pipeline: LoadedPipeline
    settings: Settings
    pinned: PinnedSettings

    @property
    def original_volume(self) -> float | None:
        """The factor, 0..1, by which the speaker is softened under the translation; None: the listener does not hear the speaker."""
        return self.pipeline.config.original_volume if self.settings.kind == "translation" else None


class SessionFactory:
    """`open` a session, or ask beforehand: `plan` is what it would be, `outlook` whether it could begin now."""

    def __init__(
        self,
        config: Config,
        engines: LoadedEngines,
        *,
        running: Sessions,
        secrets: ClientSecrets,
        metrics: Metrics,
        policy: Policy | None = None,
    ) -> None:
        self._config = config
        self._engines = engines
        self._running = running
        self._secrets = secrets
        self._metrics = metrics
        self._policy = policy

    def outlook(self, request: SessionRequest) -> Refusal | None:
        """Why no such session could begin now. Refusals are not counted: the client only asks."""
        plan = self.plan(request)
        return plan if isinstance(plan, Refusal) else self._running.outlook(request.grant)

    def plan(self, request: SessionRequest) -> PlannedSession | Refusal:
        """The session as it would begin, or why there is no such session."""
        plan = self._planned(request)
        if isinstance(plan, Refusal) or not request.wishes:
            return plan
        wished = self._configured(plan, request.wishes, request.dialect, request.grant)
        return wished if isinstance(wished, Refusal) else replace(plan, settings=wished)

    def _planned(self, request: SessionRequest) -> PlannedSession | Refusal:
        """The session without the wishes of its handshake."""
        secret = request.grant.secret
        patch = SettingsPatch() if secret is None else read_configuration(secret)
        if isinstance(patch, Refusal):
            return patch
        opens = None if secret is None else patch.get("kind", DIALECTS[secret.dialect].kinds[0])
        kind = request.kind or opens or request.dialect.kinds[0]
        if kind != (opens or kind):
            return Refusal(403, "intent_not_allowed", f"This client secret opens a {opens} session.", param="intent")
        if kind not in request.dialect.kinds:
            message = f"A {kind} session is opened at {OPENED_AT[kind]}, with its own events."
            return Refusal(403, "intent_not_allowed", message, param="intent")
        model = patch.get("model") or request.model
        pipeline = find_pipeline(self._config, self._engines, model)
        if isinstance(pipeline, Refusal):
            return pipeline
        if request.model and find_pipeline(self._config, self._engines, request.model) is not pipeline:
            return Refusal(
                403, "model_not_allowed", f"This client secret opens the model {model!r} only.", param="model"
            )
        if kind == "translation" and not pipeline.targets:
            return _no_translator(pipeline)
        settings = pipeline.default_settings(kind, model or pipeline.name)
        if secret is None:
            return PlannedSession(
                pipeline, settings, PinnedSettings(kind=None if request.dialect.changes_kind else kind)
            )
        plan = PlannedSession(pipeline, settings, PinnedSettings())
        configured = self._configured(plan, patch, DIALECTS[secret.dialect], Grant())
        return (
            configured
            if isinstance(configured, Refusal)
            else PlannedSession(pipeline, configured, _pinned(configured, patch))
        )

    def _configured(
        self, plan: PlannedSession, patch: SettingsPatch, dialect: Dialect, grant: Grant
    ) -> Settings | Refusal:
        """The settings after an update by `patch`, which a session that is never opened judges."""
        changes = patch.copy()
        changes.pop("kind", None)
        changes.pop("model", None)
        trial = Session(self._spec(plan, grant, "remote"))
        for effect in trial.handle(SessionUpdateRequested(changes, None), 0):
            if isinstance(effect, Tell) and isinstance(error := effect.notice, ErrorRaised):
                param = error.path if error.field is None else dialect.path(error.field)
                return Refusal(400, error.code, error.message, param=param, type=error.kind)
        return replace(trial.settings, version=0)

    def shown(self, plan: PlannedSession, grant: Grant, dialect: Dialect, now_s: float) -> dict[str, object]:
        """The planned session as `session.created` would show it, were it opened at `now_s` (Unix seconds)."""
        spec = self._spec(plan, grant, "remote")
        expires_at = round(now_s + spec.owner.session_ms / 1000)
        return dialect.session_object(Session(spec).id, plan.settings, expires_at)

    def open(self, request: SessionRequest, loudspeaker: Loudspeaker | None = None) -> RealtimeSession | Refusal:
        """A session for one link. Next: the link calls its `opened`. `loudspeaker`: where the server plays the output audio itself."""
        plan = self.plan(request)
        if isinstance(plan, Refusal):
            return plan
        if plan.original_volume is not None and not isinstance(loudspeaker, MixingLoudspeaker | None):
            return _no_mixing(plan.pipeline)
        refusal = self._running.refusal(request.grant)
        secret = request.grant.secret
        if refusal is None and secret is not None and self._secrets.full:
            message = "Too many client secrets have been used; try again later."
            refusal = Refusal(503, "server_overloaded", message, None, "server_error", USED_RETRY_S)
        if refusal is not None:
            return refusal
        if secret is not None:
            self._secrets.spend(secret)
        return self._build(request, plan, loudspeaker)

    def _build(self, request: SessionRequest, plan: PlannedSession, loudspeaker: Loudspeaker | None) -> RealtimeSession:
        original: OriginalMix | OriginalBed | None = None
        if plan.original_volume is not None and loudspeaker is None:
            loudspeaker = original = OriginalMix(plan.original_volume, asyncio.get_running_loop())
        elif plan.original_volume is not None and isinstance(loudspeaker, MixingLoudspeaker):
            original = OriginalBed(plan.original_volume)
            loudspeaker.play_over(original)
        spec = self._spec(plan, request.grant, "remote" if loudspeaker is None else "paced")
        return RealtimeSession(
            *traced(spec, self._config.server.trace_dir),
            plan.pipeline,
            request,
            pipelines=self._served(plan.pinned, request.grant),
            running=self._running,
            metrics=self._metrics,
            loudspeaker=loudspeaker,
            original=original,
        )

    def _served(self, pinned: PinnedSettings, grant: Grant) -> ServedPipelines:
        server = self._config.server
        session_ms = round(server.session_minutes * 60_000)
        left_s = self._running.quotas.left_s(grant.key)
        if left_s is not None:
            session_ms = min(session_ms, max(1, round(left_s * 1000)))
        # The holder of a client secret is a stranger: it must not have this server call whatever the server can reach.
        trusted = grant.secret is None or pinned.tools is not None
        tool_server_urls = server.allowed_mcp_servers if trusted else ()
        return ServedPipelines(
            self._config,
            self._engines,
            pinned=pinned,
            session_ms=session_ms,
            tool_server_urls=tool_server_urls,
            owners_tool_server_urls=server.allowed_mcp_servers,
        )

    def _spec(self, plan: PlannedSession, grant: Grant, playback: PlaybackKind) -> SessionSpec:
        owner, capabilities = self._served(plan.pinned, grant).terms(plan.pipeline)
        return SessionSpec(
            seed=os.urandom(SEED_BYTES),
            settings=plan.settings,
            owner=owner,
            capabilities=capabilities,
            playback=playback,
            now_ns=time.monotonic_ns(),
            policy=self._policy if plan.settings.kind == "realtime" else None,
        )


def read_configuration(secret: ClientSecret) -> SettingsPatch | Refusal:
    """The session configuration that a client secret holds."""
    dialect = DIALECTS.get(secret.dialect)
    if dialect is None:
        return Refusal(
            400, "invalid_value", f"This server has no dialect {secret.dialect!r}; make a new client secret."
        )
    try:
        return dialect.read_session(secret.session, secret.path, secret.kind)
    except PeerError as error:
        return Refusal(400, error.code, error.message, param=error.field, type=error.kind)


def _no_translator(pipeline: LoadedPipeline) -> Refusal:
    """The refusal of a pipeline that translates into no language which it can speak."""
    if TTS not in pipeline.engines:
        message = (
            f"The pipeline {pipeline.name!r} has a speech model and no voice for translations. On the server, name a synthesizer too "
            "(`tts`), or use another pipeline."
        )
        return Refusal(400, "translation_not_available", message, param="model")
    message = (
        f"The pipeline {pipeline.name!r} has no translator for what its recogniser understands and its voice speaks. On the server, "
        f"fetch a model (`{command('models', 'pull', 'bergamot:en-pt')}`), install Apertium, or name a language model as `mt`; "
        "docs/translation.md lists the ways."
    )
    return Refusal(400, "translation_not_available", message, param="model")


def _no_mixing(pipeline: LoadedPipeline) -> Refusal:
    """The refusal of a pipeline whose listener hears the speaker too, on a link that cannot play two voices at once."""
    message = (
        f"The pipeline {pipeline.name!r} has original_volume, and this connection cannot play the speaker under the translation. Open the "
        "session over a WebSocket or WebRTC, or, on the server, remove original_volume from the pipeline."
    )
    return Refusal(400, "original_volume_not_available", message, param="model")


def _pinned(settings: Settings, patch: SettingsPatch) -> PinnedSettings:
    """The settings that a client secret fixes: those of its configuration among model, instructions, tools and limits."""
    return PinnedSettings(
        kind=settings.kind,
        model=settings.model if "model" in patch else None,
        instructions=settings.instructions if "instructions" in patch else None,
        tools=settings.tools if "tools" in patch else None,
        max_output_tokens=settings.max_output_tokens if "max_output_tokens" in patch else None,
    )
