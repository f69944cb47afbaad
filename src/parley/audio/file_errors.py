"""Why a file is not read as audio, or not written. The standard library only."""

from __future__ import annotations

from parley.errors import ParleyError


class AudioFileError(ParleyError, ValueError):
    """A file cannot be read or written as audio."""


class AudioTooLong(AudioFileError):
    """A file holds more audio than its reader takes."""

    @classmethod
    def than(cls, seconds: float, name: str) -> AudioTooLong:
        """The error for a file that is longer than `seconds`."""
        return cls(f"{name} is longer than {_duration(seconds)}.", "Cut it into pieces first.")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} seconds"
    return f"{seconds / 3600:g} hours" if seconds >= 3600 else f"{seconds / 60:g} minutes"
