"""A terminal on which a screen draws: what other parts of the process would print over it goes elsewhere."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def logs_to(notify: Callable[[str], None]) -> Iterator[None]:
    """Passes the warnings of this process to `notify`, from any thread, because they would be printed over the screen."""

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            notify(record.getMessage())

    handler = Notes(logging.WARNING)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


@contextmanager
def terminal_to_ourselves() -> Iterator[None]:
    """Redirects file descriptor 2 while there is a screen, because PortAudio prints its warnings there."""
    if sys.platform == "win32":
        yield
        return
    kept, standard, current = os.dup(2), sys.__stderr__, sys.stderr
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with os.fdopen(kept, "w", encoding=current.encoding, errors="replace", closefd=False) as terminal:
        try:
            # Textual draws on this stream.
            sys.__stderr__ = sys.stderr = terminal  # type: ignore[misc]
            os.dup2(nowhere, 2)
            yield
        finally:
            terminal.flush()
            os.dup2(kept, 2)
            sys.__stderr__, sys.stderr = standard, current  # type: ignore[misc]
            os.close(nowhere)
    os.close(kept)


def forget_typed_keys() -> None:
    """Drops what was typed so far: it was not meant for a screen that is not there yet. Where stdin is no terminal, it does nothing."""
    if sys.platform == "win32":
        import msvcrt

        while msvcrt.kbhit():
            msvcrt.getwch()
        return
    import termios

    with suppress(termios.error, OSError, ValueError):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
