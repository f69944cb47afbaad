"""`parley keys`: makes, lists and revokes the named keys of a server. A key is shown once, when it is made."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from parley.cli.failures import CommandFailed

if TYPE_CHECKING:
    from parley.server.access.key_file import Key

C = TypeVar("C", bound=Callable[..., Any])

SCOPE_NAMES = ("realtime", "audio", "text", "admin")


def _located(command: C) -> C:
    command = click.option(
        "--file",
        "named",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="The key file [default: server.keys_file].",
    )(command)
    return click.option(
        "--config",
        "config_path",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Read server.keys_file from this file.",
    )(command)


def _path(config_path: Path | None, named: Path | None) -> Path:
    if named is not None:
        return named
    from parley.config.loading import find_keys_file

    path = find_keys_file(config_path, os.environ)
    if path is None:
        raise CommandFailed("There is no place for a key file.", "Name one with --file, or set server.keys_file.")
    return path


@click.group(
    epilog="""\b
Examples:
  parley keys add website --scope realtime --sessions 20 --minutes-per-day 600
  parley keys list
  parley keys revoke website
"""
)
def keys() -> None:
    """Make, list and revoke the keys of a server.

    A running server sees every change at once: it looks at the file with each request. As soon as there is a key file, the server
    requires a key. The keys of server.api_keys and PARLEY_API_KEY stay as they are.
    """


@keys.command(
    epilog="\b\nExamples:\n  parley keys add website --scope realtime\n  parley keys add metrics --scope admin --json"
)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPE_NAMES),
    help="What it opens; may be repeated [default: realtime and audio].",
)
@click.option("--sessions", metavar="N", type=click.IntRange(1, 100_000), help="Sessions at once [default: no limit].")
@click.option(
    "--minutes-per-day",
    metavar="N",
    type=click.IntRange(1, 144_000_000),
    help="Minutes of all its sessions [default: no limit].",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, the key included.")
@_located
def add(
    name: str,
    scopes: tuple[str, ...],
    sessions: int | None,
    minutes_per_day: int | None,
    as_json: bool,
    config_path: Path | None,
    named: Path | None,
) -> None:
    """Make a key and print it. Only its SHA-256 is kept: it cannot be shown again."""
    from parley.server.access import key_file

    path = _path(config_path, named)
    wanted = frozenset(scope for scope in key_file.SCOPES if scope in scopes) or key_file.DEFAULT_SCOPES
    record, key = key_file.add(path, name, wanted, sessions, minutes_per_day)
    if as_json:
        click.echo(json.dumps({**_shown(record), "key": key}, indent=2))
        return
    click.echo(key)
    click.echo(f"{path} holds only a hash of the key {name!r}: save the key now, it is not shown again.", err=True)


@keys.command(name="list", epilog="\b\nExamples:\n  parley keys list\n  parley keys list --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_located
def list_keys(as_json: bool, config_path: Path | None, named: Path | None) -> None:
    """List the keys by name, with their scopes and limits."""
    from parley.server.access import key_file

    path = _path(config_path, named)
    try:
        found = key_file.read(path)
    except FileNotFoundError:
        found = ()
    if as_json:
        click.echo(json.dumps([_shown(key) for key in found], indent=2))
        return
    if not found:
        click.echo(f"There are no keys in {path}; `parley keys add NAME` makes one.", err=True)
    for key in found:
        sessions = f"{key.sessions} sessions" if key.sessions else "any number of sessions"
        minutes = f"{key.minutes_per_day} minutes a day" if key.minutes_per_day else "all day"
        click.echo(
            f"{key.name:<24} {','.join(key.scopes):<22} {sessions}, {minutes}, made {key.created or 'some time ago'}"
        )


@keys.command(epilog="\b\nExamples:\n  parley keys revoke website")
@click.argument("name")
@_located
def revoke(name: str, config_path: Path | None, named: Path | None) -> None:
    """Remove a key: the server then refuses it and the client secrets made with it, and closes its running sessions."""
    from parley.server.access import key_file

    path = _path(config_path, named)
    key_file.revoke(path, name)
    click.echo(f"The key {name!r} is revoked.", err=True)


def _shown(key: Key) -> dict[str, object]:
    """A key's record without its hash."""
    return {
        "name": key.name,
        "scopes": list(key.scopes),
        "sessions": key.sessions,
        "minutes_per_day": key.minutes_per_day,
        "created": key.created,
    }
