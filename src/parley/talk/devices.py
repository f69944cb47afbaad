"""Microphone and loudspeaker of this machine, through PortAudio (`sounddevice`).

Laws:
- Devices are opened at 48 kHz, mono, 16 bit; callers resample to other rates.
- The devices' threads only copy, and a thread of its own makes the blocks, so that a busy screen does not tear a reply. What was
  played and recorded is handed over on the event loop, in the order in which it happened, as `DeviceBlock`s.
- `sounddevice` is imported when devices are first asked for; without it, or without PortAudio, `DevicesUnavailable` says what to
  install.
- A device that vanishes sets `lost`; no callback waits for it.
Does not know: sessions, servers, what is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from parley.audio.types import Int16
from parley.client.playback import ClientPlayback, PlaybackProgress, PlayedSpan
from parley.errors import ParleyError
from parley.invocation import install
from parley.talk.alsa_messages import hush_alsa
from parley.talk.exposed_devices import NO_NAMES, ExposedNames, expose_names
from parley.talk.streams import end_streams, list_devices_again

RATE = 48_000
"""Every device and every sound server supports this rate; at 24 or 16 kHz virtual devices stutter."""

FRAMES = 480 * 2
"""20 ms a callback: a tenth of what the ear notices, fifty wake-ups a second."""

LATENCY_S = 0.04
"""Asked of PortAudio, which rounds it to what the device can do: two callbacks."""

STALL_S = 4.0
"""A device whose callback has not come for so long is gone, whatever PortAudio says."""

WAITING_SOUNDS = 500
"""Ten seconds that the event loop may be late; beyond that the oldest sound is lost, and counted."""

Direction = Literal["input", "output"]

NO_DEVICE = "none"
"""The name of a device that is left out."""

T = TypeVar("T")


class DevicesUnavailable(ParleyError):
    """A sound device cannot be found or opened."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device as PortAudio names it. `inputs` and `outputs` are channels, `rate` is its own in Hz. `aside`: not offered to a user who
    chooses."""

    index: int
    name: str
    host: str
    inputs: int
    outputs: int
    default_input: bool
    default_output: bool
    rate: int = RATE
    aside: bool = False


@dataclass(frozen=True, slots=True)
class DeviceBlock:
    """What a device did: audio int16 `[n]` at `RATE`, and when its last sample was recorded, or its first one is played."""

    kind: Literal["recorded", "played"]
    audio: Int16
    at_s: float


def list_devices(*, again: bool = False) -> list[Device]:
    """The devices of this machine, those of a sound server by name; `again`: as they are now, which ends every open stream. Raises
    `DevicesUnavailable`."""
    names = expose_names()
    sd = sounddevice_library()
    if again:
        list_devices_again(sd)
    return portaudio_devices(names)


def portaudio_devices(names: ExposedNames = NO_NAMES) -> list[Device]:
    """The devices that PortAudio lists. Raises `DevicesUnavailable`."""
    sd = sounddevice_library()
    try:
        hosts = sd.query_hostapis()
        default_input, default_output = sd.default.device
        found = [
            Device(
                index,
                str(device["name"]),
                str(hosts[device["hostapi"]]["name"]),
                int(device["max_input_channels"]),
                int(device["max_output_channels"]),
                index == default_input,
                index == default_output,
                names.own_rate(str(device["name"]), float(device["default_samplerate"])),
                names.is_aside(str(device["name"])),
            )
            for index, device in enumerate(sd.query_devices())
        ]
    except sd.PortAudioError as error:
        raise DevicesUnavailable(f"PortAudio cannot list the sound devices: {error}.", "Is sound set up?") from error
    return found


def find_device(devices: Sequence[Device], wanted: str, direction: Direction) -> Device:
    """The device of that index or name (any part of it, in any case). "" is the default. Raises `DevicesUnavailable`."""
    able = [device for device in devices if (device.inputs if direction == "input" else device.outputs)]
    if not wanted:
        for device in able:
            if device.default_input if direction == "input" else device.default_output:
                return device
        if able:
            return able[0]
        what = "microphone" if direction == "input" else "loudspeaker"
        raise DevicesUnavailable(f"This machine has no {what}.", "Connect one; `parley talk --devices` lists them.")
    if wanted.isdecimal():
        for device in able:
            if device.index == int(wanted):
                return device
    named = [device for device in able if wanted.casefold() in device.name.casefold()]
    exact = [device for device in named if device.name.casefold() == wanted.casefold()]
    if exact or named:
        return (exact or named)[0]
    offered = [device for device in able if not device.aside] or able
    names = ", ".join(f"{device.index} {device.name!r}" for device in offered) or "none"
    raise DevicesUnavailable(
        f"There is no {direction} device {wanted!r}; there are: {names}.", f"Choose with --{direction}-device."
    )


class DeviceAudio:
    """The two devices and the playback between them and the rest. On one event loop: `open()`, then `push`, `end`, `interrupt`, while
    `on_sound` is called for what the devices do; `lost` is set when one has vanished; `close()` at the end. Either device may be left out.

    `on_first(item_id, at_s)`: an item's first sample leaves the loudspeaker at that time of `time.monotonic()`.
    """

    def __init__(self, on_sound: Callable[[DeviceBlock], None], on_first: Callable[[str, float], None]) -> None:
        self._on_sound = on_sound
        self._on_first = on_first
        self._playback = ClientPlayback(RATE, on_first=self._first_taken)
        self._lock = threading.Lock()
        self._room = threading.Event()
        self._producer: threading.Thread | None = None
        self._sounds: deque[DeviceBlock] = deque(maxlen=WAITING_SOUNDS)
        self._firsts: deque[tuple[str, float]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams: list[Any] = []
        self._played_at_s = 0.0
        self._last_s: dict[Direction, float] = {}
        self._closing = False
        self.lost = asyncio.Event()
        self.names = (NO_DEVICE, NO_DEVICE)
        self.device_underruns = 0
        self.sounds_lost = 0

    # --- opening and closing ---------------------------------------------------------------------------------------------

    async def open(self, wanted_input: str | None, wanted_output: str | None, *, refresh: bool = False) -> None:
        """Open the devices (see `find_device`; None: leave it out); `refresh` looks for new ones first. Raises `DevicesUnavailable`."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._open, wanted_input, wanted_output, refresh)
        self.lost.clear()

    def _open(self, wanted_input: str | None, wanted_output: str | None, refresh: bool) -> None:
        self._close()
        self.names = (NO_DEVICE, NO_DEVICE)
        if wanted_input is None and wanted_output is None:
            return
        sd = sounddevice_library()
        devices = list_devices(again=refresh)
        microphone = None if wanted_input is None else find_device(devices, wanted_input, "input")
        loudspeaker = None if wanted_output is None else find_device(devices, wanted_output, "output")
        self._closing = False
        self._producer = threading.Thread(target=self._produce, name="playback", daemon=True)
        self._producer.start()
        now_s = time.monotonic()
        self._last_s = {}
        common = {
            "samplerate": RATE,
            "blocksize": FRAMES,
            "dtype": "int16",
            "latency": LATENCY_S,
            "finished_callback": self._finished,
        }
        streams: tuple[tuple[Direction, Any, Device | None, Any], ...] = (
            ("output", sd.RawOutputStream, loudspeaker, self._play),
            ("input", sd.RawInputStream, microphone, self._record),
        )
        try:
            for direction, make, device, callback in streams:
                if device is None:
                    continue
                self._last_s[direction] = now_s
                stream = _opened(sd, make, device, callback, common)
                self._streams.append(stream)
                stream.start()
        except (sd.PortAudioError, ValueError) as error:
            self._close()
            remedy = "Is another program using it? `parley talk --devices` lists others, --input-device and --output-device choose."
            raise DevicesUnavailable(f"A sound device cannot be opened at 48 kHz: {error}.", remedy) from error
        self.names = (_name(microphone), _name(loudspeaker))

    async def close(self) -> None:
        """Close the devices; playing stops."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._closing = True
        streams, self._streams = self._streams, []
        if streams:
            end_streams(sounddevice_library(), streams)
        if self._producer is not None:
            self._room.set()
            self._producer.join()
            self._producer = None

    def check(self) -> None:
        """Set `lost` if a device has fallen silent. Call this regularly."""
        if self._streams and not self._closing and min(self._last_s.values()) < time.monotonic() - STALL_S:
            self.lost.set()

    # --- playing ---------------------------------------------------------------------------------------------------------

    def push(self, item_id: str, content_index: int, audio: Int16) -> bool:
        """More of an item (24 kHz); False where it was interrupted. Raises `BacklogFull`."""
        with self._lock:
            taken = self._playback.push(item_id, content_index, audio)
            self._playback.produce()
        return taken

    def end(self, item_id: str) -> None:
        """No more comes for the item."""
        with self._lock:
            self._playback.end(item_id)
            self._playback.produce()

    def interrupt(self) -> list[PlayedSpan]:
        """Silence within one block; returns what was heard of what was playing."""
        with self._lock:
            return self._playback.interrupt()

    @property
    def audible(self) -> bool:
        with self._lock:
            return self._playback.audible

    @property
    def underruns(self) -> int:
        """Gaps within replies: the server's audio came too late, or the device's own buffer ran dry."""
        return self._playback.underruns + self.device_underruns

    def progress(self) -> PlaybackProgress:
        with self._lock:
            return self._playback.progress()

    def _produce(self) -> None:
        """The producer's thread: blocks are made however busy the event loop is."""
        while not self._closing:
            self._room.wait()
            self._room.clear()
            with self._lock:
                if self._playback.wants_more:
                    self._playback.produce()

    # --- the devices' threads --------------------------------------------------------------------------------------------

    def _play(self, out: Any, frames: int, times: Any, status: Any) -> None:
        now_s = time.monotonic()
        self._last_s["output"] = now_s
        at_s = now_s + _sane(times.outputBufferDacTime - times.currentTime)
        with self._lock:
            self._played_at_s = at_s
            audio = self._playback.take(frames)
            if status.output_underflow and self._playback.audible:
                self.device_underruns += 1
            if self._playback.wants_more:
                self._room.set()
        channels = len(out) // (2 * frames)
        out[:] = (audio if channels == 1 else np.repeat(audio, channels)).tobytes()
        self._hand_over(DeviceBlock("played", audio, at_s))

    def _record(self, data: Any, frames: int, times: Any, status: Any) -> None:
        now_s = time.monotonic()
        self._last_s["input"] = now_s
        audio = np.frombuffer(data, dtype=np.int16)
        if len(audio) > frames:
            audio = np.ascontiguousarray(audio.reshape(frames, -1)[:, 0])
        began_s = now_s - _sane(times.currentTime - times.inputBufferAdcTime)
        self._hand_over(DeviceBlock("recorded", audio.copy(), min(now_s, began_s + frames / RATE)))

    def _first_taken(self, item_id: str, offset: int) -> None:
        self._firsts.append((item_id, self._played_at_s + offset / RATE))

    def _finished(self) -> None:
        if not self._closing:
            self._call(self.lost.set)

    def _hand_over(self, sound: DeviceBlock) -> None:
        if len(self._sounds) == WAITING_SOUNDS:
            self.sounds_lost += 1
        self._sounds.append(sound)
        self._call(self._drain)

    def _call(self, what: Callable[[], None]) -> None:
        # The loop may be gone when the last callback comes.
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(what)

    # --- back on the event loop ------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        for item_id, at_s in _taken(self._firsts):
            self._on_first(item_id, at_s)
        for sound in _taken(self._sounds):
            self._on_sound(sound)


def _name(device: Device | None) -> str:
    return NO_DEVICE if device is None else device.name


def _taken(waiting: deque[T]) -> Iterator[T]:
    while waiting:
        yield waiting.popleft()


def _opened(sd: Any, make: Any, device: Device, callback: Any, common: dict[str, Any]) -> Any:
    """The stream with one channel, or with two where the device insists."""
    try:
        return make(device=device.index, channels=1, callback=callback, **common)
    except sd.PortAudioError:
        if (device.outputs if make is sd.RawOutputStream else device.inputs) < 2:
            raise
        return make(device=device.index, channels=2, callback=callback, **common)


def _sane(latency_s: float) -> float:
    """Some hosts give no times, or those of another clock."""
    return latency_s if 0.0 <= latency_s < 1.0 else 0.0


def sounddevice_library() -> Any:
    """The library, imported now. Raises `DevicesUnavailable`."""
    hush_alsa()
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise DevicesUnavailable(
            "The package sounddevice, which reaches microphone and loudspeaker, is not installed.",
            f"Install it: {install('talk')}",
        ) from error
    except OSError as error:
        how = {
            "linux": "Install it with: apt-get install libportaudio2 (Fedora: dnf install portaudio)",
            "darwin": "Install it with: brew install portaudio",
        }.get(sys.platform, "Reinstall sounddevice, whose wheel carries it: pip install --force-reinstall sounddevice")
        raise DevicesUnavailable("The PortAudio library is not installed.", how) from error
    return sounddevice
