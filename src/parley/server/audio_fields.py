"""Reading the fields of forms that bring a recording, each as the endpoints share it.

Laws: every function raises `Refused`, with the field's name and what it may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from parley.config import Config
from parley.engines.ports import STT, EngineError, EngineInfo, EngineRefused, Stage
from parley.engines.stt.language_names import tag_of
from parley.library.errors import LibraryError
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.server.pipelines import pipeline_with
from parley.server.refusals import Refusal, Refused
from parley.text.language_tags import primary_tag

Fields = Mapping[str, str]

_SHOWN: Final = 40
"""Characters of a wrong value that a message repeats."""


def pipeline_of(
    config: Config, engines: LoadedEngines, fields: Fields, stage: Stage[Any], what: str, code: str
) -> LoadedPipeline:
    """The pipeline that the field `model` names, which must have that stage (see `pipeline_with`)."""
    if "model" not in fields:
        raise Refused(Refusal(400, "missing_required_parameter", "The form has no model.", "model"))
    return pipeline_with(config, engines, fields["model"], stage, what, code)


def invalid(name: str, value: str, allowed: str) -> Refused:
    """The refusal of a value; `allowed` says what it may be."""
    return Refused(Refusal(400, "invalid_value", f"{name} {value[:_SHOWN]!r} is not {allowed}.", name))


def choice(fields: Fields, name: str, choices: Sequence[str], default: str) -> str:
    """One of several words."""
    given = fields.get(name, default)
    if given not in choices:
        raise invalid(name, given, f"known; it is one of {', '.join(choices)}")
    return given


def check_recogniser(
    engines: LoadedEngines, found: LoadedPipeline, can: Callable[[EngineInfo], bool], name: str, lacks: str, known: str
) -> None:
    """Whether the recogniser of `found` can do what the field `name` asks for. `lacks` says what it does not do and what to send instead,
    `known` which recognisers do."""
    info = found.engines[STT].info
    if can(info):
        return
    able = [other for other, one in engines.pipelines.items() if can(one.engines[STT].info)]
    others = f"These pipelines can: {', '.join(able)}. " if able else ""
    message = f"The recogniser {info.name!r} {lacks} {others}Of the recognisers, {known}."
    raise Refused(Refusal(400, "unsupported_parameter", message, name))


def temperature(engines: LoadedEngines, found: LoadedPipeline, fields: Fields) -> float | None:
    """The temperature at which the recogniser of `found` samples its words; None where none is sent."""
    given = fields.get("temperature")
    if given is None:
        return None
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise invalid("temperature", given, "a number from 0 to 1")
    if value:
        lacks = (
            f"always chooses the most likely words, and has no temperature {value:g}; leave temperature out, or send 0."
        )
        check_recogniser(
            engines, found, lambda info: info.temperature, "temperature", lacks, "whisper and openai have one"
        )
    return value


def prompt(engines: LoadedEngines, found: LoadedPipeline, fields: Fields) -> str:
    """What the recogniser of `found` is told of the speech; "" for nothing."""
    given = fields.get("prompt", "")
    if given.strip():
        check_recogniser(
            engines,
            found,
            lambda info: info.prompts,
            "prompt",
            "reads no prompt; leave prompt out.",
            "whisper, openai and realtime read one",
        )
    return given


def flag(fields: Fields, name: str) -> bool:
    """A boolean; False where there is none."""
    given = fields.get(name, "false").strip().lower()
    if given not in ("true", "false"):
        raise invalid(name, given, "true or false")
    return given == "true"


def language(given: str, name: str, default: str = "") -> str:
    """The tag of the language in the field `name`, which may also have its name in English; `default` for ""."""
    given = given.strip()
    if not given:
        return default
    tag = tag_of(given) or given
    if not primary_tag(tag).replace("-", "").isalnum():
        message = f"{name} {given[:_SHOWN]!r} is no language: send a BCP-47 tag, such as pt or pt-BR."
        raise Refused(Refusal(400, "invalid_language", message, name))
    return tag


def check_understood(languages: Sequence[str], known: Sequence[str], name: str) -> None:
    """Whether the recogniser, which knows `known` (nothing: it does not say), understands one of these languages, if there are any."""
    if known and languages and not {primary_tag(tag) for tag in languages} & set(map(primary_tag, known)):
        message = f"The recogniser does not understand {', '.join(map(repr, languages))}; it knows {', '.join(known)}."
        raise Refused(Refusal(400, "unsupported_language", message, name))


@contextmanager
def engine_failures() -> Iterator[None]:
    """What engines and the library raise while they work on a recording, as `Refused`."""
    try:
        yield
    except EngineRefused as error:
        param = "language" if error.code == "unsupported_language" else None
        raise Refused(Refusal(400, error.code, str(error), param)) from error
    except EngineError as error:
        raise Refused(Refusal(502, error.code, str(error), None, "server_error")) from error
    except LibraryError as error:  # a rate, or samples, that no recording has
        raise Refused(Refusal(400, "invalid_file", str(error), "file")) from error
