"""`parley voice`: voice conversion at the command line."""

from __future__ import annotations

import click

from parley.cli.voice_serve import voice_serve


@click.group(epilog="\b\nExamples:\n  parley voice serve vocoder:ana")
def voice() -> None:
    """Convert speech to another voice."""


voice.add_command(voice_serve)
