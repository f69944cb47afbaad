"""Where a command puts speech: a file, a pipe, or the loudspeaker."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import click

from parley.cli.failures import files_checked
from parley.cli.file_outputs import STDOUT, check_outputs, check_sound_format, sound_output

if TYPE_CHECKING:
    from parley.library.speech import Spoken

DEVICE_RATE: Final = 48_000
"""Every sound device supports this rate."""


def check_speech_output(output: str | None, device: str, inputs: tuple[str, ...] = ()) -> None:
    """Whatever is wrong with `-o` is found before any work. Raises `CommandFailed`, `click.UsageError`."""
    if device and output is not None:
        raise click.UsageError("--output-device is for speech through the loudspeaker, and -o writes a file.")
    if output == STDOUT:
        if sys.stdout.isatty():
            raise click.UsageError("-o - writes audio: send it to a file or another program (... -o - > out.wav)")
    elif output is not None:
        with files_checked():
            check_sound_format(output)
            check_outputs([output], inputs)


def speech_sink(output: str | None, raw: bool, rate: int, device: str) -> Callable[[Iterable[Spoken]], float]:
    """Consumes the audio and returns its seconds."""
    if output is None:
        return lambda speaking: _to_loudspeaker(speaking, device)
    if output == STDOUT:
        return lambda speaking: _to_stdout(speaking, rate, raw)
    return lambda speaking: _to_file(speaking, rate, output)


def _to_file(speaking: Iterable[Spoken], rate: int, output: str) -> float:
    import numpy as np

    from parley.library.recordings import write_audio

    pieces = [spoken.samples for spoken in speaking]
    if not pieces:
        return 0.0
    return write_audio(sound_output(output, ()), np.concatenate(pieces), rate).seconds


def _to_stdout(speaking: Iterable[Spoken], rate: int, raw: bool) -> float:
    out, samples = sys.stdout.buffer, 0
    for spoken in speaking:
        if not samples and not raw:
            out.write(_wav_head(rate))
        out.write(spoken.samples.astype("<i2", copy=False).tobytes())
        out.flush()
        samples += len(spoken.samples)
    return samples / rate


def _wav_head(rate: int) -> bytes:
    """The header of a WAV file of unknown length, which names the largest length, as other programs do on pipes."""
    unknown = 0xFFFFFFFF
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", unknown, b"WAVE") + form + struct.pack("<4sI", b"data", unknown)


def _to_loudspeaker(speaking: Iterable[Spoken], wanted: str) -> float:
    from parley.talk.devices import find_device, list_devices

    device = find_device(list_devices(), wanted, "output")
    import sounddevice

    stream: Any = sounddevice.RawOutputStream(samplerate=DEVICE_RATE, channels=1, dtype="int16", device=device.index)
    samples = 0
    with stream:
        for spoken in speaking:
            stream.write(spoken.samples.tobytes())
            samples += len(spoken.samples)
        if samples:
            # A device that is stopped right after the last write drops its buffer.
            stream.write(bytes(2 * int(DEVICE_RATE * stream.latency)))
    return samples / DEVICE_RATE
