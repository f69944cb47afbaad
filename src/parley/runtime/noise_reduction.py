"""A session's `noise_reduction`: its input audio is cleaned before the core sees it.

Laws:
- The core sees cleaned audio only, so that voice activity, recognition and the committed item all have the same, and a trace replays
  without this. As many samples reach it as were sent; what the filter holds back (7 to 28 ms) comes with the next audio, or before
  whatever ends, clears or changes the input.
- It transforms audio and does nothing else: it keeps no event back and refuses none. A long append is cleaned in slices while it is being
  decoded, when nothing more of its client is read; it is still one append when it arrives.
- Where noise reduction is off, no event passes through here.

Does not know: what the audio is for.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np

from parley.audio import g711, pcm
from parley.audio.processing import AudioProcessor
from parley.audio.types import Int16
from parley.core.words.events import AudioArrived, ClearRequested, CommitRequested, Event, SessionUpdateRequested
from parley.core.words.limits import MAX_APPEND_BYTES
from parley.core.words.settings import AudioFormat, NoiseReduction

SLICE_MS = 400
"""Audio cleaned in one go: 1.5 ms of the event loop's time for `near_field`, 6 ms for the dearest setting."""

_FLUSHED_BEFORE = frozenset((CommitRequested, ClearRequested, SessionUpdateRequested))
"""They are about all the audio that was sent before them."""


class InputFilter:
    """Cleans audio in the wire's encoding: as many bytes come out as went in, the last of them by `flush()`."""

    __slots__ = ("_format", "_processor", "_split")

    def __init__(self, wanted: NoiseReduction, format: AudioFormat) -> None:
        far = wanted.type == "far_field"
        strength = 1.0 if wanted.strength is None else wanted.strength
        self._processor = AudioProcessor(format.rate, echo=False, noise=wanted.type, gain=far, strength=strength)
        self._format = format
        self._split = b""

    def clean(self, audio: bytes) -> bytes:
        """The audio now ready; a sample split over two chunks is joined again."""
        if self._format is AudioFormat.PCM16:
            if self._split:
                audio, self._split = self._split + audio, b""
            if len(audio) & 1:
                audio, self._split = audio[:-1], audio[-1:]
        return self._encoded(self._processor.capture(self._decoded(audio)))

    def flush(self) -> bytes:
        """What is still held back."""
        split, self._split = self._split, b""
        return self._encoded(self._processor.flush()) + split

    def _decoded(self, audio: bytes) -> Int16:
        match self._format:
            case AudioFormat.PCM16:
                return pcm.as_int16(audio)
            case AudioFormat.PCMU:
                return g711.decode_mulaw(np.frombuffer(audio, np.uint8))
            case AudioFormat.PCMA:
                return g711.decode_alaw(np.frombuffer(audio, np.uint8))

    def _encoded(self, audio: Int16) -> bytes:
        match self._format:
            case AudioFormat.PCM16:
                return pcm.to_bytes(audio)
            case AudioFormat.PCMU:
                return g711.encode_mulaw(audio).tobytes()
            case AudioFormat.PCMA:
                return g711.encode_alaw(audio).tobytes()


class CleanedInput:
    """One session's events on their way to the core: audio cleaned, everything else as it is.

    Call `set()` as the settings change; while `active`, take what is to happen from `take()` or `in_slices()`.
    """

    __slots__ = ("_filter", "_wanted")

    def __init__(self) -> None:
        self._wanted: tuple[NoiseReduction, AudioFormat] | None = None
        self._filter: InputFilter | None = None

    @property
    def active(self) -> bool:
        """Whether noise reduction is on."""
        return self._filter is not None

    def set(self, wanted: NoiseReduction | None, format: AudioFormat) -> None:
        """Clean like this from here on. Everything before has been flushed, or never was cleaned."""
        if wanted is not None and wanted.strength == 0:
            wanted = None
        now = None if wanted is None else (wanted, format)
        if now != self._wanted:
            self._wanted = now
            self._filter = None if wanted is None else InputFilter(wanted, format)

    def take(self, event: Event) -> Sequence[Event]:
        """What is to happen now that `event` has come, in order."""
        if self._filter is None:
            return (event,)
        if isinstance(event, AudioArrived):
            return (replace(event, audio=self._filter.clean(event.audio)) if _is_taken(event) else event,)
        if type(event) in _FLUSHED_BEFORE and (held := self._filter.flush()):
            return AudioArrived(held), event
        return (event,)

    def in_slices(self, event: Event) -> Generator[None, None, Sequence[Event]]:
        """The same for an event that may hold much audio: yields after each slice of work. No other event of the client's may come
        before it has run to its end; where another client changes the settings meanwhile, it ends as it began."""
        used, wanted = self._filter, self._wanted
        if used is None or wanted is None or not isinstance(event, AudioArrived) or not _is_taken(event):
            return self.take(event)
        size = SLICE_MS * wanted[1].bytes_per_ms
        cleaned = bytearray()
        for at in range(0, len(event.audio), size):
            if at:
                yield
            cleaned += used.clean(event.audio[at : at + size])
        return (replace(event, audio=bytes(cleaned)),)


def _is_taken(event: AudioArrived) -> bool:
    """Whether the core takes an append of this length; a longer one reaches it uncleaned, and it refuses it."""
    return len(event.audio) <= MAX_APPEND_BYTES
