"""The JSON body of a request that is handed on to a language model: read within bounds, and checked for what a client may not ask for.

Laws:
- Read up to `MAX_BODY` bytes, and with at most `MAX_VALUES` values, so that reading it takes some hundredths of a second at the worst.
- Refused by name: what is stored in the account of the server's owner (earlier responses, files, prompts), and tools that run there or
  at the endpoint. Functions run at the client.
- What is not refused goes on byte for byte, unknown fields and large numbers included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.requests import Request

from parley.engines.ports import TextApi
from parley.server.refusals import Refusal, Refused
from parley.server.request_body import read_body

MAX_BODY: Final = 8 * 1024 * 1024
"""A few pictures in base64, or ten novels."""

MAX_VALUES: Final = 250_000
"""JSON values, counted by what separates them; prose of 8 MiB has fewer commas."""

CONVERSATION: Final[Mapping[TextApi, str]] = {"chat": "messages", "responses": "input"}
"""The field that holds what is answered."""

STORED: Final = ("previous_response_id", "conversation", "prompt", "background", "store")
"""Fields of either API that read or write what the endpoint stores."""

HOSTED: Final = ("web_search_options",)

OWNERS: Final = "What the endpoint stores belongs to the account of the server's owner"

OWN_TOOLS: Final = frozenset({"function", "custom"})

REFERENCES: Final[Mapping[str, tuple[str, ...]]] = {
    "file": ("file_id",),
    "input_file": ("file_id",),
    "input_image": ("file_id",),
    "item_reference": ("id",),
}
"""Parts and items, by their `type`, with the fields that refer to what the endpoint stores."""

_FALSE: Final = (b"null", b"false")


@dataclass(frozen=True, slots=True)
class TextBody:
    """`fields` as JSON texts, by name; the model that the client names, and whether it wants server-sent events."""

    fields: dict[str, bytes]
    model: str
    stream: bool


async def read_text_body(request: Request, api: TextApi) -> TextBody:
    """The body of a request. Raises `Refused`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(
            Refusal(400, "invalid_content_type", "Send the request as JSON, with the content type application/json.")
        )
    return checked(await read_body(request, MAX_BODY), api)


def checked(data: bytes, api: TextApi) -> TextBody:
    """The body, if it is one. Raises `Refused`."""
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise Refused(Refusal(400, "too_many_values", f"The request has more than {MAX_VALUES} JSON values."))
    try:
        data.decode()
        raw = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        fields = {name: bytes(value) for name, value in raw.items()}
        model = _value(fields, "model", str, "")
        stream = _value(fields, "stream", bool | None, None)
        said = _value(fields, CONVERSATION[api], str | list[Any] | None, None)
        tools = _value(fields, "tools", list[dict[str, Any]] | None, None)
    except msgspec.ValidationError as error:
        raise Refused(Refusal(400, "invalid_value", f"The body must be a JSON object: {error}.")) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused(Refusal(400, "invalid_json", f"The body is not JSON: {error}.")) from None
    if not said or (api == "chat" and not isinstance(said, list)):
        name = CONVERSATION[api]
        raise Refused(Refusal(400, "missing_required_parameter", f"The request has no {name}.", name))
    _refuse_stored(fields)
    for tool in tools or ():
        _refuse_hosted(tool)
    for found in _parts(said):
        _refuse_reference(found)
    if api == "responses":
        fields["store"] = b"false"
    return TextBody(fields, model, stream is True)


def _value(fields: Mapping[str, bytes], name: str, kind: Any, default: Any) -> Any:
    """The value of a field. Raises `Refused`, which names it."""
    if name not in fields:
        return default
    try:
        return msgspec.json.decode(fields[name], type=kind)
    except msgspec.ValidationError as error:
        raise Refused(Refusal(400, "invalid_value", f"Invalid '{name}': {error}.", name)) from None


def _refuse_stored(fields: Mapping[str, bytes]) -> None:
    for name in STORED:
        if fields.get(name, b"null").strip() not in _FALSE:
            message = f"{name} cannot be used here. {OWNERS}: send the whole conversation."
            raise Refused(Refusal(400, "unsupported_parameter", message, name))
    for name in HOSTED:
        if fields.get(name, b"null").strip() not in _FALSE:
            raise Refused(Refusal(400, "unsupported_parameter", f"{name} cannot be used here. {ONLY_FUNCTIONS}", name))


ONLY_FUNCTIONS: Final = "Tools of the type function or custom, which the client runs, can be."


def _refuse_hosted(tool: Mapping[str, Any]) -> None:
    kind = tool.get("type")
    if not isinstance(kind, str) or kind not in OWN_TOOLS:
        message = f"A tool of the type {str(kind)[:40]!r} cannot be used here. {ONLY_FUNCTIONS}"
        raise Refused(Refusal(400, "unsupported_parameter", message, "tools"))


def _parts(said: str | list[Any]) -> Iterator[Mapping[str, Any]]:
    """The messages or items, and their parts."""
    for one in said if isinstance(said, list) else ():
        if isinstance(one, dict):
            yield one
            content = one.get("content")
            yield from (part for part in content if isinstance(part, dict)) if isinstance(content, list) else ()
            output = one.get("output")
            yield from (part for part in output if isinstance(part, dict)) if isinstance(output, list) else ()


def _refuse_reference(part: Mapping[str, Any]) -> None:
    kind = part.get("type")
    held = part.get("file") if kind == "file" else part
    for name in REFERENCES.get(kind, ()) if isinstance(kind, str) else ():
        if isinstance(held, dict) and held.get(name) is not None:
            message = f"{kind} with {name} cannot be used here. {OWNERS}: send the data itself."
            raise Refused(Refusal(400, "unsupported_parameter", message, name))
