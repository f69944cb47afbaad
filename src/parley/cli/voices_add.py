"""`parley voices add`, `mix` and `say`: what needs to know which engines there are."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from parley.cli.failures import CommandFailed, files_checked
from parley.cli.options import config_option, load_config
from parley.cli.sound_devices import output_device_option
from parley.invocation import command

if TYPE_CHECKING:
    from parley.audio.files import Recording
    from parley.config import Config
    from parley.engines.ports import Engine, Stage
    from parley.engines.voices.records import OwnVoice, VoiceKind
    from parley.engines.voices.store import VoiceStore
    from parley.text.consent import ConsentPhrase

P = ParamSpec("P")
R = TypeVar("R")

CONSENT_NOTICE = "Use a person's voice with the consent of that person only, and tell listeners that the speech is made by a machine."

_tts_option = click.option(
    "--tts", metavar="ENGINE[:MODEL]", help="The engine that is to speak with it [default: the pipelines']."
)


def _engine_options(function: Callable[P, R]) -> Callable[P, R]:
    return config_option(_tts_option(function))


@click.command(
    epilog="""\b
Examples:
  parley voices add carol carol.wav
  parley voices add carol carol.wav --text "The kettle is on."
  parley voices add carol carol.wav --consent carol-reads.wav
  parley voices add af_mine mine.pt --tts kokoro
  ffmpeg -i talk.mp4 -ss 60 -t 15 -f wav - | parley voices add carol -
"""
)
@click.argument("name")
@click.argument("file", metavar="FILE|-")
@click.option(
    "--text",
    default="",
    help="What is said in the recording. Left out, the pipeline's recogniser hears it where an engine needs it.",
)
@click.option(
    "--consent",
    "consent_file",
    metavar="FILE",
    help="A recording of the person who reads the sentence of `parley voices phrase` aloud. It is checked and kept.",
)
@click.option("--language", metavar="TAG", default="en", show_default=True, help="Language of both recordings.")
@click.option(
    "--sentence",
    metavar="TEXT",
    default="",
    help="What is read in the consent, where the server that is to make the voice wants a sentence of its own.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_engine_options
def add(
    name: str,
    file: str,
    text: str,
    consent_file: str | None,
    language: str,
    sentence: str,
    as_json: bool,
    tts: str | None,
    config_path: Path | None,
) -> None:
    """Add a voice: of a recording of one person (3 to 30 s, any audio that PyAV reads; about ten are best), or of a tensor of
    Kokoro (.pt, .pth, .bin, .npy, .npz).

    Ask the person first.
    """
    from parley.engines.tts import kokoro_tensors

    kind: VoiceKind = "tensor" if Path(file).suffix.lower() in kokoro_tensors.SUFFIXES else "clip"
    if kind == "tensor" and (text or consent_file):
        raise click.UsageError("--text and --consent are for recordings.")
    if sentence and not consent_file:
        raise click.UsageError("--sentence says what is read in a consent: name its recording with --consent.")
    config = load_config(config_path, {"tts": tts})
    store = _store(config)
    kept = store.check_free(name)
    _check_engines(config, kept, kind, consent=bool(consent_file))
    with files_checked():
        if kind == "tensor":
            voice = store.add_tensor(kept, _tensor(Path(file), kept))
        else:
            recording = _recording(file)
            heard = "" if text.strip() or not _needs_text(config) else _words(config, recording, language)
            consent = _consent(config, store, consent_file, language, kept, sentence) if consent_file else ""
            voice = store.add_clip(kept, recording, heard or text, consent, text_heard=bool(heard))
            if not consent:
                click.echo(CONSENT_NOTICE, err=True)
    _tell(voice, as_json, tts)
    if voice.text_heard:
        given = {
            "--consent": consent_file,
            "--language": language if consent_file else None,
            "--sentence": sentence,
            "--tts": tts,
        }
        options = [part for option, value in given.items() if value for part in (option, value)]
        again = f'{command("voices", "add", voice.name, file, *options)} --text "..."'
        click.echo(f"Heard in the recording: {voice.text}", err=True)
        click.echo(f"To correct it: {command('voices', 'remove', voice.name)}, then {again}", err=True)


@click.command(epilog='\b\nExamples:\n  parley voices mix evening "af_bella(2)+af_sky(1)" --tts kokoro')
@click.argument("name")
@click.argument("parts", metavar="MIX")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_engine_options
def mix(name: str, parts: str, as_json: bool, tts: str | None, config_path: Path | None) -> None:
    """Add a mix of voices: names of the engine's voices and of your own tensors, each with its weight."""
    from parley.text import voice_mix

    config = load_config(config_path, {"tts": tts})
    store = _store(config)
    kept = store.check_free(name)
    try:
        voice_mix.parse(parts)
    except ValueError as error:
        raise CommandFailed(f"The mix {parts!r} cannot be used: {error}.", f"Write it as {voice_mix.FORM}.") from error
    _check_engines(config, kept, "mix", parts)
    with files_checked():
        voice = store.add_mix(kept, parts)
    _tell(voice, as_json, tts)


@click.command(
    "say",
    epilog='\b\nExamples:\n  parley voices say carol "Good evening."\n  parley voices say carol "Good evening." -o evening.wav',
)
@click.argument("name")
@click.argument("text", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", help="Write this file, or - for WAV on stdout.")
@click.option("--language", metavar="TAG", help="Language of the text, such as en, de or pt-BR.")
@click.option(
    "--speed", type=click.FloatRange(0.25, 4.0), default=1.0, show_default=True, help="Times the usual speed."
)
@output_device_option("--device")
@_engine_options
def say_with(
    name: str,
    text: tuple[str, ...],
    output: str | None,
    tts: str | None,
    config_path: Path | None,
    **options: Any,
) -> None:
    """Speak TEXT with one of your own voices, through the first pipeline that can. `parley say --voice NAME` has more options."""
    from parley.cli.say import say
    from parley.engines.ports import TTS

    config = load_config(config_path, {"tts": tts})
    voice = _store(config).voice(name)
    reasons = [(pipeline, _why_not(engine, voice, config)) for pipeline, engine in _speakers(config, TTS)]
    able = [pipeline for pipeline, why in reasons if not why]
    if not able:
        raise _nobody(voice.kind, "; ".join(dict.fromkeys(why for _, why in reasons)))
    chosen = config.default_pipeline if config.default_pipeline in able else able[0]
    click.get_current_context().invoke(
        say, text=text, output=output, tts=tts, voice=voice.name, pipeline=chosen, config_path=config_path, **options
    )


def phrase_in(language: str, own: str = "") -> ConsentPhrase:
    """The sentence of consent in a language; `own` is one in its place. Raises `CommandFailed`."""
    from parley.text import consent

    if own:
        given = consent.phrase_of(own, language)
        if given is None:
            raise CommandFailed(f"The sentence {own[:100]!r} has no words.", "Give with --sentence what is read aloud.")
        return given
    found = consent.phrase(language)
    if found is None:
        raise CommandFailed(
            f"There is no sentence of consent in {language!r}.", f"There is one in {', '.join(consent.PHRASES)}."
        )
    return found


def _store(config: Config) -> VoiceStore:
    from parley.engines.voices.store import VoiceStore

    return VoiceStore(limit=config.own_voices.limit)


def _tell(voice: OwnVoice, as_json: bool, tts: str | None) -> None:
    from parley.cli.voices import described, shown

    if as_json:
        click.echo(json.dumps(shown(voice), indent=2))
        return
    click.echo(f"{voice.name}: {described(voice)}; {voice.id}")
    heard = command("voices", "say", voice.name, "Good evening.", *(("--tts", tts) if tts else ()))
    click.echo(f"Hear it: {heard}", err=True)


# --- the engines -------------------------------------------------------------------------------------------------------


def _speakers(config: Config, *stages: Stage[Any]) -> Iterator[tuple[str, Engine]]:
    """The engines of these stages of the configuration that can be made, none of them open, by pipeline."""
    from parley.engines import registry
    from parley.engines.ports import EngineUnavailable

    for name, pipeline in config.pipelines.items():
        for stage in stages:
            if stage in pipeline.engines:
                try:
                    engine = registry.create(stage, pipeline.engines[stage])
                except EngineUnavailable:
                    continue
                if not engine.info.measuring:
                    yield name, engine


def _why_not(engine: Any, voice: OwnVoice, config: Config) -> str:
    from parley.engines.ports import SpeechModel
    from parley.engines.voices.shelf import VoiceShelf

    store = _store(config)
    shelf, known = VoiceShelf(store), (*store.voices(), voice)
    around = shelf.model_with(engine, known) if isinstance(engine, SpeechModel) else shelf.with_voices(engine, known)
    return around.why_not(voice)


def _check_engines(config: Config, name: str, kind: VoiceKind, parts: str = "", *, consent: bool = False) -> None:
    """Raises `CommandFailed` where no pipeline can speak with such a voice, or one has a voice of that name."""
    from parley.engines.ports import SPEECH, TTS
    from parley.engines.voices.records import OwnVoice, key_of

    wanted = OwnVoice(id="", name=name, kind=kind, added_ns=0, mix=parts, consent="read" if consent else "")
    reasons: list[str] = []
    for pipeline, engine in _speakers(config, TTS, SPEECH):
        if key_of(name) in map(key_of, engine.info.voices):
            raise CommandFailed(
                f"{name!r} is a voice of {engine.info.name} already (pipeline {pipeline!r}).", "Choose another name."
            )
        why = _why_not(engine, wanted, config)
        reasons.append(why)
    if all(reasons):
        why = "; ".join(dict.fromkeys(reasons))
        if kind == "mix" and why:
            raise CommandFailed(
                f"The mix {parts!r} cannot be spoken: {why}.",
                f"Its parts are voices of the engine, or tensors of your own. Engines that mix: {_engines(kind)} (tts, or --tts).",
            )
        raise _nobody(kind, why)


def _engines(kind: VoiceKind) -> str:
    from parley.engines.voices.shelf import engines_for

    return ", ".join(engines_for(kind)) or "none is installed"


def _nobody(kind: VoiceKind, reasons: str = "") -> CommandFailed:
    from parley.engines.voices.speaking import WHAT

    why = f": {reasons}" if reasons else ""
    return CommandFailed(
        f"No pipeline of the configuration can speak with a voice that is {WHAT[kind]}{why}.",
        f"Engines that can: {_engines(kind)}. Set tts of a pipeline to one, or name it with --tts.",
    )


# --- the files ---------------------------------------------------------------------------------------------------------


def _recording(file: str, field: str = "clip") -> Recording:
    from parley.engines.voices import clips

    if file == "-":
        return clips.read_stream(io.BytesIO(sys.stdin.buffer.read(clips.MAX_BYTES + 1)), "The recording", field)
    with Path(file).open("rb") as stream:
        return clips.read_stream(stream, Path(file).name, field)


def _tensor(path: Path, name: str) -> Any:
    """The tensor in a file: the only one, or the one that is called as the voice."""
    from parley.engines.tts import kokoro_tensors
    from parley.engines.tts.kokoro_tensors import InvalidVoice

    try:
        names = kokoro_tensors.names(path)
        if len(names) > 1 and name not in names:
            listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            raise CommandFailed(f"{path} holds {len(names)} voices: {listed}.", "Name one of them as NAME.")
        return kokoro_tensors.read(path, name if len(names) > 1 else names[0])
    except InvalidVoice as error:
        raise CommandFailed(
            f"{path} holds no voice of Kokoro: {error.message}",
            "A voice is a float32 tensor of the shape [510, 1, 256] or [510, 256].",
        ) from error


def _consent(config: Config, store: VoiceStore, file: str, language: str, name: str, own: str) -> str:
    """The id of the consent in a recording, once the pipeline's recogniser has heard the sentence in it."""
    from parley.text import consent

    wanted = phrase_in(language, own)
    recording = _recording(file)
    if fault := consent.fault(wanted, _heard(config, recording, language, "the consent")):
        raise CommandFailed(
            f"{file} is not the sentence of consent: {fault}.",
            f'Read aloud, word for word: "{wanted.text}" Another recogniser may hear better (stt).',
        )
    return store.add_consent(name, language, recording).id


def _needs_text(config: Config) -> bool:
    """Whether an engine of the configuration that clones voices needs the words of a recording."""
    from parley.engines.ports import SPEECH, TTS, ClonesVoices

    engines = (engine for _, engine in _speakers(config, TTS, SPEECH))
    return any(isinstance(one, ClonesVoices) and one.clones and one.needs_text for one in engines)


def _words(config: Config, recording: Recording, language: str) -> str:
    """The words of a recording, some at least. Raises `CommandFailed`, which names `--text`."""
    from parley.engines.ports import EngineError

    remedy = "Say what is said in it, word for word, with --text."
    try:
        words = _heard(config, recording, language, "the recording")
    except EngineError as error:
        why = f"The words of the recording are needed, and the recogniser failed: {error.message}"
        raise CommandFailed(why, f"{remedy} {error.remedy}".rstrip()) from error
    if not any(map(str.isalnum, words)):
        raise CommandFailed("The words of the recording are needed, and the recogniser heard none.", remedy)
    return words


def _heard(config: Config, recording: Recording, language: str, what: str) -> str:
    """What the recogniser of the default pipeline hears in a recording. Raises `EngineError`."""
    from parley.cli.model_downloads import provide_models
    from parley.engines.ports import STT
    from parley.library.transcription import transcribe

    recogniser = config.pipelines[config.default_pipeline].engines[STT]
    provide_models(config, [(STT, recogniser)])
    if sys.stderr.isatty():
        click.echo(f"Listening to {what} ...", err=True)
    return " ".join(segment.text for segment in transcribe(recording, stt=recogniser, language=language))
