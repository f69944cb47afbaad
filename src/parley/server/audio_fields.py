"""Reading the fields of forms that bring a recording, each as the endpoints share it.

Laws: every function raises `Refused`, with the field's name and what it may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from parley.config import Config
from parley.engines.ports import EngineError, EngineRefused, Stage
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


def check_temperature(fields: Fields) -> None:
    """A temperature is checked, and changes nothing: recognisers choose the most likely words."""
    given = fields.get("temperature", "0")
    try:
        valid = 0.0 <= float(given) <= 1.0
    except ValueError:
        valid = False
    if not valid:
        raise invalid("temperature", given, "a number from 0 to 1")


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
