"""`parley cables`: the two virtual cables of a call: makes, lists and removes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from parley.invocation import command

if TYPE_CHECKING:
    from parley.cables.cables import Cable

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(epilog="\b\nExamples:\n  parley cables create\n  parley cables create --persist\n  parley cables remove")
def cables() -> None:
    """Make, list and remove the virtual cables of a call.

    Two cables join Parley to a call: one that the call uses as its microphone, and one that it uses as its loudspeaker. They are made on
    PulseAudio or PipeWire; on macOS and Windows the command says what to install.
    """


@cables.command()
@click.option("--persist", is_flag=True, help="Make them after each start of the sound server, too.")
@_as_json
def create(persist: bool, as_json: bool) -> None:
    """Make the cables that are missing, and say which devices to choose in the call.

    Without --persist the cables last until the sound server ends.
    """
    from parley.cables import cables as ours
    from parley.cables.persistence import persisted

    made = ours.create(persist)
    if as_json:
        _print_json(made)
        return
    click.echo("Choose in the call:")
    for cable in made:
        click.echo(f"  {cable.kind.call_uses + ':':<13}{cable.kind.call_shows}")
    click.echo(
        "A call application that is open already must choose them again: it does not notice a device that came later."
    )
    for file in persisted():
        click.echo(f"Each start of the sound server makes them: {file}")


@cables.command("list")
@_as_json
def list_(as_json: bool) -> None:
    """List the cables. Exit code 1 when one is not there."""
    from parley.cables import cables as ours

    found = ours.listed()
    if as_json:
        _print_json(found)
    else:
        for cable in found:
            state = "there" if cable.present else f"not there ({', '.join(cable.missing)} missing)"
            click.echo(f"{cable.kind.name:<12} {state}; {cable.kind.call_uses} of the call: {cable.kind.call_shows}")
    if not all(cable.present for cable in found):
        click.echo(f"Make what is missing: {command('cables', 'create')}", err=True)
        raise click.exceptions.Exit(1)


@cables.command()
@_as_json
def remove(as_json: bool) -> None:
    """Remove the cables, from the sound server's configuration as well."""
    from parley.cables import cables as ours

    removed = ours.remove()
    files = list(map(str, removed.files))
    if as_json:
        told = {"modules": removed.modules, "files": files, "remaining": removed.remaining}
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    click.echo("The cables are removed." if removed.modules or files else "There was no cable.")
    for file in files:
        click.echo(f"They are taken out of {file}.")
    if removed.remaining:
        click.echo(f"{', '.join(removed.remaining)} stay until the sound server is started again.")


def _print_json(found: Sequence[Cable]) -> None:
    from parley.cables.persistence import persisted

    files = list(map(str, persisted()))
    shown = [
        {
            "name": cable.kind.name,
            "present": cable.present,
            "missing": cable.missing,
            "modules": cable.modules,
            "playback": cable.kind.playback,
            "capture": cable.kind.capture,
            "call": {"use": cable.kind.call_uses, "device": cable.kind.call_device, "shown_as": cable.kind.call_shows},
        }
        for cable in found
    ]
    click.echo(json.dumps({"cables": shown, "files": files}, indent=2, ensure_ascii=False))
