"""Voice profiles: what a voice converter without a model knows of a voice, learned from a clip of it.

A profile holds a few numbers (pitch, range, mean spectral envelope), none of which gives the clip back. It is a JSON file of its own.

Laws:
- A profile's file is for its user only (0600, in a folder of mode 0700) and takes its name once it is whole.
- A name is `letters, digits, - and _`, up to 64: it names a file of the folder and nothing else.
- `low` and `high` are built in, need no clip and cannot be replaced.
"""

from __future__ import annotations

import datetime
import hashlib
import math
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from parley.audio.mel_scale import Floats
from parley.audio.private_files import make_private_folder, replace_file
from parley.audio.resampling import resample
from parley.engines.ports import EngineRefused, EngineUnavailable, Samples
from parley.engines.vc.envelope import (
    BANDS,
    FFT,
    SAMPLE_RATE,
    WINDOW,
    band_levels,
    decibels,
    harmonic_envelope,
    window,
)
from parley.models import store

VARIABLE: Final = "PARLEY_VOICES_DIR"
FORMAT: Final = "parley-voice-profile"
VERSION: Final = 1

LEAST_CLIP_S: Final = 10.0
LEAST_VOICED_S: Final = 4.0
LONGEST_S: Final = 300.0
"""Of a longer clip the first five minutes count: the numbers change no more."""

LEAST_RATE: Final = 16_000
LOWEST_HZ, HIGHEST_HZ = 50.0, 600.0
"""The pitches of speech."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NEUTRAL_HZ: Final = 147.0
"""The geometric mean of the medians of `low` and `high`: the voice whose formant factor is 1."""

_FORMANT_POWER: Final = 0.25
"""Formants rise with the fourth root of the pitch: from men to women the pitch rises by 1.7, the formants by 1.15."""

_CLIPPED: Final = 0.999
_MOST_CLIPPED: Final = 0.005
"""Of the voiced samples. Speech that is recorded just too loud has one in a thousand."""

_SILENT: Final = 1e-3
_SURE: Final = 0.6
"""Confidence from which a frame counts as voiced (swift-f0 calls it voiced from 0.5)."""

_LARGEST_FILE: Final = 1 << 16
_AT_ONCE: Final = 64
"""Frames whose spectra are computed together."""


@dataclass(frozen=True, slots=True)
class VoiceProfile:
    """What is known of a voice.

    `median_hz`, `low_hz` and `high_hz` are the median of its pitch and the 10th and 90th percentile. `formant` is how high its formants
    lie, 1 for a voice between a man's and a woman's. `envelope` is its mean spectral envelope in dB at `envelope.BANDS`, mean 0; empty
    where it is not known. `voiced_s` and `clip_s` are the seconds of voiced speech and of the clip; `made` is the date (ISO 8601) and
    `sha256` the digest of the clip's samples (float32, little endian); "" for a built-in profile.

    Raises `ValueError` for numbers that no voice has.
    """

    name: str
    median_hz: float
    low_hz: float
    high_hz: float
    formant: float
    envelope: tuple[float, ...] = ()
    voiced_s: float = 0.0
    clip_s: float = 0.0
    made: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        if not LOWEST_HZ <= self.low_hz <= self.median_hz <= self.high_hz <= HIGHEST_HZ:
            raise ValueError(f"low_hz, median_hz and high_hz must rise from {LOWEST_HZ:g} to {HIGHEST_HZ:g}")
        if not 0.5 <= self.formant <= 2:
            raise ValueError("formant must be 0.5 to 2")
        if len(self.envelope) not in (0, len(BANDS)):
            raise ValueError(f"envelope must have {len(BANDS)} levels")
        if not all(-120 <= level <= 120 for level in self.envelope):
            raise ValueError("envelope must hold levels in dB")


BUILT_IN: Final = (
    VoiceProfile("low", median_hz=105, low_hz=88, high_hz=134, formant=0.92),
    VoiceProfile("high", median_hz=205, low_hz=170, high_hz=262, formant=1.09),
)
"""Voices without a clip: a man's and a woman's usual pitch, range and formants. They leave the mean envelope as it is."""


class _Head(msgspec.Struct):
    """What every version of a profile's file begins with."""

    format: str = ""
    version: int = 0


class _Stored(msgspec.Struct):
    """What version 1 holds besides."""

    profile: VoiceProfile


def formant_of(median_hz: float) -> float:
    """The formant factor that goes with a pitch, where nothing else is known of a voice."""
    return float((median_hz / _NEUTRAL_HZ) ** _FORMANT_POWER)


def folder() -> Path:
    """Where profiles are: the folder of `PARLEY_VOICES_DIR`, else `voices` in the user's data folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    return store.data_folder() / "voices"


def check_name(name: str) -> str:
    """The name itself. Raises `EngineRefused` (`invalid_voice_name`) for one that cannot be a profile's."""
    if not _NAME.fullmatch(name):
        raise EngineRefused(
            f"{name!r} cannot be the name of a voice profile.",
            "Use letters, digits, - and _, 64 at most.",
            code="invalid_voice_name",
        )
    return name


def learn(name: str, audio: Samples, rate: int) -> VoiceProfile:
    """The profile of the voice in a clip, float32 `[n]` at `rate` Hz, of one speaker. Blocks, about a second for each minute.

    Raises `EngineRefused`: `invalid_voice_name`, `voice_built_in`, `clip_rate` (under 16 kHz), `clip_not_audio` (NaN, infinite, not mono),
    `clip_too_short`, `clip_silent`, `clip_clipped`, `clip_without_voice` (under 4 s of voiced speech).
    """
    _check_free(name)
    _check_clip(audio, rate)
    heard = audio[: round(LONGEST_S * rate)].astype(np.float32)
    pitch, times = _voiced(resample(heard, rate, _pitch_rate(), "VHQ"))
    voiced_s = len(pitch) * _frame_s()
    if voiced_s < LEAST_VOICED_S:
        raise EngineRefused(
            f"The clip has {voiced_s:.1f} s of voiced speech; a voice profile needs {LEAST_VOICED_S:g} s.",
            f"Record one person who speaks for {LEAST_CLIP_S:g} s or more, close to the microphone, without music.",
            code="clip_without_voice",
        )
    _check_clipping(heard, rate, times)
    low, median, high = (float(each) for each in np.percentile(pitch, (10, 50, 90)))
    envelope = _mean_envelope(resample(heard, rate, SAMPLE_RATE, "VHQ"), pitch, times)
    return VoiceProfile(
        name,
        median_hz=round(median, 2),
        low_hz=round(low, 2),
        high_hz=round(high, 2),
        formant=round(formant_of(median), 4),
        envelope=tuple(round(float(level), 2) for level in envelope),
        voiced_s=round(voiced_s, 2),
        clip_s=round(len(audio) / rate, 2),
        made=datetime.datetime.now(datetime.UTC).date().isoformat(),
        sha256=hashlib.sha256(np.ascontiguousarray(audio, "<f4").tobytes()).hexdigest(),
    )


def save(profile: VoiceProfile) -> Path:
    """Write the profile's file, in place of an older one of its name; returns its path. Raises `EngineRefused` (as `learn` does for names)
    and `OSError`."""
    _check_free(profile.name)
    path = _path(profile.name)
    make_private_folder(path.parent)
    whole = {"format": FORMAT, "version": VERSION, "profile": asdict(profile)}
    replace_file(path, msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n")
    return path


def load(name: str) -> VoiceProfile:
    """The profile of that name. Raises `EngineRefused` (`invalid_voice_name`) and `EngineUnavailable`: `unknown_voice` where there is none,
    `damaged_voice_profile`, `newer_voice_profile`, `unreadable_voice_profile`."""
    for profile in BUILT_IN:
        if profile.name == name:
            return profile
    path = _path(name)
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        raise EngineUnavailable(
            f"There is no voice profile {name!r} in {path.parent}.",
            f"Make it of a clip of the voice: parley voice profile {name} clip.wav. Known: {', '.join(names())}.",
            code="unknown_voice",
        ) from None
    except OSError as error:
        raise EngineUnavailable(
            f"The voice profile {path} cannot be read: {error.strerror or error}.",
            "Let the user that runs Parley read it.",
            code="unreadable_voice_profile",
        ) from error
    return _decoded(name, path, content)


def names() -> tuple[str, ...]:
    """The names of all profiles: the built-in ones, then those of the folder in order. Files are not read."""
    return (*(profile.name for profile in BUILT_IN), *_own_names())


def profiles() -> tuple[VoiceProfile, ...]:
    """All profiles: the built-in ones, then those of the folder by name. Raises as `load()` for one that is damaged."""
    return (*BUILT_IN, *(load(name) for name in _own_names()))


def remove(name: str) -> None:
    """Delete a profile. Raises `EngineRefused` (`voice_built_in`), `EngineUnavailable` (`unknown_voice`) and `OSError`."""
    _check_free(name)
    path = _path(name)
    try:
        path.unlink()
    except FileNotFoundError:
        raise EngineUnavailable(
            f"There is no voice profile {name!r} in {path.parent}.",
            f"Known: {', '.join(names())}.",
            code="unknown_voice",
        ) from None


def _own_names() -> list[str]:
    own = folder()
    if not own.is_dir():
        return []
    built_in = {profile.name for profile in BUILT_IN}
    found = (path.stem for path in own.glob("*.json") if path.is_file())
    return sorted(name for name in found if _NAME.fullmatch(name) and name not in built_in)


def _path(name: str) -> Path:
    return folder() / f"{check_name(name)}.json"


def _check_free(name: str) -> None:
    check_name(name)
    if any(profile.name == name for profile in BUILT_IN):
        raise EngineRefused(
            f"The voice profile {name!r} is built in and stays as it is.",
            "Choose another name.",
            code="voice_built_in",
        )


def _decoded(name: str, path: Path, content: bytes) -> VoiceProfile:
    again = f"Make it again: parley voice profile {name} clip.wav."
    try:
        if len(content) > _LARGEST_FILE:
            raise ValueError(f"it is larger than {_LARGEST_FILE} bytes")
        head = msgspec.json.decode(content, type=_Head)
        if head.format != FORMAT:
            raise ValueError(f"its `format` is not {FORMAT!r}")
        if head.version > VERSION:
            raise EngineUnavailable(
                f"The voice profile {path} has the format version {head.version}; this Parley reads {VERSION}.",
                f"Update Parley. Or: {again}",
                code="newer_voice_profile",
            )
        if head.version < 1:
            raise ValueError("its `version` is under 1")
        profile = msgspec.json.decode(content, type=_Stored).profile
        if profile.name != name:
            raise ValueError(f"it is the profile of {profile.name!r}")
    except ValueError as error:  # those of msgspec are ones too
        raise EngineUnavailable(
            f"The voice profile {path} is damaged: {error}.", again, code="damaged_voice_profile"
        ) from error
    return profile


def _check_clip(audio: Samples, rate: int) -> None:
    if rate < LEAST_RATE:
        raise EngineRefused(
            f"The clip has a sample rate of {rate} Hz; a voice profile needs {LEAST_RATE} Hz or more.",
            "Record it again: telephone audio lacks half of the voice.",
            code="clip_rate",
        )
    if audio.ndim != 1 or not np.isfinite(audio).all():
        raise EngineRefused(
            "The clip is not audio: it has more than one channel, or values that are not finite numbers.",
            "Give float32 samples of one channel, in -1..1.",
            code="clip_not_audio",
        )
    if len(audio) < LEAST_CLIP_S * rate:
        raise EngineRefused(
            f"The clip is {math.floor(10 * len(audio) / rate) / 10:.1f} s long; a voice profile needs {LEAST_CLIP_S:g} s or more.",
            "Record one person who speaks for longer; 30 s are good.",
            code="clip_too_short",
        )
    if np.abs(audio[: round(LONGEST_S * rate)]).max() < _SILENT:
        raise EngineRefused(
            "The clip is silent.", "Check the microphone and its level, and record it again.", code="clip_silent"
        )


def _check_clipping(audio: Samples, rate: int, times: Floats) -> None:
    """Clipping flattens the peaks of vowels, and puts harmonics into the envelope that the voice has not."""
    half = round(0.5 * _frame_s() * rate)
    starts = np.maximum(0, np.rint(times * rate).astype(np.intp) - half)
    loud = np.concatenate([[0], np.cumsum(np.abs(audio) >= _CLIPPED)])
    ends = np.minimum(len(audio), starts + 2 * half)
    share = float((loud[ends] - loud[starts]).sum() / max(1, (ends - starts).sum()))
    if share > _MOST_CLIPPED:
        raise EngineRefused(
            f"{share:.1%} of the voiced samples are clipped: the clip is recorded too loud.",
            "Lower the level of the microphone, and record it again.",
            code="clip_clipped",
        )


def _pitch_rate() -> int:
    from swift_f0.core import SAMPLE_RATE as PITCH_RATE

    return int(PITCH_RATE)


def _frame_s() -> float:
    from swift_f0.core import FRAME_PERIOD

    return float(FRAME_PERIOD)


def _voiced(audio: Samples) -> tuple[Floats, Floats]:
    """The pitch in Hz and the time in seconds of each voiced frame of a clip at 16 kHz."""
    from swift_f0.core import SwiftF0

    found = SwiftF0(threads=1, spin=False).detect(audio, _pitch_rate(), LOWEST_HZ, HIGHEST_HZ)
    sure = found.confidence >= _SURE
    pitch, times = found.pitch_hz[sure], found.timestamps[sure]
    return np.clip(pitch, LOWEST_HZ, HIGHEST_HZ), times


def _mean_envelope(audio: Samples, pitch: Floats, times: Floats) -> Floats:
    """The mean of the voiced frames' envelopes at `BANDS`, of a clip at `SAMPLE_RATE`."""
    padded = np.concatenate([np.zeros(WINDOW // 2), audio, np.zeros(WINDOW)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)
    starts = np.minimum(np.rint(times * SAMPLE_RATE).astype(np.intp), len(audio))
    total = np.zeros(len(BANDS))
    for at in range(0, len(starts), _AT_ONCE):
        spectra = np.abs(np.fft.rfft(frames[starts[at : at + _AT_ONCE]] * window(), FFT))
        for magnitudes, hz in zip(spectra, pitch[at : at + _AT_ONCE], strict=True):
            total += band_levels(harmonic_envelope(decibels(magnitudes), float(hz)))
    return total / max(1, len(starts))
