"""The core's errors name core fields; clients see the paths of their own dialect."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.core.words.notices import ErrorRaised
from parley.core.words.settings import SettingsPatch
from parley.wire.dialects import BETA, DIALECTS, GA
from tests.wire.surface import client_events

CORE = Path(__file__).parents[2] / "src" / "parley" / "core"

FORMATTED = {
    "{where}.tools": ("session.tools", "response.tools"),
    "{where}.tool_choice": ("session.tool_choice", "response.tool_choice"),
    "{where}.tools[{index}]": ("session.tools[0]", "response.tools[0]"),
    "{where}.model": ("session.transcription.model",),
    "{where}.language": ("session.transcription.language",),
    "{where}.languages": ("session.transcription.languages",),
    "{where}.{name}": ("session.transcription.prompt", "session.transcription.keywords"),
    "{where}.content": ("item.content", "response.input[0].content"),
    "{where}.content[{index}]": ("item.content[0]", "response.input[0].content[0]"),
    "{where}.type": ("item.content[0].type", "response.input[0].content[0].type"),
    "{where}.image_url": ("item.content[0].image_url", "response.input[0].content[0].image_url"),
    "{at}.name": ("session.tools[0].name", "response.tools[0].name"),
    "{at}.server_label": ("session.tools[0].server_label", "response.tools[0].server_label"),
    "{at}.server_url": ("session.tools[0].server_url", "response.tools[0].server_url"),
    "{field}.role": ("item.role", "response.input[0].role"),
    "response.input[{index}]": ("response.input[0]",),
    "response.input[{index}].id": ("response.input[0].id",),
    "response.tools[{index}].server_label": ("response.tools[0].server_label",),
}
"""The fields that the core puts together, and what they stand for."""

ELSEWHERE = {
    "session.version": "not a client's",
    "type": "every event has one",
    "tool_choice": "the session's or the response's",
    "item.input_audio_transcription.logprobs": "a value of `session.include`",
}
"""Fields that are no options of an event."""

UNSEEN = {
    "ga": {"session.temperature", "response.temperature", "session.target_language"},
    "beta": {
        "session.target_language",
        "session.kind",
        "session.parallel_tool_calls",
        "session.reasoning_effort",
        "response.reasoning_effort",
        "session.truncation",
        "session.transcription.languages",
        "session.transcription.keywords",
        "item.content[0].image_url",
        "response.input[0].content[0].image_url",
        "item.approval_request_id",
        "session.tools[0].server_label",
        "session.tools[0].server_url",
        "response.tools[0].server_label",
        "response.tools[0].server_url",
    },
}
"""Fields that a dialect has no name for: none of its clients can set them, so none can set them wrong."""


def written_fields() -> Iterator[str]:
    """Every field that the core's code names: constants, and formatted ones with their holes."""
    for path in CORE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "field":
                yield from _texts(node.value)
            elif isinstance(node, ast.JoinedStr | ast.Constant):
                yield from (text for text in _texts(node) if _dotted(text))


def _dotted(text: str) -> bool:
    head, dot, rest = text.partition(".")
    return (
        bool(dot)
        and head in ("session", "response", "item", "{where}", "{at}")
        and " " not in rest
        and rest[-1:] not in ("", "[")
    )


def _texts(value: ast.expr) -> Iterator[str]:
    match value:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(
                f"{{{ast.unparse(part.value)}}}" if isinstance(part, ast.FormattedValue) else ast.literal_eval(part)
                for part in parts
            )
        case ast.IfExp(body=body, orelse=other):
            yield from (*_texts(body), *_texts(other))


def fields() -> list[str]:
    found: set[str] = {f"session.{name}" for name in SettingsPatch.__annotations__}
    for text in written_fields():
        found |= set(FORMATTED.get(text, (text,)))
    return sorted(found - set(ELSEWHERE))


def options(dialect: str) -> set[str]:
    return {option for event in client_events(dialect).values() for option in event}


def test_the_core_names_fields() -> None:
    assert {"session.voice", "session.kind", "item.id", "audio_end_ms", "response.input[0].id"} <= set(fields())
    assert [field for field in fields() if "{" in field] == []


def test_a_translation_session_has_its_own_paths() -> None:
    path = DIALECTS["translations"].path
    assert path("session.target_language") == "session.audio.output.language"
    assert path("session.noise_reduction") == "session.audio.input.noise_reduction"
    assert path("session.transcription.model") == "session.audio.input.transcription.model"


@pytest.mark.parametrize("dialect", UNSEEN)
def test_every_field_of_the_core_has_a_path_that_clients_know(dialect: str) -> None:
    known, path = options(dialect), DIALECTS[dialect].path
    strange = {
        field: path(field) for field in fields() if path(field).replace("[0]", "[]").removesuffix("[]") not in known
    }
    assert {field for field in strange if field not in UNSEEN[dialect]} == set(), strange
    assert UNSEEN[dialect] <= set(strange) | {"response.temperature"}


@pytest.mark.parametrize("dialect", ["ga", "beta", "translations"])
def test_a_path_of_the_dialect_is_left_as_it_is(dialect: str) -> None:
    path = DIALECTS[dialect].path
    assert {option: path(option) for option in options(dialect) if path(option) != option} == {}


@pytest.mark.parametrize(
    ("field", "ga", "beta"),
    [
        ("session.voice", "session.audio.output.voice", "session.voice"),
        ("session.speed", "session.audio.output.speed", "session.speed"),
        ("session.modality", "session.output_modalities", "session.modalities"),
        ("session.kind", "session.type", "type"),
        ("session.input_format", "session.audio.input.format", "session.input_audio_format"),
        ("session.output_format", "session.audio.output.format", "session.output_audio_format"),
        (
            "session.transcription.model",
            "session.audio.input.transcription.model",
            "session.input_audio_transcription.model",
        ),
        ("session.noise_reduction", "session.audio.input.noise_reduction", "session.input_audio_noise_reduction"),
        ("session.turn_detection", "session.audio.input.turn_detection", "session.turn_detection"),
        ("session.max_output_tokens", "session.max_output_tokens", "session.max_response_output_tokens"),
        ("session.reasoning_effort", "session.reasoning.effort", "session.reasoning_effort"),
        ("session.tools[3].name", "session.tools[3].name", "session.tools[3].name"),
        ("response.voice", "response.audio.output.voice", "response.voice"),
        ("response.modality", "response.output_modalities", "response.modalities"),
        ("response.max_output_tokens", "response.max_output_tokens", "response.max_response_output_tokens"),
        ("item.content[0].audio", "item.content[0].audio", "item.content[0].audio"),
        ("audio_end_ms", "audio_end_ms", "audio_end_ms"),
        ("session.voices", "session.voices", "session.voices"),
    ],
)
def test_a_field_has_its_path_in_each_dialect(field: str, ga: str, beta: str) -> None:
    assert (GA.path(field), BETA.path(field)) == (ga, beta)


@pytest.mark.parametrize(("dialect", "param"), [("ga", "session.audio.output.voice"), ("beta", "session.voice")])
def test_an_error_shows_the_path_of_the_dialect(dialect: str, param: str) -> None:
    encoder = DIALECTS[dialect].encoder(event_seed=b"", wall_s=lambda: 0.0)
    frame = encoder.encode(ErrorRaised("invalid_value", "No.", field="session.voice"))
    assert frame is not None
    assert json.loads(frame)["error"]["param"] == param


@pytest.mark.parametrize("dialect", DIALECTS)
def test_members_that_the_client_wrote_are_shown_as_written(dialect: str) -> None:
    """A GA client that sends the beta's `session.voice` gets an error with that name."""
    encoder = DIALECTS[dialect].encoder(event_seed=b"", wall_s=lambda: 0.0)
    frame = encoder.encode(ErrorRaised("unknown_parameter", "No.", path="session.voice"))
    assert frame is not None
    assert json.loads(frame)["error"]["param"] == "session.voice"
