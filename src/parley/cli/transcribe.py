"""`parley transcribe`: speech to text, from files, a pipe or the microphone, each segment as soon as it is finished."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parley.cli.failures import CommandFailed, files_checked, reason_of
from parley.cli.file_inputs import counted, read_recording, shown_name
from parley.cli.file_outputs import (
    STDOUT,
    check_outputs,
    ending_of,
    format_option,
    names_file,
    names_folder,
    text_format,
    text_output,
)
from parley.cli.file_progress import frames_with_progress
from parley.cli.model_downloads import provide_models
from parley.cli.options import load_config, pull_option, settings_named, warn
from parley.cli.sound_devices import input_device_option, microphone
from parley.cli.subtitles import Writer, writer_of
from parley.stop_signals import on_stop_signals

if TYPE_CHECKING:
    from parley.audio.files import Recording
    from parley.config import PipelineConfig
    from parley.library.pipeline import Pipeline
    from parley.library.transcription import Segment


@click.command(
    epilog="""\b
Examples:
  parley transcribe interview.mp3
  parley transcribe talk.mp4 -o talk.srt --stt whisper:small.en
  parley transcribe *.wav --format json -o transcripts/
  parley say "Hello world." -o - | parley transcribe -
  parley transcribe --mic
"""
)
@click.argument("files", nargs=-1, metavar="FILE...|-")
@click.option("--mic", is_flag=True, help="Listen to the microphone until Ctrl-C.")
@input_device_option("--device")
@format_option
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write here, in the format of its ending; with several files, a folder. [default: stdout]",
)
@click.option("--stt", metavar="ENGINE[:MODEL]", help="Speech recogniser, such as pocketsphinx or whisper:small.en.")
@click.option("--stt-base-url", metavar="URL", help="Endpoint of --stt openai:MODEL.")
@click.option("--language", metavar="TAG", help="Language of the speech, such as en or de [default: found out].")
@pull_option
@click.option("--pipeline", metavar="NAME", help="Take engines and language from this pipeline of parley.toml.")
@click.option("--config", "config_path", metavar="FILE", type=click.Path(path_type=Path), help="Read this parley.toml.")
def transcribe(
    files: tuple[str, ...],
    mic: bool,
    input_device: str,
    form: str | None,
    output: str | None,
    config_path: Path | None,
    **flags: str | None,
) -> None:
    """Transcribe FILE (any audio or video that PyAV reads), or with - stdin.

    Exit code 1: no speech was found, or some of several files could not be read; the others are transcribed.
    """
    if mic == bool(files):
        raise click.UsageError("Give files, or - for stdin, or use --mic.")
    if input_device and not mic:
        raise click.UsageError("--input-device is for --mic.")
    with files_checked():
        targets = _targets(files or ("microphone",), output, form, mic)
    from parley.engines.ports import STT, VAD

    config = load_config(config_path, flags)
    warn(config)
    chosen = config.pipelines[config.default_pipeline]
    provide_models(config, [(stage, chosen.engines[stage]) for stage in (VAD, STT)])
    with files_checked(), settings_named(config):
        if mic:
            with _written(targets[0]) as writer:
                heard = asyncio.run(_listen(chosen, input_device, writer))
        else:
            heard = _transcribe_files(targets, chosen)
    if not heard:
        raise click.exceptions.Exit(1)


# --- what goes where --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class _Transcript:
    """A transcript that is to be written: of which input, where, how. `titled`: its name stands above it."""

    name: str
    output: str | None
    form: str
    titled: bool = False


def _targets(files: tuple[str, ...], output: str | None, form: str | None, mic: bool) -> list[_Transcript]:
    """Where each transcript goes. Raises `CommandFailed` for what cannot be, before any work."""
    if output is None or not (names_folder(output) or (len(files) > 1 and output != STDOUT)):
        form = text_format(output, form)
        if form in ("srt", "vtt") and len(files) > 1:
            raise click.UsageError(f"Several transcripts in {form.upper()} need a folder: -o FOLDER")
        check_outputs([output], () if mic else files)
        return [_Transcript(name, output, form, len(files) > 1) for name in files]
    path, form = Path(output), form or "text"
    if not names_folder(output) and names_file(output):
        raise CommandFailed(
            f"-o {output} is a file, and there are {len(files)} transcripts.",
            "Name a folder: -o FOLDER/ --format FORMAT",
        )
    outputs = [str(path / f"{Path(shown_name(name)).stem}{ending_of(form)}") for name in files]
    if twice := next((name for name in outputs if outputs.count(name) > 1), None):
        raise CommandFailed(f"Two transcripts would be {twice}.", "Transcribe these files one by one.")
    check_outputs(outputs, files)
    return [_Transcript(name, target, form) for name, target in zip(files, outputs, strict=True)]


@contextmanager
def _written(target: _Transcript, inputs: tuple[str, ...] = ()) -> Iterator[Writer]:
    """The writer of the transcript; finished when the context is left without an error."""
    with text_output(target.output, inputs) as out:
        writer = writer_of(target.form, out, shown_name(target.name) if target.titled else "", target.name)
        yield writer
        writer.finish()
    if target.output not in (None, STDOUT):
        click.echo(f"{counted(writer.count, 'segment')} in {target.output}", err=True)


# --- files ------------------------------------------------------------------------------------------------------------


def _pipeline(config: PipelineConfig) -> Pipeline:
    from parley.engines.ports import STT, VAD
    from parley.library.pipeline import Pipeline

    return Pipeline(
        vad=config.engines[VAD], turn=None, stt=config.engines[STT], llm=None, tts=None, language=config.language
    )


def _transcribe_files(targets: list[_Transcript], config: PipelineConfig) -> int:
    """How many segments were heard. Of several files, one that fails is reported, and the next ones go on."""
    from parley.engines.ports import EngineUnavailable
    from parley.errors import ParleyError

    heard = 0
    failed: list[str] = []
    with ExitStack() as stack:
        pipeline = _pipeline(config)
        stack.callback(pipeline.close)
        for number, target in enumerate(targets, 1):
            shown = f"{shown_name(target.name)} ({number} of {len(targets)})" if len(targets) > 1 else target.name
            try:
                heard += _transcribe_file(target, pipeline, shown)
            except (ParleyError, OSError) as error:
                if len(targets) == 1 or isinstance(error, EngineUnavailable | BrokenPipeError):
                    raise
                failed.append(shown_name(target.name))
                click.echo(f"parley: {reason_of(error, shown_name(target.name))}", err=True)
    if failed:
        click.echo(
            f"{len(targets) - len(failed)} of {len(targets)} files transcribed; not: {', '.join(failed)}", err=True
        )
        raise click.exceptions.Exit(1)
    return heard


def _transcribe_file(target: _Transcript, pipeline: Pipeline, shown: str) -> int:
    recording = read_recording(target.name)
    with _written(target, (target.name,)) as writer:
        for segment in _segments(pipeline, recording, shown):
            writer.write(segment)
    if not writer.count:
        click.echo(f"No speech was found in {shown_name(target.name)}.", err=True)
    return writer.count


def _segments(pipeline: Pipeline, recording: Recording, name: str) -> Generator[Segment, None, None]:
    from parley.library.transcription import transcribe as segments_of

    with frames_with_progress(recording, name) as pieces:
        yield from segments_of(pieces, sample_rate=recording.sample_rate, pipeline=pipeline)


# --- the microphone ---------------------------------------------------------------------------------------------------


async def _listen(config: PipelineConfig, device: str, writer: Writer) -> int:
    from parley.library.events import Failed, PartialTranscript, TurnEnded
    from parley.library.transcription import segment_of, transcriber
    from parley.talk.devices import RATE

    stop = asyncio.Event()
    on_stop_signals(stop.set)
    heard = 0
    shown = sys.stderr.isatty()
    async with _pipeline(config) as pipeline, aclosing(microphone(device, stop)) as source:
        session = transcriber(pipeline, RATE)
        async with aclosing(session.live(source)) as events:
            async for event in events:
                match event:
                    case PartialTranscript(text) if shown:
                        click.echo(f"\r\033[K{click.style(text[-100:], dim=True)}", nl=False, err=True)
                    case TurnEnded():
                        if shown:
                            click.echo("\r\033[K", nl=False, err=True)
                        if (segment := segment_of(event, RATE)).text:
                            writer.write(segment)
                            heard += 1
                    case Failed(_, message):
                        raise CommandFailed(message)
                    case _:
                        pass
    return heard
