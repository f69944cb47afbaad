"""`POST /v1/audio/transcriptions`: a recording to text, as OpenAI has it, in all of its formats, whole or as a stream of events.

Laws:
- The words are those of the recogniser in the pipeline that `model` names; the recording is cut at pauses, as everywhere here, and each
  stretch of speech is an event of the stream as soon as it is recognised.
- Every field is honoured or refused by name; `transcription_fields.py` reads them. Nothing is decoded before they are known to be possible.
- A recogniser that fails, fails the request: a part of the words would look like all of them. In a stream, which has begun by then, it is
  the last event. Answers are never cached.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.config import Config
from parley.library.events import HeardToken
from parley.library.pipeline import Pipeline
from parley.library.transcription import Segment, atranscribed
from parley.runtime.engines import LoadedEngines
from parley.server import audio_fields
from parley.server.audio_upload import STOPPING, AudioRequests, until_gone
from parley.server.incoming_audio import UploadedAudio
from parley.server.openapi.operation import EVENTS, SSE, AnswerDescription, described, form_body
from parley.server.refusals import Refused
from parley.server.streamed_answer import EVENT_STREAM, StreamedAnswer, event, failure, kept_alive
from parley.server.transcript_answers import (
    FORMATS,
    TRANSCRIPTS,
    answer,
    joined,
    language_name,
    main_language,
    verbose_segment,
)
from parley.server.transcription_fields import FORM, AskedTranscription, read_fields
from parley.text.joining import separator
from parley.text.language_tags import primary_tag
from parley.text.subtitles import Cue, cues

log = logging.getLogger("parley.server")

COMMENT_S = 15.0
"""A quarter of the minute after which nginx closes a connection that says nothing: a slow recogniser, or a long silence, takes as long."""


class TranscriptionsRest:
    """The endpoint. `routes()` is what to mount."""

    def __init__(self, config: Config, engines: LoadedEngines, requests: AudioRequests) -> None:
        self._config = config
        self._engines = engines
        self._requests = requests

    def routes(self) -> list[Route]:
        return [Route("/v1/audio/transcriptions", self.create, methods=["POST"])]

    @described(
        "Write down a recording",
        demand="audio",
        answers={200: AnswerDescription("The text, in the format that is asked for.", {**TRANSCRIPTS, SSE: EVENTS})},
        errors=(400, 404, 413, 429, 502, 503, 507),
        body=form_body(
            FORM,
            ("model",),
            {
                "stream": {"enum": ["true", "false"]},
                "response_format": {"enum": list(FORMATS)},
                "temperature": {"type": "number", "minimum": 0, "maximum": 1},
                "include": {"const": "logprobs"},
                "timestamp_granularities": {"enum": ["word", "segment"]},
            },
        ),
    )
    async def create(self, request: Request) -> Response:
        async with AsyncExitStack() as stack:
            upload = await stack.enter_async_context(self._requests.accepted(request, FORM))
            asked = read_fields(self._config, self._engines, upload)
            audio = await until_gone(request, stack.enter_async_context(upload.audio()))
            segments = await stack.enter_async_context(aclosing(_segments(asked, audio)))
            heard = _Heard(asked, audio)
            if asked.stream:
                events = await stack.enter_async_context(aclosing(_events(heard, segments)))
                shown = await stack.enter_async_context(aclosing(kept_alive(events, COMMENT_S)))
                return StreamedAnswer(shown, EVENT_STREAM, stack.pop_all(), stopped=failure(STOPPING))
            await until_gone(request, heard.listen(segments))
            return answer(asked.form, heard.document(), heard.cues())


async def _segments(asked: AskedTranscription, audio: UploadedAudio) -> AsyncGenerator[Segment, None]:
    """The stretches of speech as they are recognised. Raises `Refused`."""
    pipeline = Pipeline.around(asked.pipeline)
    try:
        with audio_fields.engine_failures():
            async with (
                aclosing(audio.pieces()) as pieces,
                aclosing(atranscribed(pipeline, pieces, audio.sample_rate, asked.hearing)) as coming,
            ):
                async for segment in coming:
                    yield segment
    finally:
        await pipeline.aclose()


@dataclass(slots=True)
class _Heard:
    """What has been recognised of a recording so far, and how it is shown."""

    asked: AskedTranscription
    audio: UploadedAudio
    segments: list[Segment] = field(default_factory=list)

    async def listen(self, coming: AsyncGenerator[Segment, None]) -> None:
        async for segment in coming:
            self.segments.append(segment)

    @property
    def text(self) -> str:
        return joined(segment.text for segment in self.segments)

    def cues(self) -> Iterator[Cue]:
        """The subtitles, at their words' times where those are known."""
        for segment in self.segments:
            yield from cues(segment.start_s, segment.end_s, [segment.text], segment.words)

    def document(self) -> dict[str, Any]:
        """The answer in JSON."""
        if self.asked.form == "verbose_json":
            return {**self._verbose(), "usage": self._duration()}
        return {**self._plain(), "usage": self._tokens() if self.asked.counts_tokens else self._duration()}

    def done(self) -> dict[str, Any]:
        """The last event of a stream, which counts tokens with every model. With `verbose_json` it has what that has, too."""
        shown = self._verbose() if self.asked.form == "verbose_json" else {}
        return {"type": "transcript.text.done", **shown, **self._plain(), "usage": self._tokens()}

    def _plain(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"text": self.text, "languages": [{"code": tag} for tag in self._languages()]}
        if self.asked.hearing.logprobs:
            shown["logprobs"] = logprobs([token for segment in self.segments for token in segment.tokens])
        return shown

    def _languages(self) -> list[str]:
        return list(dict.fromkeys(primary_tag(one.language) for one in self.segments if one.language))

    def _verbose(self) -> dict[str, Any]:
        spoken = [(segment.language, segment.end_s - segment.start_s) for segment in self.segments]
        language = main_language(spoken) or self.asked.pipeline.config.language
        shown: dict[str, Any] = {
            "task": "transcribe",
            "language": language_name(language) or "unknown",
            "duration": round(self.audio.seconds, 3),
            "text": self.text,
        }
        if self.asked.words:
            shown["words"] = [
                {"word": word.text, "start": round(word.start_s, 3), "end": round(word.end_s, 3)}
                for segment in self.segments
                for word in segment.words
            ]
        if self.asked.segments:
            shown["segments"] = [
                verbose_segment(number, one.start_s, one.end_s, one.text, one.confidence)
                for number, one in enumerate(self.segments)
            ]
        return shown

    def _duration(self) -> dict[str, Any]:
        return {"type": "duration", "seconds": round(self.audio.seconds, 3)}

    def _tokens(self) -> dict[str, Any]:
        """Estimates, as a session's usage: a token for each 100 ms heard, and for four characters."""
        heard, written = -(-round(self.audio.seconds * 1000) // 100), -(-len(self.text) // 4)
        asked = -(-len(self.asked.hearing.transcription.prompt) // 4)
        return {
            "type": "tokens",
            "input_tokens": heard + asked,
            "input_token_details": {"audio_tokens": heard, "text_tokens": asked},
            "output_tokens": written,
            "total_tokens": heard + asked + written,
        }


async def _events(heard: _Heard, coming: AsyncGenerator[Segment, None]) -> AsyncGenerator[bytes, None]:
    """The transcript as events. Its deltas make up the text of the last one."""
    last = ""
    try:
        async for segment in coming:
            heard.segments.append(segment)
            delta: dict[str, Any] = {
                "type": "transcript.text.delta",
                "delta": separator(last, segment.text) + segment.text,
            }
            if heard.asked.hearing.logprobs:
                delta["logprobs"] = logprobs(segment.tokens)
            last = segment.text
            yield event(delta)
    except Refused as refused:
        log.warning("a transcription broke off: %s", refused.refusal.message)
        yield failure(refused.refusal)
        return
    yield event(heard.done())


def logprobs(tokens: Iterable[HeardToken]) -> list[dict[str, Any]]:
    """Tokens as OpenAI shows them."""
    return [_logprob(token) for token in tokens]


def _logprob(token: HeardToken) -> dict[str, Any]:
    return {"token": token.text, "bytes": list(token.text.encode()), "logprob": token.logprob}
