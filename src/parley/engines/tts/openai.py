"""Speech from any OpenAI-compatible endpoint (`POST /audio/speech`): OpenAI, Speaches, LocalAI, vLLM-Omni, Kokoro-FastAPI and their like.

Laws:
- Audio is handed on as its bytes arrive, a slice at a time; no sample is ever split, and what is no audio is never played.
- Closing the iterator of `speak()` (or cancelling its task) closes the HTTP request at once.
- Retries happen only before any audio has come (see `openai_api.retries`). Time limits run on audio, not on bytes.
- What a server sends is read by its header where it has one: a WAV that comes in place of PCM is played as the WAV that it is.
- No word times are declared: the protocol has none. Errors name the endpoint and the remedy, never the key.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Final

from parley.engines.openai_api.answer import EndpointAnswer, not_what_was_asked
from parley.engines.openai_api.connection import WARM_UP_S, EndpointConfig, EndpointConnection, read_endpoint
from parley.engines.openai_api.custom_voices import CustomVoices
from parley.engines.openai_api.errors import (
    Failure,
    NothingMoreCame,
    StatusError,
    failure_of,
    models_named,
    said_by,
)
from parley.engines.openai_api.retries import retried
from parley.engines.openai_api.service import Service
from parley.engines.openai_api.voices import OPENAI_VOICES, find_voices, is_about_the_voice
from parley.engines.options import OptionReader
from parley.engines.ports import (
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineUnavailable,
    SpeechChunk,
    SpeechRequest,
    VoiceSample,
)
from parley.engines.tts.audio_stream import (
    AudioReader,
    InvalidAudio,
    NoAudio,
    PcmReader,
    WavReader,
    is_wav,
    other_format,
)
from parley.text import voice_mix
from parley.text.language_tags import primary_tag

SPEECH: Final = Service(
    stage="tts",
    title="The speech server",
    api="speech API",
    answer="speech",
    input="text",
    first="the first audio",
    idle_option="audio_timeout_s",
    example_url="http://localhost:8880/v1",
)

PCM_RATE: Final = 24_000
"""What OpenAI sends as `pcm`, and most others with it."""

_WAV_TYPES: Final = ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave")
_COMPRESSED_TYPES: Final = ("mpeg", "mp3", "ogg", "opus", "flac", "aac", "mp4", "webm")
_RATE: Final = re.compile(r"\brate=(\d{4,6})\b")
_SNIFFED_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class SpeechConfig:
    """How the engine asks. `voices` are those of the server; () asks the server for its list."""

    endpoint: EndpointConfig
    model: str = ""
    voice: str = ""
    voices: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    instructions: str = ""
    response_format: str = "pcm"
    sample_rate: int = PCM_RATE
    timeout_s: float = 20.0
    audio_timeout_s: float = 10.0
    extra_body: Mapping[str, object] = field(default_factory=dict)
    warm_up: bool = True
    normalizes: bool = True
    mixes: bool = False
    clones: bool = False


def create(model: str, options: Mapping[str, object]) -> OpenAISynthesizer:
    """`openai:MODEL`. Options: those of `read_endpoint`, `voice` (when the client's means nothing to the server), `voices` and
    `languages` (what the server has), `instructions` (how to speak), `response_format` (`pcm`, `wav`), `sample_rate` of its PCM,
    `timeout_s` (to the first audio), `audio_timeout_s` (between pieces), `extra_body`, `warm_up` (a word at start-up, so that a server
    on this machine loads the model), `normalizes` (whether the server reads numbers and symbols aloud by itself), `mixes` (whether it takes
    mixes of its voices, written `af_bella(2)+af_sky(1)`), `clones` (whether it makes voices of recordings, see
    `openai_api.custom_voices`; left out: OpenAI does, and no other).
    """
    reader = OptionReader("tts openai", options)
    endpoint = read_endpoint(reader, SPEECH)
    config = SpeechConfig(
        endpoint=endpoint,
        model=model,
        voice=reader.text("voice"),
        voices=reader.names("voices"),
        languages=reader.names("languages"),
        instructions=reader.text("instructions"),
        response_format=reader.choice("response_format", "pcm", ("pcm", "wav")),
        sample_rate=int(reader.number("sample_rate", PCM_RATE, 8_000, 192_000)),
        timeout_s=reader.number("timeout_s", 20, 0.01, 3600),
        audio_timeout_s=reader.number("audio_timeout_s", 10, 0.01, 3600),
        extra_body=reader.table("extra_body"),
        warm_up=reader.flag("warm_up", True),
        normalizes=reader.flag("normalizes", True),
        mixes=reader.flag("mixes", False),
        clones=reader.flag("clones", endpoint.is_openai),
    )
    reader.close()
    return OpenAISynthesizer(config)


class OpenAISynthesizer:
    """The ports `SpeechSynthesizer` and `ClonesVoices`: one model at one endpoint, shared by all sessions."""

    needs_consent = True
    needs_text = False
    """The server hears the words of a recording itself where it needs them."""

    def __init__(self, config: SpeechConfig) -> None:
        self._config = config
        self._connection = EndpointConnection(config.endpoint, SPEECH, config.model)
        self._voices = config.voices or (OPENAI_VOICES if config.endpoint.is_openai else ())
        self._rate = config.sample_rate
        """Of the audio that came last."""
        self._timeout_s = config.timeout_s
        self._custom = CustomVoices(lambda: self._connection.client, lambda: self._connection.endpoint)

    @property
    def info(self) -> EngineInfo:
        connection = self._connection
        named = f"{connection.model or 'a model'} at {connection.endpoint.shown_url}"
        return EngineInfo(
            stage="tts",
            name="openai",
            summary=f"Any OpenAI-compatible speech endpoint: {named}.",
            needs=("httpx2",),
            sample_rate=self._rate,
            languages=self._config.languages,
            voices=self._voices,
            normalizes=self._config.normalizes,
            mixes=self._config.mixes,
        )

    async def open(self) -> None:
        """Connect, check the key, the URL, the model and the voice. Raises `EngineUnavailable` with the remedy."""
        connection = self._connection
        connection.check_settings()
        try:
            await connection.open()
            connection.choose_model()
            if not self._voices:
                self._voices = await find_voices(connection.client)
            self._check_voice()
            if connection.unlisted or (self._config.warm_up and connection.config.is_local):
                await self._probe()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._custom.close()
        await self._connection.close()

    @property
    def clones(self) -> bool:
        return self._config.clones

    async def clone_voice(self, sample: VoiceSample) -> str:
        """The name of the voice that the server makes of a recording; raises as `CustomVoices.name_of()`."""
        return await self._custom.name_of(sample)

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        """The server's name of `voice`: OpenAI's names mean the configured voice where the server has no such voice.

        A server whose voices are not known is asked for any name.
        """
        if (
            language
            and self._config.languages
            and primary_tag(language) not in map(primary_tag, self._config.languages)
        ):
            return None
        if not voice:
            return self._default_voice()
        if self._has(voice) and not (voice in OPENAI_VOICES and self._config.voice and not self._voices):
            return voice
        return self._default_voice() if voice in OPENAI_VOICES else self._mix(voice)

    def fingerprint(self, voice: str, language: str) -> str:
        """What is asked for: the server may change its model without a word, so its speech is kept only where the owner wants it."""
        connection = self._connection
        asked = self._voice_for(SpeechRequest("", voice, language))
        return f"{connection.endpoint.shown_url}\n{connection.model}\n{asked}"

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """Stream the text's audio; a blank text has none, and nothing is sent.

        Raises `EngineRefused` for an unknown voice (`unknown_voice`) or language (`unsupported_language`), `EngineError` for what the
        server does: `invalid_api_key`, `model_not_found`, `connection_failed`, `timeout`, `rate_limit_exceeded`, `server_error`,
        `invalid_audio`.
        """
        voice = self._voice_for(request)
        if not request.text.strip():
            return
        attempts = retried(
            SPEECH.title, lambda: self._stream(request, voice), lambda error: self._failure(error, voice)
        )
        async with aclosing(attempts) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _stream(self, request: SpeechRequest, voice: str) -> AsyncGenerator[SpeechChunk, None]:
        """One HTTP request; raises whatever `EndpointClient` and the audio readers raise."""
        config, loop = self._config, asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        async with AsyncExitStack() as stack:
            async with asyncio.timeout_at(deadline):
                posted = self._connection.client.post("/audio/speech", self._body(request, voice))
                answer = await stack.enter_async_context(posted)
                await self._check_type(answer)
            pieces = await stack.enter_async_context(aclosing(answer.slices()))
            reader: AudioReader | None = None
            began, heard = b"", False
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        piece = await anext(pieces, None)
                except TimeoutError:
                    raise (NothingMoreCame(config.audio_timeout_s) if heard else TimeoutError()) from None
                if reader is None:
                    began += piece or b""
                    if piece is not None and len(began) < _SNIFFED_BYTES:
                        continue
                    reader, data = self._reader(answer.content_type, began), began
                elif piece is None:
                    break
                else:
                    data = piece
                audio = reader.feed(data)
                if audio.size:
                    heard, self._rate = True, reader.sample_rate
                    yield SpeechChunk(audio, reader.sample_rate)
                    # Reckoned after the yield: a listener who takes his time is not the server's fault.
                    deadline = loop.time() + config.audio_timeout_s
                if piece is None:
                    break
            reader.end()
            if not heard and any(map(str.isalnum, request.text)):
                raise NoAudio("sent no audio")

    def _body(self, request: SpeechRequest, voice: str) -> dict[str, object]:
        config = self._config
        body: dict[str, object] = {
            "model": self._connection.model,
            "input": request.text,
            "voice": self._named(voice),
            "response_format": config.response_format,
        }
        if request.speed != 1.0:
            body["speed"] = request.speed
        if config.instructions:
            body["instructions"] = config.instructions
        return {**body, **config.extra_body}

    async def _check_type(self, answer: EndpointAnswer) -> None:
        """Raises `EngineError` for an answer whose header says that it is no audio that can be read."""
        kind = answer.content_type.partition(";")[0].strip().lower()
        if kind.startswith("text/") or kind.endswith(("json", "xml")):
            given = "JSON" if kind.endswith("json") else kind
            raise not_what_was_asked(await answer.beginning(), "audio", self._connection.endpoint, given)
        if kind.startswith("audio/") and any(name in kind for name in _COMPRESSED_TYPES):
            raise self._wrong_format(kind)

    def _reader(self, content_type: str, began: bytes) -> AudioReader:
        if other := other_format(began):
            raise self._wrong_format(other)
        kind = content_type.partition(";")[0].strip().lower()
        if is_wav(began) or kind in _WAV_TYPES or self._config.response_format == "wav":
            return WavReader()
        told = _RATE.search(content_type)
        return PcmReader(int(told[1]) if told else self._config.sample_rate)

    def _wrong_format(self, given: str) -> EngineError:
        return EngineError(
            f"The speech server at {self._connection.endpoint.shown_url} sent {given} in place of "
            f"{self._config.response_format}.",
            code="invalid_audio",
            remedy=f"{self._other_format}, or use a server that can send one of the two.",
        )

    @property
    def _other_format(self) -> str:
        other = "wav" if self._config.response_format == "pcm" else "pcm"
        return f'Set the option response_format to "{other}"'

    def _failure(self, error: BaseException, voice: str) -> Failure:
        endpoint = self._connection.endpoint
        if isinstance(error, InvalidAudio):
            said = f"The speech server at {endpoint.shown_url} {error.message}."
            remedy = f"Its log may say why. {self._other_format} if this happens each time."
            return Failure(EngineError(said, remedy, code="invalid_audio"), 0 if isinstance(error, NoAudio) else None)
        if isinstance(error, StatusError) and is_about_the_voice(error, endpoint):
            if self._custom.owns(voice):
                return Failure(self._custom.failure(error, voice))
            return Failure(self._no_voice(voice, said_by(error.body, endpoint)[1]))
        return failure_of(error, endpoint)

    def _voice_for(self, request: SpeechRequest) -> str:
        voice = self.resolve_voice(request.voice, request.language)
        if voice is not None:
            return voice
        if self.resolve_voice(request.voice) is None:
            if self._custom.owns(request.voice):
                raise self._custom.lost()
            raise self._no_voice(request.voice, ".")
        raise EngineRefused(
            f"{self._connection.model} at {self._connection.endpoint.shown_url} does not speak {request.language!r}.",
            code="unsupported_language",
            remedy="The option languages lists what it speaks.",
        )

    def _no_voice(self, voice: str, said: str) -> EngineRefused:
        remedy = "Name another one with the option voice."
        if self._voices:
            remedy = f"It {models_named(voice, self._voices)}"
        if "+" in voice and not self._config.mixes:
            remedy += " If the server takes mixes of its voices, set the option mixes."
        where = self._connection.endpoint.shown_url
        return EngineRefused(
            f"The speech server at {where} has no voice {voice!r}{said}", code="unknown_voice", remedy=remedy
        )

    def _default_voice(self) -> str:
        if self._config.voice or not self._voices:
            return self._config.voice or OPENAI_VOICES[0]
        return next((voice for voice in OPENAI_VOICES if voice in self._voices), self._voices[0])

    def _has(self, voice: str) -> bool:
        if self._custom.owns(voice):
            return self._custom.id_of(voice) is not None
        known = not self._voices or voice in self._voices or voice == self._config.voice
        return known or self._is_custom(voice)

    def _mix(self, voice: str) -> str | None:
        """The mix of the server's voices that `voice` is, None where it is none or the server takes none."""
        if not self._config.mixes:
            return None
        try:
            shares = voice_mix.parse(voice)
        except ValueError:
            return None
        return voice if shares.keys() <= set(self._voices) else None

    def _is_custom(self, voice: str) -> bool:
        """Whether the voice is one of those that an account at OpenAI made itself."""
        return (self._config.endpoint.is_openai or self._config.clones) and voice.startswith("voice_")

    def _named(self, voice: str) -> object:
        """The voice as a request has it."""
        made = self._custom.id_of(voice) or (voice if self._is_custom(voice) else "")
        return {"id": made} if made else voice

    def _check_voice(self) -> None:
        voice = self._config.voice
        if self._config.endpoint.is_openai or not self._voices or voice in ("", *self._voices):
            return  # (what OpenAI has beyond the usual names depends on the account)
        if self._mix(voice) is None:
            refused = self._no_voice(voice, ".")
            raise EngineUnavailable(refused.message, code=refused.code, remedy=refused.remedy)

    async def _probe(self) -> None:
        """Speak one word: loads a local model, and shows whether one that isn't listed is there all the same."""
        self._timeout_s = max(WARM_UP_S, self._config.timeout_s)
        try:
            async with aclosing(self.speak(SpeechRequest("Ready."))) as chunks:  # type: ignore[type-var]
                async for _ in chunks:
                    pass
        except EngineError as error:
            raise EngineUnavailable(error.message, code=error.code, remedy=error.remedy) from error
        finally:
            self._timeout_s = self._config.timeout_s
