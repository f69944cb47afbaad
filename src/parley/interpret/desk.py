"""The devices of a call: a pair for each direction, opened by name, watched, and opened again when they return.

Laws:
- The types keep the directions apart: a forward pair plays to a cable alone, a reverse pair to headphones alone.
- A device that vanishes ends nothing: its direction has no sound until it is back; the other direction goes on.
- PortAudio's list of devices is made when it starts. It is started again, which stops all sound for a moment, only when another process has
  seen the device that its list lacks.
Does not know: links, what is said.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from parley.interpret.device_names import DeviceNames, NamedDevice, Use
from parley.interpret.direction import CallDirection
from parley.interpret.sound import PIECE_MS
from parley.interpret.updates import NoteLevel
from parley.talk.device_pair import DevicePair
from parley.talk.devices import Device, DevicesUnavailable, find_device, portaudio_devices

DEVICE_MS: Final = 20.0
"""Asked of PortAudio for each device, which rounds it to what the device can do."""

LOOK_S: Final = 0.02
"""The sound server moves the sound of a device that is gone to another one, where it is heard until this is noticed."""

REPORT_S: Final = 0.3
"""The sound server's report of a device that vanished may come so much later than the end of its stream."""

AGAIN_S: Final = 1.0
"""A device that has vanished is looked for so often."""

LISTING_S: Final = 15.0
"""How long another process may take to list the devices."""

OTHER_DEVICES: Final = "Is another program using it? --microphone, --headphones, --to-call and --from-call name others."

_LIST: Final = (
    "import msgspec, sys; from parley.talk.devices import portaudio_devices; "
    "sys.stdout.buffer.write(msgspec.json.encode(portaudio_devices()))"
)


@dataclass(frozen=True, slots=True)
class MicrophoneInput:
    """The user's microphone, by name or part of it; "": the default one."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class CableInput:
    """What the call plays: the cable that the call has as its loudspeaker."""

    name: str


@dataclass(frozen=True, slots=True)
class CableOutput:
    """What the call hears: the cable that the call has as its microphone."""

    name: str


@dataclass(frozen=True, slots=True)
class HeadphonesOutput:
    """What the user hears. None: captions only."""

    name: str | None = ""


@dataclass(frozen=True, slots=True)
class ForwardDevices:
    """From the user to the call."""

    input: MicrophoneInput
    output: CableOutput


@dataclass(frozen=True, slots=True)
class ReverseDevices:
    """From the call to the user. Without a cable the input is a microphone in the same room."""

    input: CableInput | MicrophoneInput
    output: HeadphonesOutput


@dataclass(frozen=True, slots=True)
class _Resolved:
    """The devices of a pair; no output: None."""

    input: NamedDevice
    output: NamedDevice | None


class SoundDesk:
    """Opens and keeps the devices of all directions. `keep()` once for each direction, until it is cancelled."""

    def __init__(self, names: DeviceNames) -> None:
        self._names = names
        self._lock = asyncio.Lock()
        self._pairs: dict[str, DevicePair] = {}
        self._restarted: set[str] = set()

    async def keep(
        self,
        direction: CallDirection,
        devices: ForwardDevices | ReverseDevices,
        note: Callable[[NoteLevel, str], None],
    ) -> None:
        """Let the sound of a direction flow for as long as its devices are there, and again when they are back."""
        pair = self._pairs[direction.name] = DevicePair()
        told = ""
        made: dict[str, str] = {}
        try:
            while True:
                try:
                    resolved = await self._open(direction, pair, devices)
                except DevicesUnavailable as error:
                    if error.message != told:
                        told = error.message
                        note("error", f"{error.message} {error.remedy}".strip())
                    await asyncio.sleep(AGAIN_S)
                    continue
                note("note", f"{'again ' if told else ''}{_flow(direction.devices)}")
                for cable in _made_again(resolved, made):
                    note(
                        "warning", f"The cable {cable} was made again: choose it again in the call, which has lost it."
                    )
                told = await self._until_gone(direction.name, pair, resolved)
                direction.device_names = None
                await asyncio.to_thread(pair.close)
                note("warning", told)
        finally:
            direction.device_names = None
            # It waits for a device that is still being opened.
            await asyncio.shield(asyncio.to_thread(pair.close))

    async def _open(
        self, direction: CallDirection, pair: DevicePair, devices: ForwardDevices | ReverseDevices
    ) -> _Resolved:
        async with self._lock:
            self._restarted.discard(direction.name)
            resolved = await asyncio.to_thread(self._resolved, devices)
            try:
                await asyncio.to_thread(_opened, direction, pair, resolved, False)
            except DevicesUnavailable as error:
                known = self._names.opened_by_name and await asyncio.to_thread(_listed, resolved)
                if known or not await self._seen_elsewhere(resolved):
                    raise DevicesUnavailable(error.message, OTHER_DEVICES) from error
                await self._restart_others(direction.name)
                await asyncio.to_thread(_opened, direction, pair, resolved, True)
            return resolved

    def _resolved(self, devices: ForwardDevices | ReverseDevices) -> _Resolved:
        source = self._names.resolve(
            devices.input.name, "from call" if isinstance(devices.input, CableInput) else "microphone"
        )
        if devices.output.name is None:
            return _Resolved(source, None)
        use: Use = "to call" if isinstance(devices.output, CableOutput) else "headphones"
        return _Resolved(source, self._names.resolve(devices.output.name, use))

    async def _seen_elsewhere(self, devices: _Resolved) -> bool:
        """Whether another process, whose PortAudio is fresh, finds both devices."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _LIST, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(LISTING_S):
                out, _ = await process.communicate()
            found = msgspec.json.decode(out, type=list[Device])
        except (TimeoutError, msgspec.DecodeError):
            return False
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return _among(found, devices)

    async def _restart_others(self, name: str) -> None:
        for other, pair in self._pairs.items():
            if other != name:
                self._restarted.add(other)
                await asyncio.to_thread(pair.close)

    async def _until_gone(self, name: str, pair: DevicePair, resolved: _Resolved) -> str:
        """Returns what happened to the devices."""
        while True:
            await asyncio.sleep(LOOK_S)
            if name in self._restarted:
                return "The list of sound devices was read again."
            if pair.failure is not None:
                raise pair.failure
            if (what := self._reported(resolved)) is not None:
                return what
            if (gone := pair.vanished(self._names.silence_s)) is not None:
                # The sound server's own report says more, and may come a moment later.
                await asyncio.sleep(REPORT_S)
                return self._reported(resolved) or f"The sound device {gone} has vanished; waiting for it."

    def _reported(self, devices: _Resolved) -> str | None:
        """What the sound server reported of them."""
        for device in (devices.input, devices.output):
            if device is not None and (what := self._names.trouble(device)) is not None:
                return what
        return None


def _listed(devices: _Resolved) -> bool:
    """Whether this process's PortAudio knows the devices. Blocks."""
    return _among(portaudio_devices(), devices)


def _among(found: Sequence[Device], devices: _Resolved) -> bool:
    try:
        find_device(found, devices.input.name, "input")
        if devices.output is not None:
            find_device(found, devices.output.name, "output")
    except DevicesUnavailable:
        return False
    return True


def _opened(direction: CallDirection, pair: DevicePair, devices: _Resolved, refresh: bool) -> None:
    """Let the sound flow between the devices. Blocks."""
    output = devices.output
    pair.open(
        devices.input.name,
        None if output is None else output.name,
        rates=(devices.input.rate, None if output is None else output.rate),
        piece_ms=PIECE_MS,
        latency_ms=DEVICE_MS,
        refresh=refresh,
    )
    assert pair.input is not None
    direction.sound.connect(pair.input.rate, None if pair.output is None else pair.output.rate)
    pair.start(direction.sound.record, direction.sound.play)
    direction.device_names = (pair.input.name, "none" if pair.output is None else pair.output.name)


def _made_again(devices: _Resolved, made: dict[str, str]) -> list[str]:
    """The cables of ours that are others than before, as the call shows them; `made` remembers."""
    again = []
    for device in (devices.input, devices.output):
        if device is not None and device.call_shows and made.setdefault(device.call_shows, device.made) != device.made:
            made[device.call_shows] = device.made
            again.append(device.call_shows)
    return again


def _flow(names: tuple[str, str]) -> str:
    return f"{names[0]} -> {names[1]}"
