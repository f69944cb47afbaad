"""A recording that is written on a thread of its own: a slow disk holds up neither the call nor its server.

Laws:
- What is handed over is written in order. What waits is bounded: sound beyond `MOST_WAITING` is left out, counted, and leaves silence at
  its place; texts and notes are never left out.
- A fault ends the recording, not the call: `failed` says why.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, Literal

from parley.audio.types import Int16
from parley.interpret.ports import WIRE_RATE, CallNote, CaptionLine
from parley.interpret.recording import CallRecording
from parley.interpret.updates import DirectionName

MOST_WAITING: Final = 8_000
"""Pieces of sound that wait for the disk: twenty seconds of the four tracks."""

LAST_WRITES_S: Final = 10.0
"""How long the end of the call waits for the disk."""


class CallRecorder:
    """Call the methods of `CallRecording` from one thread; none waits but `finish()`, for at most `LAST_WRITES_S`."""

    def __init__(self, recording: CallRecording) -> None:
        self._recording = recording
        self._waiting: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._late = ""
        self.left_out_s = 0.0
        """Sound that is missing in the recording, because the disk was too slow; seconds of single tracks."""
        self._thread = threading.Thread(target=self._write, name="parley-recording", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> str:
        """Why nothing more is recorded; "" while it is."""
        return self._recording.failed or self._late

    def captured(self, name: DirectionName, audio: Int16, at_s: float) -> None:
        """See `CallRecording.captured`."""
        self._sound(lambda: self._recording.captured(name, audio, at_s), len(audio) / WIRE_RATE)

    def played(self, name: DirectionName, audio: Int16, rate: int, at_s: float) -> None:
        """See `CallRecording.played`."""
        self._sound(lambda: self._recording.played(name, audio, rate, at_s), len(audio) / rate)

    def line(self, name: DirectionName, side: Literal["source", "target"], line: CaptionLine) -> None:
        """A line that is settled."""
        self._waiting.put(lambda: self._recording.line(name, side, line))

    def note(self, note: CallNote) -> None:
        """A line that the user was shown."""
        self._waiting.put(lambda: self._recording.note(note))

    def finish(self) -> None:
        """Write what waits and close the files. Waits for the disk."""
        self._waiting.put(self._recording.finish)
        self._waiting.put(None)
        self._thread.join(LAST_WRITES_S)
        if self._thread.is_alive():
            self._late = f"The disk of {self._recording.folder} has not taken the end of it in {LAST_WRITES_S:.0f} s."

    def _sound(self, write: Callable[[], None], seconds: float) -> None:
        if self._waiting.qsize() >= MOST_WAITING:
            self.left_out_s += seconds
        else:
            self._waiting.put(write)

    def _write(self) -> None:
        while (write := self._waiting.get()) is not None:
            try:
                write()
            except Exception as error:  # noqa: BLE001 - the boundary between the recording and the call
                self._recording.abandon(f"A fault ended the recording: {type(error).__name__}: {error}.")
