"""A client of one Realtime transcription session over a WebSocket: audio out, events in.

Laws: the key goes to the server that was named and appears in no message; no redirect is followed; what a server sends at once is bounded.
Source: OpenAI's Realtime API, transcription sessions (GA).
"""

from __future__ import annotations

import asyncio
import base64
import logging
from dataclasses import dataclass
from types import TracebackType
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


class TranscriptionSession:
    """One session: `async with` opens it and sends its settings. Raises what `errors.failure_of` maps."""

    def __init__(self, endpoint: EndpointConfig, settings: TranscriptionSettings) -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._open: ClientConnection | None = None

    async def __aenter__(self) -> TranscriptionSession:
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

        endpoint = self._endpoint

        class Connect(connect):
            def process_redirect(self, exc: Exception) -> Exception:
                return exc  # a redirect would carry the key elsewhere

        try:
            self._open = await Connect(
                f"ws{endpoint.base_url.removeprefix('http')}/realtime?intent=transcription",
                additional_headers=endpoint.request_headers(),
                open_timeout=endpoint.connect_timeout_s,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=MAX_EVENT_BYTES,
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
        try:
            await self.send(self._settings.event())
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def send(self, event: dict[str, Any]) -> None:
        """Send a client event."""
        from websockets.exceptions import ConnectionClosed

        try:
            await self._socket.send(msgspec.json.encode(event).decode())
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def append(self, audio: Samples) -> None:
        """Send float32 audio `[n]` at `RATE`."""
        data = base64.b64encode(pcm.to_bytes(audio)).decode()
        await self.send({"type": "input_audio_buffer.append", "audio": data})

    async def event(self) -> dict[str, Any]:
        """The next server event. Raises `StatusError` or `StreamError` for one that reports an error."""
        from websockets.exceptions import ConnectionClosed

        try:
            event = msgspec.json.decode(await self._socket.recv(), type=dict[str, Any])
        except ConnectionClosed as closed:
            raise _closed(closed) from None
        if event.get("type") in ("error", "conversation.item.input_audio_transcription.failed"):
            reported = event.get("error")
            raise error_of(reported if isinstance(reported, dict) else {})
        return event

    async def configured(self) -> None:
        """Until the server has taken the settings. Raises what it says against them."""
        async with asyncio.timeout(self._endpoint.connect_timeout_s):
            while (await self.event()).get("type") != "session.updated":
                pass

    @property
    def _socket(self) -> ClientConnection:
        assert self._open is not None
        return self._open

    async def _close(self) -> None:
        socket, self._open = self._open, None
        if socket is not None:
            await socket.close()


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
