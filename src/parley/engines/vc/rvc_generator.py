"""The voice of RVC: from what is said and its pitch to sound, 100 frames a second.

Laws:
- Two exports are told apart by the names of their inputs: RVC WebUI's (`phone`, `phone_lengths`, `pitch`, `pitchf`, `ds`, `rnd`) and
  vcclient's (`feats`, `p_len`, `pitch`, `pitchf`, `sid`); a voice without pitch lacks `pitch` and `pitchf`. Any other input is an error.
- The sample rate is that of what it makes: 1/100 of it is one frame. What its metadata or the user says must agree.
- Values are given in the type that the graph declares; the output is float32, and never anything that is no number.

Source: https://github.com/RVC-Project/Retrieval-based-Voice-Conversion-WebUI (MIT), https://github.com/w-okada/voice-changer (MIT).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from parley.engines.ports import EngineError, EngineUnavailable, Samples
from parley.engines.vc.mel import Frames
from parley.engines.vc.rvc_interface import GraphInterface
from parley.engines.vc.rvc_pitch import Pitches

FRAMES_PER_S: Final = 100
NOISE: Final = 192
"""How many values a frame of `rnd` has."""
NOISE_SCALE: Final = 0.66666
"""RVC scales its noise by it where it speaks; its export leaves it to the caller."""

MIN_RATE: Final = 16_000
MAX_RATE: Final = 48_000

_COARSE_LOW_HZ: Final = 50.0
_COARSE_HIGH_HZ: Final = 1100.0
_COARSE: Final = 255
_TRIAL_FRAMES: Final = 32


@dataclass(frozen=True, slots=True)
class ExportNames:
    """What an export calls its inputs."""

    name: str
    content: str
    length: str
    speaker: str
    noise: str = ""


WEBUI: Final = ExportNames("RVC WebUI", "phone", "phone_lengths", "ds", "rnd")
VCCLIENT: Final = ExportNames("vcclient", "feats", "p_len", "sid")
_PITCH: Final = frozenset({"pitch", "pitchf"})


def dialect_of(graph: GraphInterface) -> ExportNames | None:
    """The export that a graph is; None where it is no generator."""
    return next((one for one in (WEBUI, VCCLIENT) if {one.content, one.length} <= graph.input_names), None)


@dataclass(frozen=True, slots=True)
class GeneratorFacts:
    """What a generator's description says. `channels` is 0 and `rate` 0 where it does not."""

    dialect: ExportNames
    pitched: bool
    channels: int
    rate: int


def read_facts(graph: GraphInterface) -> GeneratorFacts:
    """Raises `EngineUnavailable` (`invalid_weights`) where the graph is no generator, or not one that is known."""
    dialect = dialect_of(graph)
    if dialect is None:
        raise _unlike(graph, "it takes neither phone and phone_lengths nor feats and p_len")
    pitched = _PITCH & graph.input_names
    known = {dialect.content, dialect.length, dialect.speaker, dialect.noise} | _PITCH
    if strange := sorted(graph.input_names - known):
        raise _unlike(graph, f"it takes {', '.join(strange)}, which neither export has")
    if len(pitched) == 1:
        raise _unlike(graph, f"it takes {', '.join(pitched)} and lacks the other of pitch and pitchf")
    said = _metadata(graph)
    shape = graph.input(dialect.content).shape
    channels = (shape[2] if len(shape) == 3 else None) or int(said.get("embChannels") or 0)
    if channels not in (0, 256, 768):
        raise _unlike(graph, f"its content has {channels} features, where RVC v1 has 256 and v2 768")
    return GeneratorFacts(dialect, bool(pitched), channels, int(said.get("samplingRate") or 0))


class Generator:
    """A loaded generator. Any thread may call; one call at a time."""

    def __init__(self, graph: GraphInterface, session: Any, channels: int, speaker: int) -> None:
        self._graph = graph
        self._session = session
        self._facts = read_facts(graph)
        self._types = {one.name: one.type for one in graph.inputs}
        self._speaker = speaker
        self.channels = channels

    @property
    def pitched(self) -> bool:
        return self._facts.pitched

    @property
    def deterministic(self) -> bool:
        """Whether the same input gives the same output: all chance comes from `noise`."""
        return not self._graph.random

    def measure_rate(self, wanted: int) -> int:
        """The sample rate in Hz of what it makes, tried out. `wanted` is what the user says, 0 for nothing.

        Raises `EngineUnavailable` (`invalid_weights`) where it cannot be run, or the rates do not agree.
        """
        frames = _TRIAL_FRAMES
        hz = np.full(frames, 150, np.float32)
        try:
            audio = self.render(
                np.zeros((frames, self.channels), np.float32), hz, np.zeros((frames, NOISE), np.float32)
            )
        except EngineError:
            raise
        except Exception as error:  # whatever ONNX Runtime raises for inputs that do not fit
            reason = str(error).strip().splitlines()[0]
            raise _unlike(
                self._graph,
                f"it cannot be run with speaker {self._speaker} and {self.channels} features ({reason})",
                "Speakers are numbered from 0 (option `speaker`); most voices have one.",
            ) from error
        if not len(audio) or len(audio) % frames:
            raise _unlike(self._graph, f"it makes {len(audio)} samples of {frames} frames")
        rate = len(audio) // frames * FRAMES_PER_S
        if not MIN_RATE <= rate <= MAX_RATE:
            raise _unlike(self._graph, f"it speaks at {rate} Hz, where RVC's voices have 32,000, 40,000 or 48,000")
        for said, who in ((self._facts.rate, "its metadata says"), (wanted, "the option sample_rate says")):
            if said not in (0, rate):
                raise _unlike(
                    self._graph,
                    f"{who} {said} Hz, and it makes {rate // FRAMES_PER_S} samples of each 10 ms, which is {rate} Hz",
                    "Leave the option out; a wrong metadata entry is put right by exporting the voice again.",
                )
        return rate

    def render(self, content: Frames, hz: Pitches, noise: Frames) -> Samples:
        """The sound of T frames of content `[T, channels]`, pitch `[T]` in Hz (0 unvoiced) and noise `[T, 192]`: T / 100 s of it.

        Raises `EngineError` (`converter_failed`) where the graph gives something else than numbers.
        """
        names, frames = self._facts.dialect, len(content)
        inputs: dict[str, Any] = {
            names.content: content[None],
            names.length: np.array([frames]),
            names.speaker: np.array([self._speaker]),
            names.noise: (noise.T * np.float32(NOISE_SCALE))[None],
            "pitch": coarse(hz)[None],
            "pitchf": hz[None],
        }
        given = {name: inputs[name].astype(kind, copy=False) for name, kind in self._types.items()}
        audio: Samples = np.ravel(self._session.run(None, given)[0]).astype(np.float32)
        if not np.isfinite(audio).all():
            raise EngineError(
                f"The voice {self._graph.path.name} gave values that are no numbers.",
                "An export in half precision may overflow: export it in full precision.",
                code="converter_failed",
            )
        return audio


def coarse(hz: Pitches) -> Any:
    """Pitches in 255 steps of the mel scale from 50 to 1,100 Hz; unvoiced frames are 1. int64 `[T]`."""
    low, high = (1127 * np.log1p(one / 700) for one in (_COARSE_LOW_HZ, _COARSE_HIGH_HZ))
    mel = 1127 * np.log1p(hz.astype(np.float64) / 700)
    steps = np.rint((mel - low) * (_COARSE - 1) / (high - low) + 1)
    return np.clip(np.where(hz > 0, steps, 1), 1, _COARSE).astype(np.int64)


def _metadata(graph: GraphInterface) -> Mapping[str, Any]:
    try:
        said = json.loads(graph.metadata.get("metadata") or "{}")
    except ValueError as error:
        raise _unlike(graph, f"its metadata is no JSON: {error}") from error
    if not isinstance(said, dict) or not all(
        isinstance(said.get(name, 0), int) for name in ("samplingRate", "embChannels")
    ):
        raise _unlike(graph, "its metadata has samplingRate or embChannels that is no whole number")
    return said


def _unlike(graph: GraphInterface, why: str, remedy: str = "") -> EngineUnavailable:
    return EngineUnavailable(
        f"{graph.path} is no voice of RVC that can be used: {why}.",
        remedy or "Export the voice again with RVC WebUI (tab ckpt, Onnx) or with vcclient.",
        code="invalid_weights",
    )
