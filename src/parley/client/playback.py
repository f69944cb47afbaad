"""What the loudspeaker plays: a producer fills a few blocks from what the server sent, a consumer takes from them.

    push() -> backlog (24 kHz, per item) -> produce() -> blocks (the device's rate) -> take() -> loudspeaker

Laws:
- Pure: no clock, no lock, no thread. A caller with two threads holds a lock around each call (`talk/devices.py` does).
- Plays exactly what was pushed, in order, to the last sample, unless interrupted; the first block is made as soon as there is
  anything at all to play.
- After `interrupt()` nothing more is taken but a fade of `FADE_MS`; what each item's listener heard is known to the sample at
  that moment, the fade included. Audio that comes later for an interrupted item is dropped.
- Where audio is missing in the middle of an item that is an underrun: counted, faded out and in again, never repeated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from parley.audio.resampling import Int16Resampler
from parley.audio.types import Int16
from parley.errors import ParleyError

WIRE_RATE = 24_000

BLOCK_MS = 100
"""One block: what an interruption may cost at most, and large enough that a busy interpreter makes ten a second with ease."""

BLOCKS = 3
"""Blocks ahead of the device: 300 ms bridge a garbage collection or a slow screen."""

FADE_MS = 10
"""Long enough that a cut does not click, too short to be heard as speech."""

BACKLOG_S = 600
"""Audio that waits to be played: ten minutes, 29 MB. Servers send replies faster than they are spoken, but none so long."""

REMEMBERED_CUTS = 64
"""Interrupted items whose late audio is dropped: more than are ever under way."""


class BacklogFull(ParleyError):
    """The server sent more audio than is kept for playing."""


@dataclass(frozen=True, slots=True)
class PlayedSpan:
    """How much of an item was played when it was stopped: whole milliseconds, rounded down."""

    item_id: str
    content_index: int
    heard_ms: int
    received_ms: int


@dataclass(frozen=True, slots=True)
class PlaybackProgress:
    """The item that is being played and how much of it has gone to the device. `item_id` "": silence."""

    item_id: str
    played_ms: float


@dataclass(slots=True)
class _Sound:
    """One item's audio on its way. Positions in samples of the device's rate are `made` (in blocks) and `taken`."""

    item_id: str
    content_index: int
    resampler: Int16Resampler
    waiting: deque[Int16] = field(default_factory=deque)
    waiting_samples: int = 0
    received_samples: int = 0
    ended: bool = False
    flushed: bool = False
    made: int = 0
    taken: int = 0
    starved: bool = False

    @property
    def over(self) -> bool:
        """Everything was taken, and no more follows."""
        return self.ended and self.flushed and self.taken == self.made


@dataclass(slots=True)
class _Block:
    sound: _Sound
    audio: Int16


class ClientPlayback:
    """One loudspeaker's queue at `rate` Hz. `push` and `end` what the server sends, `produce` whenever something changed,
    `take` from the device's callback, `interrupt` when the user has the floor.

    `on_first(item_id, offset)` is called inside `take` when an item's first sample is taken, as the `offset`th of that call.
    """

    def __init__(
        self,
        rate: int,
        *,
        block_ms: int = BLOCK_MS,
        blocks: int = BLOCKS,
        on_first: Callable[[str, int], None] = lambda item_id, offset: None,
    ) -> None:
        if rate % 1000 or not 10 <= block_ms <= 500 or not 2 <= blocks <= 4:
            raise ValueError(f"cannot play {blocks} blocks of {block_ms} ms at {rate} Hz")
        self.rate = rate
        self._per_ms = rate // 1000
        self._fade = FADE_MS * self._per_ms
        self._block = block_ms * self._per_ms
        self._capacity = blocks * self._block
        self._on_first = on_first
        self._sounds: deque[_Sound] = deque()
        self._ready: deque[_Block] = deque()
        self._ready_samples = 0
        self._tail: Int16 = np.empty(0, dtype=np.int16)
        self._cut: deque[str] = deque(maxlen=REMEMBERED_CUTS)
        self._gap = False
        self.underruns = 0
        self.missing_samples = 0

    # --- the producer ----------------------------------------------------------------------------------------------------

    def push(self, item_id: str, content_index: int, audio: Int16) -> bool:
        """More of an item, int16 `[n]` at 24 kHz; False where the item was interrupted. Raises `BacklogFull`. Next: `produce()`."""
        if item_id in self._cut or not len(audio):
            return False
        sound = self._sounds[-1] if self._sounds else None
        if sound is None or sound.item_id != item_id:
            if sound is not None:
                sound.ended = True
            sound = _Sound(item_id, content_index, Int16Resampler(WIRE_RATE, self.rate, "HQ"))
            self._sounds.append(sound)
        if sum(each.waiting_samples for each in self._sounds) + len(audio) > BACKLOG_S * WIRE_RATE:
            raise BacklogFull(f"More than {BACKLOG_S // 60} minutes of audio wait to be played.")
        sound.waiting.append(audio)
        sound.waiting_samples += len(audio)
        sound.received_samples += len(audio)
        return True

    def end(self, item_id: str) -> None:
        """The item is complete. Next: `produce()`, for its last samples."""
        for sound in self._sounds:
            if sound.item_id == item_id:
                sound.ended = True

    def produce(self) -> None:
        """Fill the blocks from the backlog, until they are full or the backlog is empty."""
        for sound in self._sounds:
            while self._ready_samples < self._capacity:
                piece = self._next_piece(sound)
                if piece is None:
                    break
                if len(piece):
                    sound.made += len(piece)
                    self._ready.append(_Block(sound, piece))
                    self._ready_samples += len(piece)
            if not sound.flushed:
                return

    def _next_piece(self, sound: _Sound) -> Int16 | None:
        """At most a block at the device's rate; None if there is nothing now."""
        if sound.waiting:
            wanted = self._block * WIRE_RATE // self.rate
            parts: list[Int16] = []
            while sound.waiting and wanted > 0:
                part = sound.waiting.popleft()
                if len(part) > wanted:
                    sound.waiting.appendleft(part[wanted:])
                    part = part[:wanted]
                parts.append(part)
                wanted -= len(part)
                sound.waiting_samples -= len(part)
            return sound.resampler.push(np.concatenate(parts) if len(parts) > 1 else parts[0])
        if sound.ended and not sound.flushed:
            sound.flushed = True
            return sound.resampler.finish()
        return None

    # --- the consumer ----------------------------------------------------------------------------------------------------

    def take(self, count: int) -> Int16:
        """The next `count` samples for the device, int16 `[count]`; silence where there is nothing to play."""
        out = np.zeros(count, dtype=np.int16)
        at = start = min(count, len(self._tail))
        if at:
            out[:at], self._tail = self._tail[:at], self._tail[at:]
        runs_dry = self._runs_dry(count - at)
        while at < count and self._ready:
            at += self._take_block(out, at)
        if runs_dry and at > start:
            _fade_out(out[start:at][-self._fade :])
            self._gap = True
        self._drop_finished()
        if at < count:
            self._count_missing(count - at)
        return out

    def _runs_dry(self, wanted: int) -> bool:
        """Whether this is the last that can be faded out before the blocks are empty in the middle of an item."""
        if not self._ready or self._ready[-1].sound.flushed:
            return False
        return wanted > self._ready_samples - self._fade

    def _take_block(self, out: Int16, at: int) -> int:
        block = self._ready[0]
        sound = block.sound
        size = min(len(out) - at, len(block.audio))
        out[at : at + size] = block.audio[:size]
        if self._gap:
            _fade_in(out[at : at + size], self._fade)
            self._gap = False
        if sound.taken == 0:
            self._on_first(sound.item_id, at)
        sound.taken += size
        sound.starved = False
        self._ready_samples -= size
        if size == len(block.audio):
            self._ready.popleft()
        else:
            block.audio = block.audio[size:]
        self._drop_finished()
        return size

    def _drop_finished(self) -> None:
        while self._sounds and self._sounds[0].over:
            self._sounds.popleft()

    def _count_missing(self, samples: int) -> None:
        """The device wanted more than there was. Before an item's first sample that is silence, within it an underrun."""
        sound = self._sounds[0] if self._sounds else None
        if sound is None or sound.taken == 0:
            return
        self.missing_samples += samples
        if not sound.starved:
            sound.starved = True
            self.underruns += 1

    # --- what was heard --------------------------------------------------------------------------------------------------

    @property
    def audible(self) -> bool:
        """Something is being played or waits to be."""
        return bool(self._ready) or any(not sound.over for sound in self._sounds)

    @property
    def wants_more(self) -> bool:
        """Whether `produce()` would do something: the blocks are not full and the backlog is not empty."""
        return self._ready_samples < self._capacity and any(
            sound.waiting or (sound.ended and not sound.flushed) for sound in self._sounds
        )

    def progress(self) -> PlaybackProgress:
        """What is being played."""
        for sound in self._sounds:
            if sound.taken:
                return PlaybackProgress(sound.item_id, sound.taken / self._per_ms)
        return PlaybackProgress("", 0.0)

    def interrupt(self) -> list[PlayedSpan]:
        """Fade out and drop everything. Returns, for each item not played to its end, how much of it was heard, the fade included."""
        tail = self._take_fade()
        heard = [
            PlayedSpan(
                sound.item_id,
                sound.content_index,
                min(sound.taken // self._per_ms, sound.received_samples * 1000 // WIRE_RATE),
                sound.received_samples * 1000 // WIRE_RATE,
            )
            for sound in self._sounds
            if not sound.over
        ]
        for sound in self._sounds:
            self._cut.append(sound.item_id)
        self._sounds.clear()
        self._ready.clear()
        self._ready_samples = 0
        self._gap = False
        self._tail = tail
        return heard

    def forget(self, item_id: str) -> None:
        """Drop the further audio of an item that has not begun to play."""
        self._cut.append(item_id)

    def _take_fade(self) -> Int16:
        if not self._ready or self._ready[0].sound.taken == 0:
            return self._tail
        tail = self.take(min(self._fade, self._ready_samples))
        _fade_out(tail)
        return tail


def _fade_out(audio: Int16) -> None:
    audio[:] = (audio * np.linspace(1.0, 0.0, len(audio))).astype(np.int16)


def _fade_in(audio: Int16, samples: int) -> None:
    part = audio[:samples]
    part[:] = (part * np.linspace(0.0, 1.0, len(part))).astype(np.int16)
