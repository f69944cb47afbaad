"""`POST /v1/audio/speech`: text to a recording, as OpenAI has it, sent while it is made.

Laws:
- The voice is the pipeline's that `model` names, clause by clause, as a session speaks; OpenAI's names of models stand for the default one.
- Nothing is answered before there is audio, so that a refusal is one. What fails later ends the stream: an `error` event, or a connection
  that breaks off; a file is never ended as if it were whole.
- A piece is made when the one before it has been sent; where the client goes away, the synthesis ends.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Annotated, Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.audio.stream_encoder import FORMATS, StreamEncoder
from parley.audio.types import Int16
from parley.config import Config
from parley.engines.ports import TTS, EngineError, EngineRefused
from parley.library.errors import LibraryError
from parley.library.pipeline import Pipeline
from parley.library.speech import MAX_SPEED, MIN_SPEED, ClauseSpeaker
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.server import audio_fields
from parley.server.audio_upload import STOPPING, AudioRequests, until_gone
from parley.server.openapi.operation import AUDIO, EVENTS, SSE, AnswerDescription, described, json_body
from parley.server.pipelines import pipeline_with
from parley.server.refusals import Refusal, Refused
from parley.server.request_body import read_body
from parley.server.streamed_answer import EVENT_STREAM, StreamedAnswer, event, failure
from parley.text.clauses import ClauseCutter
from parley.text.language_tags import primary_tag

log = logging.getLogger("parley.server")

MAX_CHARACTERS: Final = 4096
"""OpenAI's limit: five minutes of speech."""

MAX_BODY_BYTES: Final = 64 * 1024
"""Of the JSON: four bytes a character, each of them written as an escape, and the rest."""

TOO_LARGE: Final = Refusal(
    413,
    "request_too_large",
    f"The request is larger than {MAX_BODY_BYTES // 1024} kB; the input may have {MAX_CHARACTERS} characters.",
    "input",
)

RATE: Final = 24_000

SPEECH_MODELS: Final = ("tts-1", "gpt-4o-mini-tts")
"""What stock clients send as `model`, with any ending: they stand for the default pipeline."""

Speed = Annotated[float, msgspec.Meta(ge=MIN_SPEED, le=MAX_SPEED)]


class VoiceId(msgspec.Struct, forbid_unknown_fields=True):
    """A voice by its id."""

    id: str


class SpeechBody(msgspec.Struct, forbid_unknown_fields=True):
    """OpenAI's fields, and `language` (BCP 47), which the text is in."""

    model: str
    input: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CHARACTERS)]
    voice: str | VoiceId = ""
    instructions: str = ""
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: Speed = 1.0
    stream_format: Literal["audio", "sse"] = "audio"
    language: str = ""


def is_speech_model(config: Config, name: str) -> bool:
    """Whether this is one of OpenAI's names for voices, and no pipeline's."""
    return name.startswith(SPEECH_MODELS) and name not in config.pipelines


class SpeechRest:
    """The endpoint. `routes()` is what to mount."""

    def __init__(self, config: Config, engines: LoadedEngines, requests: AudioRequests) -> None:
        self._config = config
        self._engines = engines
        self._requests = requests

    def routes(self) -> list[Route]:
        return [Route("/v1/audio/speech", self.create, methods=["POST"])]

    @described(
        "Speak a text",
        demand="audio",
        answers={
            200: AnswerDescription(
                "The recording while it is made, or its pieces as events.",
                {**{one.media_type: AUDIO for one in FORMATS.values()}, SSE: EVENTS},
            )
        },
        errors=(400, 404, 413, 429, 502),
        body=json_body(SpeechBody, nulls=True),
    )
    async def create(self, request: Request) -> Response:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._requests.admitted(request))
            body = await _body(request)
            pipeline = self._pipeline(body.model)
            if body.instructions:
                message = "No voice here follows instructions; leave `instructions` out."
                raise Refused(Refusal(400, "unsupported_parameter", message, "instructions"))
            audio = await stack.enter_async_context(aclosing(_spoken(pipeline, body)))
            made = _sse(body, audio) if body.stream_format == "sse" else _file(body, audio)
            pieces = await stack.enter_async_context(aclosing(made))
            head = await until_gone(request, anext(pieces))
            kind = _media_type(body)
            stopped = failure(STOPPING) if kind == EVENT_STREAM else b""
            return StreamedAnswer(pieces, kind, stack.pop_all(), head=head, stopped=stopped)

    def _pipeline(self, model: str) -> LoadedPipeline:
        hosted = is_speech_model(self._config, model)
        return pipeline_with(self._config, self._engines, "" if hosted else model, TTS, "voice", "no_synthesizer")


def _media_type(body: SpeechBody) -> str:
    return EVENT_STREAM if body.stream_format == "sse" else FORMATS[body.response_format].media_type


async def _body(request: Request) -> SpeechBody:
    data = await read_body(request, MAX_BODY_BYTES, TOO_LARGE)
    try:
        value = msgspec.json.decode(data)
        if isinstance(value, dict):  # some clients write null for what they leave out
            value = {name: given for name, given in value.items() if given is not None}
        return msgspec.convert(value, SpeechBody)
    except msgspec.ValidationError as error:
        raise Refused(_invalid(str(error))) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused(Refusal(400, "invalid_json", f"The body is not JSON: {error}.")) from error


def _invalid(said: str) -> Refusal:
    """The refusal of a body, with the field that `msgspec` names."""
    code, where = "invalid_value", re.search(r"`\$\.([\w.]+)`$", said)
    if missing := re.search(r"missing required field `(\w+)`", said):
        code, where = "missing_required_parameter", missing
    elif unknown := re.search(r"unknown field `([^`]+)`", said):
        code, where = "unknown_parameter", unknown
    return Refusal(400, code, f"{said}.", None if where is None else where[1])


async def _spoken(pipeline: LoadedPipeline, body: SpeechBody) -> AsyncGenerator[Int16, None]:
    """The audio as it is made. Raises `Refused`."""
    voice = body.voice if isinstance(body.voice, str) else body.voice.id
    language = audio_fields.language(body.language, "language", pipeline.config.language)
    known = pipeline.engines[TTS].info.languages
    if body.language and known and primary_tag(language) not in map(primary_tag, known):
        message = f"The voice does not speak {language!r}; it speaks {', '.join(known)}."
        raise Refused(Refusal(400, "unsupported_language", message, "language"))
    around = Pipeline.around(pipeline)
    try:
        speaker = ClauseSpeaker(around, voice, language, body.speed, RATE)
        await speaker.open()
        cutter = ClauseCutter(language)
        for clause in (*cutter.push(body.input), *cutter.finish()):
            async with aclosing(speaker.speak(clause)) as pieces:
                async for piece in pieces:
                    yield piece.samples
    except LibraryError as error:
        raise Refused(Refusal(400, "unknown_voice", str(error), "voice")) from error
    except EngineRefused as error:
        param = (
            "language"
            if error.code == "unsupported_language"
            else "voice"
            if error.code == "unknown_voice"
            else "input"
        )
        raise Refused(Refusal(400, error.code, str(error), param)) from error
    except EngineError as error:
        raise Refused(Refusal(502, error.code, str(error), None, "server_error")) from error
    finally:
        await around.aclose()


async def _file(body: SpeechBody, audio: AsyncGenerator[Int16, None]) -> AsyncGenerator[bytes, None]:
    """The recording, piece by piece."""
    encoder = StreamEncoder(body.response_format)
    async for piece in audio:
        if data := await asyncio.to_thread(encoder.encode, piece):
            yield data
    yield await asyncio.to_thread(encoder.finish)


async def _sse(body: SpeechBody, audio: AsyncGenerator[Int16, None]) -> AsyncGenerator[bytes, None]:
    """The recording as events; a failure after the first of them is the last one."""
    began, samples = False, 0
    encoder = StreamEncoder(body.response_format)
    try:
        async for piece in audio:
            samples += len(piece)
            if data := await asyncio.to_thread(encoder.encode, piece):
                began = True
                yield _delta(data)
    except Refused as refused:
        if not began:
            raise
        log.warning("speech broke off: %s", refused.refusal.message)
        yield failure(refused.refusal)
        return
    yield _delta(await asyncio.to_thread(encoder.finish))
    written, spoken = -(-len(body.input) // 4), -(-samples * 20 // RATE)
    usage = {"input_tokens": written, "output_tokens": spoken, "total_tokens": written + spoken}
    yield event({"type": "speech.audio.done", "usage": usage})


def _delta(data: bytes) -> bytes:
    return event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode("ascii")})
