"""`parley chat`: a conversation in text, line by line, in the terminal or through a pipe."""

from __future__ import annotations

import contextlib
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parley.cli.failures import files_checked
from parley.cli.file_inputs import lines_of_stdin
from parley.cli.messages import harmless_at, print_error, tell
from parley.cli.typed_session import MAX_MESSAGE_CHARS, READS, TypedReply, typed_options, typed_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parley.cli.typed_session import TypedSession

PROMPT = "> "

HELP = "A line of text is your turn. /new begins a new conversation, /help shows this, /quit or Ctrl-D leaves. Ctrl-C stops an answer."


@click.command(
    epilog="""\b
Examples:
  parley chat
  parley chat --llm ollama:qwen3 --instructions "Answer in rhyme."
  printf 'My name is Ana.\\nWhat is my name?\\n' | parley chat
  parley chat --url wss://api.openai.com/v1/realtime --api-key-env OPENAI_API_KEY
"""
)
@typed_options(*READS)
def chat(config_path: Path | None, **flags: str | None) -> None:
    """Talk in text: each line is a turn, and the model remembers the turns before it.

    In a pipe each line is a turn too; it ends with the input. Ctrl-C stops an answer, twice it leaves. A tool of an MCP server that
    needs consent is asked for at the terminal, and refused in a pipe. Exit code 1: an answer in a pipe failed, or a tool was refused.
    """
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    with files_checked(), typed_session(config_path, flags) as session:
        if terminal:
            tell(HELP)
        failed = _Chat(session, terminal).run()
    if failed and not terminal:
        raise click.exceptions.Exit(1)


class _Chat:
    """One conversation. `run()` until the input ends; returns how many answers failed."""

    def __init__(self, session: TypedSession, terminal: bool) -> None:
        self._session = session
        self._terminal = terminal
        self._failed = 0
        self._interrupted = False

    def run(self) -> int:
        for line in self._lines():
            text = line.strip()
            match text:
                case "":
                    continue
                case "/quit":
                    break
                case "/help":
                    tell(HELP)
                case "/new":
                    self._session.renew()
                    tell("A new conversation.")
                case _ if text.startswith("/") and self._terminal:
                    tell(f"There is no command {text.split()[0]}. {HELP}")
                case _:
                    self._turn(text)
        return self._failed

    def _lines(self) -> Iterator[str]:
        """Until the input ends, or Ctrl-C is pressed twice."""
        if not self._terminal:
            yield from lines_of_stdin(MAX_MESSAGE_CHARS)
            return
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - it gives `input` the lines of before
        while True:
            try:
                line = input(PROMPT)
            except EOFError:
                click.echo(err=True)
                return
            except KeyboardInterrupt:
                click.echo(err=True)
                if self._interrupted:
                    return
                self._interrupted = True
                tell("Ctrl-C once more leaves.")
                continue
            self._interrupted = False
            yield line

    def _turn(self, text: str) -> None:
        """One answer, printed as it comes. On a terminal Ctrl-C stops it."""
        from parley.client.connection import ServerUnavailable

        reply = TypedReply()
        try:
            with closing(self._session.reply(text)) as updates:
                for update in updates:
                    sys.stdout.write(harmless_at(sys.stdout, reply.take(update)))
                    sys.stdout.flush()
            reply.end()
        except KeyboardInterrupt:
            if not self._terminal:
                raise
            self._interrupted = True
        except ServerUnavailable as error:
            if not error.again:
                raise
            self._session.forget()
            reply.failure = f"{error.message} The next line begins a new conversation."
        if reply.words:
            sys.stdout.write("\n")
            sys.stdout.flush()
        if reply.failure:
            self._failed += 1
            print_error(reply.failure)
