"""Where a dialect writes the fields that the core's errors name."""

from __future__ import annotations

from collections.abc import Mapping

_GA: Mapping[str, str] = {
    "session.kind": "session.type",
    "session.voice": "session.audio.output.voice",
    "session.speed": "session.audio.output.speed",
    "session.noise_reduction": "session.audio.input.noise_reduction",
    "session.input_format": "session.audio.input.format",
    "session.transcription": "session.audio.input.transcription",
    "session.reasoning_effort": "session.reasoning.effort",
    "response.voice": "response.audio.output.voice",
    "response.reasoning_effort": "response.reasoning.effort",
}


def ga_path(field: str) -> str:
    """The path in the GA dialect of a core field, or of a member below one; fields named alike in both stay as they are."""
    head, dot, rest = field.partition(".")
    name, more, tail = rest.partition(".")
    return _GA.get(f"{head}{dot}{name}", f"{head}{dot}{name}") + more + tail
