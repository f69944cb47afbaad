"""The errors that a command reports by itself, beside those that the packages raise.

Laws: every expected error reaches `parley.cli.main.run` as a `ParleyError`; a closed output pipe ends the command quietly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from parley.errors import ParleyError


class CommandFailed(ParleyError):
    """The command cannot run."""


@contextmanager
def files_checked() -> Iterator[None]:
    """Reports a file that cannot be read or written as `CommandFailed`, and ends the command when the reader of its output is gone."""
    try:
        yield
    except BrokenPipeError:
        raise click.exceptions.Exit(0) from None
    except OSError as error:
        if error.filename is None:
            raise
        raise CommandFailed(reason_of(error)) from error


def reason_of(error: Exception, name: str = "") -> str:
    """Why it failed, in one line that names the file: `name`, where the error does not."""
    said = f"{error.filename or name}: {error.strerror or error}." if isinstance(error, OSError) else str(error)
    return said if name in said else f"{name}: {said}"
