"""What the API's document says of one endpoint, written above the endpoint.

    @described("Make speech", demand="audio", body=json_body(SpeechBody), answers={200: AnswerDescription("Audio.")}, errors=(400,))
    async def create(self, request: Request) -> Response: ...

Laws: pure values. What every endpoint may answer (`COMMON`), and what a demanded credential adds, is not repeated. A schema is a JSON
Schema, the name of a component (`schemas.py`), or a `msgspec` struct, from which it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from parley.server.access.access import Demand
from parley.server.audio_upload import FormShape

Schema = Mapping[str, Any] | str | type[msgspec.Struct]

F = TypeVar("F", bound=Callable[..., object])

JSON: Final = "application/json"
SSE: Final = "text/event-stream"
FORM: Final = "multipart/form-data"

EVENTS: Final[Mapping[str, Any]] = {"description": "Server-sent events."}
AUDIO: Final[Mapping[str, Any]] = {"type": "string", "format": "binary"}
PLAIN: Final[Mapping[str, Any]] = {"type": "string"}

_MARK: Final = "described_operation"

COMMON: Final = (403, 408, 503)
"""The host is not allowed; the request came too slowly; there are too many connections."""

OF_KEYS: Final = (401,)


@dataclass(frozen=True, slots=True)
class AnswerDescription:
    """A successful answer, or another that is no error: its schemas by content type, its headers with what they say."""

    text: str
    content: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Body:
    """The body: its schemas by content type. `nulls`: null is taken for a field that is left out."""

    content: Mapping[str, Schema]
    required: bool = True
    nulls: bool = False


@dataclass(frozen=True, slots=True)
class QueryField:
    """A field of the query, which may be left out."""

    name: str
    text: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint. `demand`: the credential that opens it (None: it needs none); `errors`: the statuses of its refusals, beside those that
    any endpoint has; `path`: schemas of the path's fields that are no plain text."""

    summary: str
    demand: Demand | None
    answers: Mapping[int, AnswerDescription]
    errors: tuple[int, ...] = ()
    body: Body | None = None
    query: tuple[QueryField, ...] = ()
    path: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    text: str = ""

    @property
    def refusals(self) -> tuple[int, ...]:
        """Every status with an error in it."""
        demanded = OF_KEYS if self.demand is not None else ()
        return tuple(sorted({*COMMON, *demanded, *self.errors} - set(self.answers)))


def described(
    summary: str,
    *,
    demand: Demand | None,
    answers: Mapping[int, AnswerDescription],
    errors: tuple[int, ...] = (),
    body: Body | None = None,
    query: tuple[QueryField, ...] = (),
    path: Mapping[str, Mapping[str, Any]] | None = None,
    text: str = "",
) -> Callable[[F], F]:
    """Marks an endpoint with its operation."""
    operation = Operation(summary, demand, answers, errors, body, query, path or {}, text)

    def mark(endpoint: F) -> F:
        setattr(endpoint, _MARK, operation)
        return endpoint

    return mark


def operation_of(endpoint: object) -> Operation | None:
    """The operation that an endpoint was marked with."""
    found = getattr(endpoint, _MARK, None)
    return found if isinstance(found, Operation) else None


def described_as(endpoint: F, other: object) -> F:
    """`endpoint`, marked as `other` is."""
    setattr(endpoint, _MARK, operation_of(other))
    return endpoint


def json_answer(text: str, schema: Schema) -> AnswerDescription:
    """An answer in JSON."""
    return AnswerDescription(text, {JSON: schema})


def json_body(schema: Schema, *, required: bool = True, nulls: bool = False) -> Body:
    """A body in JSON."""
    return Body({JSON: schema}, required, nulls)


def form_body(
    shape: FormShape, required: Collection[str], fields: Mapping[str, Mapping[str, Any]] | None = None
) -> Body:
    """A form of this shape; `fields` are the schemas of those that are no plain text."""
    plain = {"type": "string"}
    of_fields = fields or {}
    properties: dict[str, Any] = {shape.file: {"type": "string", "format": "binary"}}
    properties |= {name: dict(of_fields.get(name, plain)) for name in shape.fields}
    properties |= {name: {"type": "array", "items": dict(of_fields.get(name, plain))} for name in shape.lists}
    needed = [*([] if shape.optional else [shape.file]), *required]
    schema = {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}
    return Body({FORM: schema})
