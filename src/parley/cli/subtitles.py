"""Transcripts as text, JSON, SRT and WebVTT.

Laws: each segment is written as soon as it is known, except JSON, which is one value, and the last subtitle;
times are seconds of the recording.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from parley.text.subtitles import SubtitleForm, SubtitleText, cues

if TYPE_CHECKING:
    from parley.library.transcription import Segment

FORMATS = ("text", "json", "srt", "vtt")


class Writer(Protocol):
    """Writes one transcript: `write()` each segment, `finish()` at the end. `count` is how many there were."""

    count: int

    def write(self, segment: Segment) -> None: ...

    def finish(self) -> None: ...


def writer_of(form: str, out: TextIO, title: str, name: str) -> Writer:
    """A writer of that format. `title` is written above the text if there are several; `name` is the file's."""
    match form:
        case "json":
            return JsonWriter(out, name)
        case "srt" | "vtt":
            return SubtitleWriter(out, form)
        case _:
            return TextWriter(out, title)


class TextWriter:
    """A line for each segment."""

    def __init__(self, out: TextIO, title: str) -> None:
        self.count = 0
        self._out = out
        self._tell(f"==> {title} <==\n" if title else "")

    def write(self, segment: Segment) -> None:
        self.count += 1
        self._tell(segment.text + "\n")

    def _tell(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()

    def finish(self) -> None:
        """Nothing more to write."""


class SubtitleWriter:
    """SRT, or WebVTT for the web. A cue is written when the next one is known."""

    def __init__(self, out: TextIO, form: SubtitleForm) -> None:
        self.count = 0
        self._out = out
        self._text = SubtitleText(form)
        out.write(self._text.begin())

    def write(self, segment: Segment) -> None:
        self.count += 1
        self._out.write(self._text.add(cues(segment.start_s, segment.end_s, [segment.text], segment.words)))
        self._out.flush()

    def finish(self) -> None:
        self._out.write(self._text.finish())
        self._out.flush()


class JsonWriter:
    """One object: the file, its text, its segments with their words."""

    def __init__(self, out: TextIO, name: str) -> None:
        self.count = 0
        self._out = out
        self._name = name
        self._segments: list[dict[str, Any]] = []
        self._languages: dict[str, None] = {}

    def write(self, segment: Segment) -> None:
        self.count += 1
        if segment.language:
            self._languages[segment.language] = None
        self._segments.append(
            {
                "start": round(segment.start_s, 3),
                "end": round(segment.end_s, 3),
                "text": segment.text,
                "words": [
                    {"word": word.text, "start": round(word.start_s, 3), "end": round(word.end_s, 3)}
                    for word in segment.words
                ],
            }
        )

    def finish(self) -> None:
        whole = {
            "file": self._name,
            "languages": list(self._languages),
            "text": " ".join(segment["text"] for segment in self._segments),
            "segments": self._segments,
        }
        self._out.write(json.dumps(whole, ensure_ascii=False) + "\n")
        self._out.flush()
