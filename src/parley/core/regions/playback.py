"""What the listener has heard: the queue of audio, and how much of it is still unheard.

Laws: heard <= played <= sent; samples of 24 kHz. `RemotePlayback` is for links whose client holds the buffer
(WebSocket): everything is sent at once and assumed to play in real time from then on, without a pause.
`PacedPlayback` is for links where the server holds it (WebRTC, telephony): the shell reports what was played.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from parley.core.words.effects import Effect, Play, StopPlayback, Tell
from parley.core.words.ids import ItemId, ResponseId
from parley.core.words.limits import MAX_RETRIEVED_AUDIO_BYTES, MAX_RETRIEVED_CALL_AUDIO_BYTES, SAMPLES_PER_MS
from parley.core.words.notices import (
    ItemTruncated,
    Notice,
    OutputBufferCleared,
    OutputBufferStarted,
    OutputBufferStopped,
)
from parley.core.words.settings import AudioFormat


@dataclass(slots=True)
class Sound:
    """A run of one item's audio in the queue, which begins at sample `start` of the item. `elapsed_ms` as in `PartAt`."""

    item: ItemId
    response: ResponseId
    start: int
    samples: int
    elapsed_ms: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """How much of an item was heard when it was stopped."""

    item: ItemId
    samples: int


def _nanoseconds(samples: int) -> int:
    return samples * 1_000_000 // 24


class Playback(ABC):
    """What both kinds share: the order of the sounds, and how the unheard tail lies over them."""

    holds_buffer: ClassVar[bool]
    """Whether the server holds the buffer of audio, and a client may ask to clear it."""

    retrieved_bytes: ClassVar[int]
    """Audio of an item that one event may hold for the clients of such links."""

    def __init__(self) -> None:
        self._sounds: list[Sound] = []
        self.sounding: dict[ResponseId, None] = {}
        """Responses whose sound has begun and has not been heard to its end, in order; they may be done already (draining)."""

    # --- what goes out -------------------------------------------------------------------------------------------------------

    def send(
        self, sound: Sound, audio: bytes, format: AudioFormat, deltas: Sequence[Notice], now: int, *, heard: bool = True
    ) -> list[Effect]:
        """More audio of a response goes to the listener, as `deltas` where the client plays it. `heard` False: the client has stopped
        this item, and plays no more of it."""
        effects: list[Effect] = []
        if heard:
            if sound.response not in self.sounding:
                self.sounding[sound.response] = None
                effects += self._started(sound.response)
            self.queue(sound.item, sound.response, sound.start, sound.samples, now, sound.elapsed_ms)
        return effects + self._delivered(sound, audio, format, deltas, heard=heard)

    def drain(self, making: ResponseId | None, now: int) -> tuple[bool, list[Notice]]:
        """Let go of the responses that are done and have been heard to their end; `making` is still being generated. Returns whether
        there were any, and the notices of their end."""
        over = [one for one in self.sounding if one != making and not self.plays(one, now)] if self.sounding else []
        for response in over:
            del self.sounding[response]
        return bool(over), [notice for response in over for notice in self._ended(response)]

    def silence(self, now: int) -> tuple[list[Heard], list[Effect]]:
        """Silence the listener. Returns how much was heard of each item that was not heard out; call `cleared` once it has been cut."""
        sounding = bool(self.sounding)
        return self.stop(now), self._stop_effects() if sounding else []

    def cleared(self, cuts: Sequence[Heard]) -> list[Notice]:
        """The notices that follow once the listener has been silenced and these items have been cut."""
        sounding = list(self.sounding)
        self.sounding.clear()
        return self._cleared(sounding, cuts)

    def end(self, now: int) -> list[Effect]:
        """The session is over."""
        effects = self._stop_effects() if self.audible(now) else []
        self.sounding.clear()
        return effects

    # --- what has been heard -------------------------------------------------------------------------------------------------

    def queue(
        self, item: ItemId, response: ResponseId, start: int, samples: int, now: int, elapsed_ms: int = 0
    ) -> None:
        """More audio of `item`, beginning at sample `start` of it, is on its way to the listener."""
        if not self._unheard(now):
            self._sounds.clear()
        self._extend(samples, now)
        last = self._sounds[-1] if self._sounds else None
        if last is not None and last.item == item and last.start + last.samples == start:
            last.samples += samples
        else:
            self._sounds.append(Sound(item, response, start, samples, elapsed_ms))

    def audible(self, now: int) -> bool:
        return self._unheard(now) > 0

    def unheard_ms(self, now: int) -> int:
        """Milliseconds of audio that are still to be heard."""
        return self._unheard(now) // SAMPLES_PER_MS

    def silent_at(self, now: int) -> int | None:
        """When (monotonic ns) all will have been heard if nothing more is queued; None: silent already, or it is not known."""
        return None

    def unheard(self, now: int) -> list[tuple[Sound, int]]:
        """The sounds not heard out yet, first to last, and how many of each one's samples are still to be heard."""
        left = self._unheard(now)
        rest: list[tuple[Sound, int]] = []
        for sound in reversed(self._sounds):
            if left <= 0:
                break
            rest.append((sound, min(left, sound.samples)))
            left -= sound.samples
        return rest[::-1]

    def plays(self, response: ResponseId, now: int) -> bool:
        """Whether anything of this response is still to be heard."""
        return any(sound.response == response for sound, _ in self.unheard(now))

    def heard(self, now: int) -> list[Heard]:
        """Of each item that was not heard out yet, how much of it was."""
        cut: dict[ItemId, Heard] = {}
        for sound, left in self.unheard(now):
            cut.setdefault(sound.item, Heard(sound.item, sound.start + sound.samples - left))
        return list(cut.values())

    def stop(self, now: int) -> list[Heard]:
        """Silence: what was queued is cut. Returns how much was heard of each item that was not heard out."""
        cut = self.heard(now)
        self._sounds.clear()
        self._silence(now)
        return cut

    @abstractmethod
    def drop(self, item: ItemId, now: int) -> bool:
        """The client wants no more of this item's sound. Returns whether all output has to be silenced with it."""

    @abstractmethod
    def played(self, samples: int) -> None:
        """So many samples have gone out."""

    @abstractmethod
    def _unheard(self, now: int) -> int: ...

    @abstractmethod
    def _extend(self, samples: int, now: int) -> None: ...

    @abstractmethod
    def _silence(self, now: int) -> None: ...

    @abstractmethod
    def _started(self, response: ResponseId) -> list[Effect]: ...

    @abstractmethod
    def _delivered(
        self, sound: Sound, audio: bytes, format: AudioFormat, deltas: Sequence[Notice], *, heard: bool
    ) -> list[Effect]: ...

    @abstractmethod
    def _ended(self, response: ResponseId) -> list[Notice]: ...

    @abstractmethod
    def _stop_effects(self) -> list[Effect]: ...

    @abstractmethod
    def _cleared(self, sounding: Sequence[ResponseId], cuts: Sequence[Heard]) -> list[Notice]: ...


class RemotePlayback(Playback):
    """The client plays: estimated from what was sent and when."""

    holds_buffer = False
    retrieved_bytes = MAX_RETRIEVED_AUDIO_BYTES

    def __init__(self) -> None:
        super().__init__()
        self._ends = 0

    def drop(self, item: ItemId, now: int) -> bool:
        """What was queued behind the item plays on."""
        kept = [(sound, left) for sound, left in self.unheard(now) if sound.item != item]
        self._sounds = [sound for sound, _ in kept]
        self._silence(now)
        self._extend(sum(left for _, left in kept), now)
        return False

    def silent_at(self, now: int) -> int | None:
        return self._ends if self._ends > now else None

    def played(self, samples: int) -> None:
        """Such a link does not report it."""

    def _unheard(self, now: int) -> int:
        return max(0, -(-(self._ends - now) * 24 // 1_000_000))

    def _extend(self, samples: int, now: int) -> None:
        self._ends = max(self._ends, now) + _nanoseconds(samples)

    def _silence(self, now: int) -> None:
        self._ends = now

    def _started(self, response: ResponseId) -> list[Effect]:
        return []

    def _delivered(
        self, sound: Sound, audio: bytes, format: AudioFormat, deltas: Sequence[Notice], *, heard: bool
    ) -> list[Effect]:
        return list(map(Tell, deltas))

    def _ended(self, response: ResponseId) -> list[Notice]:
        return []

    def _stop_effects(self) -> list[Effect]:
        return []

    def _cleared(self, sounding: Sequence[ResponseId], cuts: Sequence[Heard]) -> list[Notice]:
        return []  # the client knows what it has played


class PacedPlayback(Playback):
    """The server plays: `played` reports what went out."""

    holds_buffer = True
    retrieved_bytes = MAX_RETRIEVED_CALL_AUDIO_BYTES

    def __init__(self) -> None:
        super().__init__()
        self._left = 0

    def played(self, samples: int) -> None:
        self._left = max(0, self._left - samples)

    def _unheard(self, now: int) -> int:
        return self._left

    def _extend(self, samples: int, now: int) -> None:
        self._left += samples

    def _silence(self, now: int) -> None:
        self._left = 0

    def drop(self, item: ItemId, now: int) -> bool:
        return any(sound.item == item for sound, _ in self.unheard(now))

    def _started(self, response: ResponseId) -> list[Effect]:
        return [Tell(OutputBufferStarted(response))]

    def _delivered(
        self, sound: Sound, audio: bytes, format: AudioFormat, deltas: Sequence[Notice], *, heard: bool
    ) -> list[Effect]:
        return [Play(sound.response, audio, format, sound.elapsed_ms)] if heard else []

    def _ended(self, response: ResponseId) -> list[Notice]:
        return [OutputBufferStopped(response)]

    def _stop_effects(self) -> list[Effect]:
        return [StopPlayback()]

    def _cleared(self, sounding: Sequence[ResponseId], cuts: Sequence[Heard]) -> list[Notice]:
        return [
            *map(OutputBufferCleared, sounding),
            *(ItemTruncated(cut.item, 0, cut.samples // SAMPLES_PER_MS) for cut in cuts),
        ]
