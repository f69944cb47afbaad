"""Echo control, noise reduction and gain control for one microphone: WebRTC's audio processing, through LiveKit's wheel.

Laws:
- The output is the input, sample for sample: as many samples come out as went in (the last of them by `flush()`), and each stands
  where it stood; the delay of the filters is constant: `latency_samples`.
- The output does not depend on how the input was chunked. With echo control it depends on when the far end was given, and holds a
  little random noise where an echo was.
- With everything off the audio passes through untouched and the library is not loaded.

Does not know: devices, sessions, or what is said.
"""

from __future__ import annotations

import atexit
import importlib
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import numpy as np

from parley.audio.echo_gate import EchoGate
from parley.audio.echo_path import EchoPath
from parley.audio.types import Int16
from parley.errors import ParleyError

NoiseLevel = Literal["off", "near_field", "far_field"]

FRAMES_PER_S = 100
"""The module takes frames of 10 ms and nothing else."""

NOISE_MS = 6
"""Samples that one stage of noise suppression delays."""

ECHO_MS = 4
"""Samples that echo cancellation delays."""

_PATH = {8_000: 24, 16_000: 0, 24_000: 32, 32_000: 4, 48_000: 46}
"""Samples that the module delays at each rate: its resamplers and band splitters."""

_GAIN_PATH = {8_000: 24, 16_000: 0, 24_000: 28, 32_000: 0, 48_000: 0}
"""The same with gain control alone, which splits no bands."""

SAMPLE_RATES = tuple(_PATH)

_LAST_CALLS_S = 0.05
"""At the exit, the library's threads may be in the middle of a call into Python (they hand over log lines). A thread that comes back
from one when the interpreter is gone ends the process with SIGABRT: seen in 4 of 720 exits, and in none of 720 with this pause."""

REMEDY = "Install it with: pip install livekit"


class ProcessingUnavailable(ParleyError):
    """The library is not installed or does not load."""


@cache
def load() -> Any:
    """Load the library (0.2 s, once in a process). Raises `ProcessingUnavailable`.

    `AudioProcessor` does it by itself; who cannot wait then, as an event loop cannot, does it beforehand.
    """
    # Handlers run in reverse: this one after the library's own, which stops new calls into Python.
    atexit.register(time.sleep, _LAST_CALLS_S)
    try:
        rtc = importlib.import_module("livekit.rtc")
        # The native part is loaded with the first module.
        rtc.AudioProcessingModule()
    except ImportError as error:
        raise ProcessingUnavailable(
            f"Echo control and noise reduction need the package 'livekit', which does not load ({error}).", REMEDY
        ) from error
    return rtc


@cache
def available() -> bool:
    """Whether sound can be processed here: the library is installed and loads. The first call loads it."""
    try:
        load()
    except ProcessingUnavailable:
        return False
    return True


class _Module:
    """One WebRTC module and the 10 ms that it works on in place."""

    __slots__ = ("_frame", "_module", "samples")

    def __init__(self, rate: int, *, echo: bool, noise: bool, gain: bool) -> None:
        rtc = load()
        self._module = rtc.AudioProcessingModule(
            echo_cancellation=echo, noise_suppression=noise, high_pass_filter=echo or noise, auto_gain_control=gain
        )
        # The library works in place on a bytearray; it would copy any other buffer.
        buffer = bytearray(rate // FRAMES_PER_S * 2)
        self.samples: Int16 = np.frombuffer(buffer, np.int16)
        self._frame = rtc.AudioFrame(buffer, rate, 1, len(self.samples))

    def process(self, frame: Int16) -> Int16:
        """The microphone's frame, processed; good until the next call."""
        self.samples[:] = frame
        self._module.process_stream(self._frame)
        return self.samples

    def play(self, frame: Int16) -> None:
        """The loudspeaker's frame."""
        self.samples[:] = frame
        self._module.process_reverse_stream(self._frame)


class _Residue:
    """Cuts audio into whole frames and keeps the rest."""

    __slots__ = ("_rest", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._rest: Int16 = np.empty(0, np.int16)

    def push(self, audio: Int16) -> Int16:
        """The frames now whole, `[k, size]`."""
        joined = np.concatenate([self._rest, audio]) if len(self._rest) else audio
        whole = len(joined) // self._size * self._size
        self._rest = joined[whole:].copy()
        return joined[:whole].reshape(-1, self._size)

    @property
    def held(self) -> int:
        return len(self._rest)


class _Delay:
    """Delays samples by a constant number."""

    __slots__ = ("_kept",)

    def __init__(self, samples: int) -> None:
        self._kept: Int16 = np.zeros(samples, np.int16)

    def push(self, frame: Int16) -> Int16:
        joined = np.concatenate([self._kept, frame])
        self._kept = joined[len(frame) :]
        return joined[: len(frame)]


class _Chain:
    """The stages that one frame of the microphone goes through, mixed with the same sound without noise reduction where that is weakened.

    Two chains of the same make delay a sound equally, so that one may be faded into the other.
    """

    def __init__(self, rate: int, *, echo: bool, stages: int, gain: bool, mixed: bool, strength: float) -> None:
        per_ms, path = rate // 1_000, _PATH[rate]
        self._wet: list[_Module] = []
        self._dry: list[_Module] = []
        self._strength = strength
        self.delay = 0
        for stage in range(max(stages, 1 if echo else 0)):
            last = stage == stages - 1 or not stages
            self._wet.append(_Module(rate, echo=echo and stage == 0, noise=stages > 0, gain=gain and last))
            self.delay += path + (ECHO_MS * per_ms if echo and stage == 0 else 0) + (NOISE_MS * per_ms if stages else 0)
        if mixed:
            # The same way through as many modules, so that phases match: echo cancellation without a far end changes nothing.
            self._dry = [_Module(rate, echo=True, noise=False, gain=False) for _ in range(stages)]
            self._dry_delay = _Delay(self.delay - stages * (path + ECHO_MS * per_ms))

    def play(self, frame: Int16) -> None:
        """The far end's frame, to be cancelled; a chain that is given none cancels nothing."""
        for module in (*self._wet[:1], *self._dry[:1]):
            module.play(frame)

    def process(self, frame: Int16) -> Int16:
        """The microphone's frame, processed; good until the next call."""
        wet = frame
        for module in self._wet:
            wet = module.process(wet)
        if not self._dry:
            return wet
        dry = frame
        for module in self._dry:
            dry = module.process(dry)
        mix = self._strength * wet + (1.0 - self._strength) * self._dry_delay.push(dry)
        mixed: Int16 = np.rint(mix).astype(np.int16)
        return mixed


class EchoControl:
    """Removes the loudspeaker from the microphone if it can be heard there, and passes everything if not.

    `gated=False` leaves out all that follows cancellation, to hear what that alone does.
    """

    def __init__(self, rate: int, make_chain: Callable[[], _Chain], *, gated: bool) -> None:
        self._cancelled = make_chain()
        # Without the far end: a canceller suppresses other voices too while it assumes an echo.
        self._whole = make_chain() if gated else None
        self.path = EchoPath(rate)
        self._gate = EchoGate()
        self._share = 0.0
        self.delay = self._cancelled.delay

    def play(self, frame: Int16) -> None:
        """10 ms of the far end."""
        self._cancelled.play(frame)
        if self._whole is not None:
            self.path.played(frame)
            self._gate.played(frame)

    def process(self, frame: Int16) -> Int16:
        """10 ms of the microphone."""
        cancelled = self._cancelled.process(frame)
        if self._whole is None:
            return cancelled
        self.path.heard(frame)
        gated, whole = self._gate.pass_through(frame, cancelled), self._whole.process(frame)
        share, self._share = self._share, 1.0 if self.path.passes else 0.0
        if share == self._share:
            return whole if share else gated
        ramp = np.linspace(share, self._share, len(frame), dtype=np.float32)
        faded: Int16 = np.rint(gated + (whole - gated.astype(np.float32)) * ramp).astype(np.int16)
        return faded


class AudioProcessor:
    """Cleans one microphone's int16 samples `[n]` at `sample_rate` Hz (8, 16, 24, 32 or 48 thousand).

    Call `render()` with what the loudspeaker plays, as it plays it, `capture()` with what the microphone hears, in chunks of any
    size, and `flush()` at the end (or to stop in the middle: it may be used again afterwards).

    echo: the far end's echo is taken out, and what that leaves is silenced (`echo_gate.py`); without it `render()` does nothing. No
        delay need be given: it is found, and followed. Where the microphone does not hear the far end, as with headphones, that too
        is found (`echo_path.py`), and voices pass as they are.
    noise: `near_field`, for a microphone at the mouth (a headset): one stage of suppression, which lowers a steady noise by
        12 to 17 dB. `far_field`, for a microphone across the table (a laptop, a conference room): two stages, 24 to 29 dB, at
        6 ms more latency. Either takes what lies below about 100 Hz away, as echo control does too.
    gain: quiet voices are brought to a common level, slowly; a far-field microphone wants it, so does a laptop's.
    strength: how much of the noise reduction, 0..1: the share of the cleaned sound in a mix with the same sound without noise
        reduction, delayed to match. At 0.5 a noise can be lowered by 6 dB at most, at 0.75 by 12; 0 is `off`. It weakens neither
        echo control nor gain.
    gated: False leaves of echo control what cancellation alone does, to be heard or measured.

    Raises `ProcessingUnavailable` where the library is missing and `ValueError` for a rate or a strength outside its range.
    Source: WebRTC's audio processing module (AEC3, its Wiener-filter noise suppressor, AGC2) in the package `livekit`.
    """

    def __init__(
        self,
        sample_rate: int,
        *,
        echo: bool,
        noise: NoiseLevel,
        gain: bool,
        strength: float = 1.0,
        gated: bool = True,
    ) -> None:
        if sample_rate not in _PATH:
            raise ValueError(f"audio is processed at {', '.join(map(str, SAMPLE_RATES))} Hz, not at {sample_rate}")
        if not 0.0 <= strength <= 1.0:
            raise ValueError(f"strength is between 0 and 1, not {strength}")
        self.sample_rate = sample_rate
        self.frame_samples = sample_rate // FRAMES_PER_S
        stages = 0 if strength == 0 else {"off": 0, "near_field": 1, "far_field": 2}[noise]
        mixed = stages > 0 and strength < 1.0
        # Gain is last, because other stages compare levels.
        apart = mixed or echo or not stages

        def make() -> _Chain:
            return _Chain(
                sample_rate, echo=echo, stages=stages, gain=gain and not apart, mixed=mixed, strength=strength
            )

        self.echo_control = EchoControl(sample_rate, make, gated=gated) if echo else None
        self._stages: EchoControl | _Chain = self.echo_control or make()
        self._gain = _Module(sample_rate, echo=False, noise=False, gain=True) if gain and apart else None
        delay = self._stages.delay + (_GAIN_PATH[sample_rate] if self._gain is not None else 0)
        self._passes = not (echo or stages or gain)
        self._delay = delay
        self._skip = delay
        self._near = _Residue(self.frame_samples)
        self._far = _Residue(self.frame_samples)

    @property
    def latency_samples(self) -> int:
        """How many samples the output lags behind the input at the most; constant. Up to a frame less, as chunks fall."""
        return 0 if self._passes else self._delay + self.frame_samples

    def render(self, audio: Int16) -> None:
        """The far end: what the loudspeaker plays, in order, within about a tenth of a second of when it sounds."""
        if self.echo_control is not None:
            for frame in self._far.push(audio):
                self.echo_control.play(frame)

    def capture(self, audio: Int16) -> Int16:
        """The microphone's next samples; returns those that are ready, which lie `latency_samples` back at the most."""
        if not self.latency_samples:
            return audio
        frames = self._near.push(audio)
        if not len(frames):
            return np.empty(0, np.int16)
        cleaned = np.empty(frames.shape, np.int16)
        for index, frame in enumerate(frames):
            cleaned[index] = self._clean(frame)
        out = cleaned.reshape(-1)
        skipped = min(self._skip, len(out))
        self._skip -= skipped
        return out[skipped:]

    def flush(self) -> Int16:
        """What is still held back: with it, as much has come out as went in. The next sample given may follow at once."""
        held = self._near.held + self._delay - self._skip
        if not self.latency_samples or (not held and self._skip == self._delay):
            return np.empty(0, np.int16)
        # In frames from here on: silence until everything that was held has come out.
        silence = -(-(self._near.held + self._delay) // self.frame_samples) * self.frame_samples - self._near.held
        out = self.capture(np.zeros(silence, np.int16))[:held]
        self._skip = self._delay
        return out

    def _clean(self, frame: Int16) -> Int16:
        cleaned = self._stages.process(frame)
        return cleaned if self._gain is None else self._gain.process(cleaned)
