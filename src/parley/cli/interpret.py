"""`parley interpret`: the interpreter of a call, in the terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from parley.cli.failures import CommandFailed
from parley.cli.options import PIPELINE_FLAGS, load_config, pipeline_configured
from parley.cli.sound_devices import OptionWithOldNames
from parley.invocation import install

SETTINGS = (
    "mine",
    "theirs",
    "mode",
    "microphone",
    "headphones",
    "to_call",
    "from_call",
    "url",
    "model",
    "api_key_env",
    "route",
    "beta",
    "prompt",
    "voice_forward",
    "voice_reverse",
    "original_forward",
    "original_reverse",
    "push_to_talk",
    "consent",
    "record",
    "price_per_minute",
    "cost_cap",
)
"""Flags that stand for settings of the section `[interpret]`."""


@click.group(
    invoke_without_command=True,
    epilog="""\b
Examples:
  parley cables create
  parley interpret --mine es --theirs en
  parley interpret --mine es --theirs en --vc vocoder:me --record call-1
  parley interpret --mine es --theirs en --mode captions
  parley interpret --mine es --theirs en --url wss://api.openai.com --api-key-env OPENAI_API_KEY
""",
)
@pipeline_configured
@click.option(
    "--mt", metavar="ENGINE[:MODEL]", help="Translator of the own server, such as bergamot:en-pt [default: auto]."
)
@click.option("--mine", metavar="LANGUAGE", help="The language that you speak, such as es.")
@click.option("--theirs", metavar="LANGUAGE", help="The language that the other party speaks, such as en.")
@click.option(
    "--mode",
    type=click.Choice(["both", "forward", "listen", "captions"]),
    help="Both directions, you to them alone, them to you alone, or their words as captions [default: both].",
)
@click.option(
    "--microphone",
    "--input-device",
    "microphone",
    cls=OptionWithOldNames,
    metavar="DEVICE",
    help="Your microphone, by name or part of it (--input-device in other commands, which have no call).",
)
@click.option(
    "--headphones",
    "--output-device",
    "headphones",
    cls=OptionWithOldNames,
    metavar="DEVICE",
    help="Your headphones, by name or part of it (--output-device in other commands).",
)
@click.option("--to-call", metavar="DEVICE", help="The cable that the call uses as its microphone [default: Parley's].")
@click.option("--from-call", metavar="DEVICE", help="The cable that the call plays into [default: Parley's].")
@click.option("--url", metavar="URL", help="Translate with this server [default: one of its own, in this process].")
@click.option("--model", metavar="NAME", help="Ask that server for this model [default: gpt-realtime-translate].")
@click.option("--api-key-env", metavar="NAME", help="The environment variable that holds that server's key.")
@click.option(
    "--route",
    type=click.Choice(["translation", "conversation"]),
    help="The kind of session: translation sessions, or conversations for servers that have only those.",
)
@click.option(
    "--beta", is_flag=True, help="Speak the beta protocol to a server without the GA one (--route conversation)."
)
@click.option(
    "--prompt", metavar="FILE", help="The prompt of --route conversation; `parley interpret init` writes one."
)
@click.option("--voice-forward", metavar="NAME", help="The voice in which they hear you.")
@click.option("--voice-reverse", metavar="NAME", help="The voice in which you hear them.")
@click.option("--original-forward", metavar="VOLUME", help="Let them hear you too, at 0 to 1 under the translation.")
@click.option("--original-reverse", metavar="VOLUME", help="Hear them too, at 0 to 1 under the translation.")
@click.option("--push-to-talk", is_flag=True, help="Nothing of you is translated but while the space key is held.")
@click.option(
    "--consent",
    type=click.Choice(["shown", "spoken", "off"]),
    help="How the other party learns of the interpreter: you are reminded, or a voice says it [default: shown].",
)
@click.option("--record", metavar="DIR", help="Keep four tracks, transcripts and subtitles in this folder.")
@click.option("--price-per-minute", metavar="DOLLARS", help="What the server costs, for each direction.")
@click.option("--cost-cap", metavar="DOLLARS", help="End the call when so much has been spent.")
@click.option("--check", is_flag=True, help="Look at devices, cables, server, languages and engines, and end.")
@click.option("--plain", is_flag=True, help="Print one line for each event, for logs and screen readers.")
@click.pass_context
def interpret(
    context: click.Context, /, config_path: Path | None, *, check: bool, plain: bool, **options: object
) -> None:
    """Interpret a call: they hear you in their language, you hear them in yours.

    The call uses the cable "Parley microphone" as its microphone and the cable "Parley call" as its loudspeaker: `parley cables create`
    makes both. Without a cable you hear (or read) the translation of what your microphone hears.
    """
    if context.invoked_subcommand is not None:
        return
    from parley.cli.interpret_run import converse, examine

    on_screen = not _is_plain(plain)
    _check_packages(on_screen)
    config = load_config(config_path, _flags(options))
    if check:
        context.exit(examine(config))
    converse(config, on_screen=on_screen)


def _flags(options: dict[str, object]) -> dict[str, object]:
    """The flags as short names of settings. `--vc` is the converter of the user's translations here."""
    flags = {name: options[name] for name in PIPELINE_FLAGS if name != "vc"}
    flags |= {"mt": options["mt"], "interpret_voice_conversion": options["vc"]}
    for name in SETTINGS:
        value = options[name]
        flags[f"interpret_{name}"] = ("on" if value else None) if name in ("beta", "push_to_talk") else value
    return flags


def _check_packages(on_screen: bool) -> None:
    from importlib.util import find_spec

    if on_screen and find_spec("textual") is None:
        raise CommandFailed(
            "The screen needs the package textual.", f"Install it, or do without it (--plain): {install('talk')}"
        )


def _is_plain(plain: bool) -> bool:
    """A screen needs a terminal; a pipe, a log and a dumb terminal get lines."""
    terminal = sys.stdin.isatty() and sys.stderr.isatty() and sys.stdout.isatty()
    return plain or not terminal or os.environ.get("TERM") == "dumb"


@interpret.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@click.option("--force", is_flag=True, help="Replace files that are there.")
def init(folder: Path, *, force: bool) -> None:
    """Write a commented parley.toml and the prompt of conversation sessions into FOLDER [default: here]."""
    from parley.cli.interpret_init import write_files

    for path in write_files(folder, force=force):
        click.echo(f"wrote {path}")
    click.echo("Set your languages and devices in it, then: parley interpret --check")
