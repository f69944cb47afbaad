"""Transcripts from a Realtime transcription session: OpenAI's, or another server's that speaks the protocol (Parley is one).

Laws:
- A turn is a session of its own, opened as the turn begins, so that the handshake lies within the speech. The audio goes there as it comes,
  with `turn_detection` off: where the turn pauses and ends is decided here. At most `max_sessions` are open; turns wait for a place in the
  order of `openai_api.slots`.
- What the server's deltas say is promised (`Partial.stable`): the protocol never takes them back.
- A connection that breaks is made again, twice at most without progress; what has no final yet is sent again.
- Errors name the endpoint and the remedy, never the key; what was said is never logged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from parley.engines.openai_api.connection import EndpointConfig, EndpointConnection, read_endpoint
from parley.engines.openai_api.errors import failure_of
from parley.engines.openai_api.realtime import TranscriptionSession, TranscriptionSettings
from parley.engines.openai_api.service import Service
from parley.engines.openai_api.slots import RequestSlots
from parley.engines.options import OptionReader
from parley.engines.ports import EngineError, EngineInfo, EngineUnavailable, Partial, RecognitionSpec
from parley.engines.stt.realtime_stream import RealtimeStream
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.engines.stt.turn_language import turn_language
from parley.engines.stt.turn_stream import new_backlog
from parley.text.language_tags import primary_tag

REALTIME: Final = Service(
    stage="stt",
    title="The Realtime server",
    api="Realtime API",
    answer="transcript",
    input="audio",
    first="the transcript",
    idle_option="timeout_s",
    example_url="http://localhost:8080/v1",
    engine="realtime",
)


@dataclass(frozen=True, slots=True)
class RealtimeConfig:
    """How the engine asks."""

    endpoint: EndpointConfig
    model: str = ""
    language: str = ""
    languages: tuple[str, ...] = ()
    prompt: str = ""
    max_sessions: int = 64
    timeout_s: float = 25.0


def create(model: str, options: Mapping[str, object]) -> RealtimeRecognizer:
    """`realtime:MODEL`. Options: those of `read_endpoint`, `language` (for sessions that name none), `languages` (what the model knows),
    `prompt` (before the session's own), `max_sessions` (open at once), `timeout_s` (to a transcript, from when it is wanted).
    """
    reader = OptionReader("stt realtime", options)
    config = RealtimeConfig(
        endpoint=read_endpoint(reader, REALTIME),
        model=model,
        language=reader.text("language"),
        languages=reader.names("languages"),
        prompt=reader.text("prompt"),
        max_sessions=int(reader.number("max_sessions", 64, 1, 1000)),
        timeout_s=reader.number("timeout_s", 25, 0.01, 3600),
    )
    reader.close()
    return RealtimeRecognizer(config)


class RealtimeRecognizer:
    """The `SpeechRecognizer` port: one model at one endpoint, shared by all sessions."""

    def __init__(self, config: RealtimeConfig) -> None:
        self._config = config
        self._connection = EndpointConnection(config.endpoint, REALTIME, config.model)
        self._slots = RequestSlots(config.max_sessions)
        self._backlog = new_backlog()
        self._streams: set[RealtimeStream] = set()
        self._is_open = False

    @property
    def info(self) -> EngineInfo:
        connection = self._connection
        return EngineInfo(
            stage="stt",
            name="realtime",
            summary=f"A Realtime transcription session: {connection.model or 'a model'} at {connection.endpoint.shown_url}.",
            needs=("websockets",),
            sample_rate=SAMPLE_RATE,
            languages=self._config.languages,
            promises=True,
            prompts=True,
            keywords=True,
        )

    async def open(self) -> None:
        """Open a session and close it again. Raises `EngineUnavailable` with the remedy: the key, the URL, the model."""
        if self._is_open:
            return
        connection = self._connection
        connection.check_settings()
        if not connection.model:
            raise connection.no_model("No model is named.")
        try:
            async with self._session(RecognitionSpec()) as session:
                await session.configured()
        except Exception as error:  # noqa: BLE001 - the engine boundary
            failure = failure_of(error, connection.endpoint).error
            raise EngineUnavailable.of(failure) from None
        self._is_open = True

    async def close(self) -> None:
        """Close every session; idempotent."""
        self._is_open = False
        streams = tuple(self._streams)
        for stream in streams:
            stream.close()
        for stream in streams:
            await stream.ended()

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> RealtimeStream:
        """Start a turn (see the port)."""
        if not self._is_open:
            raise EngineError("The Realtime server is not open.", code="engine_closed")
        config, connection = self._config, self._connection
        language = self._language(spec)
        stream = RealtimeStream(
            spec,
            on_partial,
            self._backlog,
            lambda: self._session(spec),
            self._slots,
            connection.endpoint,
            config.timeout_s,
            language,
        )
        self._streams.add(stream)
        stream.task.add_done_callback(lambda _: self._streams.discard(stream))
        return stream

    def _session(self, spec: RecognitionSpec) -> TranscriptionSession:
        config = self._config
        prompt = " ".join(filter(None, (config.prompt, spec.prompt, ", ".join(spec.keywords))))
        settings = TranscriptionSettings(self._connection.model, self._language(spec), prompt)
        return TranscriptionSession(self._connection.config, settings)

    def _language(self, spec: RecognitionSpec) -> str:
        """The one language of a turn, "" where the model is to find it out."""
        known = tuple(map(primary_tag, self._config.languages))
        language, _ = turn_language(
            spec,
            known,
            primary_tag(self._config.language),
            model=f"realtime:{self._connection.model}",
            remedy="The option languages lists what it understands.",
        )
        return language
