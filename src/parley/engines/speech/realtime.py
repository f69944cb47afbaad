"""Answers from a Realtime server that hears and speaks: OpenAI's, another Parley, an omni model's server.

Laws:
- The session in front is ours: turns, interruptions, tools and voices are decided here. The server is asked for one answer at a time, and
  what it remembers of the conversation is what was heard (see `realtime_session`).
- A conversation keeps its session between turns (`share`). At most `max_sessions` are open; turns wait for a place in the order of
  `openai_api.slots`.
- A connection that breaks, or a session that expires, is replaced once, if nothing of the answer has come.
- Errors name the endpoint and the remedy, never the key; what was said is never logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from parley.engines.openai_api.client import EndpointClient
from parley.engines.openai_api.connection import EndpointConfig, EndpointConnection, read_endpoint
from parley.engines.openai_api.custom_voices import CustomVoices
from parley.engines.openai_api.errors import Failure, StatusError, StreamError, failure_of
from parley.engines.openai_api.service import Service
from parley.engines.openai_api.slots import RequestSlots
from parley.engines.openai_api.voices import is_about_the_voice
from parley.engines.options import OptionReader
from parley.engines.ports import (
    ChatEnd,
    DialogueEvent,
    DialogueRequest,
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineUnavailable,
    VoiceSample,
)
from parley.engines.speech.realtime_dialects import DIALECTS, UpstreamDialect
from parley.engines.speech.realtime_pool import UpstreamPool
from parley.engines.speech.realtime_session import HistoryRefused, UpstreamSession

logger = logging.getLogger(__name__)

REALTIME: Final = Service(
    stage="speech",
    title="The Realtime server",
    api="Realtime API",
    answer="answer",
    input="conversation",
    first="the answer's first audio",
    idle_option="idle_timeout_s",
    example_url="http://localhost:8080/v1",
    engine="realtime",
    flags=False,
)

USUAL_VOICE: Final = "default"
"""The name of the server's own voice, where it does not say which that is."""


@dataclass(frozen=True, slots=True)
class UpstreamConfig:
    """How the engine asks."""

    endpoint: EndpointConfig
    dialect: UpstreamDialect
    model: str = ""
    voice: str = ""
    voices: tuple[str, ...] = ()
    max_sessions: int = 64
    idle_s: float = 60.0
    session_minutes: float = 55.0
    timeout_s: float = 30.0
    idle_timeout_s: float = 30.0
    clones: bool = False


def create(model: str, options: Mapping[str, object]) -> RealtimeSpeechModel:
    """`realtime:MODEL`. Options: those of `read_endpoint`, `dialect` (`openai`, `parley`, `beta`, `vllm-omni`), `voice` (for sessions that
    name none that it has), `voices` (what it has), `max_sessions` (open at once), `idle_s` (how long one is kept without a turn),
    `session_minutes` (when one is replaced), `timeout_s` (to the first audio of an answer), `idle_timeout_s` (between pieces of it),
    `clones` (whether the server makes voices of recordings, see `openai_api.custom_voices`; left out: OpenAI does, and no other).
    """
    reader = OptionReader("speech realtime", options)
    dialect = DIALECTS[reader.choice("dialect", "openai", tuple(DIALECTS))]
    endpoint = read_endpoint(reader, REALTIME)
    clones = reader.flag("clones", endpoint.is_openai and dialect.custom_voices)
    if clones and not dialect.custom_voices:
        able = ", ".join(name for name, one in DIALECTS.items() if one.custom_voices)
        raise ValueError(
            f"speech realtime: the dialect {dialect.name} names no voices of recordings; clones needs one of {able}."
        )
    config = UpstreamConfig(
        endpoint=endpoint,
        dialect=dialect,
        model=model,
        voice=reader.text("voice"),
        voices=reader.names("voices") or dialect.voices,
        max_sessions=int(reader.number("max_sessions", 64, 1, 1000)),
        idle_s=reader.number("idle_s", 60, 0.01, 3600),
        session_minutes=reader.number("session_minutes", 55, 0.0001, 24 * 60),
        timeout_s=reader.number("timeout_s", 30, 0.01, 3600),
        idle_timeout_s=reader.number("idle_timeout_s", 30, 0.01, 3600),
        clones=clones,
    )
    reader.close()
    return RealtimeSpeechModel(config)


class RealtimeSpeechModel:
    """The ports `SpeechModel` and `ClonesVoices`: one model at one endpoint, shared by all sessions."""

    needs_consent = True
    needs_text = False
    """The server hears the words of a recording itself where it needs them."""

    def __init__(self, config: UpstreamConfig) -> None:
        self._config = config
        self._connection = EndpointConnection(config.endpoint, REALTIME, config.model)
        self._slots = RequestSlots(config.max_sessions)
        self._pool = UpstreamPool(
            self._session, most=config.max_sessions, idle_s=config.idle_s, age_s=60 * config.session_minutes
        )
        self._usual_voice = ""
        self._is_open = False
        self._client: EndpointClient | None = None
        """Where voices are made of recordings; sessions have connections of their own."""
        self._custom = CustomVoices(self._open_client, lambda: self._connection.endpoint)

    @property
    def info(self) -> EngineInfo:
        connection = self._connection
        return EngineInfo(
            stage="speech",
            name="realtime",
            model=connection.model,
            summary=f"A Realtime session: {connection.model or 'a model'} at {connection.endpoint.shown_url}.",
            needs=("websockets",),
            sample_rate=self._config.dialect.rate,
            voices=tuple(dict.fromkeys(filter(None, (self._config.voice, *self._config.voices)))),
        )

    @property
    def notice(self) -> str:
        """What is said at start-up."""
        if self._config.voices or self._config.voice:
            return ""
        named = f" ({self._usual_voice})" if self._usual_voice else ""
        return f"It speaks with the server's own voice{named}: the option voices names others."

    async def open(self) -> None:
        """Open a session and close it again. Raises `EngineUnavailable` with the remedy: the key, the URL, the model, the dialect."""
        if self._is_open:
            return
        connection, dialect = self._connection, self._config.dialect
        if dialect.refused:
            raise EngineUnavailable(
                f"A server of the dialect {dialect.name} cannot be used: {dialect.refused}.",
                code="turn_detection_refused",
                remedy="Serve a model whose turns a client ends, and name its dialect.",
            )
        connection.check_settings()
        if not connection.model:
            raise connection.no_model("No model is named.")
        session = self._session()
        try:
            await session.open(self._config.voice, self._id_of(self._config.voice))
        except Exception as error:  # noqa: BLE001 - the engine boundary
            failure = failure_of(error, connection.endpoint).error
            raise EngineUnavailable.of(failure) from None
        self._usual_voice = session.usual_voice
        await session.close()
        if self._config.clones:
            self._client = await asyncio.to_thread(connection.config.new_client, REALTIME)
        self._is_open = True

    async def close(self) -> None:
        """Close every session; idempotent."""
        self._is_open = False
        await self._custom.close()
        client, self._client = self._client, None
        if client is not None:
            await client.close()
        await self._pool.close()

    @property
    def clones(self) -> bool:
        return self._config.clones

    async def clone_voice(self, sample: VoiceSample) -> str:
        """The name of the voice that the server makes of a recording; raises as `CustomVoices.name_of()`."""
        return await self._custom.name_of(sample)

    def _open_client(self) -> EndpointClient:
        if self._client is None:
            raise EngineUnavailable("The Realtime server is not open, or makes no voices.", code="engine_closed")
        return self._client

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        """The server's name of a voice; its own voice for ""."""
        if not voice:
            return self._config.voice or self._usual_voice or USUAL_VOICE
        return voice if voice in self.info.voices or self._custom.id_of(voice) else None

    async def reply(self, request: DialogueRequest) -> AsyncGenerator[DialogueEvent, None]:
        """Stream the answer (see the port)."""
        if not self._is_open:
            raise EngineError("The Realtime server is not open.", code="engine_closed")
        if self._custom.owns(request.voice) and self._custom.id_of(request.voice) is None:
            raise self._custom.lost()
        if self.resolve_voice(request.voice, request.language) is None:
            raise EngineRefused(
                f"The Realtime server has no voice {request.voice!r} that is known here.",
                code="unknown_voice",
                remedy="Name it in the option voices, or use one of those, or none.",
            )
        async with self._slots.slot(id(request.share)):  # (the queue remembers its owners, and must not keep this one)
            for last in (False, True):
                begun = False
                try:
                    async with aclosing(self._asked(request)) as events:
                        async for event in events:
                            begun = True
                            yield event
                    return
                except Exception as error:  # noqa: BLE001 - the engine boundary: everything becomes an EngineError
                    failure = self._failure(error, request.voice)
                    if begun or last or not self._worth_another(error):
                        raise failure.error from None  # (the cause may repeat a key)
                    logger.info("Asking the Realtime server again: %s", failure.error.message)

    async def _asked(self, request: DialogueRequest) -> AsyncGenerator[DialogueEvent, None]:
        """The answer of the conversation's session, or of a new one."""
        voice = request.voice or self._config.voice
        session = await self._pool.take(request.share, voice, self._id_of(voice))
        well = False
        try:
            async with aclosing(session.answer(request)) as events:
                async for event in events:
                    yield event
                    if isinstance(event, ChatEnd):
                        break
            well = True
        except Exception:
            await self._pool.drop(session)
            raise
        finally:
            if not well:
                with suppress(Exception):  # (a connection that breaks now is of no more use)
                    await session.stop()
            self._pool.keep(request.share, session)

    def _session(self) -> UpstreamSession:
        config, dialect = self._config, self._config.dialect
        query = "&".join(filter(None, (urlencode({"model": config.model}), dialect.query)))
        return UpstreamSession(
            self._connection.config,
            dialect,
            query,
            config.model,
            timeout_s=config.timeout_s,
            idle_timeout_s=config.idle_timeout_s,
        )

    def _id_of(self, voice: str) -> str:
        """The server's id of a voice that was made of a recording, here or by whoever has configured it; "" for any other."""
        named = voice if voice.startswith("voice_") and self._config.dialect.custom_voices else ""
        return self._custom.id_of(voice) or named

    def _failure(self, error: Exception, voice: str) -> Failure:
        if self._custom.owns(voice) and is_about_the_voice(error, self._connection.endpoint):
            return Failure(self._custom.failure(error, voice))
        if isinstance(error, HistoryRefused):
            error = StreamError({"message": f"it does not follow the conversation: {error}"})
        return failure_of(error, self._connection.endpoint)

    @staticmethod
    def _worth_another(error: Exception) -> bool:
        """Whether a new connection may do better."""
        if isinstance(error, StatusError | StreamError):
            return "session_expired" in str(error.body)
        return isinstance(error, ConnectionError | HistoryRefused)
