"""What a request to `/v1/audio/transcriptions` asks for: its fields, read and judged against the pipeline.

Laws: every field of OpenAI's is honoured or refused by name, by what the pipeline's recogniser declares. No engine is asked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec

from parley.config import Config
from parley.core.policy.turn_rules import MAX_PRE_ROLL_MS
from parley.core.words.settings import ServerVad, Transcription
from parley.engines.ports import STT
from parley.library.recorded_speech import for_recordings
from parley.library.transcription import LONG_SEGMENT_MS, PAUSE_MS, HearingOptions
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.server import audio_fields as fields
from parley.server.audio_upload import MAX_FIELDS, FormShape, Upload
from parley.server.refusals import Refusal, Refused
from parley.server.transcript_answers import FORMATS
from parley.wire import limits

CHUNKING: Final = "chunking_strategy"
_PARTS: Final = ("type", "threshold", "prefix_padding_ms", "silence_duration_ms")

NO_SPEAKERS: Final = "No recogniser here tells speakers apart"

FORM: Final = FormShape(
    (
        "model",
        "language",
        "prompt",
        "response_format",
        "temperature",
        "stream",
        CHUNKING,
        *(f"{CHUNKING}[{part}]" for part in _PARTS),
    ),
    lists=(
        "timestamp_granularities",
        "include",
        "keywords",
        "languages",
        "known_speaker_names",
        "known_speaker_references",
    ),
    max_fields=MAX_FIELDS + limits.MAX_KEYWORDS + limits.MAX_LANGUAGES,
)

STREAMED: Final = ("json", "text", "verbose_json")
"""Formats that make sense of a stream of events."""


class _VadChunking(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["server_vad"]
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_PRE_ROLL_MS)] = 300
    silence_duration_ms: Annotated[int, msgspec.Meta(ge=0, le=LONG_SEGMENT_MS)] = PAUSE_MS


@dataclass(frozen=True, slots=True)
class AskedTranscription:
    """A request that can be served. `words` and `segments`: which times `verbose_json` has. `counts_tokens`: usage is in tokens, as with
    OpenAI's `gpt-...` models, not in seconds."""

    pipeline: LoadedPipeline
    form: str
    stream: bool
    words: bool
    segments: bool
    counts_tokens: bool
    hearing: HearingOptions


def read_fields(config: Config, engines: LoadedEngines, upload: Upload) -> AskedTranscription:
    """What the form asks for. Raises `Refused`."""
    given, lists = upload.fields, upload.lists
    found = fields.pipeline_of(config, engines, given, STT, "recogniser", "no_recogniser")
    form = _format(given)
    temperature = fields.temperature(engines, found, given)
    stream = fields.flag(given, "stream")
    if stream and form not in STREAMED:
        message = f"A stream has no response_format {form}; use {', '.join(STREAMED)}, or leave stream out."
        raise Refused(Refusal(400, "invalid_value", message, "response_format"))
    for name in ("known_speaker_names", "known_speaker_references"):
        if name in lists:
            raise Refused(Refusal(400, "unsupported_parameter", f"{NO_SPEAKERS}; leave {name} out.", name))
    times = _times(engines, found, form, lists.get("timestamp_granularities", []))
    transcription = _transcription(engines, found, upload)
    return AskedTranscription(
        pipeline=for_recordings(found, transcription.language, temperature=temperature),
        form=form,
        stream=stream,
        words="word" in times,
        segments="segment" in times or not times,
        counts_tokens=given["model"].startswith("gpt-") and given["model"] not in config.pipelines,
        hearing=HearingOptions(
            transcription, _logprobs(engines, found, form, lists.get("include", [])), _detection(given)
        ),
    )


def _format(given: fields.Fields) -> str:
    if given.get("response_format") == "diarized_json":
        message = f"{NO_SPEAKERS}: response_format diarized_json is not served; use {', '.join(FORMATS)}."
        raise Refused(Refusal(400, "unsupported_parameter", message, "response_format"))
    return fields.choice(given, "response_format", FORMATS, "json")


def _times(engines: LoadedEngines, found: LoadedPipeline, form: str, wanted: list[str]) -> list[str]:
    name = "timestamp_granularities"
    for one in wanted:
        if one not in ("word", "segment"):
            raise fields.invalid(name, one, "known; it is word, or segment, or both")
    if wanted and form != "verbose_json":
        raise Refused(Refusal(400, "invalid_value", f"{name} needs response_format verbose_json.", name))
    if "word" in wanted:
        known = "whisper, pocketsphinx and most models of moonshine, sherpa and onnx-asr time them, and openai with the option `words`"
        lacks = "gives no times of words; leave word out."
        fields.check_recogniser(engines, found, lambda info: info.timings, name, lacks, known)
    return wanted


def _logprobs(engines: LoadedEngines, found: LoadedPipeline, form: str, wanted: list[str]) -> bool:
    for one in wanted:
        if one != "logprobs":
            raise fields.invalid("include", one, "known; it is logprobs")
    if wanted and form != "json":
        raise Refused(Refusal(400, "invalid_value", "logprobs need response_format json.", "include"))
    if wanted:
        known = "whisper, most models of sherpa and onnx-asr, and openai with OpenAI's gpt-4o models give them"
        lacks = "gives no log probabilities; leave include out."
        fields.check_recogniser(engines, found, lambda info: info.logprobs, "include", lacks, known)
    return bool(wanted)


def _transcription(engines: LoadedEngines, found: LoadedPipeline, upload: Upload) -> Transcription:
    """What the recogniser is told of the speech."""
    known = found.engines[STT].info.languages
    language = fields.language(upload.fields.get("language", ""), "language")
    fields.check_understood([language] if language else [], known, "language")
    languages = [tag for one in upload.lists.get("languages", []) if (tag := fields.language(one, "languages"))]
    if len(languages) > limits.MAX_LANGUAGES:
        raise Refused(Refusal(400, "invalid_value", f"There may be {limits.MAX_LANGUAGES} languages.", "languages"))
    if language and languages:
        message = "Send language or languages, not both: the one that is spoken, or several, of which the recogniser finds it."
        raise Refused(Refusal(400, "invalid_value", message, "languages"))
    fields.check_understood(languages, known, "languages")
    keywords = upload.lists.get("keywords", [])
    if len(keywords) > limits.MAX_KEYWORDS or not all(0 < len(one) <= limits.MAX_KEYWORD for one in keywords):
        message = f"There may be {limits.MAX_KEYWORDS} keywords of 1 to {limits.MAX_KEYWORD} characters."
        raise Refused(Refusal(400, "invalid_value", message, "keywords"))
    if keywords:
        lacks, users = (
            "uses no keywords; leave keywords out.",
            "whisper, openai, realtime and models of sherpa with hotwords use them",
        )
        fields.check_recogniser(engines, found, lambda info: info.keywords, "keywords", lacks, users)
    return Transcription(
        language=language,
        prompt=fields.prompt(engines, found, upload.fields),
        keywords=tuple(keywords),
        languages=tuple(languages),
    )


def _detection(given: fields.Fields) -> ServerVad:
    """What is voice, and which pauses end a stretch of it."""
    parts: dict[str, Any] = {part: given[key] for part in _PARTS if (key := f"{CHUNKING}[{part}]") in given}
    whole = given.get(CHUNKING, "auto")
    if whole == "auto" and not parts:
        return HearingOptions().detection
    if parts and CHUNKING in given:
        raise Refused(
            Refusal(
                400, "invalid_value", f"The form has {CHUNKING} twice: whole and in parts. Send one of them.", CHUNKING
            )
        )
    try:
        value = parts or msgspec.json.decode(whole.encode())
        chunking = msgspec.convert(value, _VadChunking, strict=not parts)
    except msgspec.ValidationError as error:
        message = f'{CHUNKING} must be auto, or an object such as {{"type": "server_vad", "threshold": 0.5}}: {error}.'
        raise Refused(Refusal(400, "invalid_value", message, CHUNKING)) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise fields.invalid(CHUNKING, whole, "auto, nor a JSON object of the type server_vad") from error
    return ServerVad(
        threshold=chunking.threshold,
        prefix_padding_ms=chunking.prefix_padding_ms,
        silence_duration_ms=chunking.silence_duration_ms,
    )
