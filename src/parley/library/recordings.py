"""Audio files for sessions: read, cut into frames, written.

Laws: everything is mono; whatever container PyAV reads can be read.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from parley.audio import files, pcm
from parley.audio.files import Recording
from parley.audio.types import Samples
from parley.library import checks
from parley.library.errors import LibraryError
from parley.library.events import ReplyAudio, VoiceEvent
from parley.library.frame_reader import Frame


def read_audio(source: str | os.PathLike[str] | BinaryIO) -> Recording:
    """A whole file, mono: `.audio` float32 `[n]` in [-1, 1], `.sample_rate` in Hz. Raises `AudioFileError`, `OSError`.

    Next: `VoiceSession(pipeline, sample_rate=recording.sample_rate).run(frames(recording))`.
    """
    return files.read(source)


def frames(recording: Recording, frame_ms: float = 100.0) -> Iterator[Samples]:
    """The recording in pieces of `frame_ms`, float32 `[n]`; the last one is as short as it is."""
    checks.number("frame_ms", frame_ms, 0.01, 3_600_000, "ms")
    size = max(1, round(recording.sample_rate * frame_ms / 1000))
    for start in range(0, len(recording.audio), size):
        yield recording.audio[start : start + size]


async def each(given: Iterable[Frame] | AsyncIterable[Frame]) -> AsyncIterator[Frame]:
    """The frames of either kind of iterable."""
    if isinstance(given, AsyncIterable):
        async for frame in given:
            yield frame
    else:
        for frame in given:
            yield frame


AudioInput = str | os.PathLike[str] | Recording | Iterable[Frame]
"""A file, a recording, or frames."""


def frames_of_audio(audio: AudioInput, sample_rate: int | None, function: str) -> tuple[Iterable[Frame], int]:
    """What `function` was given, as frames and their rate. Raises `AudioFileError`, `OSError`, `LibraryError` for frames without a rate."""
    if isinstance(audio, str | os.PathLike):
        audio = read_audio(audio)
    if isinstance(audio, Recording):
        return frames(audio, 500), audio.sample_rate
    if sample_rate is None:
        raise LibraryError(
            f"{function}() was called with frames and without their rate.", remedy="Give it: sample_rate=16_000."
        )
    return audio, sample_rate


def write_audio(
    path: str | os.PathLike[str],
    events: Iterable[VoiceEvent] | NDArray[np.int16] | Recording,
    sample_rate: int = 24_000,
) -> Recording:
    """Write the audio of these events (or int16 samples at `sample_rate`, or a recording); the suffix says the format. Returns it.

    Raises `AudioFileError` for a suffix that is not known.
    """
    if isinstance(events, Recording):
        recording = events
    elif isinstance(events, np.ndarray):
        recording = Recording(pcm.to_float(events), sample_rate)
    else:
        spoken = [event for event in events if isinstance(event, ReplyAudio)]
        rate = spoken[0].sample_rate if spoken else sample_rate
        pieces = [event.samples for event in spoken] or [np.empty(0, np.int16)]
        recording = Recording(pcm.to_float(np.concatenate(pieces)), rate)
    files.write(path, recording)
    return recording
