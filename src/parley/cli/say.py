"""`parley say`: text to speech, into a file, a pipe, or the loudspeaker, clause by clause."""

from __future__ import annotations

import dataclasses
import struct
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parley.cli.failures import CommandFailed, files_checked
from parley.cli.file_inputs import STDIN
from parley.cli.file_outputs import STDOUT, check_outputs, check_sound_format, sound_output
from parley.cli.model_downloads import provide_models
from parley.cli.options import language_named, load_config, pull_option, synthesizer_of, warn
from parley.cli.sound_devices import output_device_option

if TYPE_CHECKING:
    from parley.config import PipelineConfig
    from parley.library.speech import Spoken

PIPE_RATE = 24_000
DEVICE_RATE = 48_000
"""Every sound device supports this rate."""


@click.command(
    epilog="""\b
Examples:
  parley say "What is the weather in Paris?" -o question.wav
  parley say "Guten Morgen." --language de
  fortune | parley say -
  parley say "Hello world." -o - | parley transcribe -
"""
)
@click.argument("text", nargs=-1, required=True)
@click.option(
    "-o", "--output", metavar="FILE", help="Write this file (.wav .flac .ogg .mp3 .m4a), or - for WAV on stdout."
)
@click.option("--raw", is_flag=True, help="With -o -: samples alone, 16-bit little-endian, mono, at --rate.")
@click.option(
    "--rate", type=click.IntRange(8_000, 48_000), default=PIPE_RATE, show_default=True, help="Samples a second."
)
@click.option("--tts", metavar="ENGINE[:MODEL]", help="Speech synthesis, such as hibari or espeak.")
@click.option("--tts-base-url", metavar="URL", help="Endpoint of --tts openai:MODEL.")
@click.option("--vc", metavar="ENGINE[:MODEL]", help="Voice conversion, such as vocoder:NAME.")
@click.option("--voice", metavar="NAME", help="OpenAI's names, or the engine's own (`parley engines`).")
@click.option("--language", metavar="TAG", help="Language of the text, such as en, de or pt-BR.")
@click.option(
    "--speed", type=click.FloatRange(0.25, 4.0), default=1.0, show_default=True, help="Times the usual speed."
)
@output_device_option("--device")
@pull_option
@click.option("--pipeline", metavar="NAME", help="Take engine, voice and language from this pipeline of parley.toml.")
@click.option("--config", "config_path", metavar="FILE", type=click.Path(path_type=Path), help="Read this parley.toml.")
def say(
    text: tuple[str, ...],
    output: str | None,
    raw: bool,
    rate: int,
    language: str | None,
    speed: float,
    output_device: str,
    config_path: Path | None,
    **flags: str | None,
) -> None:
    """Speak TEXT, or with - text from stdin, as it arrives. Without -o, through the loudspeaker."""
    from_stdin = text == (STDIN,)
    if not from_stdin and not "".join(text).strip():
        raise CommandFailed("There was nothing to say.", "Give a text, or - to read it from stdin.")
    _check_output(output, raw, output_device, (STDIN,) if from_stdin else ())
    from parley.engines.ports import TTS, VC

    config = load_config(config_path, flags)
    warn(config)
    chosen = config.pipelines[config.default_pipeline]
    if language is not None:
        chosen = dataclasses.replace(chosen, language=language)
    synthesizer_of(chosen)
    provide_models(config, [(stage, chosen.engines[stage]) for stage in (TTS, VC) if stage in chosen.engines])
    pieces = _stdin() if from_stdin else [" ".join(text)]
    rate = rate if output is not None else DEVICE_RATE
    with files_checked(), language_named("--language", language):
        sink = _sink(output, raw, rate, output_device)
        with closing(_spoken(pieces, chosen, speed, rate)) as speaking:
            seconds = sink(speaking)
    if seconds == 0:
        raise CommandFailed("There was nothing to say.")
    click.echo(f"{seconds:.1f} s of speech{f' in {output}' if output not in (None, STDOUT) else ''}", err=True)


def _check_output(output: str | None, raw: bool, device: str, inputs: tuple[str, ...]) -> None:
    """Whatever is wrong with it is found before any work."""
    if raw and output != STDOUT:
        raise click.UsageError("--raw is for -o -")
    if device and output is not None:
        raise click.UsageError("--output-device is for speech through the loudspeaker, and -o writes a file.")
    if output == STDOUT:
        if sys.stdout.isatty():
            raise click.UsageError("-o - writes audio: send it to a file or another program (... -o - > out.wav)")
    elif output is not None:
        with files_checked():
            check_sound_format(output)
            check_outputs([output], inputs)


def _stdin() -> Iterator[str]:
    yield from sys.stdin


def _spoken(pieces: Iterable[str], config: PipelineConfig, speed: float, rate: int) -> Generator[Spoken, None, None]:
    """The audio; prints each clause on stderr when its audio begins."""
    from parley.engines.ports import VC
    from parley.library.speech import synthesize

    shown = sys.stderr.isatty()
    speech = synthesize(
        pieces,
        tts=synthesizer_of(config),
        voice=config.voice,
        language=config.language,
        speed=speed,
        sample_rate=rate,
        vc=config.engines.get(VC),
    )
    with closing(speech):
        for spoken in speech:
            if shown and spoken.text.strip():
                click.echo(click.style(spoken.text.strip(), dim=True), err=True)
            yield spoken


def _sink(output: str | None, raw: bool, rate: int, device: str) -> Callable[[Iterable[Spoken]], float]:
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
