"""Readers of session and response options that all dialects write alike, under whatever name.

Laws: those of `schema`. Null clears what can be off; a `turn_detection` or `transcription` that is given is whole: its unwritten
members take their defaults. What depends on the session's state is the session's to judge.
"""

from __future__ import annotations

from typing import Literal

from parley.core.words.limits import (
    IDLE_MAX_MS,
    IDLE_MIN_MS,
    MAX_ITEM_TEXT,
    MAX_TOOLS,
    METADATA_KEY,
    METADATA_PAIRS,
    METADATA_VALUE,
)
from parley.core.words.settings import (
    LOGPROBS,
    TURN_METRICS,
    UNSTABLE_WORDS,
    Eagerness,
    FunctionTool,
    Included,
    SemanticVad,
    ServerVad,
    ToolSource,
    Transcription,
    TurnDetection,
)
from parley.wire import limits
from parley.wire.encode_settings import INCLUDED
from parley.wire.schema import (
    Fields,
    Reader,
    T,
    array,
    boolean,
    fields,
    invalid,
    json_text,
    number,
    one_of,
    pattern,
    shown,
    text,
    whole,
)

INSTRUCTIONS = text(MAX_ITEM_TEXT)
NAME = text(limits.MAX_NAME, 1)
TOOL_NAME = pattern(
    r"[A-Za-z0-9_-]+", limits.MAX_TOOL_NAME, "letters, digits, underscores and hyphens, as function names of models are"
)
SPEED = number(limits.MIN_SPEED, limits.MAX_SPEED)
LANGUAGE = pattern(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*", limits.MAX_LANGUAGE, "a language code such as 'en'")
TOOL_CHOICES: dict[str, Literal["auto", "none", "required"]] = {"auto": "auto", "none": "none", "required": "required"}

_VAD: Reader[Literal["server_vad", "semantic_vad"]] = one_of("server_vad", "semantic_vad")
_EAGERNESS: Reader[Eagerness] = one_of("low", "medium", "high", "auto")
NOISE_REDUCTION_TYPE: Reader[Literal["near_field", "far_field"]] = one_of("near_field", "far_field")
_OFF = ("none", "off", "disabled", "null")


def included(*offered: Included) -> Reader[tuple[Included, ...]]:
    """What the client asks for beside the usual events, of what its dialect offers."""
    names = {INCLUDED[one]: one for one in offered}
    read = array(one_of(*names), len(names))
    return lambda value, path: tuple(names[name] for name in read(value, path))


CONVERSATION_INCLUDED = included(LOGPROBS, TURN_METRICS, UNSTABLE_WORDS)


def switchable(read: Reader[T]) -> Reader[T]:
    """An object that null switches off: other ways to say "off" are refused with that one."""

    def reader(value: object, path: str) -> T:
        where, named = (f"{path}.type", value.get("type")) if isinstance(value, dict) else (path, value)
        if named is False or (isinstance(named, str) and named.lower() in _OFF):
            member = path.rpartition(".")[2]
            raise invalid(
                where, f"Invalid value for '{where}': {shown(named)}. To switch it off, send null: \"{member}\": null."
            )
        return read(value, path)

    return reader


def token_limit(value: object, path: str) -> int:
    """1..4096, or 0 for "inf"."""
    if isinstance(value, str):
        one_of("inf")(value, path)
        return 0
    return whole(1, limits.MAX_OUTPUT_TOKENS)(value, path)


def language(value: object, path: str) -> str:
    return "" if value == "" else LANGUAGE(value, path)


def transcription(members: Fields) -> Transcription:
    """The recogniser's model, language and prompt."""
    return Transcription(
        model=members.find("model", NAME) or "",
        language=members.find("language", language) or "",
        prompt=members.find("prompt", INSTRUCTIONS) or "",
    )


def turn_detection(members: Fields, *, default_type: Literal["server_vad"] | None = None, idles: bool) -> TurnDetection:
    """Either kind. `default_type` is what it is where the object does not say it; `idles`: the dialect has `idle_timeout_ms`."""
    named = members.take("type", _VAD) if default_type is None else members.find("type", _VAD) or default_type
    create = members.find("create_response", boolean)
    interrupt = members.find("interrupt_response", boolean)
    if named == "semantic_vad":
        return SemanticVad(
            eagerness=members.find("eagerness", _EAGERNESS) or "auto",
            create_response=create is not False,
            interrupt_response=interrupt is not False,
        )
    defaults = ServerVad()
    threshold = members.find("threshold", number(0.0, 1.0))
    padding = members.find("prefix_padding_ms", whole(0, limits.MAX_PREFIX_PADDING_MS))
    silence = members.find("silence_duration_ms", whole(0, limits.MAX_SILENCE_DURATION_MS))
    return ServerVad(
        threshold=defaults.threshold if threshold is None else threshold,
        prefix_padding_ms=defaults.prefix_padding_ms if padding is None else padding,
        silence_duration_ms=defaults.silence_duration_ms if silence is None else silence,
        idle_timeout_ms=members.find("idle_timeout_ms", whole(IDLE_MIN_MS, IDLE_MAX_MS)) if idles else None,
        create_response=create is not False,
        interrupt_response=interrupt is not False,
    )


def function_tool(members: Fields) -> FunctionTool:
    return FunctionTool(
        name=members.take("name", TOOL_NAME),
        description=members.find("description", text(limits.MAX_TOOL_DESCRIPTION)) or "",
        parameters=members.find("parameters", json_text(limits.MAX_TOOL_PARAMETERS)) or "",
    )


def tools(read: Reader[ToolSource]) -> Reader[tuple[ToolSource, ...]]:
    """The tools that `read` reads one by one, bounded in all; what they are to each other is the session's to judge."""

    def reader(value: object, path: str) -> tuple[ToolSource, ...]:
        left = limits.MAX_TOOLS_TEXT

        def counted(value: object, path_of_tool: str) -> ToolSource:
            nonlocal left
            tool = read(value, path_of_tool)
            left -= len(tool.description) + len(tool.parameters) if isinstance(tool, FunctionTool) else 0
            if left < 0:
                most = limits.MAX_TOOLS_TEXT
                raise invalid(
                    path,
                    f"Invalid '{path}': at most {most} characters of descriptions and parameters are accepted in all.",
                )
            return tool

        return array(counted, MAX_TOOLS)(value, path)

    return reader


def tracing(value: object, path: str) -> str:
    """`"auto"` or an object; kept as JSON text and echoed. Nothing is sent anywhere."""
    if isinstance(value, str):
        one_of("auto")(value, path)
        return '"auto"'
    members = fields(value, path)
    for name in ("workflow_name", "group_id"):
        members.find(name, text(limits.MAX_TRACING))
    members.find("metadata", json_text(limits.MAX_TRACING))
    members.finish()
    return json_text(limits.MAX_TRACING)(value, path)


def metadata(value: object, path: str) -> tuple[tuple[str, str], ...]:
    """A response's pairs of key and value."""
    members = fields(value, path)
    names = members.names()
    if len(names) > METADATA_PAIRS:
        raise invalid(path, f"Invalid '{path}': {len(names)} pairs, at most {METADATA_PAIRS} are accepted.")
    for name in names:
        if len(name) > METADATA_KEY:
            raise invalid(
                path, f"Invalid '{path}': a key of {len(name)} characters, at most {METADATA_KEY} are accepted."
            )
    return tuple((name, members.take(name, text(METADATA_VALUE))) for name in names)
