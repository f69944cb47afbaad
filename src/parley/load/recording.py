"""A recording as a microphone would deliver it: where its speech begins and ends, and each chunk as a finished
WebSocket frame.

Laws: everything costly (resampling, base64, JSON, masking) happens once here, whatever the number of sessions; no I/O
but reading the file.
"""

from __future__ import annotations

import base64
import wave
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray
from websockets.frames import Frame, Opcode

from parley.errors import ParleyError

SAMPLE_RATE = 24_000
"""The one rate of `audio/pcm` in the GA protocol."""

MAX_RECORDING_S = 600
"""A user's turn longer than ten minutes measures nothing that one of ten seconds does not."""

_WINDOW_MS = 10
_VOICED_BELOW_PEAK_DB = 40.0
"""Speech is what lies within 40 dB of the loudest 10 ms: a fading last vowel or a final consonant is 20 to 35 dB below a
stressed vowel, and still heard as speech."""
_VOICED_ABOVE_FLOOR_DB = 8.0
"""... and at least 8 dB above the recording's own noise (its quietest tenth), so that a noisy room is not taken for
speech."""
_ABSOLUTE_FLOOR_DB = -60.0
_CLICK_MS = 30
"""A lone burst shorter than this at either edge is a click of the recorder, not speech."""


class UnusableRecording(ParleyError):
    """The WAV cannot be used for a load test."""


@dataclass(frozen=True, slots=True)
class SpeechRecording:
    """Mono PCM16 at 24 kHz, and its speech: `onset_sample` <= voice < `end_sample`; `longest_pause_ms` lies between
    the two."""

    pcm: NDArray[np.int16]
    onset_sample: int
    end_sample: int
    longest_pause_ms: int

    @property
    def duration_s(self) -> float:
        return len(self.pcm) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class SpeechTrack:
    """A recording cut into chunks, each a complete masked WebSocket text frame holding one `input_audio_buffer.append`.

    A chunk leaves when its last sample has been "recorded"; `onset_lead_s` and `end_lead_s` say how long before the
    departure of `frames[onset_frame]` and `frames[end_frame]` the voice began and ended.
    """

    chunk_ms: int
    frames: tuple[bytes, ...]
    silence: bytes
    onset_frame: int
    onset_lead_s: float
    end_frame: int
    end_lead_s: float


def load_recording(path: Path) -> SpeechRecording:
    """Read a PCM16 WAV of any rate and channel count; raises UnusableRecording."""
    try:
        with wave.open(str(path)) as wav:
            if wav.getsampwidth() != 2:
                raise UnusableRecording(
                    f"{path} holds {8 * wav.getsampwidth()}-bit samples; 16-bit PCM is needed.",
                    f"Convert it: ffmpeg -i {path.name} -c:a pcm_s16le converted.wav",
                )
            if wav.getnframes() > MAX_RECORDING_S * wav.getframerate():
                raise UnusableRecording(f"{path} is longer than {MAX_RECORDING_S} s.", "Cut out one utterance.")
            samples = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2")
            rate, channels = wav.getframerate(), wav.getnchannels()
    except (OSError, EOFError, wave.Error) as error:
        raise UnusableRecording(
            f"{path} cannot be read as a WAV: {error}.", "Give --wav a 16-bit PCM WAV file."
        ) from error
    mono = samples.reshape(-1, channels).mean(axis=1) if channels > 1 else samples.astype(np.float64)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    return find_speech(np.clip(np.rint(mono), -32768, 32767).astype(np.int16))


def find_speech(pcm: NDArray[np.int16]) -> SpeechRecording:
    """Mark where the voice begins and ends, by the energy of 10 ms windows; raises UnusableRecording when there is
    none."""
    window = SAMPLE_RATE * _WINDOW_MS // 1000
    count = len(pcm) // window
    if count == 0:
        raise UnusableRecording("The recording is shorter than 10 ms.", "Give --wav a recording of speech.")
    blocks = pcm[: count * window].astype(np.float64).reshape(count, window) / 32768
    level_db = 10 * np.log10(np.mean((blocks - blocks.mean(axis=1, keepdims=True)) ** 2, axis=1) + 1e-12)
    threshold_db = max(
        float(level_db.max()) - _VOICED_BELOW_PEAK_DB,
        min(float(np.percentile(level_db, 10)) + _VOICED_ABOVE_FLOOR_DB, float(level_db.max()) - 10),
        _ABSOLUTE_FLOOR_DB,
    )
    runs = _runs(level_db > threshold_db)
    while runs and (runs[0][1] - runs[0][0]) * _WINDOW_MS < _CLICK_MS:
        runs.pop(0)
    while runs and (runs[-1][1] - runs[-1][0]) * _WINDOW_MS < _CLICK_MS:
        runs.pop()
    if not runs:
        raise UnusableRecording(
            "The recording holds no speech (nothing above -60 dBFS for 30 ms).", "Give --wav another."
        )
    pauses = [after[0] - before[1] for before, after in pairwise(runs)]
    return SpeechRecording(
        pcm=pcm,
        onset_sample=runs[0][0] * window,
        end_sample=runs[-1][1] * window,
        longest_pause_ms=max(pauses, default=0) * _WINDOW_MS,
    )


def _runs(voiced: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], voiced, [False])).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def cut_track(recording: SpeechRecording, chunk_ms: int) -> SpeechTrack:
    """Cut a recording into paced chunks; the last one is filled up with silence."""
    chunk = SAMPLE_RATE * chunk_ms // 1000
    count = -(-len(recording.pcm) // chunk)
    padded = np.zeros(count * chunk, dtype=np.int16)
    padded[: len(recording.pcm)] = recording.pcm
    onset_frame = recording.onset_sample // chunk
    end_frame = (recording.end_sample - 1) // chunk
    return SpeechTrack(
        chunk_ms=chunk_ms,
        frames=tuple(_append_frame(padded[at : at + chunk]) for at in range(0, len(padded), chunk)),
        silence=_append_frame(np.zeros(chunk, dtype=np.int16)),
        onset_frame=onset_frame,
        onset_lead_s=((onset_frame + 1) * chunk - recording.onset_sample) / SAMPLE_RATE,
        end_frame=end_frame,
        end_lead_s=((end_frame + 1) * chunk - recording.end_sample) / SAMPLE_RATE,
    )


def _append_frame(pcm: NDArray[np.int16]) -> bytes:
    return text_frame(b'{"type":"input_audio_buffer.append","audio":"' + base64.b64encode(pcm.tobytes()) + b'"}')


def text_frame(payload: bytes) -> bytes:
    """A client's WebSocket text frame, masked with a random key.

    The key of a prepared frame is reused each time it is sent. RFC 6455 (10.3) wants a fresh one so that a hostile
    *page* cannot choose the bytes on the wire and fool a proxy; a load driver trusts its own payload, and masking
    10,000 frames a second anew would cost more than everything else it does.
    """
    return Frame(Opcode.TEXT, payload).serialize(mask=True)
