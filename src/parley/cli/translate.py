"""`parley translate`: speech to text, subtitles or speech in another language, from a file, a pipe or the microphone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parley.cli.failures import files_checked
from parley.cli.file_inputs import counted, read_recording, shown_name
from parley.cli.file_outputs import (
    STDOUT,
    check_outputs,
    check_sound_format,
    format_option,
    sound_output,
    text_format,
    text_output,
)
from parley.cli.file_progress import frames_with_progress
from parley.cli.model_downloads import provide_models
from parley.cli.options import load_config, pull_option, settings_named, synthesizer_of, warn
from parley.cli.sound_devices import input_device_option, output_device_option
from parley.cli.translations import translation_writer

if TYPE_CHECKING:
    from parley.audio.files import Recording
    from parley.config import Config, PipelineConfig
    from parley.library.dubbing import Dub
    from parley.library.pipeline import Pipeline
    from parley.library.translation import TranslatedSegment


@click.command(
    epilog="""\b
Examples:
  parley translate interview.mp3 --to pt
  parley translate talk.mp4 --to es -o talk.es.srt
  parley translate talk.mp4 --to es --format vtt --bilingual > talk.vtt
  parley translate talk.mp4 --from en --to pt --dub talk.pt.wav --mix-original
  parley say "Good morning." -o - | parley translate - --to pt
  parley translate --mic --to pt
"""
)
@click.argument("file", required=False, metavar="FILE|-")
@click.option("--mic", is_flag=True, help="Translate the microphone, live, until Ctrl-C. Wear headphones.")
@click.option("--to", "to", metavar="TAG", required=True, help="Language of the translation, such as pt or pt-BR.")
@click.option("--from", metavar="TAG", help="Language of the speech [default: found out].")
@click.option("--mt", metavar="ENGINE[:MODEL]", help="Translator; `parley engines` lists them.")
@click.option("--stt", metavar="ENGINE[:MODEL]", help="Speech recogniser, such as pocketsphinx or whisper:small.")
@click.option("--stt-base-url", metavar="URL", help="Endpoint of --stt openai:MODEL.")
@click.option("--tts", metavar="ENGINE[:MODEL]", help="Speech synthesis of --dub and --mic, such as kokoro or espeak.")
@click.option("--tts-base-url", metavar="URL", help="Endpoint of --tts openai:MODEL.")
@click.option("--vc", metavar="ENGINE[:MODEL]", help="Voice conversion of --dub and --mic, such as vocoder:NAME.")
@click.option("--voice", metavar="NAME", help="Voice of the translation: OpenAI's names or the engine's own.")
@format_option
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--bilingual", is_flag=True, help="Write the original beneath the translation (text, srt, vtt).")
@click.option("-o", "--output", metavar="FILE", help="Write here, in the format of its ending [default: stdout].")
@click.option("--dub", "dub_to", metavar="FILE", help="Speak the translation in time (.wav .flac .ogg .mp3 .m4a).")
@click.option("--mix-original", is_flag=True, help="With --dub: the original too, softened under the translation.")
@click.option("--quiet", is_flag=True, help="With --mic: show the translation, do not speak it.")
@input_device_option()
@output_device_option()
@pull_option
@click.option("--pipeline", metavar="NAME", help="Take engines and language from this pipeline of parley.toml.")
@click.option("--config", "config_path", metavar="FILE", type=click.Path(path_type=Path), help="Read this parley.toml.")
def translate(
    file: str | None,
    mic: bool,
    to: str,
    form: str | None,
    as_json: bool,
    bilingual: bool,
    output: str | None,
    dub_to: str | None,
    mix_original: bool,
    quiet: bool,
    input_device: str,
    output_device: str,
    config_path: Path | None,
    **flags: str | None,
) -> None:
    """Translate FILE (any audio or video that PyAV reads), or with - stdin, into the language --to.

    Exit code 1: some sentences could not be translated; they stand there in their own language.
    """
    if as_json and form not in (None, "json"):
        raise click.UsageError(f"--json and --format {form} are two formats.")
    _check_usage(file, mic, form, output, dub_to, mix_original, quiet, bool(input_device or output_device))
    with files_checked():
        form = text_format(output, "json" if as_json else form)
        check_outputs([output, dub_to], () if file is None else (file,))
        if dub_to is not None:
            check_sound_format(dub_to)
    config = load_config(config_path, flags)
    warn(config)
    chosen = config.pipelines[config.default_pipeline]
    _provide(config, chosen, speech=dub_to is not None or (mic and not quiet))
    with files_checked(), settings_named(config):
        if mic:
            from parley.cli.translate_microphone import interpret

            interpret(chosen, to, speak=not quiet, bilingual=bilingual, devices=(input_device, output_device))
            return
        assert file is not None
        failed = _translate_file(file, chosen, to, form, bilingual, output, dub_to, mix_original)
    if failed:
        raise click.exceptions.Exit(1)


def _check_usage(
    file: str | None,
    mic: bool,
    form: str | None,
    output: str | None,
    dub_to: str | None,
    mix_original: bool,
    quiet: bool,
    devices: bool,
) -> None:
    if mic == (file is not None):
        raise click.UsageError("Give a file, or - for stdin, or use --mic.")
    if mic and (dub_to or output or form not in (None, "text")):
        raise click.UsageError("--mic shows and speaks the translation; --format, -o and --dub are for files.")
    if devices and not mic:
        raise click.UsageError("--input-device and --output-device are for --mic.")
    if mix_original and dub_to is None:
        raise click.UsageError("--mix-original is for --dub.")
    if quiet and not mic:
        raise click.UsageError("--quiet is for --mic.")


def _provide(config: Config, chosen: PipelineConfig, *, speech: bool) -> None:
    from parley.engines.ports import MT, STT, TTS, VAD, VC

    needed = (VAD, STT, MT, TTS, VC) if speech else (VAD, STT, MT)
    provide_models(config, [(stage, chosen.engines[stage]) for stage in needed if stage in chosen.engines])


# --- files ------------------------------------------------------------------------------------------------------------


def _translate_file(
    name: str,
    config: PipelineConfig,
    to: str,
    form: str,
    bilingual: bool,
    output: str | None,
    dub_to: str | None,
    mix_original: bool,
) -> int:
    """How many sentences could not be translated."""
    segments: list[TranslatedSegment] = []
    # Whatever is missing is found before an output is touched and before the work is done.
    speaking = _dubbing(config, to) if dub_to is not None else None
    recording = read_recording(name)
    with ExitStack() as stack:
        if speaking is not None:
            stack.enter_context(speaking)
        hearing = stack.enter_context(_hearing(config))
        with text_output(output, (name,)) as out:
            writer = translation_writer(form, out, name, to, bilingual)
            for segment in _segments(hearing, recording, name, to):
                writer.write(segment)
                segments.append(segment)
            writer.finish()
        if not segments:
            click.echo(f"No speech was found in {shown_name(name)}.", err=True)
        if output not in (None, STDOUT):
            click.echo(f"{counted(len(segments), 'sentence')} in {output}", err=True)
        failed = _report_failures(segments)
        if dub_to is not None and speaking is not None:
            _write_dub(sound_output(dub_to, (name,)), segments, speaking, to, recording, mix_original)
    return failed


def _hearing(config: PipelineConfig) -> Pipeline:
    """The pipeline that hears and translates, not open yet."""
    from parley.engines.ports import MT, STT, VAD
    from parley.library.pipeline import Pipeline

    engines = config.engines
    return Pipeline(
        vad=engines[VAD],
        turn=None,
        stt=engines[STT],
        llm=None,
        tts=None,
        mt=engines[MT],
        language=config.language,
    )


def _segments(pipeline: Pipeline, recording: Recording, name: str, to: str) -> Iterator[TranslatedSegment]:
    from parley.library.translation import translate as segments_of

    with frames_with_progress(recording, name) as pieces:
        yield from segments_of(pieces, to=to, sample_rate=recording.sample_rate, pipeline=pipeline)


def _report_failures(segments: list[TranslatedSegment]) -> int:
    """Print each reason once, with how often it was met; returns how many sentences have no translation."""
    reasons: dict[str, list[float]] = {}
    for segment in segments:
        if segment.error is not None:
            reasons.setdefault(str(segment.error), []).append(segment.start_ms)
    for reason, starts in reasons.items():
        click.echo(
            f"parley: {len(starts)} of {counted(len(segments), 'sentence')} not translated, the first one at "
            f"{starts[0] / 1000:.1f} s: {reason}",
            err=True,
        )
    return sum(map(len, reasons.values()))


# --- the dub ----------------------------------------------------------------------------------------------------------


def _dubbing(config: PipelineConfig, to: str) -> Pipeline:
    """The pipeline that speaks, not open yet."""
    from parley.engines.ports import VC
    from parley.library.dubbing import dubbing_pipeline

    return dubbing_pipeline(synthesizer_of(config), to, config.voice, config.engines.get(VC))


def _write_dub(
    path: Path,
    segments: list[TranslatedSegment],
    pipeline: Pipeline,
    to: str,
    recording: Recording,
    mix_original: bool,
) -> None:
    from parley.library.dubbing import dub
    from parley.library.recordings import write_audio

    def spoken(count: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r\033[Kspeaking {count} of {len(segments)}", nl=False, err=True)

    made = dub(
        segments,
        to=to,
        pipeline=pipeline,
        original=recording,
        mix_original=mix_original,
        on_spoken=spoken,
    )
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    write_audio(path, made.recording)
    click.echo(_summary(path, made), err=True)


def _summary(path: Path, made: Dub) -> str:
    faster = sum(place.rate > 1.0 for place in made.placements)
    late_s = max((place.late_ms for place in made.placements), default=0.0) / 1000
    return (
        f"{made.recording.seconds:.1f} s in {path}; {faster} of {counted(len(made.placements), 'sentence')} spoken faster, "
        f"at most {late_s:.1f} s late"
    )
