"""Voices that users bring: what a synthesizer is given of one, and which synthesizers can speak it.

Laws:
- An engine gives an own voice a name of its own, which its `resolve_voice()` knows from then on. Nobody sees that name but those who call
  `speak()` with it; `info.voices` does not list it.
- The costly part is done once for each recording: an engine keys what it computed by `sha256` and by its own model.
- An engine keeps a bounded number of own voices and may drop the one that was used longest ago: whoever speaks asks for the name anew.
- An engine that finds only when it is to speak that a voice is gone raises `EngineRefused` with the code `VOICE_LOST`, before any audio:
  asked for the name anew, it makes the voice again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from parley.engines.ports.engine import Samples

VOICE_LOST: Final = "voice_lost"


@dataclass(frozen=True, slots=True, eq=False)
class ConsentRecording:
    """A person's consent that was read aloud: the bytes of a WAV file, `language` (BCP 47) is that of the sentence, `sha256` that of the
    file."""

    wav: bytes = field(repr=False)
    language: str
    sha256: str


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class VoiceSample:
    """A recording of one person who speaks: `audio` float32 `[n]` at `sample_rate` Hz. `text` is what is said in it, "" where that is not
    known; `sha256` tells recordings apart. What is computed of it may outlive the process while its `file` is there, where it has one.
    `consent` is None where none was recorded."""

    audio: Samples = field(repr=False, compare=False)
    sample_rate: int
    sha256: str
    text: str = ""
    file: Path | None = None
    consent: ConsentRecording | None = None


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class VoiceTensor:
    """The style of a voice of Kokoro: float32 `[510, 256]`, read-only. `name` is the user's: its first letters may tell the language."""

    name: str
    style: NDArray[np.float32] = field(repr=False, compare=False)
    sha256: str


@runtime_checkable
class ClonesVoices(Protocol):
    """A synthesizer that speaks with the voice of a recording."""

    @property
    def clones(self) -> bool:
        """Whether this model can, as far as is known: some checkpoints lack what it takes. Valid before `open()`."""
        ...

    @property
    def needs_text(self) -> bool:
        """Whether it needs the words of a recording (`VoiceSample.text`). Valid before `open()`."""
        ...

    async def clone_voice(self, sample: VoiceSample) -> str:
        """The engine's name of that voice.

        Raises `EngineRefused` for a recording that gives no voice, or whose words are needed and not known (`invalid_sample`), or
        that has no consent where the engine wants one (`consent_required`), and `EngineError`.
        """
        ...


@runtime_checkable
class NeedsConsent(Protocol):
    """A `ClonesVoices` that may want a recording of the person's consent with the recording of the voice."""

    @property
    def needs_consent(self) -> bool:
        """Whether it does. Valid before `open()`."""
        ...


@runtime_checkable
class ReadsVoices(Protocol):
    """A synthesizer that speaks with the tensor of a voice."""

    @property
    def reads_tensors(self) -> bool:
        """Whether it can. Valid before `open()`."""
        ...

    def tensor_language(self, name: str) -> str:
        """What a voice of this name speaks, as a primary language tag."""
        ...

    async def read_voice(self, tensor: VoiceTensor) -> str:
        """The engine's name of that voice, which may stand in a mix (`parley.text.voice_mix`). Raises `EngineError`."""
        ...
