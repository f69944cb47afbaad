"""`parley doctor`: each line a check with its remedy; exit code 1 when something that the server needs is missing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import click

from parley.cli import checks, deployment_checks, engine_checks, voice_checks
from parley.cli.options import configured, load_config, warn


@click.command(epilog="\b\nExamples:\n  parley doctor\n  parley doctor --pipeline bench --json")
@configured
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of checks.")
@click.pass_context
def doctor(ctx: click.Context, /, config_path: Path | None, as_json: bool, **flags: object) -> None:
    """Check Python, packages, configuration, address, open files, key, engines, endpoints, voice profiles and audio
    devices.

    Looks at what `parley serve` with the same flags would use. Exit code 1 when something it needs is missing.
    """
    done = []
    for check in _checks(config_path, flags):
        done.append(check)
        if not as_json:
            _print(check)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(check) for check in done], indent=2, ensure_ascii=False))
    failed = [check for check in done if check.required and not check.ok]
    if failed and not as_json:
        click.echo(f"\n{len(failed)} of {len(done)} checks failed: {', '.join(check.name for check in failed)}")
    ctx.exit(1 if failed else 0)


def _checks(config_path: Path | None, flags: dict[str, object]) -> Iterator[checks.Check]:
    from parley.config import ConfigError

    yield checks.check_python()
    yield from checks.check_packages()
    try:
        config = load_config(config_path, flags)
    except ConfigError as error:
        yield checks.Check("configuration", False, error.message, error.remedy)
        return
    warn(config)
    yield checks.Check(
        "configuration", True, str(config.path) if config.path else "no file; defaults, environment and flags"
    )
    yield checks.check_port(config)
    yield checks.check_open_files(config)
    yield checks.check_keys(config)
    if (tls := checks.check_tls(config)) is not None:
        yield tls
    yield from deployment_checks.check_reach(config)
    if (microphone := deployment_checks.check_microphone(config)) is not None:
        yield microphone
    yield from checks.check_endpoints(config)
    yield from engine_checks.check_engines(config)
    yield from voice_checks.check_profiles()
    yield checks.check_audio()


def _print(check: checks.Check) -> None:
    mark, colour = ("ok  ", "green") if check.ok else ("FAIL", "red") if check.required else ("note", "yellow")
    click.echo(f"{click.style(mark, fg=colour)}  {check.name}: {check.seen}")
    if not check.ok and check.remedy:
        click.echo(f"      {check.remedy}")
