"""The files that a command reads: recordings by name, and stdin as `-`."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from parley.cli.failures import CommandFailed

if TYPE_CHECKING:
    from parley.audio.files import Recording

STDIN: Final = "-"


class _Stdin(io.BytesIO):
    """All of stdin, which messages call so."""

    name = "stdin"


def read_recording(name: str) -> Recording:
    """A whole recording. Raises `AudioFileError`, `OSError`, and `CommandFailed` for a folder."""
    from parley.library.recordings import read_audio

    if name == STDIN:
        return read_audio(_Stdin(sys.stdin.buffer.read()))
    if Path(name).is_dir():
        raise CommandFailed(f"{name} is a folder.", f"Name the files in it: {Path(name) / '*'}")
    return read_audio(name)


def shown_name(name: str) -> str:
    """What messages call an input."""
    return "stdin" if name == STDIN else name


def counted(count: int, what: str) -> str:
    """A number of things: `1 segment`, `2 segments`."""
    return f"{count} {what}{'' if count == 1 else 's'}"
