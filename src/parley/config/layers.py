"""Reads each source of settings into a layer: a nested table, and the place of each of its values.

Laws: a layer holds only what its source says, unvalidated; later layers win, key by key (built-in < file < environment < flags).
An environment variable that is nearly one of ours is an error: a misspelt key must not leave a server open.
Does not know: types and ranges (`schema.py`).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parley.config.errors import ConfigError, did_you_mean
from parley.config.schema import (
    PIPELINE_SECTION,
    InterpretSection,
    ModelsSection,
    OwnVoicesSection,
    ResponseCacheSection,
    ServerSection,
    SpeechCacheSection,
    TelephonySection,
)
from parley.config.webrtc_schema import WebRtcSection
from parley.engines.ports import aliases

FILE_NAME = "parley.toml"

MAX_DEPTH = 32
"""Levels of tables and lists in a file; an engine's options need four or five."""

KeyPath = tuple[str, ...]

_SERVER_KEYS = tuple(key for key in ServerSection.model_fields if key != "api_keys")
_ONLY_IN_FILES = ("terms", "prewarm", "fillers")
_PIPELINE_KEYS = tuple(
    key for key in PIPELINE_SECTION.model_fields if not key.endswith("_options") and key not in _ONLY_IN_FILES
)

ENDPOINT_ENGINES = {
    "llm": ("", "auto", "openai", "responses", "ollama"),
    "stt": ("openai", "realtime"),
    "tts": ("openai",),
    "speech": ("realtime",),
    "moderation": ("openai",),
}
"""By stage, the engines that `PARLEY_LLM_BASE_URL`, `PARLEY_TTS_API_KEY` and the like apply to ("" is the stage's default)."""

# What a short name (environment variable without its prefix, flag without its dashes) sets; `*` is the default pipeline.
SHORT_NAMES: dict[str, KeyPath] = {
    "pipeline": ("default_pipeline",),
    "api_key": ("server", "api_keys"),
    **{key: ("server", key) for key in _SERVER_KEYS},
    **{f"models_{key}": ("models", key) for key in ModelsSection.model_fields},
    **{f"own_voices_{key}": ("own_voices", key) for key in OwnVoicesSection.model_fields},
    **{f"speech_cache_{key}": ("speech_cache", key) for key in SpeechCacheSection.model_fields},
    **{f"response_cache_{key}": ("response_cache", key) for key in ResponseCacheSection.model_fields},
    **{f"telephony_{key}": ("telephony", key) for key in TelephonySection.model_fields},
    **{f"webrtc_{key}": ("webrtc", key) for key in WebRtcSection.model_fields},
    **{f"interpret_{key}": ("interpret", key) for key in InterpretSection.model_fields},
    **{key: ("pipelines", "*", key) for key in _PIPELINE_KEYS},
    **{alias: ("pipelines", "*", name) for alias, name in aliases().items() if not name.endswith("_options")},
    **{
        f"{stage}_{option}": ("pipelines", "*", f"{stage}_options", option)
        for stage in ENDPOINT_ENGINES
        for option in ("base_url", "api_key")
    },
}

_OTHER_FLAGS = {"pull": "models_pull", "from": "language"}
"""Flags that have another name than the short one of their setting."""

PREFIX = "PARLEY_"
NOT_SETTINGS = ("PARLEY_CONFIG", "PARLEY_MODELS_DIR", "PARLEY_OWN_VOICES_DIR", "PARLEY_VOICES_DIR")
OTHER_PREFIXES = ("PARLEY_TEST_", "PARLEY_BENCH_", "PARLEY_CI_")
"""Variables of the tests, the benchmark and the build; never settings."""


@dataclass(slots=True)
class Layer:
    """One source's settings, and the place of each by its key path."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, str] = field(default_factory=dict)

    def put(self, key: KeyPath, value: object, place: str) -> None:
        table = self.data
        for part in key[:-1]:
            table = table.setdefault(part, {})
        table[key[-1]] = value
        self.places[key] = place


def find_file(config_path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: `--config`, `$PARLEY_CONFIG`, `./parley.toml`, the XDG configuration folder; None where there is none.

    Raises `ConfigError` when a file was named and is not there.
    """
    if config_path is not None:
        return _named(config_path, "--config")
    if environ.get("PARLEY_CONFIG"):
        return _named(Path(environ["PARLEY_CONFIG"]), "env PARLEY_CONFIG")
    candidates = [Path(FILE_NAME)]
    if environ.get("XDG_CONFIG_HOME"):
        candidates.append(Path(environ["XDG_CONFIG_HOME"]) / "parley" / FILE_NAME)
    elif environ.get("HOME"):
        candidates.append(Path(environ["HOME"]) / ".config" / "parley" / FILE_NAME)
    return next((path for path in candidates if path.is_file()), None)


def _named(path: Path, by: str) -> Path:
    if os.path.isdir(path):  # where the system cannot say (a name too long), `Path.is_dir` raises
        raise ConfigError(
            f"The configuration file {path} (named by {by}) is a folder.",
            remedy=f"Name a file, such as {path / FILE_NAME}.",
        )
    if not os.path.isfile(path):
        raise ConfigError(
            f"There is no configuration file at {path} (named by {by}).",
            remedy="Correct the path, or leave it out to start with the defaults.",
        )
    return path


def read_file(path: Path) -> Layer:
    """The file's tables. Raises `ConfigError` for what is not TOML."""
    try:
        text = path.read_text(encoding="utf-8")
        data: dict[str, Any] | None = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", remedy="It must be a TOML file in UTF-8.") from error
    except RecursionError:
        data = None
    if data is None or _is_deeper(data, MAX_DEPTH):
        raise ConfigError(
            f"{path} cannot be read: it has tables or lists more than {MAX_DEPTH} deep in each other.",
            remedy="No setting is that deep; look for a bracket or a dot too many.",
        )
    lines = _line_numbers(text)
    layer = Layer(data=data)
    for key, _ in flatten(data):
        layer.places[key] = _place(path, key, lines)
    _use_names(layer)
    return layer


def _use_names(layer: Layer) -> None:
    """Puts a stage's settings that stand under its second name under its first. Raises `ConfigError` where both are there."""
    for pipeline in pipeline_names(layer):
        table = pipeline_table(layer, pipeline)
        for alias, name in aliases().items():
            if alias not in table:
                continue
            second = ("pipelines", pipeline, alias)
            if name in table:
                place = next((at for key, at in layer.places.items() if key[:3] == second), "")
                raise ConfigError(f"{place}: {alias} and {name} are the same setting.", remedy="Remove one of them.")
            table[name] = table.pop(alias)
            layer.places = {
                (*second[:2], name, *key[3:]) if key[:3] == second else key: at for key, at in layer.places.items()
            }


def _is_deeper(value: object, depth: int) -> bool:
    """Whether tables and lists are nested more than `depth` deep."""
    level = [value]
    for _ in range(depth + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return bool(level)


def _place(path: Path, key: KeyPath, lines: Mapping[KeyPath, int]) -> str:
    for length in range(len(key), 0, -1):
        if key[:length] in lines:
            return f"{path}:{lines[key[:length]]}"
    return str(path)


def flatten(table: Mapping[str, Any], prefix: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every leaf of nested tables with its key path (an empty table is a leaf of its own)."""
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, (*prefix, name))
        else:
            yield (*prefix, name), value


_HEADER = re.compile(r"^\s*\[\[?\s*(?P<path>[^\[\]#]+?)\s*\]\]?\s*(#.*)?$")
_ASSIGNMENT = re.compile(
    r"""^\s*(?P<path>(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_MULTILINE = re.compile(r"\"\"\"|'''")


def _line_numbers(text: str) -> dict[KeyPath, int]:
    """Where each key of a TOML text is assigned and each table opened (tomllib keeps no positions)."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    quote = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not quote:
            if header := _HEADER.match(line):
                table = _parts(header["path"])
                lines.setdefault(table, number)
            elif assignment := _ASSIGNMENT.match(line):
                lines.setdefault((*table, *_parts(assignment["path"])), number)
        for mark in _MULTILINE.findall(line):
            quote = mark if not quote else "" if mark == quote else quote
    return lines


def _parts(path: str) -> KeyPath:
    return tuple(part.strip("\"'") for part in _PART.findall(path))


def read_environment(environ: Mapping[str, str], pipeline: str) -> tuple[Layer, list[str]]:
    """The `PARLEY_*` variables as a layer over `pipeline`, and warnings. An empty variable counts as unset.

    Raises `ConfigError` for a variable that is nearly one of ours.
    """
    layer = Layer()
    warnings = []
    known = [PREFIX + name.upper() for name in SHORT_NAMES]
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        if variable in NOT_SETTINGS or variable.startswith(OTHER_PREFIXES):
            continue
        if variable not in known:
            if hint := _near(variable, known):
                raise ConfigError(f"The environment variable {variable} is not a setting of Parley.", remedy=hint)
            warnings.append(f"The environment variable {variable} is not a setting of Parley and changes nothing.")
        elif environ[variable]:
            key = _expand(SHORT_NAMES[variable.removeprefix(PREFIX).lower()], pipeline)
            if key in layer.places:
                twin = layer.places[key].removeprefix("env ")
                raise ConfigError(f"{twin} and {variable} are the same setting.", remedy="Remove one of them.")
            layer.put(key, environ[variable], f"env {variable}")
    return layer, warnings


def _near(variable: str, known: list[str]) -> str:
    """The prefix they all share would make every variable look alike, so it is compared without."""
    hint = did_you_mean(variable.removeprefix(PREFIX).lower(), [name.removeprefix(PREFIX).lower() for name in known])
    return re.sub(r"'(\w+)'", lambda match: PREFIX + match[1].upper(), hint)


def read_flags(flags: Mapping[str, object], pipeline: str) -> Layer:
    """The command line as a layer over `pipeline`; None means that a flag was not given."""
    layer = Layer()
    for given, value in flags.items():
        name = _OTHER_FLAGS.get(given, given)
        if name not in SHORT_NAMES:
            raise ConfigError(
                f"The flag --{name.replace('_', '-')} does not exist.", remedy=did_you_mean(name, SHORT_NAMES)
            )
        if value is not None and value is not False:
            shown = given.removeprefix("interpret_").replace("_", "-")
            layer.put(_expand(SHORT_NAMES[name], pipeline), value, f"flag --{shown}")
    return layer


def _expand(key: KeyPath, pipeline: str) -> KeyPath:
    return tuple(pipeline if part == "*" else part for part in key)


def pipeline_table(layer: Layer, pipeline: str) -> dict[str, Any]:
    """A layer's `[pipelines.NAME]`; empty where it has none (what is not a table is refused later, with its place)."""
    pipelines = layer.data.get("pipelines")
    table = pipelines.get(pipeline) if isinstance(pipelines, dict) else None
    return table if isinstance(table, dict) else {}


def pipeline_names(layer: Layer) -> list[str]:
    pipelines = layer.data.get("pipelines")
    return list(pipelines) if isinstance(pipelines, dict) else []
