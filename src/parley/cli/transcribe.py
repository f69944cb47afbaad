"""`parley transcribe`: speech to text, from files, a pipe or the microphone, each segment as soon as it is finished."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import signal
import sys
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parley.cli.failures import CommandFailed, files_checked
from parley.cli.file_progress import frames_with_progress
from parley.cli.model_downloads import provide_models
from parley.cli.options import load_config, pull_option, warn
from parley.cli.subtitles import FORMATS, Writer, writer_of

if TYPE_CHECKING:
    from parley.audio.files import Recording
    from parley.config import PipelineConfig
    from parley.library.pipeline import Pipeline
    from parley.library.transcription import Segment


@click.command(
    epilog="""\b
Examples:
  parley transcribe interview.mp3
  parley transcribe talk.mp4 --format srt -o talk.srt --stt whisper:small.en
  parley transcribe *.wav --format json -o transcripts/
  parley say "Hello world." -o - | parley transcribe -
  parley transcribe --mic
"""
)
@click.argument("files", nargs=-1, metavar="FILE...|-")
@click.option("--mic", is_flag=True, help="Listen to the microphone until Ctrl-C.")
@click.option("--device", metavar="NAME", default="", help="Microphone, by number or part of its name.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="What to write.")
@click.option("-o", "--output", metavar="FILE", help="Write here; with several files, a folder. [default: stdout]")
@click.option("--stt", metavar="ENGINE[:MODEL]", help="Speech recogniser, such as pocketsphinx or whisper:small.en.")
@click.option("--stt-base-url", metavar="URL", help="Endpoint of --stt openai:MODEL.")
@click.option("--language", metavar="TAG", help="Language of the speech, such as en or de [default: found out].")
@pull_option
@click.option("--pipeline", metavar="NAME", help="Take engines and language from this pipeline of parley.toml.")
@click.option("--config", "config_path", metavar="FILE", type=click.Path(path_type=Path), help="Read this parley.toml.")
def transcribe(
    files: tuple[str, ...],
    mic: bool,
    device: str,
    form: str,
    output: str | None,
    language: str | None,
    config_path: Path | None,
    **flags: str | None,
) -> None:
    """Transcribe FILE (any audio or video that PyAV reads), or with - stdin. Exit code 1: no speech was found."""
    if mic == bool(files):
        raise click.UsageError("Give files, or - for stdin, or use --mic.")
    if form in ("srt", "vtt") and len(files) > 1 and output is None:
        raise click.UsageError(f"Several transcripts in {form.upper()} need a folder: -o FOLDER")
    from parley.engines.ports import STT, VAD

    config = load_config(config_path, flags)
    warn(config)
    chosen = config.pipelines[config.default_pipeline]
    if language is not None:
        chosen = dataclasses.replace(chosen, language=language)
    provide_models(config, [(stage, chosen.engines[stage]) for stage in (VAD, STT)])
    with files_checked(), ExitStack() as stack:
        if mic:
            with _written(output, form, "microphone", False) as writer:
                heard = asyncio.run(_listen(chosen, device, writer))
        else:
            heard = _transcribe_files(files, _open(chosen, stack), form, output)
    if not heard:
        raise click.exceptions.Exit(1)


def _pipeline(config: PipelineConfig) -> Pipeline:
    from parley.engines.ports import STT, VAD
    from parley.library.pipeline import Pipeline

    return Pipeline(
        vad=config.engines[VAD], turn=None, stt=config.engines[STT], llm=None, tts=None, language=config.language
    )


def _open(config: PipelineConfig, stack: ExitStack) -> Pipeline:
    return stack.enter_context(_pipeline(config))


# --- files ------------------------------------------------------------------------------------------------------------


def _transcribe_files(files: tuple[str, ...], pipeline: Pipeline, form: str, output: str | None) -> int:
    from parley.library.recordings import read_audio

    folder = _folder(output, files)
    heard = 0
    for name in files:
        recording = read_audio(io.BytesIO(sys.stdin.buffer.read()) if name == "-" else name)
        target = output if folder is None else str(folder / f"{Path(name).stem}.{'txt' if form == 'text' else form}")
        with _written(target, form, name, len(files) > 1 and folder is None) as writer:
            for segment in _segments(pipeline, recording, name):
                writer.write(segment)
                heard += 1
    return heard


def _folder(output: str | None, files: tuple[str, ...]) -> Path | None:
    if output is None or (len(files) == 1 and not Path(output).is_dir()):
        return None
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise CommandFailed(f"{output} is a file, and there are {len(files)} transcripts.", "Name a folder with -o.")
    if len({Path(name).stem for name in files}) < len(files):
        raise CommandFailed("Two of the files have the same name.", "Transcribe them one by one.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _segments(pipeline: Pipeline, recording: Recording, name: str) -> Generator[Segment, None, None]:
    from parley.library.transcription import transcribe as segments_of

    with frames_with_progress(recording, name) as pieces:
        yield from segments_of(pieces, sample_rate=recording.sample_rate, pipeline=pipeline)


@contextmanager
def _written(output: str | None, form: str, name: str, titled: bool) -> Iterator[Writer]:
    """The writer of the transcript; finished when the context is left without an error."""
    if output is None or output == "-":
        writer = writer_of(form, sys.stdout, name if titled else "", name)
        yield writer
        writer.finish()
        return
    with Path(output).open("w", encoding="utf-8") as file:
        writer = writer_of(form, file, "", name)
        yield writer
        writer.finish()
    click.echo(f"{writer.count} segments in {output}", err=True)


# --- the microphone ---------------------------------------------------------------------------------------------------


async def _listen(config: PipelineConfig, device: str, writer: Writer) -> int:
    from parley.library.events import Failed, PartialTranscript, TurnEnded
    from parley.library.transcription import segment_of, transcriber
    from parley.talk.devices import RATE

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop.set)
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


async def microphone(wanted: str, stop: asyncio.Event) -> AsyncGenerator[Any, None]:
    """Frames of int16 at the devices' rate, until `stop`."""
    from parley.talk.devices import FRAMES, RATE, WAITING_SOUNDS, find_device, list_devices

    device = find_device(await asyncio.to_thread(list_devices), wanted, "input")
    import sounddevice

    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[bytes | None] = asyncio.Queue()

    def recorded(data: Any, *_: Any) -> None:
        loop.call_soon_threadsafe(waiting.put_nowait, bytes(data))

    stopping = loop.create_task(stop.wait())
    stopping.add_done_callback(lambda _: waiting.put_nowait(None))
    try:
        with sounddevice.RawInputStream(
            samplerate=RATE, blocksize=FRAMES, channels=1, dtype="int16", device=device.index, callback=recorded
        ):
            click.echo(f"Listening to {device.name}; Ctrl-C ends.", err=True)
            while (data := await waiting.get()) is not None:
                if waiting.qsize() > WAITING_SOUNDS:
                    raise CommandFailed(
                        "The recogniser is ten seconds behind the microphone.", "Choose a smaller model with --stt."
                    )
                yield data
    finally:
        stopping.cancel()
