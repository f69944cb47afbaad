"""Translations as text, JSON, SRT and WebVTT, in the target language or in both.

Laws: each sentence is written as soon as it is known, except JSON, which is one value, and the last subtitle; a sentence that
could not be translated stands there in its own language.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from parley.text.subtitles import SubtitleForm, SubtitleText, cues

if TYPE_CHECKING:
    from parley.library.translation import TranslatedSegment


class TranslationWriter(Protocol):
    """Writes one translation: `write()` each segment, `finish()` at the end. `count` is how many there were."""

    count: int

    def write(self, segment: TranslatedSegment) -> None: ...

    def finish(self) -> None: ...


def translation_writer(form: str, out: TextIO, name: str, to: str, bilingual: bool) -> TranslationWriter:
    """A writer of that format (text, json, srt, vtt). `name` is the file's; `bilingual`: the source stands beneath the translation."""
    match form:
        case "json":
            return _JsonTranslation(out, name, to)
        case "srt" | "vtt":
            return _SubtitleTranslation(out, bilingual, form)
        case _:
            return _TextTranslation(out, bilingual)


def shown_texts(segment: TranslatedSegment, bilingual: bool) -> list[str]:
    """The lines of a segment: the target, and the source beneath where both are wanted and differ."""
    if segment.error is not None:
        return [segment.source]
    return [segment.target, segment.source] if bilingual and not segment.unchanged else [segment.target]


class _TextTranslation:
    """A line for each sentence; with both languages the source is indented beneath."""

    def __init__(self, out: TextIO, bilingual: bool) -> None:
        self.count = 0
        self._out = out
        self._bilingual = bilingual

    def write(self, segment: TranslatedSegment) -> None:
        self.count += 1
        self._out.write("\n  ".join(shown_texts(segment, self._bilingual)) + "\n")
        self._out.flush()

    def finish(self) -> None:
        """Nothing more to write."""


class _SubtitleTranslation:
    """SRT, or WebVTT for the web: two lines of the translation, or a line in each language. A cue is written when the next one is known."""

    def __init__(self, out: TextIO, bilingual: bool, form: SubtitleForm) -> None:
        self.count = 0
        self._out = out
        self._bilingual = bilingual
        self._text = SubtitleText(form)
        out.write(self._text.begin())

    def write(self, segment: TranslatedSegment) -> None:
        self.count += 1
        texts = shown_texts(segment, self._bilingual)
        self._out.write(self._text.add(cues(segment.start_ms / 1000, segment.end_ms / 1000, texts)))
        self._out.flush()

    def finish(self) -> None:
        self._out.write(self._text.finish())
        self._out.flush()


class _JsonTranslation:
    """One object: the file, the languages, the whole text, its segments."""

    def __init__(self, out: TextIO, name: str, to: str) -> None:
        self.count = 0
        self._out = out
        self._name = name
        self._to = to
        self._segments: list[dict[str, Any]] = []
        self._languages: dict[str, None] = {}
        self._texts: list[str] = []

    def write(self, segment: TranslatedSegment) -> None:
        self.count += 1
        if segment.language:
            self._languages[segment.language] = None
        self._texts += shown_texts(segment, False)
        error = segment.error
        self._segments.append(
            {
                "start": round(segment.start_ms / 1000, 3),
                "end": round(segment.end_ms / 1000, 3),
                "source": segment.source,
                "target": segment.target,
                "language": segment.language,
                "unchanged": segment.unchanged,
                "error": None if error is None else {"code": error.code, "message": str(error)},
            }
        )

    def finish(self) -> None:
        whole = {
            "file": self._name,
            "languages": list(self._languages),
            "to": self._to,
            "text": " ".join(self._texts),
            "segments": self._segments,
        }
        self._out.write(json.dumps(whole, ensure_ascii=False) + "\n")
        self._out.flush()
