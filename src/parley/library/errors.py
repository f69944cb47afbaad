"""What the library raises.

LibraryError                 something was asked for that cannot be done; `mend` says what to do about it
  FrameRefused (ValueError)  a frame is not what the session was told to expect
  SinkRefused                the sink did not take the audio that it was given
  SessionBroken              the session ended by a fault of its own
  SessionClosed              the session was closed, or its pipeline was
"""

from __future__ import annotations


class LibraryError(Exception):
    """Something the library was asked for and cannot do. `message` is one sentence, `mend` what puts it right."""

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.message} {self.mend}".strip()


class FrameRefused(LibraryError, ValueError):
    """A frame of another type, shape or rate than the session was told."""


class SinkRefused(LibraryError):
    """The sink did not take all the audio it was given: it is full, closed, or too slow."""


class SessionBroken(LibraryError):
    """The session ended by a fault of its own; the log holds the traceback."""


class SessionClosed(LibraryError):
    """The session takes nothing any more: it was closed, its pipeline was, or code of yours ended it."""
