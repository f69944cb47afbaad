"""What commands tell the person at the terminal, beside their results.

Laws: all on stderr; a terminal gets lines that are broken between words, a log or a pipe gets each as one line.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from typing import Final, TextIO

import click

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a terminal obeys; not the ends of lines, and not tabs."""


def print_error(message: str, remedy: str = "") -> None:
    """Print what is wrong, a line for each fault, and below it what to change. Every command reports its errors so."""
    for line in message.splitlines():
        tell(f"parley: {line}")
    for line in remedy.splitlines():
        tell(f"  {line}")


def tell(text: str) -> None:
    """Print a line."""
    click.echo(_wrapped(text), err=True)


def _wrapped(line: str) -> str:
    if not sys.stderr.isatty():
        return line
    width = shutil.get_terminal_size().columns
    return textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def harmless_at(out: TextIO, text: str) -> str:
    """A text of somebody else as `out` may show it: a terminal is sent no control characters."""
    return _CONTROLS.sub("", text) if out.isatty() else text
