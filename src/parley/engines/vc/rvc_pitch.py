"""The pitch of a voice, 100 times a second: RMVPE and FCPE as graphs, and SwiftF0, which is installed with Parley.

Laws:
- A tracker takes the end of what was heard, as much as `window()` says, and returns a frequency in Hz for each 160 samples and one more,
  the nth about sample 160 n; 0 where nothing is voiced. The last one stands beyond the audio, and the first three know too little: a live
  voice uses neither.
- Graphs are told apart by their shapes: 360 scores of pitch a frame from 128 bands, `[1, 128, T]` RMVPE, `[1, T, 128]` FCPE; or a
  frequency a frame from `waveform` and `threshold` (RMVPE with its spectrogram inside).
- A frequency is the mean of the nine scores about the highest, weighted by them; a frame whose highest score is not above the threshold is
  unvoiced.

Source: "RMVPE: A Robust Model for Vocal Pitch Estimation in Polyphonic Music" (arXiv:2306.15412, 2023); https://github.com/CNChTu/FCPE
(MIT); "SwiftF0: Fast and Accurate Monophonic Pitch Detection" (arXiv:2508.18440, 2025).
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from parley.engines.ports import EngineUnavailable, Samples
from parley.engines.vc import mel
from parley.engines.vc.mel import BANDS, HOP, SAMPLE_RATE, Frames
from parley.engines.vc.rvc_interface import GraphInterface

Pitches = NDArray[np.float32]
"""In Hz, 0 where unvoiced; shape `[frames]`."""

SCORES: Final = 360
_AROUND: Final = 4
_LOWEST_HZ: Final = 10.0
"""Cents are counted from it."""

RMVPE_THRESHOLD: Final = 0.03
FCPE_THRESHOLD: Final = 0.006
_RMVPE_CENTS: Final = 1997.3794084376191 + 20 * np.arange(SCORES)
_FCPE_CENTS: Final = np.linspace(1200 * np.log2(32.70 / 10), 1200 * np.log2(1975.5 / 10), SCORES)

EDGE: Final = 800
"""What a window has before a block, for the frames that are not used."""

_RMVPE_STEP: Final = 5120
"""RMVPE halves its frames five times, so it takes a multiple of 32."""

_SWIFT_REACH: Final = 2816
"""What SwiftF0 hears before and behind a frame."""


class PitchTracker(Protocol):
    """Any thread may call; one call at a time."""

    def window(self, block: int) -> int:
        """How much of what was heard last `track()` takes for a block of so many samples at 16 kHz."""
        ...

    def track(self, audio: Samples) -> Pitches:
        """`len(audio)` // 160 + 1 frequencies of 16 kHz audio whose length is a multiple of 160, at least 960."""
        ...


def is_tracker(graph: GraphInterface) -> bool:
    """Whether a graph is one of those that `load_tracker()` takes."""
    return _is_waveform(graph) or any(len(one.shape) == 3 and one.shape[2] == SCORES for one in graph.outputs)


def load_tracker(graph: GraphInterface, session: Any) -> PitchTracker:
    """The tracker of a loaded graph. Raises `EngineUnavailable` (`invalid_weights`) where its shapes are not those of one."""
    if _is_waveform(graph):
        return WaveformTracker(session)
    taken = graph.inputs[0]
    if len(graph.inputs) == 1 and len(taken.shape) == 3 and BANDS in taken.shape[1:]:
        return MelTracker(session, taken.name, bands_first=taken.shape[1] == BANDS)
    raise EngineUnavailable(
        f"{graph.path} is no pitch tracker that is known here: {graph}.",
        "It must be an export of RMVPE ([1, 128, T] to [1, T, 360], or waveform and threshold) or of FCPE ([1, T, 128] to [1, T, 360]); "
        "without one, SwiftF0 is used.",
        code="invalid_weights",
    )


class MelTracker:
    """RMVPE (bands before frames) or FCPE (frames before bands), on spectrograms of ours."""

    def __init__(self, session: Any, name: str, *, bands_first: bool) -> None:
        self._session = session
        self._name = name
        self._rmvpe = bands_first

    def window(self, block: int) -> int:
        return rmvpe_window(block) if self._rmvpe else block + EDGE

    def track(self, audio: Samples) -> Pitches:
        if self._rmvpe:
            bands = mel.rmvpe_mel(audio)
            filled = np.pad(bands, ((0, -len(bands) % 32), (0, 0)))
            scores = self._scores(np.ascontiguousarray(filled.T)[None])[: len(bands)]
            return decode(scores, _RMVPE_CENTS, RMVPE_THRESHOLD)
        hz = decode(self._scores(mel.fcpe_mel(audio)[None]), _FCPE_CENTS, FCPE_THRESHOLD)
        return np.concatenate([hz, hz[-1:]])  # its frames lie between ours; there is none beyond the audio

    def _scores(self, taken: Frames) -> Frames:
        scores: Frames = self._session.run(None, {self._name: taken})[0][0]
        return scores


class WaveformTracker:
    """RMVPE with its spectrogram and its decoder in the graph."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def window(self, block: int) -> int:
        return rmvpe_window(block)

    def track(self, audio: Samples) -> Pitches:
        inputs = {"waveform": audio[None], "threshold": np.array([RMVPE_THRESHOLD], np.float32)}
        hz: Pitches = np.ravel(self._session.run(None, inputs)[0]).astype(np.float32)
        wanted = len(audio) // HOP + 1
        if len(hz) not in (wanted, wanted - 1):
            raise ValueError(f"its pitch graph gives {len(hz)} frames for {len(audio)} samples, not {wanted}")
        return hz if len(hz) == wanted else np.concatenate([hz, hz[-1:]])


class SwiftTracker:
    """SwiftF0. Its frames are 16 ms apart.

    It hears 176 ms behind a frame, which a live voice has not said yet. A window is mirrored at its end, as the spectrograms of the others
    are: of its last 150 ms, 99 % of frames are then as voiced as with what follows, and 99.9 % of the voiced ones within a semitone of it
    (synthetic speech; with silence instead, 92 % are as voiced).
    """

    def __init__(self, threads: int = 1) -> None:
        """Blocks. Raises `EngineUnavailable` (`missing_package`)."""
        try:
            import swift_f0
        except ImportError as error:
            raise EngineUnavailable(
                f"swift-f0 cannot be imported: {error}.",
                "Install it: pip install swift-f0; or put a pitch graph (RMVPE, FCPE) into the folder.",
                code="missing_package",
            ) from error
        self._detector = swift_f0.SwiftF0(threads=threads, spin=False)
        self._hop = swift_f0.core.HOP

    def window(self, block: int) -> int:
        return block + EDGE + _SWIFT_REACH // HOP * HOP

    def track(self, audio: Samples) -> Pitches:
        beyond = audio[-2 : -min(_SWIFT_REACH, len(audio) - 1) - 2 : -1]
        found = self._detector.detect(np.concatenate([audio, beyond]), SAMPLE_RATE)
        hz = np.where(found.confidence >= 0.5, found.pitch_hz, 0.0)
        places = np.minimum(np.arange(len(audio) // HOP + 1) * HOP / self._hop, len(hz) - 1)
        below = places.astype(int)
        above = np.minimum(below + 1, len(hz) - 1)
        share = places - below
        both = (hz[below] > 0) & (hz[above] > 0)
        between = np.maximum(hz[below], 1) ** (1 - share) * np.maximum(hz[above], 1) ** share
        return np.where(both, between, hz[np.where(share < 0.5, below, above)]).astype(np.float32)


def rmvpe_window(block: int) -> int:
    """Whole steps of RMVPE less one frame, because the last frame stands beyond the audio."""
    return _RMVPE_STEP * ((block + EDGE - 1) // _RMVPE_STEP + 1) - HOP


def decode(scores: Frames, cents: NDArray[np.floating[Any]], threshold: float) -> Pitches:
    """The frequency of each frame of `[frames, 360]` scores, whose places are `cents` above 10 Hz."""
    best = scores.argmax(axis=1)
    places = best[:, None] + np.arange(-_AROUND, _AROUND + 1)
    inside = (places >= 0) & (places < SCORES)
    places = np.clip(places, 0, SCORES - 1)
    weights = np.take_along_axis(scores, places, axis=1) * inside
    centre = (weights * cents[places]).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
    hz = _LOWEST_HZ * 2 ** (centre / 1200)
    return np.where(scores.max(axis=1) > threshold, hz, 0).astype(np.float32)


def _is_waveform(graph: GraphInterface) -> bool:
    return graph.input_names == {"waveform", "threshold"}
