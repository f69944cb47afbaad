"""`parley voice profile`, `list` and `remove`: the profiles of voices on this machine."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from parley.cli.failures import CommandFailed, files_checked
from parley.cli.file_inputs import read_recording
from parley.cli.sound_devices import input_device_option
from parley.invocation import command

if TYPE_CHECKING:
    from pathlib import Path

    from parley.audio.files import Recording
    from parley.engines.vc.profiles import VoiceProfile

RECORDED_S = 15.0


@click.command(
    epilog="""\b
Examples:
  parley voice profile ana ana.wav
  parley voice profile me --microphone
  ffmpeg -i film.mkv -ss 12:00 -t 30 -f wav - | parley voice profile narrator -
"""
)
@click.argument("name")
@click.argument("clip", required=False, metavar="CLIP|-")
@click.option("--microphone", is_flag=True, help="Record the clip now, from the microphone.")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 300),
    metavar="S",
    help=f"How long to record [default: {RECORDED_S:g}].",
)
@input_device_option("--input", default=None)
@click.option("--replace", is_flag=True, help="Overwrite a profile of this name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def profile(
    name: str,
    clip: str | None,
    microphone: bool,
    seconds: float | None,
    input_device: str | None,
    replace: bool,
    as_json: bool,
) -> None:
    """Learn the voice of the one person who speaks in CLIP (any audio that PyAV reads), and keep it as NAME.

    A profile holds the voice's pitch, range and colour, not the clip. Ask the person first.
    """
    if microphone == (clip is not None):
        raise click.UsageError("Give a clip, or - for stdin, or use --microphone.")
    if not microphone and (seconds is not None or input_device is not None):
        raise click.UsageError("--seconds and --input-device are for --microphone.")
    from parley.engines.vc import profiles

    profiles.check_name(name)
    _check_free(name, replace)
    with files_checked():
        recording = _recorded(seconds, input_device) if microphone else read_recording(clip or "")
        # It takes a second for each minute: on a terminal that is said.
        if sys.stderr.isatty():
            click.echo("Listening to the clip ...", err=True)
        learned = profiles.learn(name, recording.audio, recording.sample_rate)
        path = profiles.save(learned)
    if as_json:
        click.echo(json.dumps(_shown(learned, path), indent=2))
        return
    click.echo(f"{name}: {_described(learned)}; in {path}")
    click.echo(f"Convert a file: {command('voice', 'convert', 'IN.wav', 'OUT.wav', '--to', name)}", err=True)
    click.echo(f"Speak in it:    {command('voice', 'convert', '--live', '--to', name)}", err=True)


def _check_free(name: str, replace: bool) -> None:
    from parley.engines.vc import profiles

    built_in = [known.name for known in profiles.BUILT_IN]
    if name in profiles.names() and name not in built_in and not replace:
        raise CommandFailed(f"There is a profile {name!r} already.", "Overwrite it with --replace, or choose a name.")


def _recorded(seconds: float | None, device: str | None) -> Recording:
    from parley.cli.voice_recording import record

    return record(RECORDED_S if seconds is None else seconds, device or "")


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the profiles of voices, the built-in ones first. Exit code 1: one of them is damaged."""
    from parley.engines.ports import EngineError
    from parley.engines.vc import profiles

    known: list[VoiceProfile] = []
    damaged: list[EngineError] = []
    for name in profiles.names():
        try:
            known.append(profiles.load(name))
        except EngineError as error:
            damaged.append(error)
    built_in = {each.name for each in profiles.BUILT_IN}
    if as_json:
        paths = [None if each.name in built_in else profiles.folder() / f"{each.name}.json" for each in known]
        click.echo(json.dumps([_shown(each, path) for each, path in zip(known, paths, strict=True)], indent=2))
    else:
        width = max(len(each.name) for each in known)
        for each in known:
            what = "built in" if each.name in built_in else f"made {each.made}"
            click.echo(f"{each.name:<{width}}  {_described(each)}; {what}")
        if len(known) == len(built_in) and not damaged:
            click.echo(f"Make one of your own: {command('voice', 'profile', 'NAME', 'CLIP.wav')}", err=True)
    for fault in damaged:
        click.echo(f"parley: {fault.message}\n  {fault.remedy}", err=True)
    if damaged:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("names", nargs=-1, required=True)
def remove(names: tuple[str, ...]) -> None:
    """Remove profiles of voices from this machine."""
    from parley.engines.vc import profiles

    with files_checked():
        for name in names:
            profiles.remove(name)
            click.echo(f"{name} removed.")


def _described(known: VoiceProfile) -> str:
    spoken = f", {known.voiced_s:.1f} s voiced of {known.clip_s:.1f} s" if known.clip_s else ""
    return (
        f"pitch {known.median_hz:.0f} Hz, range {known.low_hz:.0f} to {known.high_hz:.0f} Hz, "
        f"formants x{known.formant:.2f}{spoken}"
    )


def _shown(known: VoiceProfile, path: Path | None) -> dict[str, Any]:
    return {**asdict(known), "file": None if path is None else str(path)}
