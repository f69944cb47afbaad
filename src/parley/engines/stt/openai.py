"""Transcripts from any OpenAI-compatible endpoint (`POST /audio/transcriptions`): OpenAI, Speaches, LocalAI, vLLM and their like.

Laws:
- A turn is sent as a WAV when its text is wanted: at a pause, at its end, and for partials where the option says so. Silence is not
  sent, nor is audio whose text is known: the end of a turn after a pause costs no second request (see `offline_turns`).
- Closing a turn closes its HTTP request. At most `max_requests` are on their way, sessions take turns, live ones first.
- Retries happen only before any text has come (see `openai_api.retries`).
- Errors name the endpoint and the remedy, never the key; what was said is never logged.
"""

from __future__ import annotations

import asyncio
import io
import json
import wave
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from parley.audio import pcm
from parley.audio.types import Samples
from parley.engines.openai_api.answer import EndpointAnswer, drain
from parley.engines.openai_api.client import Form
from parley.engines.openai_api.connection import WARM_UP_S, EndpointConfig, EndpointConnection, read_endpoint
from parley.engines.openai_api.errors import NothingMoreCame, failure_of
from parley.engines.openai_api.retries import Retries
from parley.engines.openai_api.service import Service
from parley.engines.openai_api.slots import RequestSlots
from parley.engines.options import OptionReader
from parley.engines.ports import (
    EngineError,
    EngineInfo,
    EngineUnavailable,
    Partial,
    RecognitionSpec,
    Transcript,
)
from parley.engines.stt.offline_turns import OfflineStream, SegmentedTurns, in_turn
from parley.engines.stt.openai_answer import TranscriptReader
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.engines.stt.turn_language import turn_language
from parley.text.language_tags import primary_tag

TRANSCRIPTIONS: Final = Service(
    stage="stt",
    title="The transcription server",
    api="transcriptions API",
    answer="transcript",
    input="audio",
    first="the transcript",
    idle_option="text_timeout_s",
    example_url="http://localhost:8000/v1",
)


@dataclass(frozen=True, slots=True)
class TranscriptionConfig:
    """How the engine asks."""

    endpoint: EndpointConfig
    model: str = ""
    language: str = ""
    languages: tuple[str, ...] = ()
    prompt: str = ""
    response_format: str = "json"
    words: bool = False
    logprobs: bool = False
    stream: bool = False
    partials: bool = False
    temperature: float | None = None
    max_requests: int = 16
    timeout_s: float = 25.0
    text_timeout_s: float = 10.0
    extra_body: Mapping[str, object] = field(default_factory=dict)
    warm_up: bool = True


def create(model: str, options: Mapping[str, object]) -> OpenAIRecognizer:
    """`openai:MODEL`. Options: those of `read_endpoint`, `language` (for sessions that name none), `languages` (what the model knows),
    `prompt` (before the session's own), `response_format` (`json`; `verbose_json` has the language: the default for models named
    whisper), `words` (ask for word times: needs `verbose_json`), `logprobs` (the server gives them: needs `json`), `stream` (the text as
    it is made), `partials` (send the turn so far again and again while it lasts: the default for servers on this machine),
    `temperature` (for requests that name none), `max_requests` (on their way at once), `timeout_s` (to the transcript, or its first text),
    `text_timeout_s` (between pieces), `extra_body` (further form fields), `warm_up` (half a second of silence at start-up, so that a server
    on this machine loads the model).
    """
    reader = OptionReader("stt openai", options)
    endpoint = read_endpoint(reader, TRANSCRIPTIONS)
    verbose = "whisper" in model.lower()
    config = TranscriptionConfig(
        endpoint=endpoint,
        model=model,
        language=reader.text("language"),
        languages=reader.names("languages"),
        prompt=reader.text("prompt"),
        response_format=reader.choice(
            "response_format", "verbose_json" if verbose else "json", ("json", "verbose_json")
        ),
        words=reader.flag("words", False),
        logprobs=reader.flag("logprobs", endpoint.is_openai and model.startswith("gpt-4o") and "diarize" not in model),
        stream=reader.flag("stream", False),
        partials=reader.flag("partials", endpoint.is_local),
        temperature=reader.optional_number("temperature", 0, 1),
        max_requests=int(reader.number("max_requests", 16, 1, 1000)),
        timeout_s=reader.number("timeout_s", 25, 0.01, 3600),
        text_timeout_s=reader.number("text_timeout_s", 10, 0.01, 3600),
        extra_body=reader.table("extra_body"),
        warm_up=reader.flag("warm_up", True),
    )
    reader.close()
    if config.words and config.response_format != "verbose_json":
        raise ValueError('stt openai: words needs response_format = "verbose_json".')
    if config.logprobs and config.response_format != "json":
        raise ValueError('stt openai: logprobs needs response_format = "json".')
    return OpenAIRecognizer(config)


class OpenAIRecognizer:
    """The `SpeechRecognizer` port: one model at one endpoint, shared by all sessions."""

    def __init__(self, config: TranscriptionConfig) -> None:
        self._config = config
        self._connection = EndpointConnection(config.endpoint, TRANSCRIPTIONS, config.model)
        self._turns: _RemoteTurns | None = None

    @property
    def info(self) -> EngineInfo:
        connection = self._connection
        named = f"{connection.model or 'a model'} at {connection.endpoint.shown_url}"
        return EngineInfo(
            stage="stt",
            name="openai",
            summary=f"Any OpenAI-compatible transcription endpoint: {named}.",
            needs=("httpx2",),
            sample_rate=SAMPLE_RATE,
            languages=self._config.languages,
            logprobs=self._config.logprobs,
            prompts=True,
            keywords=True,
            temperature=True,
            timings=self._config.words,
        )

    async def open(self) -> None:
        """Connect, check the key, the URL and the model. Raises `EngineUnavailable` with the remedy."""
        if self._turns is not None:
            return
        connection = self._connection
        connection.check_settings()
        try:
            await connection.open()
            connection.choose_model()
            turns = _RemoteTurns(self._config, connection)
            if connection.unlisted or (self._config.warm_up and connection.config.is_local):
                await turns.probe()
        except BaseException:
            await connection.close()
            raise
        self._turns = turns

    async def close(self) -> None:
        turns, self._turns = self._turns, None
        if turns is not None:
            await turns.close()
        await self._connection.close()

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> OfflineStream:
        """Start a turn. Raises `EngineRefused` (`unsupported_language`), `EngineError` where too many are open."""
        if self._turns is None:
            raise EngineError("The transcription server is not open.", code="engine_closed")
        language, languages = self._spoken(spec)
        return self._turns.open_stream(replace(spec, language=language, languages=languages), on_partial)

    def _spoken(self, spec: RecognitionSpec) -> tuple[str, tuple[str, ...]]:
        """The language of a turn, or "" and those among which the model is to find it out."""
        known = tuple(map(primary_tag, self._config.languages))
        return turn_language(
            spec,
            known,
            primary_tag(self._config.language),
            model=f"openai:{self._connection.model}",
            remedy="The option languages lists what it understands.",
        )


class _RemoteTurns(SegmentedTurns):
    """The turns of one endpoint: each decoding is a request."""

    partial_step = SAMPLE_RATE // 2
    """A request may cost money."""

    def __init__(self, config: TranscriptionConfig, connection: EndpointConnection) -> None:
        super().__init__(f"The transcription server at {connection.endpoint.shown_url}", partials=config.partials)
        self._config = config
        self._connection = connection
        self._slots = RequestSlots(config.max_requests)
        self._timeout_s = config.timeout_s

    async def decode(
        self, audio: Samples, start_ms: float, spec: RecognitionSpec, on_text: Callable[[str], None]
    ) -> Transcript:
        form = self._form(audio, spec)
        retries = Retries(TRANSCRIPTIONS.title)
        while True:
            reader = TranscriptReader(spec, self.model)
            try:
                async with self._slots.slot(spec.share, live=spec.live):
                    heard = await self._request(form, reader, on_text)
                return in_turn(heard, start_ms)
            except Exception as error:  # noqa: BLE001 - the engine boundary: everything becomes an EngineError
                failure = failure_of(error, self._connection.endpoint)
                wait_s = retries.pause_after(failure, begun=bool(reader.text))
            await asyncio.sleep(wait_s)

    async def _request(self, form: Form, reader: TranscriptReader, on_text: Callable[[str], None]) -> Transcript:
        """One HTTP request; raises whatever `EndpointClient` and `TranscriptReader` raise."""
        config, loop = self._config, asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        async with AsyncExitStack() as stack:
            async with asyncio.timeout_at(deadline):
                posted = self._connection.client.post("/audio/transcriptions", form)
                answer = await stack.enter_async_context(posted)
                if not _is_stream(answer):  # many servers stream no transcripts, whatever they are asked
                    return reader.whole(await answer.json())
            events = await stack.enter_async_context(aclosing(answer.events()))
            while not reader.done:
                before = len(reader.text)
                try:
                    async with asyncio.timeout_at(deadline):
                        event = await anext(events, None)
                except TimeoutError:
                    raise (NothingMoreCame(config.text_timeout_s) if before else TimeoutError()) from None
                if event is None:
                    break
                reader.read(event)
                if len(reader.text) > before:
                    on_text(reader.text)
                    deadline = loop.time() + config.text_timeout_s
            heard = reader.end()
            await drain(events)  # leaves the connection clean
            return heard

    def _form(self, audio: Samples, spec: RecognitionSpec) -> Form:
        config = self._config
        fields = [("model", self._connection.model), ("response_format", config.response_format)]
        prompt, keywords = f"{config.prompt} {spec.prompt}".strip(), spec.keywords
        if _takes_lists(self._connection.model):
            fields += [("languages[]", language) for language in spec.languages if not spec.language]
            fields += [("keywords[]", keyword) for keyword in keywords]
        else:
            prompt = f"{prompt} {', '.join(keywords)}".strip()
        if spec.language:
            fields.append(("language", spec.language))
        if prompt:
            fields.append(("prompt", prompt))
        temperature = config.temperature if spec.temperature is None else spec.temperature
        if temperature is not None:
            fields.append(("temperature", f"{temperature:g}"))
        if config.stream:
            fields.append(("stream", "true"))
        if config.words:
            fields += [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")]
        if spec.logprobs and config.logprobs:
            fields.append(("include[]", "logprobs"))
        for name, value in config.extra_body.items():
            fields += [(name, _text(one)) for one in (value if isinstance(value, list | tuple) else (value,))]
        return Form(fields, "turn.wav", "audio/wav", wav_of(audio))

    async def probe(self) -> None:
        """Have half a second of silence transcribed: loads a local model, and shows whether one that isn't listed is there all the same."""
        silence = np.zeros(SAMPLE_RATE // 2, np.float32)
        self._timeout_s = max(WARM_UP_S, self._config.timeout_s)
        try:
            await self.decode(silence, 0, RecognitionSpec(live=False), lambda _: None)
        except EngineError as error:
            raise EngineUnavailable(error.message, code=error.code, remedy=error.remedy) from error
        finally:
            self._timeout_s = self._config.timeout_s


def _takes_lists(model: str) -> bool:
    """Whether a model takes several languages and keywords by fields of their own."""
    return model.startswith("gpt-transcribe")


def _is_stream(answer: EndpointAnswer) -> bool:
    return answer.content_type.partition(";")[0].strip().lower() == "text/event-stream"


def wav_of(audio: Samples) -> bytes:
    """16 kHz float32 `[n]` as a 16-bit mono WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(SAMPLE_RATE)
        wav.writeframes(pcm.to_bytes(audio))
    return file.getvalue()


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
