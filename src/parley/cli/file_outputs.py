"""The files that a command writes: which format, and that nothing is lost by it.

Laws:
- Every output of a command is checked by `check_outputs()` before any work, and opened by `text_output()` or `sound_output()`.
- No command overwrites what it reads, by whatever name or link, nor one output with another.
- The ending of a file chooses its format; what contradicts it, and an ending that names none, is refused.
- Folders that are missing are made when the output is opened.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

import click

from parley.cli.failures import CommandFailed

STDOUT: Final = "-"

TEXT_FORMATS: Final = ("text", "json", "srt", "vtt")

_TEXT_ENDINGS: Final[Mapping[str, str]] = {".txt": "text", ".json": "json", ".srt": "srt", ".vtt": "vtt"}
_ENDING_OF: Final = {form: ending for ending, form in _TEXT_ENDINGS.items()}

_ENDINGS: Final = f"one of {', '.join(_TEXT_ENDINGS)}"

_OF_MEDIA: Final = (".aac", ".aiff", ".avi", ".mkv", ".mov", ".webm", ".wma")
"""Endings of sound and video beside those that can be written: no text belongs into such a file."""

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(TEXT_FORMATS),
    help="What to write [default: what the ending of -o says (.txt .json .srt .vtt), else text].",
)


def text_format(output: str | None, form: str | None) -> str:
    """Which of `TEXT_FORMATS` is written to `output` ("-" or None: stdout), where `--format` is `form`. Raises `CommandFailed`.

    An ending that names no format is taken where `--format` is given, unless it is that of a recording.
    """
    from parley.audio.files import SUFFIXES

    ending = "" if output in (None, STDOUT) else Path(output or "").suffix.lower()
    named = _TEXT_ENDINGS.get(ending)
    if named is not None and form is not None and named != form:
        raise CommandFailed(
            f"-o {output} is a file of {_in_words(named)}, and --format says {form}.", "Leave one of the two out."
        )
    if ending in (*SUFFIXES, *_OF_MEDIA):
        raise CommandFailed(f"-o {output} is the name of a recording, and what is written is text.", f"Use {_ENDINGS}.")
    if ending and named is None and form is None:
        raise CommandFailed(
            f"The ending of -o {output} names no format.",
            f"Use {_ENDINGS}, or say it with --format.",
        )
    return named or form or "text"


def names_folder(output: str) -> bool:
    """Whether `-o` names a folder: one that is there, or a name with a slash at its end."""
    return output.endswith(("/", os.sep)) or Path(output).is_dir()


def names_file(output: str) -> bool:
    """Whether `-o` names a file: one that is there, or a name with the ending of a text or a recording."""
    from parley.audio.files import SUFFIXES

    path = Path(output)
    return path.is_file() or path.suffix.lower() in (*_TEXT_ENDINGS, *SUFFIXES, *_OF_MEDIA)


def ending_of(form: str) -> str:
    """The ending of a file in one of `TEXT_FORMATS`."""
    return _ENDING_OF[form]


def check_sound_format(output: str) -> None:
    """Whether the ending of a recording names a format that can be written. Raises `AudioFileError`."""
    from parley.audio.files import SUFFIXES, unknown_suffix

    if Path(output).suffix.lower() not in SUFFIXES:
        raise unknown_suffix(Path(output))


def check_outputs(outputs: Iterable[str | None], inputs: Iterable[str]) -> None:
    """Whether these files can be written while those are read ("-": stdin, stdout). Raises `CommandFailed`."""
    named = [output for output in outputs if output is not None and output != STDOUT]
    if folder := next((output for output in named if names_folder(output)), None):
        raise CommandFailed(f"{folder} is a folder.", "Name a file in it.")
    paths = [Path(output) for output in named]
    read = list(inputs)
    for number, path in enumerate(paths):
        for name in read:
            if _same(_status(name), _status(str(path))):
                raise CommandFailed(f"{path} is what is read; it would be overwritten.", "Name another output.")
        if any(_same_place(path, other) for other in paths[:number]):
            raise CommandFailed(f"{path} is to be written twice.", "Name two files.")
        above = next(folder for folder in path.absolute().parents if folder.exists())
        if not above.is_dir():
            raise CommandFailed(f"{path} cannot be written: {above} is a file, not a folder.", "Name another output.")


@contextmanager
def text_output(output: str | None, inputs: Iterable[str]) -> Iterator[TextIO]:
    """The file for text, or stdout. Raises as `check_outputs()`, and `OSError`."""
    if output in (None, STDOUT):
        yield sys.stdout
        return
    with _ready(str(output), inputs).open("w", encoding="utf-8") as file:
        yield file


def sound_output(output: str, inputs: Iterable[str]) -> Path:
    """The path for a recording, in a folder that is there. Raises as `check_outputs()` and `check_sound_format()`, and `OSError`."""
    check_sound_format(output)
    return _ready(output, inputs)


def _ready(output: str, inputs: Iterable[str]) -> Path:
    check_outputs([output], inputs)
    path = Path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _in_words(form: str) -> str:
    return {"text": "plain text", "json": "JSON"}.get(form, f"{form.upper()} subtitles")


def _status(name: str) -> os.stat_result | None:
    """Of a file, or of stdin; None where there is none."""
    try:
        return os.fstat(sys.stdin.fileno()) if name == STDOUT else os.stat(name)
    except (OSError, ValueError, AttributeError):
        return None


def _same(one: os.stat_result | None, other: os.stat_result | None) -> bool:
    """Whether two names lead to one file. A terminal or `/dev/null` may be both input and output."""
    return one is not None and other is not None and stat.S_ISREG(one.st_mode) and os.path.samestat(one, other)


def _same_place(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve() or _same(_status(str(path)), _status(str(other)))
