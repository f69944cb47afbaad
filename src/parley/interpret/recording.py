"""A call recorded in a folder: what each side said and heard, and the captions.

    audio.wav                      four tracks, 24 kHz: my voice, what the call heard, the call's voice, what I heard
    transcript.txt                 for reading
    transcript.json                both directions and the notes, with times
    to-them.source.srt, .vtt       subtitles of what I said
    to-them.srt, .vtt              subtitles of its translation
    to-me.source.srt, .vtt, to-me.srt, .vtt    the same of what the other party said

Laws:
- Everything is written as it comes; a process that is killed leaves files that can be played and read, without the last moments.
- `finish()` sorts the transcript by the time at which each line began; before it stands as it came.
- An `OSError` in mid-call (the disk is full) ends the recording, and `failed` says why; no method but the constructor raises one.
- Only this user may read the files. A folder that holds a recording is not written to.
Does not know: devices, routes, the event loop.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

from parley.audio.private_files import make_private_folder, private_opener
from parley.audio.types import Int16
from parley.errors import ParleyError
from parley.interpret.ports import WIRE_RATE, CallNote, CaptionLine
from parley.interpret.updates import DirectionName
from parley.talk.recorded_tracks import MOST_BYTES, RecordedTracks
from parley.text.subtitles import SubtitleForm, SubtitleText, cues

Side = Literal["source", "target"]

STEMS: Final[dict[tuple[DirectionName, Side], str]] = {
    ("forward", "source"): "to-them.source",
    ("forward", "target"): "to-them",
    ("reverse", "source"): "to-me.source",
    ("reverse", "target"): "to-me",
}
"""The files of each text, without their endings."""

SPEAKERS: Final[dict[tuple[DirectionName, Side], str]] = {
    ("forward", "source"): "I said",
    ("forward", "target"): "they heard",
    ("reverse", "source"): "they said",
    ("reverse", "target"): "I heard",
}

TRACKS: Final = ("my voice", "what the call heard", "the call's voice", "what I heard")

_CAPTURED: Final[dict[DirectionName, int]] = {"forward": 0, "reverse": 2}
_PLAYED: Final[dict[DirectionName, int]] = {"forward": 1, "reverse": 3}


class RecordingRefused(ParleyError):
    """The folder cannot take a recording."""


class CallRecording:
    """The recording of one call that began at `began_s` (`time.monotonic()`), in a folder that is made where it is missing.

    Call `finish()` at the end. Once `failed` is not empty, nothing more is recorded: tell the user, once. Raises `RecordingRefused`
    where the folder holds a recording or cannot be written.
    """

    def __init__(self, folder: Path, began_s: float, most_bytes: int = MOST_BYTES) -> None:
        self.folder = folder
        self.failed = ""
        self._began_s = began_s
        self._open = True
        _refuse_recordings(folder)
        try:
            make_private_folder(folder)
            self._tracks = RecordedTracks(folder / "audio.wav", began_s, len(TRACKS), new=True, most_bytes=most_bytes)
            self._transcript = _Transcript(folder)
            self._subtitles = {key: _Subtitles(folder, stem) for key, stem in STEMS.items()}
        except OSError as error:
            raise RecordingRefused(
                f"{folder} cannot take a recording: {error.strerror or error}.",
                "Choose a folder that can be written, with room for 0.7 GB an hour.",
            ) from error

    def captured(self, name: DirectionName, audio: Int16, at_s: float) -> None:
        """Sound of that direction's speaker, int16 `[n]` at 24 kHz, whose last sample was recorded at `at_s`."""
        begin_s = at_s - len(audio) / WIRE_RATE
        self._guarded(lambda: self._tracks.put(_CAPTURED[name], audio, begin_s))

    def played(self, name: DirectionName, audio: Int16, rate: int, at_s: float) -> None:
        """Sound that the direction played, int16 `[n]` at `rate` Hz (which may change), whose first sample sounds at `at_s`."""
        self._guarded(lambda: self._tracks.put(_PLAYED[name], audio, at_s, rate))

    def line(self, name: DirectionName, side: Side, line: CaptionLine) -> None:
        """A line that is settled."""
        text = " ".join(line.text.split())
        if not text:
            return
        begin_s, end_s = self._since(line.at_s), self._since(line.until_s)
        row: dict[str, Any] = {
            "direction": name,
            "side": side,
            "at_ms": _ms(begin_s),
            "until_ms": _ms(end_s),
            "text": text,
        }
        if line.marks:
            row["marks"] = list(line.marks)

        def write() -> None:
            self._transcript.add(row)
            self._subtitles[name, side].add(begin_s, end_s, text)

        self._guarded(write)

    def note(self, note: CallNote) -> None:
        """A line that the user was shown."""
        row: dict[str, Any] = {"note": note.message, "level": note.level, "at_ms": _ms(self._since(note.at_s))}
        if note.direction is not None:
            row["direction"] = note.direction
        self._guarded(lambda: self._transcript.add(row))

    def abandon(self, why: str) -> None:
        """Close the files as they are; nothing more is recorded."""
        self.failed = why
        self._open = False
        self._tracks.abandon()
        self._transcript.abandon()
        for each in self._subtitles.values():
            each.abandon()

    def finish(self) -> None:
        """Write what waits and close the files. May be called again."""
        self._guarded(self._close)
        self._open = False

    def _since(self, at_s: float) -> float:
        return max(0.0, at_s - self._began_s)

    def _guarded(self, write: Callable[[], None]) -> None:
        if not self._open:
            return
        try:
            write()
        except OSError as error:
            self.abandon(f"The recording in {self.folder} ended: {error.strerror or error}.")

    def _close(self) -> None:
        self._tracks.close()
        for each in self._subtitles.values():
            each.close()
        self._transcript.close()


def _refuse_recordings(folder: Path) -> None:
    """Raises `RecordingRefused` where one of the files of a recording is there."""
    names = ("audio.wav", "transcript.txt", "transcript.json", *(f"{stem}.srt" for stem in STEMS.values()))
    found = next((name for name in names if (folder / name).exists()), None)
    if found is not None:
        raise RecordingRefused(
            f"{folder} holds a recording already ({found}).", "Choose another folder, or move that recording away."
        )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


class _Transcript:
    """Both forms of the transcript. What is in transcript.json is a document after every line."""

    _END = "\n]}\n"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._document = _TextFile(folder / "transcript.json", "x+")
        self._plain = _TextFile(folder / "transcript.txt", "x")
        self._document.write(self._head + self._END)
        self._empty = True
        self._whole = self._document.size() - len(self._END)
        """Where the rows end that stand in the document."""

    @property
    def _head(self) -> str:
        return '{"tracks": ' + json.dumps(TRACKS) + ', "lines": ['

    def add(self, row: dict[str, Any]) -> None:
        self._document.replace_end(self._whole, self._row(row) + self._END)
        self._whole = self._document.size() - len(self._END)
        self._plain.write(_plain_row(row))

    def _row(self, row: dict[str, Any]) -> str:
        comma, self._empty = "" if self._empty else ",", False
        return f"{comma}\n" + json.dumps(row, ensure_ascii=False)

    def close(self) -> None:
        """Sort what was written; the sorted files replace the others at once."""
        rows = sorted(json.loads(self._document.read())["lines"], key=lambda row: row["at_ms"])
        self._empty = True
        sorted_document = self._head + "".join(map(self._row, rows)) + self._END
        self._document.close()
        self._plain.close()
        for name, text in (("transcript.json", sorted_document), ("transcript.txt", "".join(map(_plain_row, rows)))):
            new = _TextFile(self._folder / f"{name}.new", "w")
            new.write(text)
            new.close()
            (self._folder / f"{name}.new").replace(self._folder / name)

    def abandon(self) -> None:
        """Close both; the row that could not be written is taken out of the document."""
        with contextlib.suppress(OSError, ValueError):
            self._document.replace_end(self._whole, self._END)
        self._document.abandon()
        self._plain.abandon()


def _plain_row(row: dict[str, Any]) -> str:
    """A line of the transcript for reading."""
    seconds = row["at_ms"] // 1000
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if "note" in row:
        return f"{clock} ({row['level']}: {row['note']})\n"
    marks = f" [{', '.join(row['marks'])}]" if "marks" in row else ""
    return f"{clock} {SPEAKERS[row['direction'], row['side']]}: {row['text']}{marks}\n"


class _Subtitles:
    """The subtitles of one text. A line is written when the next one is known: it is shown until then, or for as long as reading takes."""

    def __init__(self, folder: Path, stem: str) -> None:
        forms: tuple[SubtitleForm, ...] = ("srt", "vtt")
        self._files = [(SubtitleText(form), _TextFile(folder / f"{stem}.{form}", "x")) for form in forms]
        for text, file in self._files:
            file.write(text.begin())

    def add(self, begin_s: float, end_s: float, said: str) -> None:
        coming = list(cues(begin_s, end_s, (said,)))
        for text, file in self._files:
            file.write(text.add(coming))

    def close(self) -> None:
        for text, file in self._files:
            file.write(text.finish())
            file.close()

    def abandon(self) -> None:
        for _, file in self._files:
            file.abandon()


class _TextFile:
    """A private UTF-8 file without a buffer: what is written survives the process."""

    def __init__(self, path: Path, mode: Literal["x", "x+", "w"]) -> None:
        self._file = open(path, f"{mode[0]}b{mode[1:]}", buffering=0, opener=private_opener)  # noqa: SIM115

    def write(self, text: str) -> None:
        rest = memoryview(text.encode("utf-8", "replace"))
        while rest:
            rest = rest[self._file.write(rest) :]

    def size(self) -> int:
        return self._file.seek(0, 2)

    def replace_end(self, begin: int, text: str) -> None:
        """Replace the bytes from `begin` on."""
        self._file.seek(begin)
        self._file.truncate()
        self.write(text)

    def read(self) -> str:
        self._file.seek(0)
        text: bytes = self._file.read()
        return text.decode()

    def close(self) -> None:
        self._file.close()

    def abandon(self) -> None:
        """Close the file, whatever could not be written."""
        with contextlib.suppress(OSError):
            self._file.close()
