"""What somebody has sent, decoded piece by piece: within bounds, and nothing but the bytes themselves.

Laws:
- Plain PCM WAV is read here; everything else in a process of its own (`audio/decoding_worker.py`), which reads no faster than it is asked.
- No more of the audio is held than a piece of half a second, however long it is.
- Closing ends the process, whatever it does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import BinaryIO, Final, Protocol

import numpy as np

from parley.audio import decoding_worker as worker
from parley.audio.file_errors import AudioFileError, AudioTooLong
from parley.audio.files import Recording
from parley.audio.types import Samples
from parley.audio.wav_files import WavSound, find_sound

KEPT_VARIABLES: Final = (
    "PATH",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "LANG",
)
"""The environment that the process is given: no key is among them."""

MAX_PIECE_BYTES: Final = 4 * 384_000
"""Half a second at twice the highest rate."""


class StrangersAudio(Protocol):
    """A file on its way. Call `begin()`, then `read()` until it returns None; then, or at any time before, `close()`. Each blocks."""

    sample_rate: int
    """In Hz; known when `begin()` has returned."""

    def begin(self) -> None:
        """Read the file's head. Raises `AudioFileError`."""
        ...

    def read(self) -> Samples | None:
        """The next piece, mono float32 `[n]`, n > 0; None at the end. Raises `AudioFileError`."""
        ...

    def close(self) -> None:
        """Release everything; idempotent. May be called while another thread begins or reads, which then ends."""
        ...


def open_strangers(stream: BinaryIO, name: str, *, max_seconds: float, max_rate: int) -> StrangersAudio:
    """Open what somebody has sent, of which at most `max_seconds` are decoded, at `max_rate` Hz or less (a plain WAV: at its own rate).
    Next: `begin()`, and `close()` in any case.

    Raises `AudioFileError`; one that says that the file is too long (`AudioTooLong`) names the limit.
    """
    stream.seek(0)
    try:
        sound = find_sound(stream)
    except (wave.Error, EOFError):
        stream.seek(0)
        return _DecodedElsewhere(stream, name, max_seconds, max_rate)
    if sound.seconds > max_seconds:
        raise AudioTooLong.than(max_seconds, name)
    if not sound.count or not sound.rate:
        raise AudioFileError(f"{name} holds no audio.")
    return _PlainWav(stream, sound)


def read_strangers(stream: BinaryIO, name: str, *, max_seconds: float, max_rate: int) -> Recording:
    """The whole of what `open_strangers` opens. Blocks."""
    with closing(open_strangers(stream, name, max_seconds=max_seconds, max_rate=max_rate)) as audio:
        audio.begin()
        pieces = list(_pieces(audio))
        return Recording(np.concatenate(pieces), audio.sample_rate)


def _pieces(audio: StrangersAudio) -> Iterator[Samples]:
    while (piece := audio.read()) is not None:
        yield piece


class _PlainWav:
    def __init__(self, stream: BinaryIO, sound: WavSound) -> None:
        self.sample_rate = sound.rate
        self._stream = stream
        self._sound = sound
        self._left = sound.count
        stream.seek(sound.begins)

    def begin(self) -> None:
        """Its head has been read."""

    def read(self) -> Samples | None:
        count = min(self._left, max(1, self.sample_rate * worker.PIECE_MS // 1000))
        self._left -= count
        piece = self._sound.decode(self._stream.read(count * self._sound.channels * self._sound.width))
        return piece if len(piece) else None

    def close(self) -> None:
        self._left = 0


class _DecodedElsewhere:
    def __init__(self, stream: BinaryIO, name: str, max_seconds: float, max_rate: int) -> None:
        self._name = name
        self._over = False
        environment = {key: value for key, value in os.environ.items() if key in KEPT_VARIABLES}
        command = (sys.executable, "-P", "-m", worker.__name__, f"{max_seconds:g}", str(max_rate), name)
        # A file, not a pipe: nothing waits for the process to take it.
        with tempfile.TemporaryFile() as given:
            while data := stream.read(1 << 20):
                given.write(data)
            given.seek(0)
            self._child = subprocess.Popen(
                command, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
            )
        assert self._child.stdout is not None
        self._out = self._child.stdout
        self.sample_rate = 0

    def begin(self) -> None:
        kind, payload = self._message()
        if kind != b"R" or not payload.isdigit():
            raise self._broken()
        self.sample_rate = int(payload)

    def read(self) -> Samples | None:
        if self._over:
            return None
        kind, payload = self._message()
        if kind == b"A" and payload and not len(payload) % 4:
            return np.frombuffer(payload, np.float32)
        self._over = True
        if kind != b".":
            raise self._broken()
        return None

    def _message(self) -> tuple[bytes, bytes]:
        """The next message that is no error. Raises `AudioFileError`."""
        head = self._out.read(worker.HEAD.size)
        if len(head) < worker.HEAD.size:
            raise self._broken()
        kind, length = worker.HEAD.unpack(head)
        payload = self._out.read(length) if length <= MAX_PIECE_BYTES else b""
        if len(payload) < length:
            raise self._broken()
        if kind == b"E":
            said = json.loads(payload)
            failed = AudioTooLong if said["too_long"] else AudioFileError
            raise failed(said["message"], said["remedy"])
        return kind, payload

    def _broken(self) -> AudioFileError:
        return AudioFileError(f"{self._name} cannot be read as audio: decoding it took too much memory or time.")

    def close(self) -> None:
        self._over = True
        with suppress(ProcessLookupError):
            self._child.kill()
        self._child.wait()
        self._out.close()
