"""The exceptions of the library; the tree of all exceptions is in `parley.errors`.

LibraryError                 an argument or a call that is not possible; `remedy` says what to do about it
  FrameRefused (ValueError)  a frame of another type, shape or rate than the session expects
  SinkRefused                the sink did not accept all audio
  SessionBroken              the session ended by a fault of its own
  SessionClosed              the session was closed, or its pipeline was
"""

from __future__ import annotations

from parley.errors import ParleyError


class LibraryError(ParleyError):
    """An argument or a call that is not possible. `message` is one sentence, `remedy` says what to do about it."""


class FrameRefused(LibraryError, ValueError):
    """A frame of another type, shape or rate than the session expects."""


class SinkRefused(LibraryError):
    """The sink did not accept all audio: it is full, closed, or too slow."""


class SessionBroken(LibraryError):
    """The session ended by a fault of its own; the log holds the traceback."""


class SessionClosed(LibraryError):
    """The session accepts no more calls: it or its pipeline was closed, or your own code ended it."""
