"""Where the sockets of voice servers lie, and whether one may be made or used there. Blocking, but for no longer than the file system.

Laws:
- The folder of a user's sockets is theirs alone (0700), and a socket is 0600 from its first moment on.
- What is there is replaced only if it is a socket of this user that nothing listens on. A symbolic link is never followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Final

from parley.audio.private_files import NotPrivate, make_private_folder, private_runtime_folder
from parley.engines.ports import EngineUnavailable

LONGEST_PATH: Final = 103 if sys.platform == "darwin" else 107
"""Bytes of a Unix socket's path (unix(7): `sun_path`, with a NUL at its end)."""

BACKLOG: Final = 64


class SocketRefused(EngineUnavailable):
    """No socket can be made, or used, at this path."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, remedy, code="socket_refused")


def runtime_folder() -> Path:
    """The folder of this user's sockets: `parley` in `$XDG_RUNTIME_DIR`, else `parley-UID` in the folder of temporary files. Made where it
    is missing. Raises `SocketRefused` where it belongs to somebody else, or others may write there."""
    _check_platform()
    try:
        return private_runtime_folder()
    except OSError as error:
        raise SocketRefused(
            f"{error.filename} cannot be made: {error.strerror}.", "Name another socket: --socket PATH"
        ) from error
    except NotPrivate as error:
        raise SocketRefused(
            error.message,
            f"Remove it, or make it yours alone (chmod 700 {error.folder}), or name another socket: --socket PATH",
        ) from error


def check_path(path: Path) -> None:
    """Raises `SocketRefused` for a path that no socket can have."""
    _check_platform()
    length = len(os.fsencode(path))
    if length > LONGEST_PATH:
        raise SocketRefused(
            f"The path of the socket has {length} bytes, and a socket's has at most {LONGEST_PATH}: {path}",
            "Choose a shorter one, such as --socket /tmp/voice.sock",
        )


def check_free(path: Path) -> None:
    """Raises `SocketRefused` where `listen_at()` would; removes and makes nothing."""
    check_path(path)
    _stale(path)


def listen_at(path: Path) -> socket.socket:
    """A listening socket, for this user only; a stale one is replaced. Not for two threads at once: it sets the umask for a moment.

    Raises `SocketRefused` where something else is there, or a server that is alive.
    """
    check_path(path)
    try:
        make_private_folder(path.parent)
        if _stale(path):
            path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        umask = os.umask(0o177)
        try:
            listener.bind(os.fspath(path))
        except BaseException:
            listener.close()
            raise
        finally:
            os.umask(umask)
    except OSError as error:
        raise SocketRefused(
            f"No socket can be made at {path}: {error.strerror}.", "Name another: --socket PATH"
        ) from error
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def identity(path: Path) -> tuple[int, int] | None:
    """Which file is there: it is another after it was replaced. None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def remove(path: Path, own: tuple[int, int] | None) -> None:
    """Remove the socket if it is still the one of this `identity()`."""
    if own is not None and identity(path) == own:
        with contextlib.suppress(OSError):
            path.unlink()


def _stale(path: Path) -> bool:
    """Whether a stale socket is there. Raises for everything else that is there."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise SocketRefused(f"{path} cannot be used: {error.strerror}.", "Name another: --socket PATH") from error
    another = "Name another: --socket PATH"
    if stat.S_ISLNK(found.st_mode):
        raise SocketRefused(f"{path} is a symbolic link, which is not followed.", another)
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketRefused(f"{path} is there, and is no socket.", another)
    if found.st_uid != os.getuid():
        raise SocketRefused(f"{path} is the socket of another user.", another)
    if _alive(path):
        raise SocketRefused(f"A server listens on {path} already.", "Stop it, or name another: --socket PATH")
    return identity(path) == (found.st_dev, found.st_ino)


def _alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except OSError as error:
            # a full backlog (EAGAIN) is that of a server
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    return True


def _check_platform() -> None:
    if not hasattr(socket, "AF_UNIX") or not hasattr(os, "getuid"):
        raise SocketRefused("This system has no Unix sockets.", "Run the voice server on Linux or macOS.")
