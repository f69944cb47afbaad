"""The client's end of a voice server: one connection is one `ConversionStream`.

Laws:
- The connection is made with the first audio. A connection that is closed, refused or silent for `limit_s`, and an answer that is not as
  long as what was asked, raise `ConverterLost`; the stream is over then.
- The server's silence at the beginning is not output: sample n of the answers after it is what sample n of the input says.
- A stream that is closed or cancelled drops its connection, since its next answer could not be told from a late one.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

import numpy as np

from parley.engines.ports import EngineError, Samples
from parley.engines.vc.voice_protocol import MAX_FRAME_S, FrameDecoder, FrameInvalid, encode_frame

PIECE_S: Final = 0.5
"""The longest frame that is sent: its answer fits into the buffers of a socket."""

LONGEST_DELAY_S: Final = 5.0
"""What a server may hold back: the answer to the end of a speech is as long."""

READ_BYTES: Final = 1 << 16


class ConverterLost(EngineError):
    """The voice server is away, or what it says cannot be understood."""

    def __init__(self, server: str, how: str) -> None:
        super().__init__(
            f"The voice server {server} {how}.",
            "The speaker's own voice is heard until it is back. If it stays away, look at its log.",
            code="converter_lost",
        )


class Watch:
    """What an engine learns of its streams; this one ignores it."""

    def asked(self) -> None:
        """A frame is sent."""

    def answered(self) -> None:
        """A frame was answered."""

    def lost(self, error: ConverterLost) -> None:
        """A stream failed."""


class SocketStream:
    """One utterance through the server at `path`: `rate` Hz, `latency` samples of silence first. `limit_s` None: it is waited for."""

    def __init__(
        self,
        path: Path,
        rate: int,
        latency: int,
        limit_s: float | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._path = path
        self._rate = rate
        self._latency = latency
        self._limit_s = limit_s
        self._watch = watch or Watch()
        self._silence = latency
        self._fed = self._got = 0
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._decoder = FrameDecoder(round(rate * (MAX_FRAME_S + LONGEST_DELAY_S)))
        self._closed = False

    async def convert(self, audio: Samples) -> Samples:
        """See `ConversionStream`."""
        size = max(1, round(self._rate * PIECE_S))
        parts = [np.zeros(0, np.float32)]
        for at in range(0, len(audio), size):
            piece = audio[at : at + size]
            self._fed += len(piece)
            parts.append(await self._exchange(piece, len(piece)))
        self._check()
        return np.concatenate(parts)

    async def finish(self) -> Samples:
        """See `ConversionStream`."""
        self._check()
        rest = np.zeros(0, np.float32)
        if self._fed:
            rest = await self._exchange(rest, self._fed + self._latency - self._got)
        self.close()
        return rest

    async def delay(self) -> int:
        """The server's silence in samples, as its answer to the end of a short silence shows; the stream is over then."""
        await self._exchange(np.zeros(self._rate // 50, np.float32), self._rate // 50)
        held = await self._exchange(np.zeros(0, np.float32), None)
        self.close()
        return len(held)

    def close(self) -> None:
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection[1].transport.abort()

    async def _exchange(self, audio: Samples, expected: int | None) -> Samples:
        """Send one frame; its answer, without what is left of the silence. `expected`: how long it must be."""
        self._check()
        done = False
        try:
            async with asyncio.timeout(self._limit_s):
                self._watch.asked()
                answer = await self._answer(encode_frame(audio))
            done = True
        except TimeoutError:
            raise self._lost(f"has not answered for {self._limit_s:g} s") from None
        except (OSError, EOFError) as error:
            self._check()
            raise self._lost(f"is away ({_reason(error)})") from error
        except FrameInvalid as error:
            raise self._lost(f"speaks another protocol: {error.message}") from error
        finally:
            if not done:
                self.close()
        self._watch.answered()
        if expected is not None and len(answer) != expected:
            self.close()
            raise self._lost(f"answered {len(answer)} samples where {expected} were due")
        self._got += len(answer)
        silence = min(self._silence, len(answer))
        self._silence -= silence
        return answer[silence:]

    async def _answer(self, request: bytes) -> Samples:
        if self._connection is None:
            self._connection = await asyncio.open_unix_connection(self._path, limit=READ_BYTES)
            if self._closed:
                self.close()
                raise EOFError
        reader, writer = self._connection
        writer.write(request)
        await writer.drain()
        while data := await reader.read(READ_BYTES):
            for frame in self._decoder.push(data):
                return frame
        raise EOFError

    def _lost(self, how: str) -> ConverterLost:
        error = ConverterLost(str(self._path), how)
        self._watch.lost(error)
        return error

    def _check(self) -> None:
        if self._closed:
            raise EngineError("This conversion is over.", code="stream_closed")


def _reason(error: OSError | EOFError) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return "it ended the connection"
