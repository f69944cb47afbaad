"""Why a file is not read as audio, or not written. The standard library only."""

from __future__ import annotations

from typing import BinaryIO, Final

from parley.errors import ParleyError

HEAD_BYTES: Final = 4096
"""Enough to tell what a file is."""

_BEGINNINGS: Final = (
    (0, b"RIFF", "a WAV"),
    (0, b"fLaC", "a FLAC"),
    (0, b"OggS", "an Ogg"),
    (0, b"ID3", "an MP3"),
    (0, b"\xff\xfb", "an MP3"),
    (0, b"FORM", "an AIFF"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM"),
    (4, b"ftyp", "an MP4"),
)
"""Where a container has its mark, the mark, and its name."""


class AudioFileError(ParleyError, ValueError):
    """A file cannot be read or written as audio."""


class AudioTooLong(AudioFileError):
    """A file holds more audio than its reader takes."""

    @classmethod
    def than(cls, seconds: float, name: str) -> AudioTooLong:
        """The error for a file that is longer than `seconds`."""
        return cls(f"{name} is longer than {_duration(seconds)}.", "Cut it into pieces first.")


def unreadable(stream: BinaryIO, name: str, seconds: float) -> AudioFileError:
    """The error for an open file, at its beginning, whose decoding failed after so many seconds of audio."""
    if seconds:
        return AudioFileError(
            f"{name} breaks off after {seconds:.1f} s: it is cut off or damaged.", "Copy or record it again."
        )
    head = stream.read(HEAD_BYTES)
    if not head:
        return AudioFileError(f"{name} is empty.")
    for at, mark, kind in _BEGINNINGS:
        if head[at:].startswith(mark):
            return AudioFileError(
                f"{name} is cut off or damaged: it begins as {kind} file, and no sound can be read from it.",
                "Copy or record it again.",
            )
    what = "a text file" if _is_text(head) else "in a format that is not known"
    return AudioFileError(f"{name} cannot be read as audio: it is {what}.")


def _is_text(head: bytes) -> bool:
    """Whether it can be printed. A character may be cut at the end."""
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode()
    return all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} seconds"
    return f"{seconds / 3600:g} hours" if seconds >= 3600 else f"{seconds / 60:g} minutes"
