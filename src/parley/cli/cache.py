"""`parley cache`: how large the cache of speech is, and emptying it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from parley.cli.failures import CommandFailed
from parley.cli.options import config_option, load_config
from parley.runtime.speech_files import SpeechFiles

MIB = 1 << 20


@click.group(epilog="\b\nExamples:\n  parley cache info\n  parley cache clear")
def cache() -> None:
    """Show or empty the cache of speech.

    It keeps clauses that voices have spoken, where speech_cache.enabled is on. It may be emptied while a server runs.
    """


@cache.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(config_path: Path | None, as_json: bool) -> None:
    """Say where the cache lies, whether it is used, and how large it is."""
    settings = load_config(config_path, {}).speech_cache
    try:
        used = _files(config_path).usage()
    except OSError as error:
        raise CommandFailed(f"The cache cannot be read: {error}.", "Run it as the user of the server.") from error
    if as_json:
        shown = {
            "folder": str(settings.folder),
            "enabled": settings.enabled,
            "max_mib": settings.max_mib,
            "files": used.files,
            "bytes": used.bytes,
        }
        click.echo(json.dumps(shown, indent=2))
        return
    click.echo(f"folder   {settings.folder}")
    click.echo(f"enabled  {'on' if settings.enabled else 'off: set speech_cache.enabled = true to use it'}")
    click.echo(f"clauses  {used.files}")
    click.echo(f"size     {used.bytes / MIB:.1f} of {settings.max_mib} MiB")


@cache.command()
@config_option
def clear(config_path: Path | None) -> None:
    """Remove every clause that is kept; other files of the folder stay."""
    files = _files(config_path)
    try:
        gone = files.clear()
    except OSError as error:
        raise CommandFailed(
            f"The cache cannot be emptied: {error}.", "Run it as the user of the server, or remove the folder."
        ) from error
    click.echo(f"{gone.removed} clauses removed ({gone.bytes / MIB:.1f} MiB).")


def _files(config_path: Path | None) -> SpeechFiles:
    settings = load_config(config_path, {}).speech_cache
    return SpeechFiles(settings.folder, settings.max_mib * MIB)
