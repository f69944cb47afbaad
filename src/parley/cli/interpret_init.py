"""What `parley interpret init` writes: a commented configuration and the prompt of conversation sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from parley.cli.failures import CommandFailed

CONFIGURATION: Final = """\
# The interpreter of a call: parley interpret. Everything else keeps its default; docs/interpreting.md explains each line.

[interpret]
mine = "es"                      # the language that you speak
theirs = "en"                    # the language that the other party speaks
# mode = "both"                  # both, forward (you to them), listen (them to you), captions (their words, as text)

# Devices, by name or part of it; without a line, the default one and Parley's own cables.
# microphone = ""
# headphones = ""
# to_call = ""                   # the cable that the call uses as its microphone
# from_call = ""                 # the cable that the call plays into

# voice_conversion = "vocoder:me"    # they hear you in this voice: parley voice profile me clip.wav
# voice_forward = ""             # the voice that speaks your translations, before conversion
# voice_reverse = ""             # the voice in which you hear them
# original_reverse = 0.15        # hear them too, this loud while the translation is spoken
# original_forward = 0.15        # let them hear you too

# push_to_talk = false
# consent = "shown"              # shown, spoken (a voice says it in their language), off
# record = "calls/last"

# Another server than Parley's own:
# url = "wss://api.openai.com"
# api_key_env = "OPENAI_API_KEY"
# route = "translation"          # conversation, for servers without translation sessions; prompt.txt is its prompt
# prompt = "prompt.txt"
# price_per_minute = 0.034       # for each direction, silence included: OpenAI's translation sessions in November 2026
# cost_cap = 5.0

# The engines of Parley's own server, for both directions.
[pipelines.default]
# stt = "whisper:base"
# mt = "auto"
# tts = "auto"

# Other engines for one direction:
# [interpret]  pipeline_forward = "spanish"
# [pipelines.spanish]
# stt = "whisper:small"
"""


def write_files(folder: Path, *, force: bool) -> list[Path]:
    """Write both files; raises `CommandFailed` where one is there already, or cannot be written."""
    from parley.interpret.routes.prompt import DEFAULT_PROMPT

    files = {folder / "parley.toml": CONFIGURATION, folder / "prompt.txt": DEFAULT_PROMPT}
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        raise CommandFailed(f"{' and '.join(there)} would be overwritten.", "Name another folder, or add --force.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{folder} cannot be written: {error.strerror}.", "Name another folder.") from error
    return list(files)
