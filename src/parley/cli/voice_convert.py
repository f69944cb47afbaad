"""`parley voice convert`: a file or a pipe in another voice, or the microphone, live."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
import wave
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parley.cli.failures import CommandFailed, files_checked
from parley.cli.file_inputs import read_recording
from parley.cli.file_outputs import STDOUT, check_outputs, check_sound_format, sound_output
from parley.cli.file_progress import frames_with_progress
from parley.cli.model_downloads import provide_models
from parley.cli.options import load_config, pull_option, warn
from parley.cli.sound_devices import input_device_option, output_device_option
from parley.cli.voice_target import ConversionTarget, opened, target_of, target_options

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from parley.audio.files import Recording
    from parley.audio.types import Samples
    from parley.engines.ports import VoiceConverter


@click.command(
    epilog="""\b
Examples:
  parley voice convert interview.mp3 interview.wav --to ana
  parley say "Good morning." -o - | parley voice convert - - --to low > morning.wav
  parley voice convert talk.flac talk.wav --to rvc:models/ana --option pitch=-3
  parley voice convert --live --to ana
  parley voice convert --live --to high --output-device "CABLE Input"
"""
)
@click.argument("source", required=False, metavar="IN|-")
@click.argument("output", required=False, metavar="OUT|-")
@target_options
@click.option("--live", is_flag=True, help="Convert the microphone into the loudspeaker until Ctrl-C.")
@input_device_option("--input", default=None)
@output_device_option("--output", default=None)
@click.option(
    "--device-buffer",
    type=click.FloatRange(2, 500),
    metavar="MS",
    help="Asked of each device [default: 20]; more where it crackles.",
)
@click.option(
    "--slack",
    type=click.FloatRange(10, 500),
    metavar="MS",
    help="Time to compute a block [default: 30]; less is heard sooner, and raw more often.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON; with --live a line each second.")
@pull_option
@click.option("--pipeline", metavar="NAME", help="Without --to: the converter of this pipeline of parley.toml.")
@click.option("--config", "config_path", metavar="FILE", type=click.Path(path_type=Path), help="Read this parley.toml.")
def convert(
    source: str | None,
    output: str | None,
    to: str | None,
    voice: str,
    options: tuple[str, ...],
    live: bool,
    input_device: str | None,
    output_device: str | None,
    device_buffer: float | None,
    slack: float | None,
    as_json: bool,
    config_path: Path | None,
    **flags: str | None,
) -> None:
    """Speak what IN says in another voice, into OUT: as long as IN, at the converter's sample rate.

    IN is any audio or video that PyAV reads; OUT is .wav .flac .ogg .mp3 or .m4a; - is a pipe. With --live neither is given.
    """
    if live:
        if source is not None:
            raise click.UsageError("--live takes no files: it converts the microphone into the loudspeaker.")
    else:
        with files_checked():
            _check_files(source, output)
        if any(each is not None for each in (input_device, output_device, device_buffer, slack)):
            raise click.UsageError("--input-device, --output-device, --device-buffer and --slack are for --live.")
    from parley.engines.ports import VC

    config = load_config(config_path, flags)
    warn(config)
    target = target_of(to, voice, options, config)
    provide_models(config, [(VC, target.engine)])
    with files_checked():
        if live:
            from parley.cli.voice_live import converse
            from parley.talk.live_voice import DEVICE_MS, SLACK_MS, LiveBuffers

            buffers = LiveBuffers(device_buffer or DEVICE_MS, slack or SLACK_MS)
            converse(target, (input_device or "", output_device or ""), buffers, as_json=as_json)
        else:
            assert source is not None
            assert output is not None
            _convert_file(source, output, target, as_json)


def _check_files(source: str | None, output: str | None) -> None:
    """Whatever is wrong with the names is found before the work is done."""
    if source is None or output is None:
        raise click.UsageError("Name the files IN and OUT, or - for a pipe, or use --live.")
    if output == STDOUT:
        if sys.stdout.isatty():
            raise click.UsageError("OUT - writes audio: send it to a file or another program (... - > out.wav)")
        return
    check_sound_format(output)
    check_outputs([output], (source,))


@dataclass(frozen=True, slots=True)
class FileFigures:
    """What a conversion of a file came to. `rtf` is computing time by audio; levels are in dBFS."""

    seconds: float
    sample_rate: int
    rtf: float
    latency_ms: float
    block_ms: float
    input_dbfs: float
    output_dbfs: float
    peak_dbfs: float

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s at {self.sample_rate} Hz, RTF {self.rtf:.3f}; latency {self.latency_ms:.0f} ms and "
            f"a block of {self.block_ms:.0f} ms; level {self.input_dbfs:.1f} to {self.output_dbfs:.1f} dBFS, peak "
            f"{self.peak_dbfs:.1f}"
        )


def _convert_file(source: str, output: str, target: ConversionTarget, as_json: bool) -> None:
    from parley.audio.files import Recording, write

    recording = read_recording(source)
    made, figures = asyncio.run(_converted(recording, source, target))
    if output == STDOUT:
        _write_pipe(made, figures.sample_rate)
    else:
        write(sound_output(output, (source,)), Recording(made, figures.sample_rate))
    if as_json:
        shown = {"converter": str(target), **{name: round(value, 4) for name, value in asdict(figures).items()}}
        click.echo(json.dumps(shown), err=output == STDOUT)
    else:
        click.echo(f"{'' if output == STDOUT else f'{output}: '}{figures}", err=True)


async def _converted(recording: Recording, name: str, target: ConversionTarget) -> tuple[Samples, FileFigures]:
    """The whole recording in the other voice, at the converter's rate."""
    import numpy as np

    from parley.audio.files import Recording as Audio
    from parley.audio.levels import rms_dbfs, to_dbfs
    from parley.audio.resampling import resample

    async with opened(target) as converter:
        rate = converter.info.sample_rate
        length = round(len(recording.audio) * rate / recording.sample_rate)
        audio = np.zeros(length, np.float32)
        heard = resample(recording.audio, recording.sample_rate, rate, "VHQ")[:length]
        audio[: len(heard)] = heard
        began = time.perf_counter()
        with frames_with_progress(Audio(audio, rate), name) as pieces:
            async with aclosing(_pieces(converter, target.voice, pieces)) as parts:
                made = np.concatenate([np.zeros(0, np.float32), *[part async for part in parts]])
        took_s = time.perf_counter() - began
        if len(made) != length:
            raise CommandFailed(
                f"{target} made {len(made)} samples of {length}.", "This is a fault of the converter; name another."
            )
        figures = FileFigures(
            seconds=length / rate,
            sample_rate=rate,
            rtf=took_s * rate / length if length else 0.0,
            latency_ms=converter.latency_ms,
            block_ms=converter.block_ms,
            input_dbfs=rms_dbfs(audio),
            output_dbfs=rms_dbfs(made),
            peak_dbfs=to_dbfs(float(np.abs(made).max()) if length else 0.0),
        )
        return made, figures


async def _pieces(converter: VoiceConverter, voice: str, pieces: Iterable[Samples]) -> AsyncGenerator[Samples, None]:
    from parley.engines.ports import ConversionSpec

    stream = converter.open_stream(ConversionSpec(voice))
    try:
        for piece in pieces:
            yield await stream.convert(piece)
        yield await stream.finish()
    finally:
        stream.close()


def _write_pipe(audio: Samples, rate: int) -> None:
    """A WAV of known length on stdout."""
    from parley.audio import pcm

    whole = io.BytesIO()
    with wave.open(whole, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes(pcm.to_bytes(audio))
    sys.stdout.buffer.write(whole.getvalue())
    sys.stdout.buffer.flush()
