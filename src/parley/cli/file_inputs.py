"""What a command reads: recordings by name, and stdin as `-`, for recordings and for text.

Laws: stdin as text is read in bounded pieces; bytes of it that are no text become U+FFFD.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from parley.cli.failures import CommandFailed

if TYPE_CHECKING:
    from parley.audio.files import Recording

STDIN: Final = "-"

MAX_LINE_CHARS: Final = 64 * 1024
"""Of a text that is read line by line; of a longer line, this is one piece."""


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


def text_of_stdin(limit: int) -> str:
    """All of stdin. Raises `CommandFailed` for more than `limit` characters."""
    text = _text_stdin().read(limit + 1)
    if len(text) > limit:
        raise CommandFailed(f"The text on stdin is longer than {limit} characters.", "Shorten it.")
    return text


def lines_of_stdin(limit: int) -> Iterator[str]:
    """The lines of stdin as they come. Raises `CommandFailed` for one of more than `limit` characters."""
    stdin = _text_stdin()
    while line := stdin.readline(limit + 1):
        if len(line) > limit:
            raise CommandFailed(f"A line on stdin is longer than {limit} characters.", "Shorten it.")
        yield line


def pieces_of_stdin() -> Iterator[str]:
    """The text of stdin as it comes: lines, and pieces of lines that are longer than `MAX_LINE_CHARS`."""
    stdin = _text_stdin()
    while piece := stdin.readline(MAX_LINE_CHARS):
        yield piece


def _text_stdin() -> TextIO:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    return sys.stdin


def shown_name(name: str) -> str:
    """What messages call an input."""
    return "stdin" if name == STDIN else name


def counted(count: int, what: str) -> str:
    """A number of things: `1 segment`, `2 segments`."""
    return f"{count} {what}{'' if count == 1 else 's'}"
