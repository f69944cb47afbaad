"""`parley replay TRACE`: runs a recorded session through the core again and compares its effects, byte for byte."""

from __future__ import annotations

from pathlib import Path

import click

from parley.cli.failures import CommandFailed


@click.command(epilog="\b\nExamples:\n  parley replay traces/sess_123.trace")
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_context
def replay(ctx: click.Context, /, trace: Path) -> None:
    """Run the recorded session in TRACE through the core again and compare its effects.

    Servers write traces to `server.trace_dir`, library sessions to `trace_dir`. Exit code 1 when the effects differ.
    """
    from parley.runtime.trace import replay as replay_trace

    try:
        result = replay_trace(trace)
    except ValueError as error:
        raise CommandFailed(
            f"{trace} is not a trace of this version: {error}",
            "A trace is replayed by the version of Parley that wrote it.",
        ) from error
    if result.mismatch is not None:
        click.echo(f"{trace}: differs. {result.mismatch}")
        ctx.exit(1)
    click.echo(f"{trace}: {result.events} events gave the same {result.effects} effects.")
