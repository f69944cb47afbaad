"""Lines of a terminal or a pipe, out and in: with the time since the start, broken between words; and as commands, as they are typed.

Laws: nothing is ever redrawn; reading never waits, and a line that was not typed (`MAX_LINE_BYTES`) is cut.
"""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
import time
from collections.abc import Callable

MIN_WIDTH = 30
"""A narrower terminal breaks words after all."""

MAX_LINE_BYTES = 64 * 1024
"""A longer line is cut: it was not typed."""


class StampedLines:
    """Writes lines that begin with the time since this was made.

    `width`: the terminal's, at which a long line is broken between words; None, for pipes and logs: each line stays one.
    """

    def __init__(self, write: Callable[[str], None], width: int | None = None) -> None:
        self._write = write
        self._width = width
        self.began_s = time.monotonic()

    def say(self, text: str) -> None:
        """One line, with its time."""
        elapsed_s = time.monotonic() - self.began_s
        minutes, seconds = divmod(elapsed_s, 60)
        stamp = f"[{int(minutes):02}:{seconds:04.1f}] "
        if self._width is None:
            self._write(stamp + text)
            return
        indent = " " * len(stamp)
        lines = textwrap.wrap(
            stamp + text, max(self._width, MIN_WIDTH), subsequent_indent=indent, break_on_hyphens=False
        )
        for line in lines:
            self._write(line)


class TypedLines:
    """Reads stdin beside everything else: `on_line(text)` is called for each line, without its end, `on_last()` when no more comes.
    Call `begin()`, later `end()`."""

    def __init__(self, on_line: Callable[[str], None], on_last: Callable[[], None] = lambda: None) -> None:
        self._on_line = on_line
        self._on_last = on_last
        self._kept = b""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._descriptor = -1

    def begin(self) -> bool:
        """Whether stdin can be read; it is, on the running event loop, until `end()` or until there is no more."""
        loop = asyncio.get_running_loop()
        try:
            self._descriptor = sys.stdin.fileno()
            loop.add_reader(self._descriptor, self._ready)
        except (OSError, ValueError, AttributeError, NotImplementedError):
            return False
        self._loop = loop
        return True

    def end(self) -> None:
        """Stops reading."""
        if self._loop is not None:
            self._loop.remove_reader(self._descriptor)
            self._loop = None

    def _ready(self) -> None:
        try:
            read = os.read(self._descriptor, MAX_LINE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            # The terminal is gone.
            read = b""
        if not read:
            self.end()
        *whole, self._kept = (self._kept + read).split(b"\n")
        if not read and self._kept:
            # The last line needs no end.
            whole, self._kept = [self._kept], b""
        self._kept = self._kept[:MAX_LINE_BYTES]
        for line in whole:
            self._on_line(line[:MAX_LINE_BYTES].decode(errors="replace").rstrip("\r"))
        if not read:
            self._on_last()
