"""A Unix socket on which several programs convert speech with one loaded converter; the protocol is `engines.vc.voice_protocol`.

Laws:
- Each client has a conversion of its own: each frame is answered by one of as many samples, in order.
- A client that does not read its answers is not read either, and delays nobody: what is kept for one is a read of the socket and an answer.
- What a client does wrong ends that client, with a line in the log.
- Where a client sends faster than its audio lasts, others have their turn after each of its frames.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Final

from parley.engines.ports import EngineError, Samples, VoiceConverter
from parley.engines.vc.live import LiveConversion
from parley.engines.vc.plain import PlainConversion
from parley.engines.vc.voice_protocol import MAX_FRAME_S, FrameDecoder, FrameInvalid, encode_frame

logger = logging.getLogger(__name__)

MAX_CLIENTS: Final = 64
READ_BYTES: Final = 1 << 16
"""Two thirds of a second at 48 kHz; a stream reader keeps at most twice as much."""

LAST_ANSWERS_S: Final = 1.0
"""A client that is closed for a mistake may read its last answers for so long."""

Conversion = LiveConversion | PlainConversion


class VoiceServer:
    """Serves an open converter on a listening socket. Call `start()`, then `close()`, both on one event loop.

    Each client waits for its computing and never hears the speaker's own voice where it is `plain`.
    """

    def __init__(
        self, converter: VoiceConverter, voice: str = "", *, plain: bool = False, max_clients: int = MAX_CLIENTS
    ) -> None:
        self._converter = converter
        self._voice = voice
        self._plain = plain
        self._max_clients = max_clients
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._count = 0

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._clients)

    def conversion(self) -> Conversion:
        """What a new client gets. Raises `EngineError` where the converter cannot begin one."""
        kind = PlainConversion if self._plain else LiveConversion
        return kind(self._converter, self._voice, object())

    async def start(self, listener: socket.socket) -> None:
        """Accept clients from now on."""
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=READ_BYTES)

    async def close(self) -> None:
        """Drop all clients and end; idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task, writer in self._clients.items():
            writer.transport.abort()
            task.cancel()
        if self._clients:
            await asyncio.wait(list(self._clients))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        number = self._count
        if len(self._clients) >= self._max_clients or self._server is None:
            logger.warning("Voice client %d is refused: %d are connected, the limit", number, len(self._clients))
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = writer
        try:
            await self._serve(reader, writer, number)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            del self._clients[task]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        conversion: Conversion | None = None
        try:
            conversion = self.conversion()
            await _exchange_all(reader, writer, conversion)
            if isinstance(conversion, LiveConversion):  # a plain one is a sentence
                logger.info("Voice client %d is gone: %s", number, _account(conversion))
        except (FrameInvalid, EngineError) as error:
            logger.warning("Voice client %d is closed: %s", number, error)
        except ConnectionError as error:
            logger.info("Voice client %d is gone: %s", number, error)
        finally:
            if conversion is not None:
                conversion.close()
            await _ended(writer)


async def _exchange_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, conversion: Conversion) -> None:
    """Answer every frame until the client ends. Raises `FrameInvalid`, `EngineError` and `ConnectionError`."""
    decoder = FrameDecoder(round(conversion.rate * MAX_FRAME_S))
    while data := await reader.read(READ_BYTES):
        for frame in decoder.push(data):
            writer.write(encode_frame(await _answer(conversion, frame)))
            await writer.drain()
            await asyncio.sleep(0)
    if decoder.partial:
        raise FrameInvalid("The connection ended in the middle of a frame.", "Send each frame whole before closing.")


async def _answer(conversion: Conversion, frame: Samples) -> Samples:
    return await (conversion.exchange_async(frame) if len(frame) else conversion.flush())


async def _ended(writer: asyncio.StreamWriter) -> None:
    """Close the connection; what was answered may still be read, for a moment."""
    writer.close()
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(LAST_ANSWERS_S):
            await writer.wait_closed()
    writer.transport.abort()


def _account(conversion: LiveConversion) -> str:
    figures = conversion.figures
    return (
        f"computing took {figures.rtf_p50:.2f} of the audio's time (p95 {figures.rtf_p95:.2f}); {figures.raw_ms:.0f} ms were the"
        f" speaker's own voice, {figures.raw_blocks} blocks late, {figures.restarts} restarts"
    )
