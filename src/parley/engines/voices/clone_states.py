"""What an engine has computed of a recording to clone, kept on disk: a server that starts anew need not compute it again.

Laws:
- A state is found by the recording's bytes and by all that it was computed with, as the engine says it: versions, weights.
- A file is whole or it is not there: it is written under another name and renamed, and its checksum, which covers what it was computed of
  and with, is compared when it is read. What is damaged, foreign or too large counts as missing, and is written anew.
- The files together take at most `max_bytes`: the least recently used go first. Processes share the folder without locks.
- A state is as personal as the recording: the folder is this user's alone (0700, files 0600), its names tell nothing, and it goes with the
  voice: `forget` removes it, and a recording that is gone leaves none (`source`).
- Nothing fails because of a folder that cannot be used: a warning is logged, and the engine computes.

Does not know: engines. Every method blocks.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from parley.audio.private_files import NotPrivate, check_private, make_private_folder, replace_file
from parley.engines.kept_files import KeptFiles, remove_file
from parley.models import store

log = logging.getLogger(__name__)

VERSION: Final = b"parley clone state 1\n"
SUFFIX: Final = ".state"
PART: Final = ".part"
_OWN: Final = re.compile(rf"[0-9a-f]{{64}}({SUFFIX}|\.[0-9a-z_]+{PART})")

MAX_BYTES: Final = 64 << 20
MAX_FILE_BYTES: Final = 4 << 20
"""Half a minute of speech has 100 KB of codes."""

_HALF: Final = 32
_DIGEST_BYTES: Final = hashlib.sha256().digest_size

State = NDArray[Any]


def folder() -> Path:
    """`clone-states` in the user's data folder."""
    return store.data_folder() / "clone-states"


class CloneStates:
    """The states in a folder, which need not exist. Any thread and process may call."""

    def __init__(self, where: Path | None = None, max_bytes: int = MAX_BYTES) -> None:
        self.folder = folder() if where is None else where
        self._max_bytes = max_bytes
        self._files = KeptFiles(self.folder, _OWN, SUFFIX)

    def get_or_compute(
        self, clip: str, made_with: str, compute: Callable[[], State], source: Path | None = None
    ) -> State:
        """The array kept for a recording (`clip`: the SHA-256 of its bytes), or else the one that `compute` returns, which is kept.
        `made_with` says all else that it depends on. Where there is a `source`, the recording's file, nothing is kept once it is gone:
        delete it before `forget()`."""
        key = _key(clip, made_with)
        path = self.folder / f"{key}{SUFFIX}"
        with contextlib.suppress(OSError, NotPrivate):  # said below, if it is no folder that is missing
            check_private(self.folder)
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
            state = _read(data, key)
            if state is not None:
                with contextlib.suppress(OSError):  # removed meanwhile, or a folder that can only be read
                    os.utime(path)
                return state
        computed = compute()
        try:
            self._keep(path, _written(key, computed), source)
        except (OSError, NotPrivate) as error:
            log.warning("What was computed of a voice's recording cannot be kept in %s: %s", self.folder, error)
        return computed

    def forget(self, clip: str) -> int:
        """Remove what was computed of a recording, whatever it was computed with. Returns how many files. Raises `OSError`."""
        mine = _clip_part(clip)
        return sum(remove_file(file.path) for file in self._files if file.path.name.startswith(mine))

    def _keep(self, path: Path, data: bytes, source: Path | None) -> None:
        if len(data) > min(MAX_FILE_BYTES, self._max_bytes) or _is_gone(source):
            return
        make_private_folder(self.folder)
        check_private(self.folder)
        with contextlib.suppress(FileNotFoundError):  # forgotten meanwhile
            replace_file(path, data, durable=False, prefix=f"{path.stem}.", suffix=PART)
        if _is_gone(source):  # removed meanwhile: `forget` may have come before this file
            remove_file(path)
        self._files.trim(self._max_bytes)


def _is_gone(source: Path | None) -> bool:
    return source is not None and not source.exists()


def _key(clip: str, made_with: str) -> str:
    """The name of a state: what it is of, then what it was made with."""
    return _clip_part(clip) + hashlib.sha256(made_with.encode()).hexdigest()[:_HALF]


def _clip_part(clip: str) -> str:
    return hashlib.sha256(f"clip {clip}".encode()).hexdigest()[:_HALF]


def _written(key: str, state: State) -> bytes:
    body = io.BytesIO()
    np.save(body, state, allow_pickle=False)
    return VERSION + _checksum(key, body.getvalue()) + body.getvalue()


def _read(data: bytes, key: str) -> State | None:
    """The array in a file's bytes; None where they are damaged, or of another key or version."""
    begin = len(VERSION) + _DIGEST_BYTES
    body = data[begin:]
    if len(data) > MAX_FILE_BYTES or not data.startswith(VERSION) or _checksum(key, body) != data[len(VERSION) : begin]:
        return None
    try:
        state: State = np.load(io.BytesIO(body), allow_pickle=False)
    except (ValueError, EOFError, MemoryError):  # another process of this user may write anything
        return None
    return state


def _checksum(key: str, body: bytes) -> bytes:
    return hashlib.sha256(key.encode() + body).digest()
