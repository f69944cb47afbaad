"""`parley config`: the effective configuration and where each value comes from. Never shows a secret."""

from __future__ import annotations

import json
from pathlib import Path

import click

from parley.cli.options import configured, load_config, warn


@click.command(epilog="\b\nExamples:\n  parley config\n  parley config --llm openai:gpt-5-mini --json")
@configured
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of key, value and source.")
def config(config_path: Path | None, as_json: bool, **flags: object) -> None:
    """Print the effective configuration and where each value comes from.

    Later wins: default, file, environment, flag. The flags are those of `parley serve`.
    """
    effective = load_config(config_path, flags)
    warn(effective)
    settings = effective.explain()
    if as_json:
        rows = [{"key": setting.key, "value": setting.value, "source": setting.source} for setting in settings]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    click.echo(f"# file: {effective.path or 'none found; everything below is default, environment or flag'}")
    shown = [(setting.key, json.dumps(setting.value, ensure_ascii=False), setting.source) for setting in settings]
    key_width = max(len(key) for key, _, _ in shown)
    for key, value, source in shown:
        click.echo(f"{key:<{key_width}}  = {_shorten(value):<34}  # {source}")


def _shorten(value: str, limit: int = 60) -> str:
    return value if len(value) <= limit else f"{value[: limit - 4]}...{value[-1]}"
