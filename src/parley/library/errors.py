"""What the library raises; the tree of all exceptions stands in `parley.errors`.

LibraryError                 an argument or a call that is not possible; `remedy` says what to do about it
  FrameRefused (ValueError)  a frame is not what the session was told to expect
  SinkRefused                the sink did not take the audio that it was given
  SessionBroken              the session ended by a fault of its own
  SessionClosed              the session was closed, or its pipeline was
"""

from __future__ import annotations

from parley.errors import ParleyError


class LibraryError(ParleyError):
    """An argument or a call that is not possible. `message` is one sentence, `remedy` says what to do about it."""


class FrameRefused(LibraryError, ValueError):
    """A frame of another type, shape or rate than the session was told."""


class SinkRefused(LibraryError):
    """The sink did not take all the audio it was given: it is full, closed, or too slow."""


class SessionBroken(LibraryError):
    """The session ended by a fault of its own; the log holds the traceback."""


class SessionClosed(LibraryError):
    """The session takes nothing any more: it was closed, its pipeline was, or code of yours ended it."""
