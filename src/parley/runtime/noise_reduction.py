"""A session's `noise_reduction`: its input audio is cleaned before the core sees it.

Laws:
- The core sees cleaned audio only, so that voice activity, recognition and the committed item all have the same, and a trace replays
  without this. As many samples reach it as were sent; what the filter holds back (7 to 28 ms) comes with the next audio, or before
  whatever ends, clears or changes the input.
- What a client sends keeps its order. One append longer than `SLICE_MS` is cleaned in slices with the sockets served between them,
  and what its client sends meanwhile waits behind it; it is still one append when it arrives.
- Where it is off there is nothing of this.

Does not know: what the audio is for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from parley.audio import g711, pcm
from parley.audio.processing import AudioProcessor
from parley.audio.types import Int16
from parley.core.words.events import (
    AudioArrived,
    CancelRequested,
    ClearRequested,
    ClientErred,
    CommitRequested,
    Event,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemRetrieveRequested,
    ItemTruncateRequested,
    OutputClearRequested,
    ResponseRequested,
    SessionUpdateRequested,
)
from parley.core.words.limits import MAX_APPEND_BYTES
from parley.core.words.settings import AudioFormat, NoiseReduction

SLICE_MS = 400
"""Audio cleaned in one go: 1.5 ms of the event loop's time for `near_field`, 6 ms for the dearest setting."""

MAX_WAITING_BYTES = 2 * MAX_APPEND_BYTES
"""Audio of one client that may wait: its longest append while the one before it is being cleaned."""

MAX_WAITING_EVENTS = 10_000
"""Events of one client that may wait behind a long append, which takes some seconds: more than its rate limit lets it send."""

_FROM_CLIENT = frozenset(
    (
        SessionUpdateRequested,
        AudioArrived,
        CommitRequested,
        ClearRequested,
        OutputClearRequested,
        ItemCreateRequested,
        ItemRetrieveRequested,
        ItemDeleteRequested,
        ItemTruncateRequested,
        ResponseRequested,
        CancelRequested,
        ClientErred,
    )
)

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
    """One session's events on their way to the core, audio cleaned.

    Let every event through `take()` and `set()` the filter as the settings change, after each event that it gave. `wake` asks for
    a call of `go_on()` as soon as the sockets have had their turn. Done with once `idle`.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._wanted: tuple[NoiseReduction, AudioFormat] | None = None
        self._filter: InputFilter | None = None
        self._waiting: deque[Event] = deque()
        self._waiting_bytes = 0
        self._read = 0
        self._cleaned = bytearray()

    @property
    def idle(self) -> bool:
        """Whether it is off and nothing waits."""
        return self._filter is None and not self._waiting

    def set(self, wanted: NoiseReduction | None, format: AudioFormat) -> None:
        """Clean like this from here on. Everything before has been flushed, or never was cleaned."""
        if wanted is not None and wanted.strength == 0:
            wanted = None
        now = None if wanted is None else (wanted, format)
        if now != self._wanted:
            self._wanted = now
            self._filter = None if wanted is None else InputFilter(wanted, format)

    def take(self, event: Event) -> Iterator[Event]:
        """What is to happen now that `event` has come, in order; ask for the next only when the last has happened."""
        if type(event) not in _FROM_CLIENT:
            yield event
        elif self._waiting:
            if self._has_room(event):
                self._waiting.append(event)
            else:
                yield _refused(event)
        elif self._is_long(event):
            assert isinstance(event, AudioArrived)
            self._waiting.append(event)
            self._waiting_bytes = len(event.audio)
            self._wake()
        else:
            yield from self._pass(event)

    def go_on(self) -> Iterator[Event]:
        """The next slice of what waits; like `take()`."""
        sliced = False
        while self._waiting and not sliced:
            event = self._waiting[0]
            if self._is_long(event):
                assert isinstance(event, AudioArrived)
                sliced = True
                if not self._clean_slice(event.audio):
                    break
                event = replace(event, audio=bytes(self._cleaned))
                self._read = 0
                self._cleaned.clear()
                self._drop_first()
                yield event
            else:
                # Short appends cost too: no more than one of them in a go.
                sliced = isinstance(event, AudioArrived)
                self._drop_first()
                yield from self._pass(event)
        if self._waiting:
            self._wake()

    def _is_long(self, event: Event) -> bool:
        """Whether it must be cleaned in slices; what is longer than a client may send goes on to be refused as it is."""
        if self._wanted is None or not isinstance(event, AudioArrived):
            return False
        return SLICE_MS * self._wanted[1].bytes_per_ms < len(event.audio) <= MAX_APPEND_BYTES

    def _has_room(self, event: Event) -> bool:
        size = len(event.audio) if isinstance(event, AudioArrived) else 0
        if len(self._waiting) >= MAX_WAITING_EVENTS or self._waiting_bytes + size > MAX_WAITING_BYTES:
            return False
        self._waiting_bytes += size
        return True

    def _drop_first(self) -> None:
        event = self._waiting.popleft()
        if isinstance(event, AudioArrived):
            self._waiting_bytes -= len(event.audio)

    def _clean_slice(self, audio: bytes) -> bool:
        """Clean the next of a long append; returns whether it was the last."""
        assert self._filter is not None
        assert self._wanted is not None
        end = self._read + SLICE_MS * self._wanted[1].bytes_per_ms
        self._cleaned += self._filter.clean(audio[self._read : end])
        self._read = end
        return end >= len(audio)

    def _pass(self, event: Event) -> Iterator[Event]:
        if self._filter is None:
            yield event
        elif isinstance(event, AudioArrived):
            fits = len(event.audio) <= MAX_APPEND_BYTES
            yield replace(event, audio=self._filter.clean(event.audio)) if fits else event
        else:
            if type(event) in _FLUSHED_BEFORE and (held := self._filter.flush()):
                yield AudioArrived(held)
            yield event


def _refused(event: Event) -> ClientErred:
    return ClientErred(
        "rate_limit_exceeded",
        "Noise reduction cannot keep up with what this client sends at once; send audio in smaller pieces, "
        "or set session.audio.input.noise_reduction to null.",
        "audio" if isinstance(event, AudioArrived) else None,
        "rate_limit_error",
        getattr(event, "event_id", None),
    )
