"""A client of one Realtime session over a WebSocket: audio out, events in; and of one that transcribes.

Laws: the key goes to the server that was named and appears in no message; no redirect is followed; what a server sends at once is bounded.
Source: OpenAI's Realtime API (GA).
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from parley.audio import pcm
from parley.audio.types import Samples
from parley.engines.openai_api.connection import EndpointConfig
from parley.engines.openai_api.errors import StatusError, StreamError

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

RATE: Final = 24_000
"""Of the audio that a session takes, in Hz."""

MAX_EVENT_BYTES: Final = 1 << 20
CLOSE_TIMEOUT_S: Final = 1.0
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

_STATUS: Final = {
    "invalid_api_key": 401,
    "insufficient_quota": 429,
    "model_not_found": 404,
    "permission_denied": 403,
    "rate_limit_exceeded": 429,
}
"""The HTTP status that says the same as an error's code."""


_wire_log = logging.getLogger(f"{__name__}.wire")
_wire_log.setLevel(logging.INFO)  # below, websockets logs each header, the key among them, and each frame


@dataclass(frozen=True, slots=True)
class TranscriptionSettings:
    """What is asked of a session. `language` is a BCP 47 tag or ""."""

    model: str
    language: str = ""
    prompt: str = ""

    def event(self) -> dict[str, Any]:
        """The `session.update` that sets them, without turn detection."""
        wanted = {"model": self.model, "language": self.language, "prompt": self.prompt}
        audio = {
            "format": {"type": "audio/pcm", "rate": RATE},
            "transcription": {name: value for name, value in wanted.items() if value},
            "turn_detection": None,
        }
        return {"type": "session.update", "session": {"type": "transcription", "audio": {"input": audio}}}


class RealtimeSocket:
    """The WebSocket of one session: `open()` it, `send()` events, `received()` gives the server's, `close()` it.

    `query` is what follows the question mark of its URL, `headers` are sent beside the endpoint's own. With `pings` a server that does not
    answer them is given up; without, one that is not read for a while keeps the connection. Raises what `errors.failure_of` maps.
    """

    def __init__(
        self,
        endpoint: EndpointConfig,
        query: str,
        headers: Mapping[str, str] = NO_HEADERS,
        *,
        max_event_bytes: int = MAX_EVENT_BYTES,
        pings: bool = True,
    ) -> None:
        self._endpoint = endpoint
        self._query = query
        self._headers = headers
        self._max_event_bytes = max_event_bytes
        self._pings = pings
        self._open: ClientConnection | None = None

    async def open(self) -> None:
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

        endpoint = self._endpoint

        class Connect(connect):
            def process_redirect(self, exc: Exception) -> Exception:
                return exc  # a redirect would carry the key elsewhere

        try:
            self._open = await Connect(
                f"ws{endpoint.base_url.removeprefix('http')}/realtime?{self._query}",
                additional_headers={**self._headers, **endpoint.request_headers()},
                open_timeout=endpoint.connect_timeout_s,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_timeout=20.0 if self._pings else None,
                max_size=self._max_event_bytes,
                logger=_wire_log,
                compression=None,
                proxy=None if endpoint.is_local else True,
            )
        except InvalidStatus as error:
            response = error.response
            raise StatusError(
                response.status_code, _body(bytes(response.body or b"")), response.headers.get("retry-after", "")
            ) from None
        except InvalidURI:
            raise ConnectionError("InvalidURL") from None
        except InvalidHandshake as error:
            raise ConnectionError(type(error).__name__) from None

    @property
    def is_open(self) -> bool:
        """Whether it was opened and neither side has closed it."""
        return self._open is not None and self._open.close_code is None

    async def send(self, event: Mapping[str, object]) -> None:
        """Send a client event."""
        from websockets.exceptions import ConnectionClosed

        try:
            await self._socket.send(msgspec.json.encode(event).decode())
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def append(self, audio: Samples) -> None:
        """Send float32 audio `[n]` at the session's rate."""
        data = base64.b64encode(pcm.to_bytes(audio)).decode()
        await self.send({"type": "input_audio_buffer.append", "audio": data})

    async def received(self) -> dict[str, Any]:
        """The next server event, whatever it says."""
        from websockets.exceptions import ConnectionClosed

        try:
            event: dict[str, Any] = msgspec.json.decode(await self._socket.recv(), type=dict[str, Any])
        except ConnectionClosed as closed:
            raise _closed(closed) from None
        return event

    @property
    def _socket(self) -> ClientConnection:
        assert self._open is not None
        return self._open

    async def close(self) -> None:
        """Idempotent."""
        socket, self._open = self._open, None
        if socket is not None:
            await socket.close()


class TranscriptionSession:
    """One session: `async with` opens it and sends its settings. Raises what `errors.failure_of` maps."""

    def __init__(self, endpoint: EndpointConfig, settings: TranscriptionSettings) -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._socket = RealtimeSocket(endpoint, "intent=transcription")
        self.append = self._socket.append
        self.send = self._socket.send

    async def __aenter__(self) -> TranscriptionSession:
        await self._socket.open()
        try:
            await self.send(self._settings.event())
        except BaseException:
            await self._socket.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.close()

    async def event(self) -> dict[str, Any]:
        """The next server event. Raises `StatusError` or `StreamError` for one that reports an error."""
        event = await self._socket.received()
        if event.get("type") in ("error", "conversation.item.input_audio_transcription.failed"):
            reported = event.get("error")
            raise error_of(reported if isinstance(reported, dict) else {})
        return event

    async def configured(self) -> None:
        """Until the server has taken the settings. Raises what it says against them."""
        async with asyncio.timeout(self._endpoint.connect_timeout_s):
            while (await self.event()).get("type") != "session.updated":
                pass


def error_of(error: dict[str, Any]) -> Exception:
    """What a server reports in an event, as an answer to a request would say it."""
    status = _STATUS.get(str(error.get("code"))) or _STATUS.get(str(error.get("type")))
    if status is None and error.get("type") == "invalid_request_error":
        status = 400
    return StreamError({"error": error}) if status is None else StatusError(status, {"error": error})


def _closed(error: Exception) -> Exception:
    """A connection that the server ended, or that broke."""
    return ConnectionError(f"the WebSocket was closed ({type(error).__name__})")


def _body(data: bytes) -> object:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return data.decode("utf-8", "replace")
