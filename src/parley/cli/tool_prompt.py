"""Asks at a terminal whether a tool of an MCP server may be called.

Laws: no answer, the end of the input and Ctrl-C refuse; the question goes to stderr, so that stdout has nothing but the conversation.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from parley.client.updates import ConsentAsked

ToolAnswer = Literal["once", "always", "no"]

QUESTION = "[y] once, [a] always in this conversation, [N] no: "


def can_ask() -> bool:
    """Whether a user sits at a terminal: stdin is one, and so is stderr."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def asked_at_terminal(asked: ConsentAsked) -> ToolAnswer:
    """The user's answer."""
    from parley.client.tool_consent import described

    try:
        click.echo(f"\nMay it call {described(asked)}?", err=True)
        click.echo(QUESTION, err=True, nl=False)
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        answer = ""
    if not answer.endswith("\n"):
        click.echo(err=True)
    match answer.strip().lower():
        case "y" | "yes":
            return "once"
        case "a" | "always":
            return "always"
        case _:
            return "no"
