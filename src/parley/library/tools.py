"""Your own functions as the model's tools: described by their type hints and docstrings, called with checked arguments.

Laws: a function accepts exactly its signature. Wrong arguments and exceptions become the call's output, which the model is shown and can
react to; an output longer than `MAX_OUTPUT` is cut. The core decides how long a call is awaited.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from parley.core.words.settings import FunctionTool
from parley.engines.tools.ports import MAX_OUTPUT, beginning
from parley.library import checks
from parley.library.errors import LibraryError
from parley.library.functions import called, name_of
from parley.library.own_code import described
from parley.runtime.faults import cancelled_from_outside

logger = logging.getLogger(__name__)

_ARGUMENT = re.compile(r"^\s+\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.+?)\s*$")


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """The outcome of a call: the text for the model."""

    output: str
    failed: bool = False
    error: BaseException | None = None
    """The exception that the function raised."""


class FunctionAsTool:
    """One Python function that a model may call. `declared` is its declaration for the session.

    Raises `LibraryError` for a function whose parameters have no type hints, or hints that JSON has no values for.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        checks.no_class("tools", function)
        if not callable(function):
            raise checks.refused("tools", function, "Give a list of functions.")
        self._function = function
        self.name = name_of(function).removesuffix("()")
        self._arguments = _arguments_of(function)
        schema = msgspec.json.schema(self._arguments)
        definitions = schema.pop("$defs")
        parameters = definitions.pop(self._arguments.__name__)
        parameters.pop("title", None)
        if definitions:
            parameters["$defs"] = definitions
        self.parameters: dict[str, Any] = parameters
        summary = (inspect.getdoc(function) or "").split("\n\n")[0]
        self.declared = FunctionTool(self.name, " ".join(summary.split()), json.dumps(parameters))

    async def call(self, arguments: str) -> ToolOutcome:
        """Call it with JSON text; a plain function runs in a thread."""
        try:
            given = msgspec.json.decode(arguments or "{}", type=self._arguments)
        except msgspec.MsgspecError as error:
            return ToolOutcome(_error(f"wrong arguments: {error}"), failed=True)
        values = {field: getattr(given, field) for field in self._arguments.__struct_fields__}
        try:
            result = await called(self._function, **values)
            output = result if isinstance(result, str) else msgspec.json.encode(result).decode()
            return ToolOutcome(beginning(output, MAX_OUTPUT))
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and cancelled_from_outside():
                raise
            logger.exception("the tool %s failed", self.name)
            return ToolOutcome(_error(described(error)), failed=True, error=error)


def no_answer() -> ToolOutcome:
    """The outcome of a call that is no longer awaited."""
    return ToolOutcome(_error("no answer in time"), failed=True)


def arguments_shown(arguments: str) -> dict[str, object]:
    """The arguments as the model wrote them; text that is not a JSON object is under `""`."""
    try:
        value = json.loads(arguments or "{}")
    except ValueError:
        value = arguments
    return value if isinstance(value, dict) else {"": value}


def by_name(functions: Any) -> Mapping[str, FunctionAsTool]:
    """The tools of a session. Raises `LibraryError` for two of one name."""
    tools: dict[str, FunctionAsTool] = {}
    if isinstance(functions, str) or not isinstance(functions, typing.Iterable):
        raise checks.refused("tools", functions, "Give a list of functions.")
    for function in functions:
        tool = FunctionAsTool(function)
        if tool.name in tools:
            raise LibraryError(f"Two tools are named {tool.name!r}.", remedy="Rename one of the functions.")
        tools[tool.name] = tool
    return tools


def _error(message: str) -> str:
    return json.dumps({"error": message}, ensure_ascii=False)


def _arguments_of(function: Callable[..., Any]) -> type[msgspec.Struct]:
    hints = typing.get_type_hints(function, include_extras=True)
    descriptions = _argument_descriptions(function)
    fields: list[Any] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise LibraryError(
                f"The tool {name_of(function).removesuffix('()')} takes *{name}.",
                remedy="Use parameters with names only.",
            )
        if name not in hints:
            raise LibraryError(
                f"The parameter {name!r} of the tool {name_of(function).removesuffix('()')} has no type hint.",
                remedy="Add one (str, int, float, bool, list, dict, Literal, a dataclass): it describes the argument to the model.",
            )
        hint = _described(hints[name], descriptions.get(name, ""))
        default = () if parameter.default is parameter.empty else (parameter.default,)
        fields.append((name, hint, *default))
    try:
        made = msgspec.defstruct(
            f"{name_of(function).removesuffix('()')}_arguments", fields, kw_only=True, forbid_unknown_fields=True
        )
        msgspec.json.schema(made)
    except TypeError as error:
        raise LibraryError(
            f"The parameters of the tool {name_of(function).removesuffix('()')} cannot be described to a model: {error}.",
            remedy="Use str, int, float, bool, list, dict, Literal or dataclasses.",
        ) from error
    return made


def _described(hint: Any, text: str) -> Any:
    if typing.get_origin(hint) is Annotated:
        base, *extras = typing.get_args(hint)
        texts = [extra for extra in extras if isinstance(extra, str)]
        others = [extra for extra in extras if not isinstance(extra, str)]
        described = _described(base, " ".join(texts) or text)
        return Annotated[(described, *others)] if others else described
    return Annotated[hint, msgspec.Meta(description=text)] if text else hint


def _argument_descriptions(function: Callable[..., Any]) -> dict[str, str]:
    """The `Args:` of the docstring, one line each."""
    lines = (inspect.getdoc(function) or "").splitlines()
    heads = [index for index, line in enumerate(lines) if line.strip() in ("Args:", "Arguments:", "Parameters:")]
    if not heads:
        return {}
    found = (_ARGUMENT.match(line) for line in lines[heads[0] + 1 :])
    return {match[1]: match[2] for match in found if match}
