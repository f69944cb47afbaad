"""A converter that a test steers: it inverts the audio, so what is converted is known by its samples."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from parley.engines.ports import ConversionSpec, EngineError, EngineInfo, EngineRefused, Samples

RATE = 24_000
VOICE = "inverted"


def voice(seconds: float, frequency: float = 170.0) -> Samples:
    """A tone with a slow swell, as smooth as speech is: no step between two samples exceeds 0.03."""
    at = np.arange(round(seconds * RATE)) / RATE
    tone: Samples = (0.6 * np.sin(2 * np.pi * frequency * at) * (0.6 + 0.4 * np.sin(2 * np.pi * 1.3 * at))).astype(
        np.float32
    )
    return tone


def largest_step(audio: Samples) -> float:
    return float(np.abs(np.diff(audio)).max(initial=0))


class SteeredConverter:
    """Inverts the audio, holding back `latency_ms`. `failing()` is asked before each piece, `opening()` before each stream; `work_s` is
    the time that a second of audio takes, `learn_s` that of a second of context; `gate` holds every piece until it is set; `asked` is set
    with the first piece."""

    def __init__(self, latency_ms: float = 40.0, block_ms: float = 20.0, work_s: float = 0.0) -> None:
        self.latency_ms = latency_ms
        self.block_ms = block_ms
        self.work_s = work_s
        self.learn_s = 0.0
        self.failing: Callable[[], bool] = lambda: False
        self.opening: Callable[[], bool] = lambda: True
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.contexts: list[int] = []
        self.open_streams = 0

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(stage="vc", name="steered", summary="for tests", sample_rate=RATE, voices=(VOICE,))

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def resolve_voice(self, voice: str) -> str | None:
        return VOICE if voice in ("", VOICE) else None

    def open_stream(self, spec: ConversionSpec) -> SteeredStream:
        if self.resolve_voice(spec.voice) is None:
            raise EngineRefused("There is no such voice.", code="unknown_voice", remedy=f"It has {VOICE}.")
        if not self.opening():
            raise EngineError("It is away.", code="away")
        self.contexts.append(0 if spec.context is None else len(spec.context))
        self.open_streams += 1
        return SteeredStream(self, self.contexts[-1])


class SteeredStream:
    def __init__(self, engine: SteeredConverter, context: int) -> None:
        self._engine = engine
        self._context = context
        self._held: Samples = np.zeros(0, np.float32)
        self._closed = False

    async def convert(self, audio: Samples) -> Samples:
        await self._compute(len(audio))
        self._held = np.concatenate([self._held, audio])
        ready = max(0, len(self._held) - round(self._engine.latency_ms * RATE / 1_000))
        made, self._held = -self._held[:ready], self._held[ready:]
        return made

    async def finish(self) -> Samples:
        await self._compute(0)
        return -self._held

    async def _compute(self, samples: int) -> None:
        if self._closed or self._engine.failing():
            raise EngineError("It failed.", code="failed")
        self._engine.asked.set()
        await self._engine.gate.wait()
        context, self._context = self._context, 0
        work_s = (self._engine.work_s * samples + self._engine.learn_s * context) / RATE
        if work_s:
            await asyncio.sleep(work_s)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._engine.open_streams -= 1
