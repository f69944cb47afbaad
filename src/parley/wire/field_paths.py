"""The client-facing paths of the core's fields, for each dialect.

Laws: the core names a field of its own values, such as `session.voice` or `item.content[0].text`; a table renames the parts that the
dialect calls otherwise, longest first, and leaves indices and all else as they are. A path of the dialect itself is not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping


def renamed(table: Mapping[str, str]) -> Callable[[str], str]:
    """A function from core fields to paths. `table` has the fields whose path differs, without indices."""
    longest_first = sorted(table.items(), key=lambda entry: len(entry[0]), reverse=True)

    def path(field: str) -> str:
        for name, its_path in longest_first:
            if field == name or field.startswith((f"{name}.", f"{name}[")):
                return its_path + field[len(name) :]
        return field

    return path


_GA = {
    "modality": "output_modalities",
    "reasoning_effort": "reasoning.effort",
    "voice": "audio.output.voice",
    "output_format": "audio.output.format",
}
_GA_SESSION = {
    "kind": "type",
    "speed": "audio.output.speed",
    "input_format": "audio.input.format",
    "transcription": "audio.input.transcription",
    "noise_reduction": "audio.input.noise_reduction",
    "turn_detection": "audio.input.turn_detection",
}

ga_path = renamed(
    {f"session.{name}": f"session.{path}" for name, path in (_GA | _GA_SESSION).items()}
    | {f"response.{name}": f"response.{path}" for name, path in _GA.items()}
)

translation_path = renamed(
    {
        "session.kind": "session.type",
        "session.transcription": "session.audio.input.transcription",
        "session.noise_reduction": "session.audio.input.noise_reduction",
        "session.target_language": "session.audio.output.language",
        "session.voice": "session.audio.output.voice",
    }
)

_BETA = {
    "modality": "modalities",
    "output_format": "output_audio_format",
    "max_output_tokens": "max_response_output_tokens",
}
_BETA_SESSION = {
    "input_format": "input_audio_format",
    "transcription": "input_audio_transcription",
    "noise_reduction": "input_audio_noise_reduction",
}

beta_path = renamed(
    {"session.kind": "type"}  # the event, not the object, says which kind of session it is for
    | {f"session.{name}": f"session.{path}" for name, path in (_BETA | _BETA_SESSION).items()}
    | {f"response.{name}": f"response.{path}" for name, path in _BETA.items()}
)
