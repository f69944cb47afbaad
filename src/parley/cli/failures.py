"""What can go wrong with files, devices and the library, as one line on stderr and the exit code 2.

Laws: every message says what was wrong and what mends it; a reader of our output that has gone away ends the command quietly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click


class Unasked(click.ClickException):
    """What was wanted could not be done."""

    exit_code = 2

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"parley: {self.message}", err=True)
        if self.mend:
            click.echo(f"  {self.mend}", err=True)


@contextmanager
def told() -> Iterator[None]:
    """Turns the faults that a person can mend into `Unasked`."""
    from parley.audio.files import AudioFileError
    from parley.library.errors import LibraryError
    from parley.talk.devices import DevicesUnavailable

    try:
        yield
    except (LibraryError, DevicesUnavailable) as error:
        raise Unasked(error.message, error.mend) from error
    except AudioFileError as error:
        raise Unasked(f"{error}.") from error
    except BrokenPipeError:
        raise click.exceptions.Exit(0) from None
    except OSError as error:
        if error.filename is None:
            raise
        raise Unasked(f"{error.filename}: {error.strerror}.") from error
