"""What the listener has heard: a queue of sound, and how much of it is still unheard.

Laws: heard <= played <= sent; samples of 24 kHz. `RemotePlayback` is for links whose client holds the buffer
(WebSocket): everything is sent at once and taken to play in real time from then on, without a pause.
`PacedPlayback` is for links where the server holds it (WebRTC, telephony): it is told what went out. The two differ
only in `_unheard`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from parley.core.words.ids import ItemId, ResponseId


@dataclass(slots=True)
class Sound:
    """A run of one item's audio in the queue, which begins at sample `start` of the item."""

    item: ItemId
    response: ResponseId
    start: int
    samples: int


@dataclass(frozen=True, slots=True)
class Heard:
    """How much of an item was heard when it was stopped."""

    item: ItemId
    samples: int


def _nanoseconds(samples: int) -> int:
    return samples * 1_000_000 // 24


class Playback(ABC):
    """What both kinds share: the order of the sounds, and how the unheard tail lies over them."""

    def __init__(self) -> None:
        self._sounds: list[Sound] = []

    def queue(self, item: ItemId, response: ResponseId, start: int, samples: int, now: int) -> None:
        """More audio of `item`, beginning at sample `start` of it, is on its way to the listener."""
        if not self._unheard(now):
            self._sounds.clear()
        self._extend(samples, now)
        last = self._sounds[-1] if self._sounds else None
        if last is not None and last.item == item and last.start + last.samples == start:
            last.samples += samples
        else:
            self._sounds.append(Sound(item, response, start, samples))

    def audible(self, now: int) -> bool:
        return self._unheard(now) > 0

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
        """Silence: what was queued is cut. Tells of each item that was not heard out how much of it was."""
        cut = self.heard(now)
        self._sounds.clear()
        self._silence(now)
        return cut

    def drop(self, item: ItemId, now: int) -> None:
        """The listener's side has stopped playing `item` by itself; what was queued behind it plays on."""
        kept = [(sound, left) for sound, left in self.unheard(now) if sound.item != item]
        self._sounds = [sound for sound, _ in kept]
        self._silence(now)
        self._extend(sum(left for _, left in kept), now)

    @abstractmethod
    def played(self, samples: int) -> None:
        """So many samples have gone out."""

    @abstractmethod
    def _unheard(self, now: int) -> int: ...

    @abstractmethod
    def _extend(self, samples: int, now: int) -> None: ...

    @abstractmethod
    def _silence(self, now: int) -> None: ...


class RemotePlayback(Playback):
    """The client plays: reckoned from what was sent and when."""

    def __init__(self) -> None:
        super().__init__()
        self._ends = 0

    def silent_at(self, now: int) -> int | None:
        return self._ends if self._ends > now else None

    def played(self, samples: int) -> None:
        """Nobody reports it on such a link."""

    def _unheard(self, now: int) -> int:
        return max(0, -(-(self._ends - now) * 24 // 1_000_000))

    def _extend(self, samples: int, now: int) -> None:
        self._ends = max(self._ends, now) + _nanoseconds(samples)

    def _silence(self, now: int) -> None:
        self._ends = now


class PacedPlayback(Playback):
    """The server plays: told what went out."""

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
