"""Which process speaks a clause that several want to keep: the one that has locked the clause's lock file.

Laws:
- A claim saves work and nothing depends on it: where no lock can be had (Windows, a folder that can only be read, a file system without
  locks), everyone has the claim, and a clause may be spoken twice.
- The lock is the system's (`flock`): that of a process that ended, however it ended, is free at once.
- The file is removed as the claim is released. One that a killed process left is used again, or removed with what else is stale.

Does not know: how long anyone waits. Every function blocks, for no longer than the file system takes.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Final

from parley.audio.private_files import FILE_MODE

ATTEMPTS: Final = 8
"""A file that is removed between opening and locking it is opened anew; more often than this it counts as another's."""


class SpeechClaim:
    """The right to speak one clause for every process that shares the folder. Call `release()`; one that is dropped is released too.

    `elsewhere`: another process has it.
    """

    __slots__ = ("_descriptor", "_path", "elsewhere")

    def __init__(self, path: Path, descriptor: int | None = None, *, elsewhere: bool = False) -> None:
        self._path = path
        self._descriptor = descriptor
        self.elsewhere = elsewhere

    def release(self) -> None:
        """Let others speak the clause. Harmless when it is repeated."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        with contextlib.suppress(OSError):
            self._path.unlink()  # before it is unlocked: afterwards it may be another's
        with contextlib.suppress(OSError):
            os.close(descriptor)

    def __del__(self) -> None:
        self.release()


def claim(path: Path) -> SpeechClaim:
    """Claim the clause whose lock file this is. Never waits."""
    if sys.platform == "win32":
        return SpeechClaim(path)
    try:
        for _ in range(ATTEMPTS):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)
            made = _locked(path, descriptor)
            if made is not None:
                return made
    except OSError:
        return SpeechClaim(path)
    return SpeechClaim(path, elsewhere=True)


def _locked(path: Path, descriptor: int) -> SpeechClaim | None:
    """The claim, or that another has it; None where the file was removed meanwhile. Raises `OSError`."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            os.utime(descriptor)  # one that was left behind is no longer stale
            return SpeechClaim(path, descriptor)
    except BlockingIOError:
        os.close(descriptor)
        return SpeechClaim(path, elsewhere=True)
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
