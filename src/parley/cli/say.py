"""`parley say`: text to speech, into a file, a pipe, or the loudspeaker, clause by clause."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parley.cli.failures import CommandFailed, files_checked
from parley.cli.file_inputs import STDIN, pieces_of_stdin
from parley.cli.file_outputs import STDOUT
from parley.cli.model_downloads import provide_models
from parley.cli.options import load_config, pull_option, settings_named, synthesizer_of, warn
from parley.cli.sound_devices import output_device_option
from parley.cli.speech_output import DEVICE_RATE, check_speech_output, speech_sink
from parley.text.whole_characters import writable

if TYPE_CHECKING:
    from parley.config import PipelineConfig
    from parley.library.speech import Spoken

PIPE_RATE = 24_000


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
    speed: float,
    output_device: str,
    config_path: Path | None,
    **flags: str | None,
) -> None:
    """Speak TEXT, or with - text from stdin, as it arrives. Without -o, through the loudspeaker."""
    if raw and output != STDOUT:
        raise click.UsageError("--raw is for -o -")
    from_stdin = text == (STDIN,)
    if not from_stdin and not "".join(text).strip():
        raise CommandFailed("There was nothing to say.", "Give a text, or - to read it from stdin.")
    check_speech_output(output, output_device, (STDIN,) if from_stdin else ())
    from parley.engines.ports import TTS, VC

    config = load_config(config_path, flags)
    warn(config)
    chosen = config.pipelines[config.default_pipeline]
    synthesizer_of(chosen)
    provide_models(config, [(stage, chosen.engines[stage]) for stage in (TTS, VC) if stage in chosen.engines])
    pieces = pieces_of_stdin() if from_stdin else [writable(" ".join(text))]
    rate = rate if output is not None else DEVICE_RATE
    with files_checked(), settings_named(config):
        sink = speech_sink(output, raw, rate, output_device)
        with closing(_spoken(pieces, chosen, speed, rate)) as speaking:
            seconds = sink(speaking)
    if seconds == 0:
        raise CommandFailed("There was nothing to say.")
    click.echo(f"{seconds:.1f} s of speech{f' in {output}' if output not in (None, STDOUT) else ''}", err=True)


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
