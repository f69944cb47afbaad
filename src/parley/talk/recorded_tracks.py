"""Several tracks of sound, each from its own device, in one WAV while they come.

Laws: every track keeps its place in time; where it has nothing there is silence. At most `LAG_S` of sound waits in memory. The header of
the file is true after every write, so what was written before the process was killed can be played. Only this user may read the file.
"""

from __future__ import annotations

import contextlib
import wave
from collections import deque
from pathlib import Path
from typing import Final

import numpy as np

from parley.audio.private_files import private_opener
from parley.audio.resampling import Int16Resampler
from parley.audio.types import Int16

RATE: Final = 24_000

JITTER_S: Final = 0.15
"""Chunks come with the jitter of threads and devices; a track is moved only when it is further off than this."""

LAG_S: Final = 2.0
"""A track that has been silent for so long has nothing to add to what the others have: the past is written."""

WRITE_S: Final = 0.5
"""Sound that is written at once: each write also corrects the header."""

MAX_GAP_S: Final = 3600.0
"""A clock that jumps must not fill the disk with silence."""

MOST_BYTES: Final = 0xFFFF_0000
"""A WAV counts its bytes in 32 bits; then another file begins. Four tracks take six hours to get there."""

_QUIET: Final = 330
"""-40 dBFS. Only what is softer is left out of a track that runs ahead of the time, because its device's clock is fast."""

_AT_ONCE: Final = 10 * RATE
"""Frames put together at once, however long a silence is."""


class _Track:
    """One track's samples that wait to be written, each piece with its position."""

    def __init__(self) -> None:
        self.pieces: deque[tuple[int, Int16]] = deque()
        self.position = 0
        self._resampler: Int16Resampler | None = None
        self._next_at_s = 0.0

    def put(self, audio: Int16, rate: int, at_s: float) -> None:
        """Samples at `rate` whose first one belongs at `at_s`, counted from the beginning; small differences are jitter."""
        down = self._resampler
        if down is None or down.in_rate != rate or abs(at_s - self._next_at_s) > JITTER_S:
            self.finish()
            down = self._resampler = Int16Resampler(rate, RATE, "HQ")
        self._next_at_s = at_s + len(audio) / rate
        self._place(down.push(audio), max(0, round(at_s * RATE)))

    def finish(self) -> None:
        """Add what the resampler still holds."""
        if self._resampler is not None:
            self._append(self._resampler.finish())
            self._resampler = None

    def _place(self, audio: Int16, at: int) -> None:
        gap = at - self.position
        if JITTER_S * RATE < gap < MAX_GAP_S * RATE:
            self.position += gap
        elif gap < -JITTER_S * RATE and len(audio) and int(audio.max()) < _QUIET and int(audio.min()) > -_QUIET:
            audio = audio[-gap:]
        self._append(audio)

    def _append(self, audio: Int16) -> None:
        if len(audio):
            self.pieces.append((self.position, audio))
            self.position += len(audio)

    def move_into(self, column: Int16, begin: int) -> None:
        """Take the samples from `begin` on that `column` has room for."""
        end = begin + len(column)
        if self.position < end:
            self.finish()
        while self.pieces and self.pieces[0][0] < end:
            at, audio = self.pieces.popleft()
            part = audio[: end - at]
            column[at - begin : at - begin + len(part)] = part
            if len(part) < len(audio):
                self.pieces.appendleft((end, audio[len(part) :]))
        self.position = max(self.position, end)


class RecordedTracks:
    """`count` tracks at 24 kHz in a WAV at `path`; past `most_bytes` another file follows, `audio-2.wav` after `audio.wav`.

    `put()` as the sound happens, `close()` at the end. Both raise `OSError` when the file cannot be written. Raises `OSError`, with
    `new` also where the file exists.
    """

    def __init__(
        self, path: Path, began_s: float, count: int, *, new: bool = False, most_bytes: int = MOST_BYTES
    ) -> None:
        self._path = path
        self._mode = "xb" if new else "wb"
        self._began_s = began_s
        self._most_frames = most_bytes // (2 * count)
        self._tracks = tuple(_Track() for _ in range(count))
        self._written = 0
        self._parts = 0
        self._open()

    def _open(self) -> None:
        self._parts += 1
        path = self._path if self._parts == 1 else self._path.with_stem(f"{self._path.stem}-{self._parts}")
        self._file = open(path, self._mode, opener=private_opener)  # noqa: SIM115
        self._wav = wave.open(self._file, "wb")  # noqa: SIM115
        self._wav.setparams((len(self._tracks), 2, RATE, 0, "NONE", "not compressed"))
        self._room = self._most_frames

    def put(self, track: int, audio: Int16, at_s: float, rate: int = RATE) -> None:
        """Samples `[n]` of a track at `rate` Hz (which may change), the first of which belongs at the time `at_s`."""
        self._tracks[track].put(audio, rate, at_s - self._began_s)
        ends = [each.position for each in self._tracks]
        until = max(min(ends), max(ends) - round(LAG_S * RATE))
        if until - self._written >= WRITE_S * RATE:
            self._write(until)

    def _write(self, until: int) -> None:
        """Write all tracks up to a position; a track that is not so far is silent there."""
        while self._written < until:
            if not self._room:
                self._close_file()
                self._open()
            size = min(until - self._written, _AT_ONCE, self._room)
            frames = np.zeros((size, len(self._tracks)), dtype="<i2")
            for column, track in enumerate(self._tracks):
                track.move_into(frames[:, column], self._written)
            self._wav.writeframes(frames.tobytes())
            self._written += size
            self._room -= size

    def close(self) -> None:
        """Write what waits and close the file."""
        try:
            for track in self._tracks:
                track.finish()
            self._write(max(track.position for track in self._tracks))
        finally:
            self._close_file()

    def abandon(self) -> None:
        """Close the file, whatever still waits, after it could not be written."""
        with contextlib.suppress(OSError):
            self._close_file()

    def _close_file(self) -> None:
        try:
            self._wav.close()
        finally:
            self._file.close()
