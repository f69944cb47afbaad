"""`parley voices`: voices of your own for speech synthesis. (`parley voice` converts one voice to another.)"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from parley.cli.failures import files_checked
from parley.cli.voices_add import add, mix, say_with
from parley.invocation import command

if TYPE_CHECKING:
    from parley.engines.voices.records import OwnVoice
    from parley.engines.voices.store import VoiceStore


@click.group(
    epilog="""\b
Examples:
  parley voices add carol carol.wav --tts phonon:gradium/phonon-31m-en
  parley voices add af_mine mine.pt --tts kokoro
  parley voices mix evening "af_bella(2)+af_sky(1)" --tts kokoro
  parley voices say carol "Good evening." -o evening.wav
  parley voices list
"""
)
def voices() -> None:
    """Add voices of your own for speech synthesis, and speak with them.

    A voice is a recording of a person (for engines that clone voices), a tensor of Kokoro, or a mix. Sessions name it as they name any
    voice; a server that runs has it at once for new sessions. To convert voices, see `parley voice`.
    """


@voices.command("list", epilog="\b\nExamples:\n  parley voices list\n  parley voices list --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List your own voices, the oldest first."""
    store = _store()
    with files_checked():
        known = store.voices()
    if as_json:
        click.echo(json.dumps([shown(one) for one in known], indent=2))
        return
    width = max((len(one.name) for one in known), default=0)
    for one in known:
        click.echo(f"{one.name:<{width}}  {described(one)}; {one.id}")
    if not known:
        click.echo(f"There are none. Add one: {command('voices', 'add', 'NAME', 'clip.wav')}", err=True)


@voices.command(epilog="\b\nExamples:\n  parley voices remove carol\n  parley voices remove carol evening")
@click.argument("names", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def remove(names: tuple[str, ...], as_json: bool) -> None:
    """Remove voices, by name or id, with their recordings and consents.

    Sessions that speak with one go on with it; new ones are refused.
    """
    store = _store()
    with files_checked():
        gone = [store.remove_voice(name, with_consent=True) for name in names]
    if as_json:
        click.echo(json.dumps([shown(one) for one in gone], indent=2))
        return
    for one in gone:
        click.echo(f"{one.name} removed.")


@voices.command(epilog="\b\nExamples:\n  parley voices phrase\n  parley voices phrase --language de")
@click.option("--language", metavar="TAG", default="en", show_default=True, help="Language of the sentence.")
def phrase(language: str) -> None:
    """Print the sentence of consent, which a person reads aloud for `--consent` and for POST /v1/audio/voice_consents."""
    from parley.cli.voices_add import phrase_in

    click.echo(phrase_in(language).text)


def _store() -> VoiceStore:
    from parley.engines.voices.store import VoiceStore

    return VoiceStore()


def shown(voice: OwnVoice) -> dict[str, object]:
    """A voice as JSON has it."""
    import msgspec

    record = msgspec.structs.asdict(voice)
    del record["added_ns"]
    return {**record, "created_at": voice.created_at}


def described(voice: OwnVoice) -> str:
    """A voice in words."""
    from parley.engines.voices.speaking import WHAT

    match voice.kind:
        case "clip":
            consent = ", with a consent" if voice.consent else ""
            return f"{WHAT['clip']} of {voice.seconds:.1f} s{consent}"
        case "mix":
            return f"{WHAT['mix']}: {voice.mix}"
        case "tensor":
            return WHAT["tensor"]


for _command in (add, mix, say_with):
    voices.add_command(_command)
