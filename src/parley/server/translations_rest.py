"""`POST /v1/audio/translations`: a recording to text in English, as OpenAI has it, or in the language that the field `language` names. The
field `source_language` names that of the speech, which the recogniser finds out otherwise.

Laws: the answer is made by the library, with the engines of the pipeline that `model` names; a sentence that cannot be translated fails the
request, because a part of the text would look like all of it. Answers are never cached.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.config import Config
from parley.core.words.settings import Transcription
from parley.engines.ports import MT, STT, EngineRefused
from parley.library.errors import LibraryError
from parley.library.pipeline import Pipeline
from parley.library.recorded_speech import for_recordings
from parley.library.transcription import HearingOptions
from parley.library.translation import SegmentTranslator, TranslatedSegment, atranslated
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.server import audio_fields as fields
from parley.server.audio_upload import AudioRequests, FormShape, Upload, until_gone
from parley.server.openapi.operation import AnswerDescription, described, form_body
from parley.server.refusals import Refusal, Refused
from parley.server.transcript_answers import FORMATS, TRANSCRIPTS, answer, joined, language_name, verbose_segment
from parley.text.subtitles import cues

FORM: Final = FormShape(("model", "prompt", "response_format", "temperature", "language", "source_language"))
"""OpenAI's, and the last two."""


class TranslationsRest:
    """The endpoint. `routes()` is what to mount."""

    def __init__(self, config: Config, engines: LoadedEngines, requests: AudioRequests) -> None:
        self._config = config
        self._engines = engines
        self._requests = requests

    def routes(self) -> list[Route]:
        return [Route("/v1/audio/translations", self.create, methods=["POST"])]

    @described(
        "Translate a recording",
        demand="audio",
        answers={200: AnswerDescription("The text, in the format that is asked for.", TRANSCRIPTS)},
        errors=(400, 404, 413, 429, 502, 503, 507),
        body=form_body(
            FORM,
            ("model",),
            {
                "response_format": {"enum": list(FORMATS)},
                "temperature": {"type": "number", "minimum": 0, "maximum": 1},
            },
        ),
    )
    async def create(self, request: Request) -> Response:
        async with self._requests.accepted(request, FORM) as upload:
            form = fields.choice(upload.fields, "response_format", FORMATS, "json")
            to = fields.language(upload.fields.get("language", ""), "language", "en")
            pipeline, hearing = self._pipeline(upload)
            await _check(pipeline, to)
            seconds, segments = await until_gone(request, _translated(upload, pipeline, to, hearing))
            shown = (
                cue
                for segment in segments
                for cue in cues(segment.start_ms / 1000, segment.end_ms / 1000, [segment.target])
            )
            return answer(form, _document(form, to, seconds, segments), shown)

    def _pipeline(self, upload: Upload) -> tuple[LoadedPipeline, HearingOptions]:
        """The pipeline for speech in the language that is named, or in its own, and how it hears the recording."""
        config, engines = self._config, self._engines
        found = fields.pipeline_of(config, engines, upload.fields, MT, "translator", "no_translator")
        source = fields.language(upload.fields.get("source_language", ""), "source_language")
        known = found.engines[STT].info.languages
        fields.check_understood([source] if source else [], known, "source_language")
        temperature = fields.temperature(engines, found, upload.fields)
        hearing = HearingOptions(Transcription(prompt=fields.prompt(engines, found, upload.fields)))
        return for_recordings(found, source, temperature=temperature, translates=True), hearing


async def _check(pipeline: LoadedPipeline, to: str) -> None:
    """Whether the translator knows the language, before anything is decoded."""
    try:
        await SegmentTranslator(pipeline.engines.find(MT), to, pipeline.config.language).check()
    except (EngineRefused, LibraryError) as error:
        raise Refused(Refusal(400, "unsupported_language", str(error), "language")) from error


async def _translated(
    upload: Upload, loaded: LoadedPipeline, to: str, hearing: HearingOptions
) -> tuple[float, list[TranslatedSegment]]:
    """How long the recording is, and its sentences."""
    segments = []
    pipeline = Pipeline.around(loaded)
    try:
        async with upload.audio() as audio:
            with fields.engine_failures():
                async with (
                    aclosing(audio.pieces()) as pieces,
                    aclosing(atranslated(pipeline, pieces, audio.sample_rate, to, listening=hearing)) as coming,
                ):
                    async for segment in coming:
                        if segment.error is not None:
                            raise segment.error
                        segments.append(segment)
            return audio.seconds, segments
    finally:
        await pipeline.aclose()


def _document(form: str, to: str, seconds: float, segments: Sequence[TranslatedSegment]) -> dict[str, Any]:
    text = joined(segment.target for segment in segments)
    if form != "verbose_json":
        return {"text": text}
    return {
        "task": "translate",
        "language": language_name(to),
        "duration": round(seconds, 3),
        "text": text,
        "segments": [_segment(number, segment) for number, segment in enumerate(segments)],
    }


def _segment(number: int, segment: TranslatedSegment) -> dict[str, Any]:
    """As OpenAI has it, with the source beside."""
    shown = verbose_segment(number, segment.start_ms / 1000, segment.end_ms / 1000, segment.target)
    return {**shown, "source": segment.source, "source_language": segment.language}
