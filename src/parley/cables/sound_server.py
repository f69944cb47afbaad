"""The state of a sound server as values: its devices, streams, modules and defaults, and why it cannot be asked.

Laws: frozen values, with names as the server gives them.
Does not know: how the server is asked (`pulse`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final, Literal

from parley.errors import ParleyError

_HEADPHONES: Final = ("headphone", "headset", "hands-free", "handsfree", "earbud", "earpiece")
_HEADSET_PROFILES: Final = ("headset", "handsfree", "hands-free", "hfp", "hsp")


class SoundServerUnavailable(ParleyError):
    """No sound server can be asked."""


class SoundServerRefused(SoundServerUnavailable):
    """The sound server did not do what was asked; it is there."""


@dataclass(frozen=True, slots=True)
class SoundDevice:
    """A sink (`output`) or a source (`input`) of the sound server.

    `rate` in Hz and `channels` are its own. `monitor_of` names the sink whose sound a monitor records, "" for other devices. `cable` names
    the cable of ours that it belongs to, "" for other devices. `bus` (such as `usb`, `bluetooth`), `form_factor` (such as `headset`),
    `port` (the active one, such as `analog-output-headphones`) and `profile` (the card's active one) are "" where the server does not say.
    `module` is the index of the module that made it, None where none did. `marked`: it has the property that Parley gives its devices.
    """

    index: int
    name: str
    description: str
    direction: Literal["input", "output"]
    rate: int
    channels: int
    monitor_of: str = ""
    cable: str = ""
    bus: str = ""
    form_factor: str = ""
    port: str = ""
    profile: str = ""
    module: int | None = None
    marked: bool = False

    @property
    def bluetooth(self) -> bool:
        """Whether it is reached by Bluetooth."""
        return self.bus == "bluetooth" or self.name.startswith(("bluez_", "bluez5."))

    @property
    def headset_profile(self) -> bool:
        """Whether a Bluetooth device is in the profile of telephones: both directions, 8 or 16 kHz, playback included."""
        named = self.profile.casefold()
        return self.bluetooth and any(part in named for part in _HEADSET_PROFILES)

    @property
    def headphones(self) -> bool:
        """Whether the server says that a microphone cannot hear it: headphones, or a headset. False where the server does not know."""
        said = f"{self.form_factor} {self.port}".casefold()
        return any(part in said for part in _HEADPHONES)

    @property
    def own_monitor(self) -> bool:
        """Whether it records what we play ourselves, or what the call plays: never offer it as a microphone."""
        return self.direction == "input" and bool(self.cable)


@dataclass(frozen=True, slots=True)
class SoundStream:
    """A program's stream: `output` where it plays. `device` is the name of the device that it is connected to, "" where it is gone.

    `process` is 0 where the program does not say.
    """

    index: int
    direction: Literal["input", "output"]
    device: str
    process: int
    application: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class ServerModule:
    """A loaded module."""

    index: int
    name: str
    argument: str


@dataclass(frozen=True, slots=True)
class SoundServer:
    """The state of a server at one moment. `run` differs between two runs of a server. Defaults are names, "" where there is none."""

    name: str
    version: str
    run: str
    default_output: str
    default_input: str
    devices: tuple[SoundDevice, ...]
    streams: tuple[SoundStream, ...]

    @property
    def pipewire(self) -> bool:
        """Whether PipeWire speaks the protocol."""
        return "pipewire" in self.name.casefold()

    def device(self, name: str) -> SoundDevice | None:
        """The device of this name; "@DEFAULT_SINK@" and the like are not resolved."""
        return next((device for device in self.devices if device.name == name), None)

    def streams_of(self, process: int | None = None) -> list[SoundStream]:
        """The streams of a process; of this one by default."""
        wanted = os.getpid() if process is None else process
        return [stream for stream in self.streams if stream.process == wanted]
