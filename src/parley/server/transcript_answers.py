"""What a recording's text looks like in each of OpenAI's formats.

Laws: an answer is never cached; what only Whisper measures is there, and 0, where it is not known.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from starlette.responses import PlainTextResponse, Response

from parley.engines.stt.language_names import TAGS
from parley.server.openapi.operation import Schema
from parley.text.joining import separator
from parley.text.language_tags import primary_tag
from parley.text.subtitles import Cue, SubtitleForm, SubtitleText

FORMATS: Final = ("json", "text", "srt", "verbose_json", "vtt")

TRANSCRIPTS: Final[dict[str, Schema]] = {
    "application/json": "Transcript",
    "text/plain": {"type": "string"},
    "application/x-subrip": {"type": "string"},
    "text/vtt": {"type": "string"},
}
"""The formats by their content types, for the API's document."""

_NAMES: Final = {tag: name for name, tag in reversed(TAGS.items())}

_LEAST: Final = 1e-9
"""The smallest probability that has a logarithm here."""


def joined(texts: Iterable[str]) -> str:
    """The texts of a recording's pieces as one."""
    whole = ""
    for text in texts:
        whole += separator(whole, text) + text
    return whole


def answer(form: str, document: dict[str, Any], cues: Iterable[Cue]) -> Response:
    """The answer in one of `FORMATS`: `document` is that of the two in JSON, and has the `text`."""
    match form:
        case "text":
            made: Response = PlainTextResponse(document["text"] + "\n")
        case "srt":
            made = Response(_subtitles("srt", cues), media_type="application/x-subrip; charset=utf-8")
        case "vtt":
            made = Response(_subtitles("vtt", cues), media_type="text/vtt")
        case _:
            made = Response(msgspec.json.encode(document), media_type="application/json")
    made.headers["cache-control"] = "no-store"
    return made


def _subtitles(form: SubtitleForm, cues: Iterable[Cue]) -> str:
    text = SubtitleText(form)
    return text.begin() + text.add(cues) + text.finish()


def language_name(tag: str) -> str:
    """The language's name in English, as OpenAI writes it; the tag where it has none here."""
    return _NAMES.get(primary_tag(tag), tag)


def verbose_segment(
    number: int, start_s: float, end_s: float, text: str, confidence: float | None = None
) -> dict[str, Any]:
    """A segment of `verbose_json`. `confidence` is the mean probability of its tokens."""
    data = text.encode()
    return {
        "id": number,
        "seek": 0,
        "start": round(start_s, 3),
        "end": round(end_s, 3),
        "text": text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": 0.0 if confidence is None else round(math.log(max(_LEAST, confidence)), 6),
        "compression_ratio": round(len(data) / len(zlib.compress(data)), 4),
        "no_speech_prob": 0.0,
    }


def main_language(spoken: Sequence[tuple[str, float]]) -> str:
    """The language that most seconds are in, of pairs of a tag and seconds; "" where none is known."""
    seconds: dict[str, float] = {}
    for tag, length_s in spoken:
        if tag:
            seconds[tag] = seconds.get(tag, 0.0) + length_s
    return max(seconds, key=seconds.__getitem__, default="")
