"""Speech for tests and benchmarks, by name, on any machine.

A clip is looked for in this order: the folder `PARLEY_TEST_AUDIO` (else `shared/audio` beside the repository); the assets of the
package `moonshine-voice`, which `make test` installs and nothing imports; `tests/clips`, which holds the short ones in a
synthesized voice. So a clone of this repository needs no other files. The words are the same wherever a clip comes from; its
length and its voice are not: tests take them from the clip.

| clip | words | beside the repository | in `moonshine-voice` | in `tests/clips` |
|---|---|---|---|---|
| `hello_world` | Hello world. | a person | | flite |
| `weather_question` | What's the weather like in Paris? | a person | | flite |
| `beckett` | Ever tried. Ever failed. No matter. Try again. Fail again. Fail better. | a person | the same file | |
| `two_cities` | It was the best of times, ... (44 s) | a person | the same file | |
"""

from __future__ import annotations

import importlib.util
import os
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
SYNTHESIZED = ROOT / "tests" / "clips"
PACKAGE = "moonshine_voice"

MISSING = (
    "The speech clip {name!r} is not on this machine. `make test` installs it with the package moonshine-voice where that has a wheel "
    "(Linux with glibc 2.34 or newer, macOS on Apple silicon, Windows); elsewhere set PARLEY_TEST_AUDIO to a folder that holds {name}.wav."
)


class ClipMissing(LookupError):
    """No place has the clip; the message says how to get it."""


def clip(name: str) -> Path:
    """The WAV file (PCM16, mono) of a clip. Raises `ClipMissing`."""
    for folder in (*_recordings(), SYNTHESIZED):
        path = folder / f"{name}.wav"
        if path.exists():
            return path
    raise ClipMissing(MISSING.format(name=name))


def recording(name: str) -> Path | None:
    """The WAV file of a clip that a person spoke; None where only a synthesized one or none is at hand."""
    found = (folder / f"{name}.wav" for folder in _recordings())
    return next((path for path in found if path.exists()), None)


def load(path: Path) -> tuple[NDArray[np.int16], int]:
    """The samples `[n]` int16 of a clip and its rate in Hz."""
    with wave.open(str(path)) as wav:
        return np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2"), wav.getframerate()


def _recordings() -> Iterator[Path]:
    yield Path(os.environ.get("PARLEY_TEST_AUDIO") or ROOT.parent / "shared" / "audio")
    package = importlib.util.find_spec(PACKAGE)
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        yield Path(folder) / "assets"
