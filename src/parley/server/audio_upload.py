"""Requests that bring a recording, or want one: who may send one, how many at once, and what is read of it.

Laws:
- Key, origin and room are checked before the body is read; the body is read up to `MAX_UPLOAD_BYTES`, or less where the endpoint says so,
  into a file beyond 1 MB.
- A request holds one of `MAX_REQUESTS` places until it is answered, and is counted for its key as a session is. Where the client goes away,
  the work ends.
- What was sent is decoded while it is used (`incoming_audio.py`), at most `MAX_AUDIO_SECONDS` of it.
- Every failure is a `Refused` with the name of the form's field.

Does not know: what is done with the recording.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from parley.audio.private_files import is_full_disk
from parley.server.access.access import Access
from parley.server.access.origins import OriginRule
from parley.server.admission import Sessions
from parley.server.incoming_audio import UploadedAudio, incoming_audio
from parley.server.refusals import Refusal, Refused
from parley.server.request_body import body_pieces
from parley.server.rest_places import BUSY_RETRY_S, RestPlaces

T = TypeVar("T")

log = logging.getLogger("parley.server")

MAX_UPLOAD_BYTES = 25 * 1024 * 1024
"""OpenAI's limit for a file; here it is that of the whole body."""

MAX_AUDIO_SECONDS = 2 * 3600
"""25 MB of speech at 29 kbit/s. It is decoded piece by piece, so that length costs time and no memory; a file that holds more in fewer
bytes is silence, and would keep its place for nothing."""

DECODED_RATE = 24_000
"""Hz. A recogniser hears nothing above."""

MAX_REQUESTS = 4
"""At once: each decodes, and recognises as fast as the machine can beside the sessions, which go first."""

RESTART_RETRY_S = 30
"""Loading the engines takes as long."""

MAX_FIELDS = 16
MAX_FIELD_BYTES = 64 * 1024
"""A prompt is the longest of them."""

BUSY = Refusal(
    429,
    "too_many_audio_requests",
    f"The server works on {MAX_REQUESTS} requests for audio already. Try again in {BUSY_RETRY_S} s.",
    None,
    "rate_limit_error",
    BUSY_RETRY_S,
)
TOO_LARGE = Refusal(
    413,
    "file_too_large",
    f"The request is larger than {MAX_UPLOAD_BYTES // (1024 * 1024)} MB. Compress the recording (MP3, Opus), or cut it into pieces.",
    "file",
)
STOPPING = Refusal(
    503,
    "server_shutting_down",
    "The server is restarting; the request was not finished.",
    None,
    "server_error",
    RESTART_RETRY_S,
)
FULL = Refusal(
    507,
    "storage_full",
    "The server's disk has no room for the recording. Try again later, or send a smaller file.",
    None,
    "server_error",
    RESTART_RETRY_S,
)
GONE = Refusal(499, "client_closed_request", "The client has gone.")


@dataclass(frozen=True, slots=True)
class FormShape:
    """What a form may have: the file in the field `file`, and `fields`, at most `max_bytes` and `max_fields` in all. `optional`: it may
    have no file. `lists` are fields that it may have several times, each also with `[]` behind its name."""

    fields: Collection[str]
    file: str = "file"
    max_bytes: int = MAX_UPLOAD_BYTES
    optional: bool = False
    lists: Collection[str] = ()
    max_fields: int = MAX_FIELDS


Parts = tuple[UploadFile | None, dict[str, str], dict[str, list[str]]]
"""Of a form: its file, its fields, its lists."""


@dataclass(slots=True)
class Upload:
    """A form with its recording. `fields` and `lists` are the others, by name. It is valid while its request is."""

    file: UploadFile
    fields: dict[str, str]
    lists: dict[str, list[str]]

    def audio(self) -> AbstractAsyncContextManager[UploadedAudio]:
        """The recording, mono. Raises `Refused` for a file that is empty, too long, or not audio."""
        if not self.file.size:
            raise Refused(Refusal(400, "invalid_file", "The file is empty.", "file"))
        return incoming_audio(self.file.file, max_seconds=MAX_AUDIO_SECONDS, max_rate=DECODED_RATE)


class AudioRequests(RestPlaces):
    """The requests with recordings of one server. `accepted()` is the way in; `until_gone()` runs the work."""

    def __init__(self, access: Access, origins: OriginRule, running: Sessions) -> None:
        super().__init__(access, origins, running, scope="audio", most=MAX_REQUESTS, busy=BUSY)

    @asynccontextmanager
    async def accepted(self, request: Request, shape: FormShape) -> AsyncIterator[Upload]:
        """The form of a request that may be served now. Raises `Refused`."""
        async with self._form(request, shape) as (file, fields, lists):
            assert file is not None
            yield Upload(file, fields, lists)

    @asynccontextmanager
    async def form(self, request: Request, shape: FormShape) -> AsyncIterator[tuple[UploadFile | None, dict[str, str]]]:
        """The file and the fields of a form without lists; valid while the request is. Raises `Refused`."""
        async with self._form(request, shape) as (file, fields, _):
            yield file, fields

    @asynccontextmanager
    async def _form(self, request: Request, shape: FormShape) -> AsyncIterator[Parts]:
        async with self.admitted(request):
            file, fields, lists = await _read_form(request, shape)
            try:
                yield file, fields, lists
            finally:
                if file is not None:
                    await file.close()


async def until_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client goes away (`Refused` with `GONE`, which nobody reads), and when the server
    stops (`Refused` with `STOPPING`)."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Refused(GONE)
    except asyncio.CancelledError:
        # A request is cancelled by a server that stops, when its grace is over; its client is still there to be told.
        raise Refused(STOPPING) from None
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _read_form(request: Request, shape: FormShape) -> Parts:
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        others = "model" if "model" in shape.fields else ", ".join(shape.fields)
        message = f"Send the recording as multipart/form-data, with the fields {shape.file} and {others}."
        raise Refused(Refusal(400, "invalid_content_type", message))
    parser = WholeForm(
        request.headers,
        body_pieces(request, shape.max_bytes, _too_large(shape)),
        max_files=1,
        max_fields=shape.max_fields,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refused(Refusal(400, "invalid_form", f"The form cannot be read: {error.message}")) from error
    file: UploadFile | None = None
    fields: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile) and name == shape.file:
            file = value
            continue
        if isinstance(value, str) and name in shape.fields and name not in fields:
            fields[name] = value
            continue
        if isinstance(value, str) and (listed := name.removesuffix("[]")) in shape.lists:
            lists.setdefault(listed, []).append(value)
            continue
        await form.close()
        raise Refused(_unknown(name, value, shape))
    if file is None and not shape.optional:
        raise Refused(no_file(shape))
    return file, fields, lists


def no_file(shape: FormShape) -> Refusal:
    """The refusal of a form without its file."""
    message = f"The form has no file: send it as the field {shape.file}."
    return Refusal(400, "missing_required_parameter", message, shape.file)


def _too_large(shape: FormShape) -> Refusal:
    if shape.max_bytes == MAX_UPLOAD_BYTES:
        return TOO_LARGE
    return replace(
        TOO_LARGE, message=f"The request is larger than {shape.max_bytes / (1 << 20):.1f} MiB.", param=shape.file
    )


def _unknown(name: str, value: object, shape: FormShape) -> Refusal:
    shown = name[:100]
    if isinstance(value, UploadFile):
        return Refusal(400, "invalid_value", f"{shown!r} is a file; only the field {shape.file} is one.", shown)
    if name == shape.file:
        return Refusal(400, "invalid_value", f"The field {name} has no file name, so it is no file.", name)
    if name in shape.fields:
        return Refusal(400, "invalid_value", f"The form has {shown!r} twice.", shown)
    listed = ", ".join((shape.file, *shape.fields, *(f"{name}[]" for name in shape.lists)))
    return Refusal(400, "unknown_parameter", f"There is no field {shown!r}; there are {listed}.", shown)


class WholeForm(MultiPartParser):
    """Refuses a form that ends in its middle: Starlette takes what there is of a file for the file. Raises `Refused` where the
    disk has no room for the file."""

    _complete = False

    def on_end(self) -> None:
        self._complete = True

    async def parse(self) -> FormData:
        try:
            form = await super().parse()
        except OSError as error:
            self._close_files()
            if not is_full_disk(error):
                raise
            log.error("the file of a request cannot be kept: %s", error)
            raise Refused(FULL) from error
        if not self._complete:
            self._close_files()
            raise MultiPartException("It ends before its last boundary.")
        return form

    def _close_files(self) -> None:
        for file in self._files_to_close_on_error:
            with suppress(OSError):  # what it still holds finds no room, either
                file.close()
