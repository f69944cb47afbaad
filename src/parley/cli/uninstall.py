"""`parley uninstall`: lists what Parley keeps on this machine, then removes it."""

from __future__ import annotations

import contextlib
import os
import sys
from functools import partial

import click

from parley.cli import uninstall_plan
from parley.cli.failures import CommandFailed
from parley.errors import ParleyError

MIB = 1 << 20


@click.command(epilog="\b\nExamples:\n  parley uninstall --dry-run\n  parley uninstall --yes")
@click.option("--dry-run", is_flag=True, help="Only list what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def uninstall(dry_run: bool, yes: bool) -> None:
    """List, then remove what Parley keeps on this machine: models, voice profiles, the configuration and keys in the user's
    folder, and the virtual cables.

    Recordings, traces and files elsewhere are kept. The program itself is removed by what installed it: pip, or
    uninstall.sh.
    """
    from parley.cables.folders import config_folder
    from parley.models.store import data_folder

    plan = partial(uninstall_plan.leftovers, os.environ, data_folder(), config_folder() / "parley")
    found = plan()
    cables = _cables()
    _list(found, cables)
    if dry_run or not (cables or any(not each.kept for each in found)):
        return
    if not yes:
        if not sys.stdin.isatty():
            raise CommandFailed("Nothing is removed without a question, and there is no terminal.", "Add --yes.")
        click.confirm("Remove all of this?", abort=True, err=True)
    failures = _remove_cables() if cables else []
    # Removing the cables takes their lock, which may be new.
    for each in (each for each in plan() if not each.kept):
        try:
            uninstall_plan.remove(each)
        except FileNotFoundError:
            continue
        except OSError as error:
            failures.append(f"{error.filename or each.path}: {error.strerror}.")
    if failures:
        raise CommandFailed("Not everything was removed:\n" + "\n".join(failures), "Correct that, then run it again.")
    click.echo("Removed.")


def _list(found: list[uninstall_plan.Leftover], cables: list[str]) -> None:
    for each in found:
        size = f"{each.size / MIB:8.1f} MiB"
        click.echo(f"{size}  {each.what}: {each.path}" + (f"  (kept: {each.kept})" if each.kept else ""))
    for line in cables:
        click.echo(f"{'':12}  {line}")
    total = sum(each.size for each in found if not each.kept)
    if total or cables or any(not each.kept for each in found):
        click.echo(f"{total / MIB:8.1f} MiB  in all")
    else:
        click.echo("Parley keeps nothing on this machine that this command removes.")


def _cables() -> list[str]:
    """The cables that are there, and the sound server's files that make them, one line each."""
    if sys.platform != "linux":
        return []
    from parley.cables import cables
    from parley.cables.persistence import persisted

    lines = [f"cables in the sound server's configuration: {path}" for path in persisted()]
    with contextlib.suppress(ParleyError):  # without a sound server there is no cable
        lines += [f"cable: {cable.kind.name}" for cable in cables.listed() if cable.modules]
    return lines


def _remove_cables() -> list[str]:
    from parley.cables import cables
    from parley.cables.sound_server import SoundServerUnavailable

    try:
        cables.remove()
    except SoundServerUnavailable:
        return []  # the configuration is changed; without a sound server there is no cable
    except ParleyError as error:
        return [str(error)]
    return []
