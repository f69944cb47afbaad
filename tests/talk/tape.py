"""Devices for a conversation without any: a clock of 20 ms that takes from the playback what a loudspeaker would, and says into the
microphone what the test put there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from parley.client.playback import ClientPlayback, PlayedSpan
from parley.talk.devices import FRAMES, RATE, DeviceBlock


class TapeDevices:
    """Meets `parley.talk.conversation.Devices`. `speak()` says something; `played` is all that came out."""

    def __init__(self, on_sound: Callable[[DeviceBlock], None], on_first: Callable[[str, float], None]) -> None:
        self.names = ("tape in", "tape out")
        self.lost = asyncio.Event()
        self.opened: list[bool] = []
        self.played: list[NDArray[np.int16]] = []
        self._on_sound = on_sound
        self._playback = ClientPlayback(RATE, on_first=lambda item_id, offset: on_first(item_id, time.monotonic()))
        self._speech: NDArray[np.int16] = np.empty(0, dtype=np.int16)
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    async def open(self, wanted_input: str | None, wanted_output: str | None, *, refresh: bool = False) -> None:
        self.opened.append(refresh)
        self.lost.clear()
        if self._timer is None:
            self._due = asyncio.get_running_loop().time()
            self._turn()

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def speak(self, seconds: float) -> None:
        """A loud tone, and the silence after it, into the microphone."""
        at = np.arange(round(seconds * RATE))
        self._speech = (15_000 * np.sin(2 * np.pi * 300 * at / RATE)).astype(np.int16)

    @property
    def speaking(self) -> bool:
        return len(self._speech) > 0

    def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        self._due += FRAMES / RATE
        self._timer = loop.call_at(self._due, self._turn)
        now_s = time.monotonic()
        audio = self._playback.take(FRAMES)
        self._playback.produce()
        self.played.append(audio)
        self._on_sound(DeviceBlock("played", audio, now_s))
        said = np.zeros(FRAMES, dtype=np.int16)
        part, self._speech = self._speech[:FRAMES], self._speech[FRAMES:]
        said[: len(part)] = part
        self._on_sound(DeviceBlock("recorded", said, now_s))

    def check(self) -> None:
        """A tape does not vanish by itself."""

    def push(self, item_id: str, content_index: int, audio: NDArray[np.int16]) -> bool:
        taken = self._playback.push(item_id, content_index, audio)
        self._playback.produce()
        return taken

    def end(self, item_id: str) -> None:
        self._playback.end(item_id)
        self._playback.produce()

    def interrupt(self) -> list[PlayedSpan]:
        return self._playback.interrupt()

    @property
    def audible(self) -> bool:
        return self._playback.audible

    @property
    def underruns(self) -> int:
        return self._playback.underruns
