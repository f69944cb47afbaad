"""A loaded voice of RVC: from a window of what was heard to sound.

Laws:
- Everything here blocks and keeps nothing of a stream: what one call needs, it is given.
- The content encoder hears the whole window, the generator a part of its end; the index is asked for new frames only.
- `formant` speaks fewer or more frames than there are, at a pitch that is lower or higher by as much, and plays them in the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from parley.audio.resampling import resample
from parley.engines.onnx_session import open_session
from parley.engines.ports import EngineError, EngineUnavailable, Samples
from parley.engines.vc.mel import HOP, Frames
from parley.engines.vc.rvc_content import ContentEncoder
from parley.engines.vc.rvc_folder import VoiceFiles
from parley.engines.vc.rvc_generator import FRAMES_PER_S, Generator
from parley.engines.vc.rvc_index import FeatureIndex, blend, load_index
from parley.engines.vc.rvc_interface import GraphInterface
from parley.engines.vc.rvc_pitch import Pitches, PitchTracker, SwiftTracker, load_tracker

_MARGIN = 64
"""Samples by which the end of a sound is continued before it is resampled."""


@dataclass(frozen=True, slots=True)
class VoiceOptions:
    """`pitch` and `formant` in semitones; `index_rate` 0..1; `protect` 0..0.5, where 0.5 protects nothing; `sample_rate` in Hz, 0 for the
    voice's own."""

    pitch: float = 0.0
    formant: float = 0.0
    index_rate: float = 0.5
    protect: float = 0.33
    speaker: int = 0
    sample_rate: int = 0
    device: str = "cpu"
    threads: int = 1


class RvcModel:
    """Any thread may call; one call at a time."""

    def __init__(self, files: VoiceFiles, options: VoiceOptions) -> None:
        """Load everything and try it once. Raises `EngineUnavailable`."""
        self._options = options
        self._content = ContentEncoder(files.content, self._session(files.content), files.channels)
        self._generator = Generator(files.generator, self._session(files.generator), files.channels, options.speaker)
        self._index: FeatureIndex | None = load_index(files.index, files.channels) if files.index else None
        self._tracker = self._load_tracker(files)
        self.rate = self._generator.measure_rate(options.sample_rate)
        """Of what it makes, in Hz."""
        self._try(files)

    @property
    def deterministic(self) -> bool:
        return self._generator.deterministic and self._options.device == "cpu"

    @property
    def frame(self) -> int:
        """Samples of 10 ms of what it makes."""
        return self.rate // FRAMES_PER_S

    def pitch_window(self, block: int) -> int:
        """How much of what was heard last `pitches()` takes for a new block of so many samples at 16 kHz; 0 for a voice without pitch."""
        return self._tracker.window(block) if self._tracker else 0

    def pitches(self, audio: Samples) -> Pitches:
        """The pitch in Hz of 16 kHz audio, `len(audio)` // 160 + 1 frames (see `PitchTracker`), before it is shifted."""
        assert self._tracker is not None
        hz = self._tracker.track(audio)
        if len(hz) != len(audio) // HOP + 1 or not np.isfinite(hz).all():
            raise EngineError(
                "The pitch tracker gave frames that are no numbers, or not as many as there is audio.",
                "Leave its graph out of the folder: SwiftF0 is used then.",
                code="converter_failed",
            )
        return hz

    def speak(self, heard: Samples, hz: Pitches, noise: Frames, new: int) -> Samples:
        """The last `len(hz)` frames of a window of 16 kHz audio in the other voice. `hz` is the pitch of these frames, `noise` their
        chance; only the last `new` of them are drawn towards the index.
        """
        frames = len(hz)
        said = self._content.features(heard)
        content = self._doubled(self._drawn(said, (new + 1) // 2), len(heard), frames)
        if self._index is not None and self._options.protect < 0.5 and self._tracker is not None:
            share = np.where(hz > 0, 1, self._options.protect).astype(np.float32)[:, None]
            content = content * share + self._doubled(said, len(heard), frames) * (1 - share)
        shifted = hz * np.float32(2 ** (self._options.pitch / 12))
        return self._formant(content, shifted, noise)

    def _formant(self, content: Frames, hz: Pitches, noise: Frames) -> Samples:
        frames = len(hz)
        spoken = int(np.ceil(frames * 2 ** (self._options.formant / 12) - 1e-9))
        if spoken == frames:
            return self._generator.render(content, hz, noise)[: frames * self.frame]
        places = np.arange(spoken) * frames / spoken
        nearest = places.astype(int)
        share = (places - nearest).astype(np.float32)[:, None]
        between = content[nearest] * (1 - share) + content[np.minimum(nearest + 1, frames - 1)] * share
        audio = self._generator.render(between, hz[nearest] * np.float32(frames / spoken), noise[nearest])
        return resample_end(audio, spoken, frames)[: frames * self.frame]

    def _drawn(self, said: Frames, new: int) -> Frames:
        if self._index is None or not self._options.index_rate:
            return said
        return np.concatenate([said[:-new], blend(self._index, said[-new:], self._options.index_rate)])

    def _doubled(self, said: Frames, heard: int, frames: int) -> Frames:
        """Features of 20 ms as frames of 10 ms, the last `frames` of what was heard."""
        doubled = np.repeat(said, 2, axis=0)
        whole = heard // HOP
        if len(doubled) < whole:
            raise EngineError(
                f"The content encoder gave {len(said)} frames for {heard} samples, fewer than 50 a second.",
                "Use HuBERT or ContentVec, which RVC was trained on.",
                code="converter_failed",
            )
        return doubled[whole - frames : whole]

    def _session(self, graph: GraphInterface) -> Any:
        try:
            return open_session(graph.path, self._options.threads, self._options.device)
        except EngineUnavailable:
            raise
        except Exception as error:  # whatever ONNX Runtime raises for what is no graph, or one of another version
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise EngineUnavailable(
                f"{graph.path} cannot be loaded: {reason}.", "Copy or export the file again.", code="invalid_weights"
            ) from error

    def _load_tracker(self, files: VoiceFiles) -> PitchTracker | None:
        if not self._generator.pitched:
            return None
        if files.pitch is None:
            return SwiftTracker(self._options.threads)
        return load_tracker(files.pitch, self._session(files.pitch))

    def _try(self, files: VoiceFiles) -> None:
        """Run each graph once, so that what does not fit is found here."""
        heard = (0.1 * np.sin(2 * np.pi * 150 / 16_000 * np.arange(64 * HOP))).astype(np.float32)
        graph = files.pitch or files.generator
        try:
            hz = self.pitches(heard)[:-1] if self._tracker else np.zeros(64, np.float32)
            graph = files.content
            self.speak(heard, hz[-32:], np.zeros((32, 192), np.float32), 20)
        except EngineUnavailable:
            raise
        except Exception as error:  # whatever ONNX Runtime raises for inputs that do not fit
            reason = (error.message if isinstance(error, EngineError) else str(error).strip()) or type(error).__name__
            raise EngineUnavailable(
                f"{graph.path} does not do what its place demands: {reason.splitlines()[0]}",
                error.remedy
                if isinstance(error, EngineError)
                else "Export it again, or name another one as an option.",
                code="invalid_weights",
            ) from error


def resample_end(audio: Samples, in_rate: int, out_rate: int) -> Samples:
    """Resample a stretch whose end will be heard: it is continued by its point reflection, as if it went on."""
    margin = min(_MARGIN * max(1, -(-in_rate // out_rate)), len(audio) - 1)
    beyond = 2 * audio[-1] - audio[-2 : -margin - 2 : -1]
    made = resample(np.concatenate([audio, beyond]), in_rate, out_rate)
    return made[: len(audio) * out_rate // in_rate]
