"""`parley engines`: lists the engines for pipelines, with their requirements, languages and licences.

`--languages` lists what the pipelines of the configuration cover from speech to speech (see `languages.py`).
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path

import click

from parley.cli.options import config_option, load_config, warn
from parley.engines.ports import EngineInfo, stages


@click.command(epilog="\b\nExamples:\n  parley engines\n  parley engines --json\n  parley engines --languages")
@click.option(
    "--languages",
    is_flag=True,
    help="List what each pipeline translates into speech, and the pairs of each translator.",
)
@config_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: every engine's declaration, or all languages and pairs."
)
def engines(languages: bool, config_path: Path | None, as_json: bool) -> None:
    """List the engines that can be named in a pipeline, as `engine` or `engine:model`.

    With --languages: what each pipeline of the configuration covers from speech to speech (the languages of its recogniser, the pairs of
    its translator, the languages of its voice), and the pairs of every translator on this machine. Opens those engines to find out.
    """
    if languages:
        _print_languages(config_path, as_json)
        return
    if config_path is not None:
        raise click.UsageError("--config is for --languages: the list of engines does not depend on a configuration.")
    from parley.engines.registry import available

    found = available()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(info) for info in found], indent=2, ensure_ascii=False))
        return
    titles = {stage.name: stage.title for stage in stages()}
    for stage, group in groupby(found, key=lambda info: info.stage):
        click.echo(f"{stage}: {titles[stage]}")
        for info in group:
            click.echo(f"  {info.name:<14} {info.summary}")
            for line in _details(info):
                click.echo(f"  {'':<14} {line}")
        click.echo()


def _print_languages(config_path: Path | None, as_json: bool) -> None:
    from rich.console import Console

    from parley.cli.languages import languages_of, lines

    config = load_config(config_path, {})
    warn(config)
    console = Console(stderr=True)
    with console.status("opening the engines") if console.is_terminal else nullcontext():
        pipelines, translators = asyncio.run(languages_of(config))
    if as_json:
        rows = {
            "pipelines": [dataclasses.asdict(one) for one in pipelines],
            "translators": [dataclasses.asdict(one) for one in translators],
        }
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for line in lines(pipelines, translators):
        click.echo(line)


def _details(info: EngineInfo) -> list[str]:
    facts = {
        "languages": _some(info.languages),
        "voices": _some(info.voices),
        "needs": ", ".join(info.needs),
        "licence": info.licence,
    }
    return [f"{name}: {fact}" for name, fact in facts.items() if fact]


def _some(names: tuple[str, ...], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more (--json lists them)" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
