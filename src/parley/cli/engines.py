"""`parley engines`: lists the engines for pipelines, with their requirements, languages and licences."""

from __future__ import annotations

import dataclasses
import json
from itertools import groupby

import click

from parley.engines.ports import EngineInfo, stages


@click.command(epilog="\b\nExamples:\n  parley engines\n  parley engines --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of every engine's declaration.")
def engines(as_json: bool) -> None:
    """List the engines that can be named in a pipeline, as `engine` or `engine:model`."""
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
