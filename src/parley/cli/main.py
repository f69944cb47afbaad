"""The command `parley`: imports the subcommand's module, and turns errors into one line and an exit code.

Laws: results on stdout, messages on stderr; exit 0 done, 1 the check failed, 2 usage or set-up error, 130 interrupted.
A command's file is imported only when that command runs, so that `parley --help` is instant.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from parley import __version__
from parley.cli.messages import print_error
from parley.errors import ParleyError
from parley.invocation import command

COMMANDS = {
    "serve": "Start the server.",
    "talk": "Talk to an assistant through this machine's microphone and loudspeaker.",
    "chat": "Hold a conversation in text, line by line.",
    "ask": "Ask one question: the answer as text, and spoken if wanted.",
    "say": "Speak a text: into a file, a pipe, or the loudspeaker.",
    "transcribe": "Transcribe files, a pipe, or the microphone.",
    "translate": "Translate a file, a pipe, or the microphone: text, subtitles, speech.",
    "interpret": "Interpret a call: they hear you in their language, you hear them in yours.",
    "voice": "Convert voices: files, a pipe, or the microphone, live; serve conversion to other programs.",
    "voices": "Add voices of your own for speech synthesis, and speak with them.",
    "cables": "Make, list and remove the virtual cables of a call.",
    "keys": "Make, list and revoke the keys of a server.",
    "models": "List, fetch, verify and remove models.",
    "cache": "Show or empty the cache of speech.",
    "engines": "List the engines that can be named in a pipeline.",
    "config": "Print the effective configuration and where each value comes from; write a file to begin with.",
    "doctor": "Check this machine and this configuration, and say how to fix what is wrong.",
    "replay": "Run a recorded session through the core again and compare.",
    "bench": "Load any Realtime server with real-time speech and measure it.",
    "uninstall": "List, then remove what Parley keeps on this machine.",
}
"""Each is a click command in the module of the same name in this package."""

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that imports a command only when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found = getattr(importlib.import_module(f"parley.cli.{cmd_name}"), cmd_name)
        if not isinstance(found, click.Command):
            raise TypeError(f"parley.cli.{cmd_name}.{cmd_name} is not a command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from parley.config.errors import did_you_mean

            ctx.fail(f"There is no command {args[0]!r}. {did_you_mean(args[0], COMMANDS)}".rstrip())
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n  parley serve\n  parley serve --llm openai:gpt-5-mini\n  parley doctor",
)
@click.version_option(__version__, prog_name="parley")
def cli() -> None:
    """A self-hosted real-time voice server: OpenAI's Realtime API on your own machine."""


def run(args: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; every expected error is printed on stderr."""
    try:
        code = cli.main(args=args, prog_name="parley", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.UsageError as error:
        print_usage_error(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except (click.ClickException, ParleyError) as error:
        print_error(error.message, error.remedy if isinstance(error, ParleyError) else "")
    return EXIT_USAGE


def print_usage_error(error: click.UsageError) -> None:
    """Print what is wrong with a command line that click refused. A group without a command prints its help."""
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        error.show()
        return
    message = error.format_message()
    context = error.ctx
    print_error(
        message if message.endswith((".", "?", "?)")) else f"{message}.",
        f"How it is used: {command(*context.command_path.split()[1:], '--help')}" if context is not None else "",
    )


def main() -> None:
    """The console script."""
    sys.exit(run())


if __name__ == "__main__":
    main()
