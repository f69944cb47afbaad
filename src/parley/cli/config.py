"""`parley config`: the effective configuration and where each value comes from, never a secret; `init` writes a file to begin with."""

from __future__ import annotations

import json
from pathlib import Path

import click

from parley.cli.failures import CommandFailed, files_checked
from parley.cli.options import configured, load_config, warn
from parley.invocation import command


@click.group(
    invoke_without_command=True,
    epilog="\b\nExamples:\n  parley config\n  parley config --llm openai:gpt-5-mini --json\n  parley config init",
)
@configured
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of key, value and source.")
@click.pass_context
def config(ctx: click.Context, /, config_path: Path | None, as_json: bool, **flags: object) -> None:
    """Print the effective configuration and where each value comes from.

    Later wins: default, file, environment, flag. The flags are those of `parley serve`.
    """
    if ctx.invoked_subcommand is not None:
        if given := [
            name for name in ctx.params if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        ]:
            options = ", ".join(
                f"--{name.removesuffix('_path').removeprefix('as_').replace('_', '-')}" for name in given
            )
            raise click.UsageError(f"{options} is not for `{ctx.invoked_subcommand}`: it writes the defaults.")
        return
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


@config.command(
    epilog="\b\nExamples:\n  parley config init\n  parley config init -o ~/.config/parley/parley.toml\n  parley config init -o -"
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default=Path("parley.toml"),
    show_default=True,
    help="The file; its folder is made. - prints it.",
)
def init(output: Path) -> None:
    """Write a parley.toml with every setting, its default and what it means, all of it commented out.

    A file that is there is never overwritten. `parley serve` reads ./parley.toml, else ~/.config/parley/parley.toml.
    """
    text = (Path(__file__).parents[1] / "config" / "commented.toml").read_text(encoding="utf-8")
    if str(output) == "-":
        click.echo(text, nl=False)
        return
    output = output.expanduser()
    with files_checked():
        output.parent.mkdir(parents=True, exist_ok=True)
        try:
            with output.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise CommandFailed(
                f"{output} is there already; it is left as it is.",
                "Name another file: -o FILE, or -o - to read it here.",
            ) from None
    click.echo(
        f'Wrote {output}. Remove the "# " of the settings that you change; `{command("config")}` shows what is in force.'
    )
