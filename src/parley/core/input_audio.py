"""Input audio by sample position: append, span, commit, clear, trim.

Laws: positions are 24 kHz samples since the session began and only grow; every sample is committed or cleared at
most once; a sample split over two chunks is joined again. Knows nothing of turns.
"""

from __future__ import annotations

from parley.core.settings import AudioFormat


class InputAudio:
    """The uncommitted tail of what the client has written to its input buffer."""

    __slots__ = ("_base", "_kept", "_split", "format", "received")

    def __init__(self, format: AudioFormat) -> None:
        self.format = format
        self.received = 0
        """Samples written in the session so far."""
        self._base = 0
        self._kept = bytearray()
        self._split = b""

    @property
    def begins(self) -> int:
        """Position of the first sample still kept; all before it is committed or cleared."""
        return self._base

    @property
    def buffered(self) -> int:
        """Samples kept."""
        return self.received - self._base

    def buffered_with(self, audio: bytes) -> int:
        """Samples that would be kept if these bytes were appended."""
        return self.buffered + self.format.samples(len(self._split) + len(audio))

    def append(self, audio: bytes) -> tuple[int, bytes]:
        """Take the client's next bytes; returns the whole samples that came of them and the position of the first."""
        start = self.received
        if self.format is AudioFormat.PCM16:
            if self._split:
                audio = self._split + audio
                self._split = b""
            if len(audio) & 1:
                self._split = audio[-1:]
                audio = audio[:-1]
            self.received = start + (len(audio) >> 1)
        else:
            self.received = start + len(audio) * 3
        self._kept += audio
        return start, audio

    def span(self, start: int, end: int) -> bytes:
        """The audio between two positions, as far as it is kept."""
        first = self.format.size(max(start, self._base) - self._base)
        last = self.format.size(min(end, self.received) - self._base)
        return bytes(self._kept[first:last])

    def commit(self, start: int, end: int) -> bytes:
        """Take `start..end` out of the buffer; what lies before `start` is cleared with it."""
        audio = self.span(start, end)
        self.trim(end)
        return audio

    def trim(self, to: int) -> None:
        """Forget everything before `to`."""
        to = min(to, self.received)
        if to > self._base:
            del self._kept[: self.format.size(to - self._base)]
            self._base = to

    def clear(self) -> None:
        self.trim(self.received)
        self._split = b""

    def change_format(self, format: AudioFormat) -> None:
        """Go on in another encoding; what was kept is cleared, positions go on."""
        self.clear()
        self.format = format
