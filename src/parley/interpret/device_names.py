"""Which device a name means, asked anew each time devices are opened.

On Linux the sound server's own names and descriptions count, and its devices are made visible to PortAudio first; elsewhere PortAudio's
names do.

Laws: our own cables are never taken for a microphone, nor for headphones. Blocks for tenths of a second: not on an event loop.
Does not know: streams, directions.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from parley.cables.alsa_names import AlsaPluginMissing, ExposedDevice, NoSuchDevice, expose_devices, find_exposed
from parley.cables.own import CABLES
from parley.cables.pulse import read_sound_server
from parley.cables.sound_server import SoundDevice, SoundServer, SoundServerUnavailable
from parley.cables.watch import DeviceBack, DeviceGone, DeviceWatch, ServerBack, ServerGone, StreamMoved
from parley.talk.devices import DevicesUnavailable, find_device, portaudio_devices

Use = Literal["microphone", "headphones", "to call", "from call"]
"""What a device is wanted for."""

CABLE_USES: Final[tuple[Use, ...]] = ("to call", "from call")

_DIRECTIONS: Final[dict[Use, Literal["input", "output"]]] = {
    "microphone": "input",
    "headphones": "output",
    "to call": "output",
    "from call": "input",
}


@dataclass(frozen=True, slots=True)
class NamedDevice:
    """A device: its name for PortAudio, its rate in Hz (None: as PortAudio states it), and the sound server's name of it ("": none).

    `made` differs where the sound server made the device again. `call_shows` is what the call application shows of a cable of ours, ""
    for other devices.
    """

    name: str
    rate: int | None = None
    at_server: str = ""
    made: str = ""
    call_shows: str = ""


class DeviceNames(Protocol):
    """Resolves names, and says what is wrong with a device that is open."""

    silence_s: float
    """A device whose callback has not come for so long has vanished."""
    opened_by_name: bool
    """Whether a device that PortAudio lists is looked up as it is opened: to start PortAudio again is then of no use."""

    def resolve(self, wanted: str, use: Use) -> NamedDevice:
        """The device of that name or part of it; "" is the default one. Raises `DevicesUnavailable`."""
        ...

    def trouble(self, device: NamedDevice) -> str | None:
        """Why what is open on the device must be opened again; None: it need not."""
        ...


class PortAudioNames:
    """Where no sound server can be asked."""

    silence_s = 1.0
    opened_by_name = False

    def resolve(self, wanted: str, use: Use) -> NamedDevice:
        if not wanted and use in CABLE_USES:
            raise DevicesUnavailable("No cable is named.", "Name one: --to-call, --from-call.")
        return NamedDevice(wanted)

    def trouble(self, device: NamedDevice) -> str | None:
        return None


@dataclass(slots=True)
class ServerNames:
    """On a sound server (PulseAudio, PipeWire), whose reports `_trouble` keeps. It tells of devices that vanish, so silence may be that of
    a busy machine."""

    silence_s: float = 4.0
    opened_by_name: bool = True
    _trouble: dict[str, str] = field(default_factory=dict)

    def resolve(self, wanted: str, use: Use) -> NamedDevice:
        direction = _DIRECTIONS[use]
        try:
            server = read_sound_server()
            exposed = expose_devices(server)
        except (SoundServerUnavailable, AlsaPluginMissing) as error:
            raise DevicesUnavailable(error.message, error.remedy) from error
        default = server.default_input if direction == "input" else server.default_output
        try:
            found = find_exposed(exposed, wanted or default, direction)
        except NoSuchDevice as error:
            raise _missing(exposed, wanted or default, use) from error
        _check(found.device, server, wanted, use)
        if isinstance(self._trouble, _AllOf):
            # It answers again; its report comes later.
            self._trouble = {}
        self._trouble.pop(found.device.name, None)
        shown = next((kind.call_shows for kind in CABLES if kind.name == found.device.cable), "")
        made = f"{server.run} {found.device.index}"
        return NamedDevice(found.name, found.rate, found.device.name, made, shown)

    def trouble(self, device: NamedDevice) -> str | None:
        return self._trouble.get(device.at_server)

    async def follow(self, watch: DeviceWatch) -> None:
        """Keep account of what the sound server reports, until cancelled."""
        async for report in watch:
            match report:
                case DeviceGone(name):
                    self._trouble[name] = f"The sound device {name} is gone; waiting for it."
                case DeviceBack(name):
                    # What was open on it before is not on it any more.
                    self._trouble[name] = f"The sound device {name} was made again; opening it again."
                case StreamMoved(_, opened_on, now_on) if report.astray:
                    self._trouble[opened_on] = (
                        f"The sound server moved the sound of {opened_on} to {now_on}; taking it back."
                    )
                case ServerGone(reason):
                    self._trouble = _AllOf(f"The sound server is gone ({reason}); waiting for it.")
                case ServerBack() | StreamMoved():
                    if isinstance(self._trouble, _AllOf):
                        self._trouble = {}


class _AllOf(dict[str, str]):
    """The same trouble with every device."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self._message = message

    def get(self, key: str, default: object = None) -> str:
        return self._message


def _missing(exposed: Sequence[ExposedDevice], wanted: str, use: Use) -> DevicesUnavailable:
    """What to say where no device has the name. Our own cables and monitors are not offered in the place of a device of the user's."""
    if use in CABLE_USES:
        flag = "--to-call" if use == "to call" else "--from-call"
        return DevicesUnavailable(
            f"There is no cable {wanted!r}.", f"`parley cables create` makes Parley's own; {flag} names another one."
        )
    direction = _DIRECTIONS[use]
    fitting = [
        repr(each.name)
        for each in exposed
        if each.direction == direction and not each.device.cable and not each.device.monitor_of
    ]
    return DevicesUnavailable(
        f"The sound server has no {direction} device {wanted!r}; there are: {', '.join(fitting) or 'none'}.",
        f"Choose one of them: --{use}." if fitting else "Connect one.",
    )


def _check(device: SoundDevice, server: SoundServer, wanted: str, use: Use) -> None:
    """Raises `DevicesUnavailable` for one of our cables, or a monitor, in the place of a device of the user's."""
    what = f"{device.description or device.name} ({'the default one' if not wanted else 'as you named it'})"
    if use == "microphone" and (device.own_monitor or device.monitor_of):
        raise DevicesUnavailable(
            f"{what} is no microphone: it records what this machine plays.", "Name a microphone: --microphone."
        )
    if use == "headphones" and device.cable:
        raise DevicesUnavailable(
            f"{what} is a cable of ours: what it plays would go into the call.", "Name your headphones: --headphones."
        )


def found_now(names: DeviceNames, wanted: str, use: Use) -> NamedDevice:
    """The device of that name, which is there now. PortAudio must not be in use. Blocks. Raises `DevicesUnavailable`."""
    named = names.resolve(wanted, use)
    if named.at_server:
        return named
    return NamedDevice(find_device(portaudio_devices(), named.name, _DIRECTIONS[use]).name)


def names_now() -> tuple[DeviceNames, SoundServer | None]:
    """What resolves names on this machine now, and the sound server's state where there is one. Blocks."""
    if sys.platform == "linux":
        try:
            return ServerNames(), read_sound_server()
        except SoundServerUnavailable:
            # ALSA alone: PortAudio's names.
            pass
    return PortAudioNames(), None


@asynccontextmanager
async def device_names() -> AsyncIterator[DeviceNames]:
    """What resolves names on this machine, watching while the context lasts."""
    names, _ = await asyncio.to_thread(names_now)
    if not isinstance(names, ServerNames):
        yield names
        return
    async with DeviceWatch() as watch:
        following = asyncio.create_task(names.follow(watch))
        try:
            yield names
        finally:
            following.cancel()
