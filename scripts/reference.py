"""Writes docs/reference/ from the docstrings and signatures of the library; `--check` fails when a page is out of date."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from pathlib import Path
from types import FunctionType
from typing import Any

import parley.library
from parley.engines import ports

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
HEAD = "<!-- written by scripts/reference.py from the docstrings; do not edit -->\n\n"

PAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "sessions.md": ("Sessions and pipelines", ("Pipeline", "VoiceSession", "EngineSpec", "CallFunction", "Transcript")),
    "events.md": (
        "Events",
        (
            "SpeechStarted",
            "PartialTranscript",
            "SpeechStopped",
            "TurnEnded",
            "ReplyText",
            "ReplyAudio",
            "ToolCalled",
            "ToolEnded",
            "ReplyEnded",
            "Failed",
            "Turn",
            "HeardToken",
            "HeardWord",
            "TurnFigures",
        ),
    ),
    "judgements.md": (
        "Judgements of your own",
        (
            "Policy",
            "Said",
            "Answer",
            "Translate",
            "Say",
            "Assistant",
            "Interpreter",
            "Transcriber",
            "Endpointing",
            "PauseSeen",
            "PreRoll",
            "FloorRule",
            "RuleTable",
            "ServerVad",
            "SemanticVad",
            "Transcription",
        ),
    ),
    "files.md": (
        "Files, text and speech",
        (
            "read_audio",
            "write_audio",
            "frames",
            "Recording",
            "transcribe",
            "Segment",
            "SegmentWord",
            "synthesize",
            "Spoken",
            "convert_voice",
            "translate",
            "atranslate",
            "TranslatedSegment",
            "dub",
            "Dub",
            "placed",
            "Placement",
        ),
    ),
    "errors.md": (
        "Errors",
        (
            "ParleyError",
            "LibraryError",
            "FrameRefused",
            "SinkRefused",
            "SessionBroken",
            "SessionClosed",
            "EngineError",
            "EngineUnavailable",
            "AudioFileError",
        ),
    ),
}
UNPAGED = {"VoiceEvent"}
"""A union of the events, which have a page."""

PORTS = (
    "VoiceActivityModel",
    "TurnJudge",
    "SpeechRecognizer",
    "RecognizerStream",
    "LanguageModel",
    "SpeechSynthesizer",
    "DescribesVoices",
    "VoiceDescription",
    "VoicesByLanguage",
    "ClonesVoices",
    "VoiceSample",
    "ReadsVoices",
    "VoiceTensor",
    "Translator",
    "VoiceConverter",
    "ConversionStream",
    "SpeechModel",
    "Stage",
)


def pages() -> dict[str, str]:
    """Every page's name and text."""
    named = {name for _, names in PAGES.values() for name in names}
    missing = set(parley.library.__all__) - named - UNPAGED
    if missing:
        raise SystemExit(f"scripts/reference.py has no page for {', '.join(sorted(missing))}")
    made = {
        page: HEAD + f"# {title}\n" + "".join(entry(name, getattr(parley.library, name)) for name in names)
        for page, (title, names) in PAGES.items()
    }
    made["ports.md"] = (
        HEAD
        + "# Ports: engines of your own\n\nFrom `parley.engines.ports`. An object with these methods can stand in a `Pipeline`.\n"
        + "".join(entry(name, getattr(ports, name)) for name in PORTS)
    )
    rows = "".join(f"- [{title}]({page})\n" for page, (title, _) in PAGES.items())
    made["README.md"] = HEAD + f"# Reference\n\n{rows}- [Ports: engines of your own](ports.md)\n"
    return made


def entry(name: str, value: Any) -> str:
    """A name's heading, signature, docstring, and members."""
    text = f"\n## {name}\n\n```python\n{signature(name, value)}\n```\n\n{doc(value)}\n"
    if not inspect.isclass(value):
        return text
    for member, attribute in vars(value).items():
        if member.startswith("_") or not isinstance(attribute, FunctionType | property | classmethod):
            continue
        function = attribute.fget if isinstance(attribute, property) else inspect.unwrap(getattr(value, member))
        if not (inspect.getdoc(function) or "").strip() or function is None:
            continue
        head = (
            f"{member}: {shown(typing.get_type_hints(function).get('return'), function)}"
            if isinstance(attribute, property)
            else signature(member, function)
        )
        text += f"\n### {name}.{member}\n\n```python\n{head}\n```\n\n{doc(function)}\n"
    return text


def doc(value: Any) -> str:
    """The docstring, as Markdown."""
    return inspect.cleandoc(value.__doc__ or "").strip()


def shown(hint: Any, function: Any) -> str:
    """A type as its source says it."""
    written = function.__annotations__.get("return", hint)
    return written if isinstance(written, str) else getattr(written, "__name__", str(written))


def signature(name: str, value: Any) -> str:
    """How it is called, one parameter to a line where they are many."""
    if inspect.isclass(value) and getattr(value, "_is_protocol", False):
        return f"class {name}(Protocol)"
    if dataclasses.is_dataclass(value):
        given = [_field(field) for field in dataclasses.fields(value)]
        return f"{name}({_listed(given)})"
    try:
        parts = inspect.signature(value)
    except ValueError:
        return name
    given = [_parameter(parameter) for key, parameter in parts.parameters.items() if key != "self"]
    keyword = [
        index for index, parameter in enumerate(parts.parameters.values()) if parameter.kind is parameter.KEYWORD_ONLY
    ]
    if keyword:
        given.insert(keyword[0] - ("self" in parts.parameters), "*")
    returns = (
        "" if inspect.isclass(value) or parts.return_annotation is parts.empty else f" -> {parts.return_annotation}"
    )
    prefix = "async " if inspect.iscoroutinefunction(value) else ""
    return f"{prefix}{name}({_listed(given)}){returns}"


def _parameter(parameter: inspect.Parameter) -> str:
    kind, default = parameter.annotation, parameter.default
    hint = "" if kind is parameter.empty else f": {kind if isinstance(kind, str) else getattr(kind, '__name__', kind)}"
    return parameter.name + hint + ("" if default is parameter.empty else f" = {_value(default)}")


def _value(value: object) -> str:
    return '"' + value + '"' if isinstance(value, str) else repr(value)


def _field(field: dataclasses.Field[Any]) -> str:
    kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
    if field.default is not dataclasses.MISSING:
        return f"{field.name}: {kind} = {_value(field.default)}"
    return f"{field.name}: {kind}" + (" = ..." if field.default_factory is not dataclasses.MISSING else "")


def _listed(given: list[str]) -> str:
    line = ", ".join(given)
    return line if len(line) < 90 else "\n    " + ",\n    ".join(given) + ",\n"


def main() -> int:
    made = pages()
    if "--check" in sys.argv[1:]:
        stale = [
            page
            for page, text in made.items()
            if not (FOLDER / page).exists() or (FOLDER / page).read_text("utf-8") != text
        ]
        if stale:
            print(f"docs/reference is out of date ({', '.join(stale)}): python scripts/reference.py", file=sys.stderr)
        return int(bool(stale))
    FOLDER.mkdir(parents=True, exist_ok=True)
    for page, text in made.items():
        (FOLDER / page).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
