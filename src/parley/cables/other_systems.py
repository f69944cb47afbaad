"""What to install where Parley cannot make a cable by itself: macOS and Windows.

Laws: text only. Nothing of it was run by Parley's tests.
"""

from __future__ import annotations

import sys
from typing import Final

from parley.errors import ParleyError

MACOS: Final = """\
On macOS a cable is a driver that you install: BlackHole, two of it, because each direction needs its own.
  brew install blackhole-2ch blackhole-16ch
Then log in again. In the call choose: microphone "BlackHole 2ch", loudspeaker "BlackHole 16ch".
Parley plays to "BlackHole 2ch" and records "BlackHole 16ch"."""

WINDOWS: Final = """\
On Windows a cable is a driver that you install: VB-CABLE (https://vb-audio.com/Cable). One has one direction:
Parley plays to "CABLE Input", and in the call you choose the microphone "CABLE Output".
The other direction needs a second cable, such as VB-CABLE A+B: in the call choose the loudspeaker "CABLE-A Input"; Parley records
"CABLE-A Output". Without it, translate your own voice only."""


class CablesByHand(ParleyError):
    """This system's cables are installed by the user."""


def check_system() -> None:
    """Raises `CablesByHand`, with what to install, where cables cannot be made."""
    if sys.platform == "darwin":
        raise CablesByHand(MACOS)
    if sys.platform == "win32":
        raise CablesByHand(WINDOWS)
    if sys.platform != "linux":
        raise CablesByHand("Parley makes cables with PulseAudio or PipeWire, on Linux only.")
