"""The folder of the speech cache: one file for each piece of speech, by the digest of everything that it depends on.

Laws:
- A file is whole or it is not there: it is written under another name and renamed, and its checksum, key and length are compared when it is
  read. What is damaged, unfinished or of another version is removed.
- The files together take at most `max_bytes`: the least recently used go first. Processes share the folder: whichever writes last wins,
  with the same bytes, and a lock file tells which of them speaks what is not there (`speech_claims`).
- The folder is this user's alone (0700), its names tell nothing, and no file but the cache's own is touched.

Does not know: engines, or who asks. Every method blocks.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from parley.audio import pcm
from parley.audio.private_files import check_private, make_private_folder, replace_file
from parley.audio.types import Samples
from parley.engines.kept_files import KeptFile, KeptFiles, remove_file
from parley.engines.ports import SpeechChunk, Word
from parley.runtime.engine_results import MAX_RATE, MIN_RATE
from parley.runtime.speech_claims import SpeechClaim, claim

VERSION: Final = b"parley speech 1\n"
SUFFIX: Final = ".speech"
PART: Final = ".part"
LOCK: Final = ".lock"
_OWN: Final = re.compile(rf"[0-9a-f]{{64}}({SUFFIX}|{LOCK}|\.[0-9a-z_]+{PART})")

MAX_FILE_BYTES: Final = 8 << 20
"""Nearly three minutes at 24 kHz: a clause lasts seconds."""

_DIGEST_BYTES: Final = hashlib.sha256().digest_size
_LENGTH_BYTES: Final = 4


PIECE_S: Final = 0.5
"""Of kept speech that is handed on at once: the first piece leaves before the rest is encoded."""


@dataclass(frozen=True, slots=True)
class StoredSpeech:
    """The audio of one clause, float32 `[n]` at `sample_rate` Hz, and its words."""

    audio: Samples
    sample_rate: int
    words: tuple[Word, ...] = ()

    def pieces(self) -> Iterator[SpeechChunk]:
        """The clause in pieces, each with the words that have begun by its end."""
        step = max(1, round(self.sample_rate * PIECE_S))
        for at in range(0, len(self.audio), step):
            end_ms = 1_000 * (at + step) / self.sample_rate
            last = at + step >= len(self.audio)
            words = self.words if last else tuple(word for word in self.words if word.start_ms <= end_ms)
            yield SpeechChunk(self.audio[at : at + step], self.sample_rate, words)


@dataclass(frozen=True, slots=True)
class FolderUsage:
    """What the folder holds of the cache, and how many files were removed to stay within its bound."""

    files: int
    bytes: int
    removed: int = 0


class SpeechFiles:
    """The files of one folder. Call `open()` first."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._files = KeptFiles(folder, _OWN, SUFFIX)

    def open(self) -> FolderUsage:
        """Create the folder where it is missing, and remove what was left unfinished.

        Raises `NotPrivate` for a folder that others may use, `OSError` where it cannot be used.
        """
        make_private_folder(self.folder)
        check_private(self.folder)
        return self.trim()

    def load(self, key: str) -> StoredSpeech | None:
        """The speech of this key (64 hexadecimal digits); None where it is not there as a whole. Raises `OSError`."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return None
        speech = _read(data, key)
        if speech is None:
            path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):  # another process has removed it meanwhile, or the folder can only be read
            os.utime(path)
        return speech

    def take(self, key: str) -> StoredSpeech | SpeechClaim:
        """The speech of this key; where it is not there, the claim to speak it, which may be another process's. Raises `OSError`."""
        speech = self.load(key)
        if speech is not None:
            return speech
        mine = claim(self.folder / f"{key}{LOCK}")
        if mine.elsewhere:
            return mine
        try:
            speech = self.load(key)  # another process may have kept it, and released its claim, since the first look
        except BaseException:
            mine.release()
            raise
        if speech is None:
            return mine
        mine.release()
        return speech

    def store(self, key: str, speech: StoredSpeech) -> FolderUsage:
        """Keep the speech, and remove what was used least recently where there is too much. Raises `OSError`."""
        data = _written(key, speech)
        if len(data) <= min(MAX_FILE_BYTES, self._max_bytes):
            replace_file(self._path(key), data, durable=False, prefix=f"{key}.", suffix=PART)
        return self.trim()

    def trim(self) -> FolderUsage:
        """Remove what is stale, and the least recently used files beyond the bound. Raises `OSError`."""
        stay, removed = self._files.trim(self._max_bytes)
        sizes = [file.size for file in stay if file.path.suffix != LOCK]
        return FolderUsage(len(sizes), sum(sizes), removed)

    def usage(self) -> FolderUsage:
        """What is there; nothing where there is no folder. Raises `OSError`."""
        sizes = [file.size for file in self._listed() if file.path.suffix != LOCK]
        return FolderUsage(len(sizes), sum(sizes))

    def clear(self) -> FolderUsage:
        """Remove every file of the cache. Returns what was there. Raises `OSError`."""
        there = self._listed()
        removed = [file for file in there if remove_file(file.path)]
        return FolderUsage(
            len(there), sum(file.size for file in there), sum(file.path.suffix != LOCK for file in removed)
        )

    def _listed(self) -> list[KeptFile]:
        """Every file. Raises `OSError`, also where the folder is a file."""
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self.folder))
        return list(self._files)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{SUFFIX}"


def _written(key: str, speech: StoredSpeech) -> bytes:
    words = [[word.text, word.start_ms, word.end_ms] for word in speech.words]
    head = {"key": key, "rate": speech.sample_rate, "samples": len(speech.audio), "words": words}
    header = json.dumps(head).encode("ascii")
    body = len(header).to_bytes(_LENGTH_BYTES, "little") + header + pcm.to_bytes(speech.audio)
    return VERSION + hashlib.sha256(body).digest() + body


def _read(data: bytes, key: str) -> StoredSpeech | None:
    """The speech in a file's bytes; None where they are damaged, or of another key or version."""
    begin = len(VERSION) + _DIGEST_BYTES
    body = data[begin:]
    if not data.startswith(VERSION) or hashlib.sha256(body).digest() != data[len(VERSION) : begin]:
        return None
    end = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "little")
    try:
        head = json.loads(body[_LENGTH_BYTES:end])
        audio = pcm.to_float(body[end:])
        words = tuple(Word(str(text), float(start), float(end_ms)) for text, start, end_ms in head["words"])
        as_said = head["key"] == key and head["samples"] == len(audio) and MIN_RATE <= head["rate"] <= MAX_RATE
        return StoredSpeech(audio, int(head["rate"]), words) if as_said else None
    except (
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        RecursionError,
    ):  # another process of this user may write anything
        return None


def joined(pieces: list[Samples]) -> Samples:
    """Pieces of audio as one."""
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
