"""What a sound server (PulseAudio, PipeWire) has, for PortAudio to list by name: by itself PortAudio on Linux sees it as one device.

Laws: exposing is `parley.cables`'; where no sound server answers, or ALSA cannot reach it, PortAudio's own list stands.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from parley.cables.alsa_names import AlsaPluginMissing, expose_devices
from parley.cables.folders import FolderRefused
from parley.cables.sound_server import SoundServerUnavailable

SOUND_SERVERS = ("default", "sysdefault", "pulse", "pipewire", "jack")
"""ALSA's names of devices that a sound server stands behind, which converts rates by itself."""

STATED_FOR_ALL = 48_000
"""The rate that is taken for theirs: PortAudio states the first one of a list."""


@dataclass(frozen=True, slots=True)
class ExposedNames:
    """The names by which PortAudio lists the sound server's devices. `rates`: theirs, in Hz; `aside`: monitors and cables of ours, which
    nobody means who has not named them."""

    rates: dict[str, int] = field(default_factory=dict)
    aside: frozenset[str] = frozenset()

    def own_rate(self, name: str, stated: float) -> int:
        """The rate in Hz at which the device works by itself; `stated` is PortAudio's."""
        if name in self.rates:
            return self.rates[name]
        return STATED_FOR_ALL if name.casefold() in SOUND_SERVERS or stated < 1 else round(stated)

    def is_aside(self, name: str) -> bool:
        """Whether the device is not offered to a user who chooses: those above, and what stands for all of a sound server's devices."""
        return name in self.aside or (bool(self.rates) and name.casefold() in SOUND_SERVERS)


NO_NAMES = ExposedNames()


def expose_names() -> ExposedNames:
    """Have PortAudio list the sound server's devices when it starts next. Blocks for milliseconds."""
    if sys.platform != "linux":
        return NO_NAMES
    try:
        exposed = expose_devices()
    except (SoundServerUnavailable, AlsaPluginMissing, FolderRefused):
        return NO_NAMES
    aside = frozenset(each.name for each in exposed if each.device.monitor_of or each.device.cable)
    return ExposedNames({each.name: each.rate for each in exposed}, aside)
