"""`parley voice`: voices that are converted while they are spoken, or in files, and the profiles of voices that they are converted to."""

from __future__ import annotations

import click

from parley.cli.voice_convert import convert
from parley.cli.voice_profiles import list_, profile, remove
from parley.cli.voice_serve import voice_serve


@click.group(
    epilog="""\b
Examples:
  parley voice profile ana ana.wav
  parley voice convert interview.wav interview.ana.wav --to ana
  parley voice convert --live --to ana
  parley voice convert --live --to rvc:models/ana --output-device "BlackHole 2ch"
  parley voice serve vocoder:ana
"""
)
def voice() -> None:
    """Convert voices: files, a pipe, or the microphone, live; keep profiles of voices; serve conversion."""


for _command in (profile, list_, remove, convert, voice_serve):
    voice.add_command(_command)
