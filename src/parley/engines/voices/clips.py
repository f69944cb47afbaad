"""Recordings of people as they are kept: one channel, 24 kHz or less, 16 bits.

Laws: a file is read as a stranger's (`engines/strangers_audio.py`), bounded in bytes and in seconds before it is decoded further.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from parley.audio.files import AudioFileError, AudioTooLong, Recording
from parley.audio.resampling import resample
from parley.engines.strangers_audio import read_strangers
from parley.engines.voices.records import VoiceRefused

MAX_BYTES: Final = 10 << 20
MAX_SECONDS: Final = 30.0
"""Both as OpenAI has them."""

MIN_SECONDS: Final = 3.0
"""Engines want about ten."""

RATE: Final = 24_000
"""What the engines that clone take."""

LEAST_RATE, MOST_RATE = 8_000, 192_000
_SILENT: Final = 3e-3
"""A peak of -50 dB: the noise of a microphone that nobody speaks into."""

_ADVICE: Final = "Give about ten seconds of one person who speaks, close to the microphone, without music."
_CUT: Final = "Cut a piece out of it, for example: ffmpeg -i IN -ss 0 -t 20 -ac 1 clip.wav"


def read(path: Path) -> Recording:
    """The recording in a file of the user's. Blocks. Raises `VoiceRefused` and `OSError`."""
    with path.open("rb") as stream:
        return read_stream(stream, path.name)


def read_stream(stream: BinaryIO, name: str, field: str = "clip") -> Recording:
    """The recording in an open file, as it is kept. Blocks. Raises `VoiceRefused`, with the `field` that the file is:
    `clip_too_large`, `clip_too_long`, `clip_too_short`, `clip_silent`, `clip_not_audio`."""
    if (size := stream.seek(0, io.SEEK_END)) > MAX_BYTES:
        raise VoiceRefused(
            f"{name} has {size / (1 << 20):.1f} MiB; a recording has at most {MAX_BYTES >> 20} MiB and {MAX_SECONDS:g} s.",
            _CUT,
            code="clip_too_large",
            field=field,
        )
    if not size:
        raise VoiceRefused(f"{name} is empty.", _ADVICE, code="clip_not_audio", field=field)
    try:
        recording = read_strangers(stream, name, max_seconds=MAX_SECONDS, max_rate=RATE)
    except AudioTooLong as error:
        message = f"{name} is longer than {MAX_SECONDS:g} s."
        raise VoiceRefused(message, _CUT, code="clip_too_long", field=field) from error
    except AudioFileError as error:
        raise VoiceRefused(error.message, _ADVICE, code="clip_not_audio", field=field) from error
    return _checked(recording, name, field)


def _checked(recording: Recording, name: str, field: str) -> Recording:
    audio, rate = recording.audio, recording.sample_rate
    if not LEAST_RATE <= rate <= MOST_RATE or not np.isfinite(audio).all():
        raise VoiceRefused(
            f"{name} has a sample rate of {rate} Hz, or values that are not numbers.",
            f"Record it at {RATE} Hz or more.",
            code="clip_not_audio",
            field=field,
        )
    if recording.seconds < MIN_SECONDS:
        raise VoiceRefused(
            f"{name} is {recording.seconds:.1f} s long; a recording needs {MIN_SECONDS:g} s or more.",
            _ADVICE,
            code="clip_too_short",
            field=field,
        )
    if float(np.abs(audio).max()) < _SILENT:
        raise VoiceRefused(
            f"{name} is silent.",
            "Check the microphone and its level, and record it again.",
            code="clip_silent",
            field=field,
        )
    return recording if rate <= RATE else Recording(resample(audio, rate, RATE, "HQ"), RATE)
