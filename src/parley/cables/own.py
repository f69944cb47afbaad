"""Our two cables: their names, and how a device or module shows that it is one of them.

Laws: values only. `MARK` is a property of every device that Parley makes; a device is ours by it, whatever its name, and by the names of
`CABLES`, which no other program has reason to use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MARK: Final = "parley.cable"
"""The property that holds the cable's name."""

RATE: Final = 48_000
"""Call applications work at this rate, so that nothing resamples."""


@dataclass(frozen=True, slots=True)
class CableModule:
    """A module of the PulseAudio protocol: its name, its argument, and the device that it makes."""

    name: str
    argument: str
    device: str


@dataclass(frozen=True, slots=True)
class CableKind:
    """A cable: what we play to, what we record from, and the device that the call application chooses, as it shows it.

    `call_uses` says for what the call uses it.
    """

    name: str
    playback: str
    capture: str
    call_device: str
    call_shows: str
    call_uses: str
    modules: tuple[CableModule, ...]


def _argument(named: str, properties: str, cable: str, description: str, extra: str) -> str:
    return f"{named} {extra} {properties}=\"device.description='{description}' {MARK}='{cable}'\""


MICROPHONE: Final = CableKind(
    "parley_mic",
    "parley_mic_sink",
    "parley_mic",
    "parley_mic",
    "Parley microphone",
    "microphone",
    (
        CableModule(
            "module-null-sink",
            _argument(
                "sink_name=parley_mic_sink",
                "sink_properties",
                "parley_mic",
                "Parley microphone feed",
                f"rate={RATE} channels=2",
            ),
            "parley_mic_sink",
        ),
        CableModule(
            "module-remap-source",
            _argument(
                "source_name=parley_mic",
                "source_properties",
                "parley_mic",
                "Parley microphone",
                "master=parley_mic_sink.monitor",
            ),
            "parley_mic",
        ),
    ),
)
"""What we play to `parley_mic_sink`, the call hears. Many call applications do not offer monitors, hence the remapped source."""

CALL: Final = CableKind(
    "parley_call",
    "parley_call",
    "parley_call.monitor",
    "parley_call",
    "Parley call",
    "loudspeaker",
    (
        CableModule(
            "module-null-sink",
            _argument(
                "sink_name=parley_call", "sink_properties", "parley_call", "Parley call", f"rate={RATE} channels=2"
            ),
            "parley_call",
        ),
    ),
)
"""What the call plays, we record from the monitor."""

CABLES: Final = (MICROPHONE, CALL)

_OF_NAME: Final = {module.device: cable.name for cable in CABLES for module in cable.modules}


def cable_of(name: str, properties: Mapping[str, str], monitor_of: str = "") -> str:
    """The name of our cable that a device belongs to; "" where it is not ours."""
    return properties.get(MARK, "") or _OF_NAME.get(name, "") or _OF_NAME.get(monitor_of, "")
