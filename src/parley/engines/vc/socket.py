"""`socket:PATH`: the voice of a server that runs already, Parley's own (`parley voice serve`) or another of the same protocol.

Laws:
- `open()` waits for the server: it tries each `ATTEMPT_S`. Later, a server that is away or silent costs its listeners the converted
  voice, not the conversation: streams give the speaker's own audio and convert again when it is back (`RawFallback`).
- The delay of the server is measured when it is opened, by the answer to a short silence, unless it is an option.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from parley.engines.options import OptionReader
from parley.engines.ports import ConversionSpec, EngineError, EngineInfo, EngineRefused, EngineUnavailable
from parley.engines.vc.raw_fallback import RawFallback
from parley.engines.vc.voice_client import ConverterLost, SocketStream, Watch
from parley.engines.vc.voice_sockets import check_path
from parley.invocation import command

logger = logging.getLogger(__name__)

VOICE: Final = "server"
ATTEMPT_S: Final = 0.5


def create(model: str, options: Mapping[str, object]) -> SocketConverter:
    """`socket:PATH`; options `sample_rate` (24000, the server's), `latency_ms` (its silence at the beginning; measured where it is not
    given), `block_ms` (20), `wait_s` (60, how long `open()` waits for it) and `limit_s` (5, how long it may be silent)."""
    reader = OptionReader("vc socket", options)
    engine = SocketConverter(
        Path(model) if model else None,
        sample_rate=round(reader.number("sample_rate", 24_000, 8_000, 48_000)),
        latency_ms=reader.optional_number("latency_ms", 0, 5_000),
        block_ms=reader.number("block_ms", 20, 0, 1_000),
        wait_s=reader.number("wait_s", 60, 0, 3_600),
        limit_s=reader.number("limit_s", 5, 0.05, 600),
    )
    reader.close()
    return engine


class SocketConverter:
    """A `VoiceConverter` with the one voice that the server has."""

    def __init__(
        self,
        path: Path | None,
        *,
        sample_rate: int,
        latency_ms: float | None,
        block_ms: float,
        wait_s: float,
        limit_s: float,
    ) -> None:
        self._path = path
        self._rate = sample_rate
        self._given_ms = latency_ms
        self._wait_s = wait_s
        self._limit_s = limit_s
        self._streams: set[RawFallback] = set()
        self._open = False
        self.latency_ms = latency_ms or 0.0
        self.block_ms = block_ms
        self._watch = _Fault()

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="vc",
            name="socket",
            summary="A voice server that runs already, at a Unix socket: socket:PATH.",
            needs=("a running voice server",),
            sample_rate=self._rate,
            voices=(VOICE,),
        )

    @property
    def fault(self) -> EngineError | None:
        """Why the server cannot convert at this moment; None while it answers."""
        return self._watch.error

    async def open(self) -> None:
        if self._path is None:
            raise EngineUnavailable(
                "The vc engine socket names no socket.", 'Write vc = "socket:PATH".', code="socket_refused"
            )
        check_path(self._path)
        deadline = asyncio.get_running_loop().time() + self._wait_s
        while True:
            try:
                await self._try(SocketStream(self._path, self._rate, 0, self._limit_s))
                break
            except EngineError as error:
                if asyncio.get_running_loop().time() + ATTEMPT_S > deadline:
                    raise EngineUnavailable(
                        f"{error.message[:-1]}; it was tried for {self._wait_s:g} s.",
                        f"Start it ({command('voice', 'serve', 'ENGINE', '--socket', str(self._path))}), or correct the path.",
                        code="converter_lost",
                    ) from error
            await asyncio.sleep(ATTEMPT_S)
        self._open = True

    async def _try(self, stream: SocketStream) -> None:
        """Raises `EngineError` where the server does not answer."""
        if self._given_ms is None:
            self.latency_ms = 1_000 * await stream.delay() / self._rate
        else:
            await stream.convert(np.zeros(self._rate // 50, np.float32))
            stream.close()

    async def close(self) -> None:
        self._open = False
        for stream in tuple(self._streams):
            stream.close()
        self._streams.clear()

    def resolve_voice(self, voice: str) -> str | None:
        return VOICE if voice in ("", VOICE) else None

    def open_stream(self, spec: ConversionSpec) -> RawFallback:
        if self.resolve_voice(spec.voice) is None:
            raise EngineRefused(
                f"A voice server has no voice {spec.voice!r}: it was started with its own.",
                f"It has {VOICE}.",
                code="unknown_voice",
            )
        if not self._open or self._path is None:
            raise EngineError("The voice converter is not open.", code="engine_closed")
        path = self._path
        latency = round(self.latency_ms * self._rate / 1_000)

        def connect(asked: ConversionSpec) -> SocketStream:
            # one that was silent is not waited for as long again
            limit_s = self._limit_s if self.fault is None else min(self._limit_s, ATTEMPT_S)
            return SocketStream(path, self._rate, latency, limit_s, self._watch)

        return RawFallback(connect, spec, self._rate, latency, among=self._streams, reported=self._is_away)

    def _is_away(self) -> bool:
        return self.fault is not None


class _Fault(Watch):
    """Whether the server answers. The log has each change, whatever the number of streams."""

    def __init__(self) -> None:
        self.error: EngineError | None = None

    def answered(self) -> None:
        if self.error is not None:
            logger.warning("The voice server answers again")
        self.error = None

    def lost(self, error: ConverterLost) -> None:
        if self.error is None:
            logger.warning("%s", error)
        self.error = error
