"""The file of named keys: written by `parley keys`, read by the server.

Laws:
- Only the SHA-256 of a key is stored; the key is shown once, when it is made. A key has 256 random bits, so its digest cannot be
  reversed by search; slow hashes such as scrypt protect passwords, which people choose, and would delay each request.
- The file has the mode 0600, is replaced as a whole, and is refused where others can write to it.
- Everything is bounded: `MAX_FILE_BYTES`, `MAX_KEYS`.
Does not know: what a scope opens (`access.py`), how minutes are counted (`quotas.py`).
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

from parley.audio.private_files import is_full_disk, make_private_folder, private_opener, replace_file
from parley.config import ConfigError

Scope = Literal["realtime", "audio", "text", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
DEFAULT_SCOPES: frozenset[Scope] = frozenset({"realtime", "audio"})

KEY_PREFIX = "sk-parley-"
KEY_BYTES = 32

MAX_KEYS = 1000
"""Every request is compared with each of them: 0.3 ms for a thousand."""

MAX_FILE_BYTES = 1024 * 1024
"""A thousand keys take 300 KB."""

MAX_SESSIONS = 100_000
MAX_MINUTES = 24 * 60 * MAX_SESSIONS

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

_Positive = Annotated[int, msgspec.Meta(ge=1, le=MAX_MINUTES)]


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named key. `sessions` at once and `minutes_per_day` of them together; None: no limit. `created` is an ISO 8601 time."""

    name: Annotated[str, msgspec.Meta(pattern=f"^{NAME.pattern}$")]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    scopes: tuple[Scope, ...]
    sessions: _Positive | None = None
    minutes_per_day: _Positive | None = None
    created: str = ""

    @property
    def id(self) -> str:
        """Distinguishes a key from an earlier one of the same name."""
        return self.sha256[:16]

    @property
    def unlimited(self) -> bool:
        """Whether it can never have limits, because it is not one of the file: its name has a colon."""
        return ":" in self.name

    def __repr__(self) -> str:
        return f"Key({self.name!r})"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    keys: tuple[Key, ...]


def digest(key: str) -> str:
    """The SHA-256 of a key, in hexadecimal."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def read(path: Path) -> tuple[Key, ...]:
    """The keys in the file. Raises `FileNotFoundError` where there is none, `ConfigError` where it cannot be used."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(
            f"The key file {path} cannot be read: {error.strerror}.", remedy="Make it readable for the server's user."
        ) from error
    if os.name == "posix" and mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"Other users can write to the key file {path}.", remedy=f"Run: chmod 600 {path}")
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"The key file {path} is larger than {MAX_FILE_BYTES} bytes.", remedy=_RESTORE)
    try:
        keys = msgspec.json.decode(data, type=_File).keys
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ConfigError(f"The key file {path} is damaged: {error}.", remedy=_RESTORE) from error
    if len(keys) > MAX_KEYS or len({key.name for key in keys}) < len(keys):
        raise ConfigError(f"The key file {path} has more than {MAX_KEYS} keys, or two of one name.", remedy=_RESTORE)
    return keys


_RESTORE = "Restore it from a backup, or move it away and make new keys with `parley keys add`."


def add(
    path: Path,
    name: str,
    scopes: frozenset[Scope] = DEFAULT_SCOPES,
    sessions: int | None = None,
    minutes_per_day: int | None = None,
) -> tuple[Key, str]:
    """Make a key and store its digest; returns the key's record and the key itself, which is nowhere else.

    Raises `ConfigError` where the name is taken or not one, or the file cannot be used.
    """
    if NAME.fullmatch(name) is None:
        raise ConfigError(
            f"{name[:100]!r} cannot name a key.", remedy="Use letters, digits, '_', '.' and '-', 64 at the most."
        )
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    ordered = tuple(scope for scope in SCOPES if scope in scopes)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    record = Key(name, digest(key), ordered, sessions, minutes_per_day, created)
    with _locked(path):
        keys = read(path) if path.exists() else ()
        if any(known.name == name for known in keys):
            raise ConfigError(
                f"There is a key {name!r} already.",
                remedy=f"Choose another name, or revoke it first: parley keys revoke {name}",
            )
        if len(keys) >= MAX_KEYS:
            raise ConfigError(f"The key file {path} holds {MAX_KEYS} keys, its limit.", remedy="Revoke some.")
        _write(path, (*keys, record))
    return record, key


def revoke(path: Path, name: str) -> None:
    """Remove a key. Raises `ConfigError` where there is none of that name, or the file cannot be used."""
    from parley.config import did_you_mean

    with _locked(path):
        keys = read(path) if path.exists() else ()
        left = tuple(key for key in keys if key.name != name)
        if len(left) == len(keys):
            names = [key.name for key in keys]
            raise ConfigError(
                f"There is no key {name[:100]!r} in {path}.",
                remedy=did_you_mean(name, names) or "`parley keys list` names the keys.",
            )
        _write(path, left)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One writer at a time, where the system has advisory locks."""
    try:
        make_private_folder(path.parent)
        lock = open(path.with_name(path.name + ".lock"), "wb", opener=private_opener)  # noqa: SIM115
    except OSError as error:
        raise _unwritable(path, error) from error
    with lock:
        if os.name == "posix":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, keys: tuple[Key, ...]) -> None:
    try:
        replace_file(path, msgspec.json.format(msgspec.json.encode(_File(1, keys)), indent=2) + b"\n")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"The key file {path} cannot be written: {error.strerror}.",
        remedy="Free space on its disk; the file is as it was."
        if is_full_disk(error)
        else "Name a file that this user may write to with --file, or server.keys_file (PARLEY_KEYS_FILE).",
    )


_UNKNOWN = (-1,)


@dataclass(slots=True)
class WatchedKeys:
    """The keys of a file as it is now. The file is read again when its identity, size or time of change differ.

    A deleted file holds no key. Where a file becomes unusable, `fault` is set and the keys stay as they were.
    """

    path: Path
    keys: tuple[Key, ...] = ()
    seen: bool = False
    """Whether there has been a file: from then on a key is required, even where none is left."""
    fault: ConfigError | None = None
    _stamp: tuple[int, ...] = field(default=(), repr=False)

    def refresh(self) -> bool:
        """Look at the file; returns whether its keys were read again (or could not be, see `fault`)."""
        try:
            found = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            changed = bool(self.keys) or self.fault is not None
            self.keys, self.fault, self._stamp = (), None, ()
            return changed
        except OSError as error:  # a file that may exist must not count as absent
            changed, self._stamp, self.seen = self._stamp != _UNKNOWN, _UNKNOWN, True
            self.fault = ConfigError(
                f"The key file {self.path} cannot be read: {error.strerror}.",
                remedy="Make it and its folder readable for the server's user.",
            )
            return changed
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode)
        if stamp == self._stamp:
            return False
        self._stamp, self.seen = stamp, True
        try:
            self.keys, self.fault = read(self.path), None
        except FileNotFoundError:
            self.keys, self.fault = (), None
        except ConfigError as error:
            self.fault = error
        return True
