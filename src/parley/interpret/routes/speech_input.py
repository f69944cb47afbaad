"""What of a microphone's audio goes into the server's input buffer, and when that becomes a sentence.

Laws:
- Pure: no clock; positions are milliseconds of the audio given to `push()`, from the first sample on.
- While somebody speaks, each piece goes out as it comes, whatever the server does. A pause is kept here: of it, the last `PRE_ROLL_MS`
  stand in front of the next speech, the rest is neither sent nor committed nor paid for.
- A commit has at least `MIN_COMMIT_MS` of audio, and no sample is in two commits. Speech without a pause is cut after `MAX_SENTENCE_MS`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from parley.audio.types import Int16

SAMPLES_PER_MS: Final = 24

PRE_ROLL_MS: Final = 400
"""Voice activity detection reports speech 100 to 200 ms after its begin, and soft consonants come before that."""

MIN_COMMIT_MS: Final = 100
"""Servers refuse to commit less, and no word is shorter."""

MAX_SENTENCE_MS: Final = 30_000
"""Speech without a pause, such as music or a lecture: the listener must not wait longer, and a request stays small."""


@dataclass(frozen=True, slots=True)
class SpokenPiece:
    """The audio committed at once: how long it is, and where it ends in the audio of the link. Milliseconds."""

    length_ms: float
    end_ms: float
    cut: bool = False
    """Cut because it was too long, not at a pause."""


class SpeechInput:
    """Call `push()` with all audio and `began()` and `ended()` between the pieces. Append what they return to the server's buffer.

    `commit()` says what the buffer holds: commit it, or clear it where `stray` was True before. It may be called later than at the pause;
    where speech has begun again by then, both become one sentence.
    """

    def __init__(self) -> None:
        self.speaking = False
        self._position = self._buffered = self._end = 0
        """In samples, which add up without error for as long as a link lives."""
        self._pre_roll: deque[bytes] = deque()
        self._pre_roll_bytes = 0

    def push(self, audio: Int16) -> bytes:
        """More audio; what of it to append now (PCM16, little-endian)."""
        data = audio.astype("<i2", copy=False).tobytes()
        self._position += len(data) // 2
        if self.speaking:
            self._appended(data)
            return data
        self._pre_roll.append(data)
        self._pre_roll_bytes += len(data)
        while self._pre_roll_bytes - len(self._pre_roll[0]) >= _bytes(PRE_ROLL_MS):
            self._pre_roll_bytes -= len(self._pre_roll.popleft())
        return b""

    def began(self) -> bytes:
        """Somebody speaks; what to append now."""
        if self.speaking:
            return b""
        self.speaking = True
        data = b"".join(self._pre_roll)[-_bytes(PRE_ROLL_MS) :]
        self._forget()
        self._appended(data)
        return data

    def ended(self) -> None:
        """A pause."""
        self.speaking = False

    @property
    def buffered_ms(self) -> float:
        """Audio in the server's buffer that is not committed."""
        return self._buffered / SAMPLES_PER_MS

    @property
    def too_long(self) -> bool:
        """Speech that is to be committed without a pause."""
        return self.buffered_ms >= MAX_SENTENCE_MS

    @property
    def stray(self) -> bool:
        """The buffer holds something that is too short to be committed."""
        return 0 < self.buffered_ms < MIN_COMMIT_MS

    def commit(self) -> SpokenPiece | None:
        """The buffer's audio becomes a sentence; None: there is too little of it. Empty afterwards."""
        piece = SpokenPiece(self.buffered_ms, self._end / SAMPLES_PER_MS, cut=self.speaking)
        enough = self.buffered_ms >= MIN_COMMIT_MS
        self._buffered = 0
        return piece if enough else None

    def _appended(self, data: bytes) -> None:
        self._buffered += len(data) // 2
        self._end = self._position

    def _forget(self) -> None:
        self._pre_roll.clear()
        self._pre_roll_bytes = 0


def _bytes(length_ms: int) -> int:
    return length_ms * SAMPLES_PER_MS * 2
