"""Input audio by sample position: append, span, commit, clear, trim.

Laws: positions are 24 kHz samples since the session began and only grow; every sample is committed or cleared at
most once; a sample split over two chunks is joined again; a long append is kept as it came, not copied. Knows nothing of turns.
"""

from __future__ import annotations

from parley.core.words.settings import AudioFormat

LONG_BYTES = 256 * 1024
"""An append of five seconds: copied in a tenth of a millisecond. Copies of whole minutes would hold up other sessions."""

SPARE = 8
"""A long append of which less than one part in this many is still needed is copied, so that the rest of its memory is free."""


class InputBuffer:
    """The uncommitted tail of what the client has written to its input buffer."""

    __slots__ = ("_base", "_kept", "_long", "_split", "_used", "format", "received")

    def __init__(self, format: AudioFormat) -> None:
        self.format = format
        self.received = 0
        """Samples written in the session so far."""
        self._base = 0
        self._long: list[bytes | bytearray] = []
        """What comes before `_kept`, each piece as it was appended or collected."""
        self._used = 0
        """Bytes at the start of the first long piece that are no longer needed."""
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
        if len(audio) < LONG_BYTES:
            self._kept += audio
        else:
            self._long += [self._kept, audio] if self._kept else [audio]
            self._kept = bytearray()
        return start, audio

    def span(self, start: int, end: int) -> bytes:
        """The audio between two positions, as far as it is kept."""
        first = self.format.size(max(start, self._base) - self._base)
        last = self.format.size(min(end, self.received) - self._base)
        if self._long:
            return self._long_span(first + self._used, last + self._used)
        return bytes(memoryview(self._kept)[first:last])

    def _long_span(self, first: int, last: int) -> bytes:
        """Bytes `first` to `last` of all pieces. A single piece that is wanted whole is not copied."""
        found: list[bytes | bytearray | memoryview] = []
        for piece in (*self._long, self._kept):
            start, end = max(first, 0), min(last, len(piece))
            if start < end:
                found.append(piece if end - start == len(piece) else memoryview(piece)[start:end])
            first -= len(piece)
            last -= len(piece)
        return b"".join(found)

    def commit(self, start: int, end: int) -> bytes:
        """Take `start..end` out of the buffer; what lies before `start` is cleared with it."""
        audio = self.span(start, end)
        self.trim(end)
        return audio

    def trim(self, to: int) -> None:
        """Forget everything before `to`."""
        to = min(to, self.received)
        if to > self._base:
            size = self.format.size(to - self._base)
            if self._long:
                size = self._trim_long(size + self._used)
            del self._kept[:size]
            self._base = to

    def _trim_long(self, size: int) -> int:
        """Forget the first `size` bytes of the long pieces; returns how many bytes of `_kept` are to be forgotten."""
        while self._long and size >= len(self._long[0]):
            size -= len(self._long.pop(0))
        self._used = 0
        if not self._long:
            return size
        if (len(self._long[0]) - size) * SPARE < len(self._long[0]):
            self._long[0] = self._long[0][size:]
        else:
            self._used = size
        return 0

    def clear(self) -> None:
        self.trim(self.received)
        self._split = b""

    def change_format(self, format: AudioFormat) -> None:
        """Go on in another encoding; what was kept is cleared, positions go on."""
        self.clear()
        self.format = format
