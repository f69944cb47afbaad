"""A microphone and a loudspeaker, side by side, for sound that goes straight from one to the other.

Laws:
- Each device is opened at its own rate: a Bluetooth headset at 48 kHz crackles. Both callbacks get mono float32.
- The devices' threads call `on_recorded` and `play` directly, each device its own thread; both must return within a piece of audio.
- A device that vanishes is noticed by its callbacks, which come no more: PortAudio reports nothing.
Does not know: what happens to the sound in between.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from parley.audio import pcm
from parley.audio.types import Samples
from parley.talk.devices import (
    RATE,
    Device,
    DevicesUnavailable,
    Direction,
    find_device,
    list_devices,
    sounddevice_library,
)
from parley.talk.streams import end_streams

VANISHED_S: Final = 1.0
"""A device whose callback has not come for so long has vanished."""

STARTING_S: Final = 5.0
"""So long the first callback may take: a Bluetooth headset changes its profile first."""

_AVERAGED: Final = 0.02
"""The share of one callback in the mean delay of a device."""


@dataclass(frozen=True, slots=True)
class OpenDevice:
    """A device that is open: its name, its rate in Hz, and the delay that PortAudio states for it."""

    name: str
    rate: int
    latency_ms: float


class DevicePair:
    """`open()`, then `start()` with two callbacks, which come until `close()`; ask `vanished()` now and then.

    An exception of a callback is kept in `failure`, and silence is played from then on.
    """

    def __init__(self) -> None:
        self._on_recorded: Callable[[Samples, float], None] = _ignore
        self._play: Callable[[int, float], Samples] = _silence
        self._changing = threading.Lock()
        self._streams: dict[Direction, Any] = {}
        self._last_s: dict[Direction, float] = {}
        self._delay_ms: dict[Direction, float] = {}
        self._ended: set[Direction] = set()
        self._closing = True
        self.input: OpenDevice | None = None
        self.output: OpenDevice | None = None
        self.failure: Exception | None = None
        self.device_gaps = 0
        """How often PortAudio reported that a device's own buffer overflowed or ran dry."""

    def open(
        self,
        wanted_input: str,
        wanted_output: str | None,
        *,
        rates: tuple[int | None, int | None] = (None, None),
        piece_ms: float,
        latency_ms: float,
        refresh: bool = False,
    ) -> None:
        """Open the devices (see `find_device`; no output: None); blocks for tenths of a second. `rates` are theirs in Hz (None: as
        PortAudio states them), `piece_ms` is the audio of a callback, `latency_ms` what is asked of the devices' own buffers; `refresh`
        looks for new devices first, which ends the streams of every other pair. Raises `DevicesUnavailable`."""
        with self._changing:
            self._release()
            devices = list_devices(again=refresh)
            microphone = _at_rate(find_device(devices, wanted_input, "input"), rates[0])
            loudspeaker = None if wanted_output is None else find_device(devices, wanted_output, "output")
            loudspeaker = None if loudspeaker is None else _at_rate(loudspeaker, rates[1])
            self._open(microphone, loudspeaker, piece_ms, latency_ms)

    def _open(self, microphone: Device, loudspeaker: Device | None, piece_ms: float, latency_ms: float) -> None:
        sd = sounddevice_library()
        self.failure, self._ended = None, set()
        self.input = self.output = None
        asked = (piece_ms, latency_ms)
        try:
            # The loudspeaker first: what is recorded is then waited for.
            if loudspeaker is not None:
                self.output = self._opened(sd, sd.RawOutputStream, loudspeaker, "output", self._wanted, *asked)
            self.input = self._opened(sd, sd.RawInputStream, microphone, "input", self._recorded, *asked)
        except (sd.PortAudioError, ValueError) as error:
            self._release()
            raise _refused(error) from error

    def start(self, on_recorded: Callable[[Samples, float], None], play: Callable[[int, float], Samples]) -> None:
        """Let the sound flow. `on_recorded(audio, at_s)` gets float32 `[n]` at `input.rate`, at that time of `time.monotonic()`;
        `play(count, at_s)` returns `count` samples at `output.rate`. Raises `DevicesUnavailable`."""
        sd = sounddevice_library()
        self._on_recorded, self._play = on_recorded, play
        with self._changing:
            self._closing = False
            try:
                for direction, stream in self._streams.items():
                    self._last_s[direction] = time.monotonic() + STARTING_S - VANISHED_S
                    stream.start()
            except sd.PortAudioError as error:
                self._release()
                raise _refused(error) from error

    def _opened(
        self,
        sd: Any,
        make: Any,
        device: Device,
        direction: Direction,
        callback: Any,
        piece_ms: float,
        latency_ms: float,
    ) -> OpenDevice:
        """The stream at the device's own rate, with one channel, or with two where the device insists."""
        channels = device.inputs if direction == "input" else device.outputs
        tries = [(rate, count) for rate in dict.fromkeys((device.rate, RATE)) for count in (1, 2) if count <= channels]
        for rate, count in tries:
            try:
                stream = make(
                    device=device.index,
                    samplerate=rate,
                    channels=count,
                    blocksize=round(rate * piece_ms / 1000),
                    dtype="int16",
                    latency=latency_ms / 1000,
                    callback=callback,
                    finished_callback=lambda: self._ended.add(direction),
                )
            except sd.PortAudioError:
                if (rate, count) == tries[-1]:
                    raise
                continue
            self._streams[direction] = stream
            stated = 1000 * float(stream.latency)
            self._delay_ms[direction] = stated
            return OpenDevice(device.name, rate, stated)
        raise DevicesUnavailable(f"{device.name} has no channel for {direction}.", "Choose another device.")

    def close(self) -> None:
        """Close the devices; what they hold is not played. Idempotent."""
        with self._changing:
            self._release()

    def _release(self) -> None:
        self._closing = True
        streams, self._streams = list(self._streams.values()), {}
        if streams:
            end_streams(sounddevice_library(), streams)

    def vanished(self, after_s: float = VANISHED_S) -> str | None:
        """The name of a device that has vanished: its callback has not come for `after_s`."""
        now_s = time.monotonic()
        devices: tuple[tuple[Direction, OpenDevice | None], ...] = (("input", self.input), ("output", self.output))
        for direction, device in devices:
            gone = direction in self._ended or self._last_s.get(direction, now_s) < now_s - after_s
            if device is not None and gone and not self._closing:
                return device.name
        return None

    @property
    def input_ms(self) -> float:
        """How old the newest sample is when its callback comes: as the device reports it, else as PortAudio states it."""
        return self._delay_ms.get("input", 0.0)

    @property
    def output_ms(self) -> float:
        """How long it takes until the first sample of a callback is played."""
        return self._delay_ms.get("output", 0.0)

    # --- the devices' threads ----------------------------------------------------------------------------------------------

    def _recorded(self, data: Any, frames: int, times: Any, status: Any) -> None:
        now_s = self._last_s["input"] = time.monotonic()
        self.device_gaps += bool(status.input_overflow)
        audio = np.frombuffer(data, dtype=np.int16)
        if len(audio) > frames:
            audio = np.ascontiguousarray(audio.reshape(frames, -1)[:, 0])
        assert self.input is not None
        since_s = times.currentTime - times.inputBufferAdcTime - frames / self.input.rate
        self._reported("input", 1000 * since_s)
        if self.failure is None:
            try:
                self._on_recorded(pcm.to_float(audio), now_s)
            except Exception as error:  # noqa: BLE001 - PortAudio's thread would print it and stop the stream
                self.failure = error

    def _wanted(self, out: Any, frames: int, times: Any, status: Any) -> None:
        now_s = self._last_s["output"] = time.monotonic()
        self.device_gaps += bool(status.output_underflow)
        self._reported("output", 1000 * (times.outputBufferDacTime - times.currentTime))
        audio = np.zeros(frames, np.int16)
        if self.failure is None:
            try:
                audio = pcm.to_int16(self._play(frames, now_s))
            except Exception as error:  # noqa: BLE001 - as above
                self.failure = error
        channels = len(out) // (2 * frames)
        out[:] = (audio if channels == 1 else np.repeat(audio, channels)).tobytes()

    def _reported(self, direction: Direction, delay_ms: float) -> None:
        """Some hosts give no times, or those of another clock."""
        if 0.0 < delay_ms < 1000.0:
            self._delay_ms[direction] += _AVERAGED * (delay_ms - self._delay_ms[direction])


def _at_rate(device: Device, rate: int | None) -> Device:
    return device if rate is None else replace(device, rate=rate)


def _ignore(audio: Samples, at_s: float) -> None:
    return None


def _silence(count: int, at_s: float) -> Samples:
    return np.zeros(count, np.float32)


def _refused(error: Exception) -> DevicesUnavailable:
    remedy = (
        "Is another program using it? `parley talk --devices` lists others, --input-device and --output-device choose."
    )
    return DevicesUnavailable(f"A sound device cannot be opened: {error}.", remedy)
