"""`POST /v1/audio/translations`: a recording to text in English, as OpenAI has it, or in the language that the field `language` names. The
field `source_language` names that of the speech, which the recogniser finds out otherwise.

Laws: the answer is made by the library, with the engines of the pipeline that `model` names; a sentence that cannot be translated fails the
request, because a part of the text would look like all of it. Answers are never cached.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from parley.audio.files import Recording
from parley.config import Config
from parley.engines.ports import MT, STT, EngineError, EngineRefused
from parley.engines.stt.language_names import TAGS, tag_of
from parley.library.errors import LibraryError
from parley.library.pipeline import Pipeline
from parley.library.recordings import frames
from parley.library.translation import SegmentTranslator, TranslatedSegment, atranslated
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.server.audio_upload import AudioRequests, Upload, until_gone
from parley.server.pipelines import pipeline_with
from parley.server.refusals import Refusal, Refused
from parley.text.language_tags import primary_tag
from parley.text.subtitles import VTT_HEAD, cues, srt_cue, vtt_cue

FIELDS: Final = ("model", "prompt", "response_format", "temperature", "language", "source_language")
"""OpenAI's, and the last two."""

FORMATS: Final = ("json", "text", "srt", "verbose_json", "vtt")

PIECE_MS = 500.0


class TranslationsRest:
    """The endpoint. `routes()` is what to mount."""

    def __init__(self, config: Config, engines: LoadedEngines, requests: AudioRequests) -> None:
        self._config = config
        self._engines = engines
        self._requests = requests

    def routes(self) -> list[Route]:
        return [Route("/v1/audio/translations", self.create, methods=["POST"])]

    async def create(self, request: Request) -> Response:
        async with self._requests.accepted(request, FIELDS) as upload:
            form = _format(upload)
            _temperature(upload)
            to = _language(upload, "language", "en")
            pipeline = _told(self._pipeline(upload), _language(upload, "source_language", ""))
            await _check(pipeline, to)
            recording, segments = await until_gone(request, _translated(upload, pipeline, to))
            return _answer(form, to, recording, segments)

    def _pipeline(self, upload: Upload) -> LoadedPipeline:
        if "model" not in upload.fields:
            raise Refused(Refusal(400, "missing_required_parameter", "The form has no model.", "model"))
        return pipeline_with(self._config, self._engines, upload.fields["model"], MT, "translator", "no_translator")


def _format(upload: Upload) -> str:
    form = upload.fields.get("response_format", "json")
    if form not in FORMATS:
        message = f"response_format {form[:40]!r} is not known; it is one of {', '.join(FORMATS)}."
        raise Refused(Refusal(400, "invalid_value", message, "response_format"))
    return form


def _temperature(upload: Upload) -> None:
    given = upload.fields.get("temperature", "0")
    try:
        valid = 0.0 <= float(given) <= 1.0
    except ValueError:
        valid = False
    if not valid:
        message = f"temperature {given[:40]!r} is not a number from 0 to 1."
        raise Refused(Refusal(400, "invalid_value", message, "temperature"))


def _language(upload: Upload, name: str, default: str) -> str:
    """The tag in this field, which may also name the language in English; `default` where there is none."""
    given = upload.fields.get(name, "").strip()
    if not given:
        return default
    tag = tag_of(given) or given
    if not primary_tag(tag).replace("-", "").isalnum():
        message = f"{name} {given[:40]!r} is no language: send a BCP-47 tag, such as pt or pt-BR."
        raise Refused(Refusal(400, "invalid_language", message, name))
    return tag


def _told(pipeline: LoadedPipeline, language: str) -> LoadedPipeline:
    """The pipeline for speech in this language, "" for its own."""
    known = pipeline.engines[STT].info.languages
    if language and known and primary_tag(language) not in map(primary_tag, known):
        message = f"The recogniser does not understand {language!r}; it knows {', '.join(known)}."
        raise Refused(Refusal(400, "unsupported_language", message, "source_language"))
    return replace(pipeline, config=replace(pipeline.config, language=language)) if language else pipeline


async def _check(pipeline: LoadedPipeline, to: str) -> None:
    """Whether the translator knows the language, before anything is decoded."""
    try:
        await SegmentTranslator(pipeline.engines.find(MT), to, pipeline.config.language).check()
    except (EngineRefused, LibraryError) as error:
        raise Refused(Refusal(400, "unsupported_language", str(error), "language")) from error


async def _translated(upload: Upload, loaded: LoadedPipeline, to: str) -> tuple[Recording, list[TranslatedSegment]]:
    recording = await upload.recording()
    pipeline = Pipeline.around(loaded)
    try:
        async with aclosing(atranslated(pipeline, frames(recording, PIECE_MS), recording.sample_rate, to)) as coming:
            segments = []
            async for segment in coming:
                if segment.error is not None:
                    raise segment.error
                segments.append(segment)
    except EngineRefused as error:
        param = "language" if error.code == "unsupported_language" else None
        raise Refused(Refusal(400, error.code, str(error), param)) from error
    except EngineError as error:
        raise Refused(Refusal(502, error.code, str(error), None, "server_error")) from error
    except LibraryError as error:  # a rate, or samples, that no recording has
        raise Refused(Refusal(400, "invalid_file", str(error), "file")) from error
    finally:
        await pipeline.aclose()
    return recording, segments


def _answer(form: str, to: str, recording: Recording, segments: Sequence[TranslatedSegment]) -> Response:
    text = " ".join(segment.target for segment in segments)
    match form:
        case "text":
            answer: Response = PlainTextResponse(text + "\n")
        case "srt" | "vtt":
            shown = [
                cue
                for segment in segments
                for cue in cues(segment.start_ms / 1000, segment.end_ms / 1000, [segment.target])
            ]
            if form == "vtt":
                answer = Response(VTT_HEAD + "".join(map(vtt_cue, shown)), media_type="text/vtt")
            else:
                lines = "".join(srt_cue(number, cue) for number, cue in enumerate(shown, 1))
                answer = Response(lines, media_type="application/x-subrip; charset=utf-8")
        case "verbose_json":
            answer = _json(_verbose(to, text, recording, segments))
        case _:
            answer = _json({"text": text})
    answer.headers["cache-control"] = "no-store"
    return answer


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _verbose(to: str, text: str, recording: Recording, segments: Sequence[TranslatedSegment]) -> dict[str, Any]:
    names = {tag: name for name, tag in reversed(TAGS.items())}
    return {
        "task": "translate",
        "language": names.get(primary_tag(to), to),
        "duration": round(recording.seconds, 3),
        "text": text,
        "segments": [_segment(number, segment) for number, segment in enumerate(segments)],
    }


def _segment(number: int, segment: TranslatedSegment) -> dict[str, Any]:
    """As OpenAI has it, with the source beside. What only Whisper measures is 0."""
    return {
        "id": number,
        "seek": 0,
        "start": round(segment.start_ms / 1000, 3),
        "end": round(segment.end_ms / 1000, 3),
        "text": segment.target,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": 0.0,
        "compression_ratio": 0.0,
        "no_speech_prob": 0.0,
        "source": segment.source,
        "source_language": segment.language,
    }
