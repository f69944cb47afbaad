"""The OpenAPI 3.1 document of the HTTP API, made of the routes and of what stands above their endpoints (`operation.py`).

Laws: the same for every server of a version, and free of secrets; a route without a description raises `Undescribed`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from starlette.routing import Route

from parley import __version__
from parley.errors import ParleyError
from parley.server.access.access import Demand
from parley.server.openapi.operation import JSON, AnswerDescription, Operation, Schema, operation_of
from parley.server.openapi.schemas import COMPONENTS

ABOUT: Final = (
    "The HTTP half of a Parley server. Sessions run over WebSockets and WebRTC in OpenAI's Realtime protocol: docs/conformance.md says "
    "what is served. Where a server requires keys, each endpoint names the scope that opens it. Every refusal has the shape of the "
    "schema Error. A HEAD request is answered as a GET without its body."
)

_FIELD: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
_LEFT_OUT: Final = frozenset({"HEAD", "OPTIONS"})
_COMPONENT: Final = "#/components/schemas/{name}"

_OPENED_BY: Final[Mapping[Demand, str]] = {
    "session": "a key with the scope realtime, or a client secret",
    "any": "any key",
}

_WHY: Final = {
    400: "The request is not valid, or cannot be served here; `param` names the field.",
    401: "No valid key.",
    403: "The key lacks the scope, or the page or the host name is not allowed.",
    404: "There is no such thing here.",
    408: "The request did not arrive in time.",
    409: "It is there already.",
    413: "The body is too large.",
    415: "The content type is not read here.",
    422: "The endpoint of the language model does not take the request.",
    426: "A WebSocket is to be opened here.",
    429: "Too many requests, or a quota is used up; see Retry-After.",
    500: "The server's disk could not be read or written.",
    501: "This server has no such ability.",
    502: "An engine failed.",
    503: "The server is at its limit, or stopping; see Retry-After.",
    504: "An engine did not answer in time.",
    507: "The server's disk is full.",
}


class Undescribed(ParleyError):
    """A route has no description."""


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The document. Raises `Undescribed`."""
    structs = _Structs()
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = operation_of(route.endpoint)
        if operation is None:
            raise Undescribed(
                f"The route {route.path} has no description.",
                "Put @described(...) of parley.server.openapi.operation above its endpoint.",
            )
        path = _FIELD.sub(r"{\1}", route.path)
        for method in sorted((route.methods or set()) - _LEFT_OUT):
            paths.setdefault(path, {})[method.lower()] = _operation(operation, method, path, structs)
    components = {**structs.components(), **COMPONENTS}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Parley",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": {str(status): _refusal(status) for status in sorted(_WHY)},
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of the server, or a client secret (ek_...) where an endpoint says so.",
                }
            },
        },
    }


def _operation(operation: Operation, method: str, path: str, structs: _Structs) -> dict[str, Any]:
    opened = (
        "nothing"
        if operation.demand is None
        else _OPENED_BY.get(operation.demand, f"a key with the scope {operation.demand}")
    )
    made: dict[str, Any] = {
        "operationId": "_".join([method.lower(), *re.findall(r"\w+", path)]),
        "summary": operation.summary,
        "description": " ".join(filter(None, (operation.text, f"Needs {opened}."))),
        "tags": [_tag(path)],
        "security": [] if operation.demand is None else [{"key": [operation.demand]}],
    }
    fields = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": dict(operation.path.get(name, {"type": "string", "minLength": 1})),
        }
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    fields += [
        {"name": one.name, "in": "query", "description": one.text, "schema": dict(one.schema)}
        for one in operation.query
    ]
    if fields:
        made["parameters"] = fields
    if operation.body is not None:
        if operation.body.nulls:
            structs.nulls |= {one for one in operation.body.content.values() if isinstance(one, type)}
        made["requestBody"] = {
            "required": operation.body.required,
            "content": _content(operation.body.content, structs),
        }
    answers = {str(status): _answer(answer, structs) for status, answer in operation.answers.items()}
    refusals = {str(status): {"$ref": f"#/components/responses/{status}"} for status in operation.refusals}
    made["responses"] = dict(sorted((answers | refusals).items()))
    return made


def _tag(path: str) -> str:
    parts = path.strip("/").split("/")
    return parts[1] if parts[0] == "v1" and len(parts) > 1 else parts[0] or "page"


def _answer(answer: AnswerDescription, structs: _Structs) -> dict[str, Any]:
    made: dict[str, Any] = {"description": answer.text}
    if answer.content:
        made["content"] = _content(answer.content, structs)
    if answer.headers:
        made["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()
        }
    return made


def _refusal(status: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "description": _WHY[status],
        "content": {JSON: {"schema": {"$ref": _COMPONENT.format(name="Error")}}},
    }
    if status in (429, 503):
        text = "Seconds after which it may be tried again."
        made["headers"] = {"Retry-After": {"description": text, "schema": {"type": "integer", "minimum": 0}}}
    if status == 401:
        made["headers"] = {"WWW-Authenticate": {"description": "Bearer.", "schema": {"type": "string"}}}
    return made


def _content(content: Mapping[str, Schema], structs: _Structs) -> dict[str, Any]:
    return {kind: {"schema": structs.schema(schema)} for kind, schema in content.items()}


class _Structs:
    """The structs that bodies are made of, collected while the paths are written."""

    def __init__(self) -> None:
        self._found: dict[type[msgspec.Struct], None] = {}
        self.nulls: set[type[msgspec.Struct]] = set()
        """Those whose fields may be null for being left out."""

    def schema(self, schema: Schema) -> dict[str, Any]:
        if isinstance(schema, str):
            if schema not in COMPONENTS:
                raise Undescribed(f"There is no schema {schema!r}.", "Add it to parley.server.openapi.schemas.")
            return {"$ref": _COMPONENT.format(name=schema)}
        if isinstance(schema, type):
            self._found[schema] = None
            return {"$ref": _COMPONENT.format(name=schema.__name__)}
        return dict(schema)

    def components(self) -> dict[str, Any]:
        _, components = msgspec.json.schema_components(list(self._found), ref_template=_COMPONENT)
        for struct in self.nulls:
            made = components[struct.__name__]
            for name, schema in made["properties"].items():
                if name not in made["required"]:
                    made["properties"][name] = {"anyOf": [schema, {"type": "null"}]}
        return dict(components)
