"""`process:ENGINE:MODEL`: any voice converter in a process of its own, so that its end, or its hanging, is not the server's.

Laws:
- A child that ends, or answers nothing for `limit_s` and not a trial either, is replaced: at once, then after waits that double up to
  `MOST_WAIT_S`. `fault` says so meanwhile, and streams give the speaker's own audio (`RawFallback`).
- Delay, block and voice are those that the child announces; description and options are checked here, before it is started.
- Whether the child hangs is judged over all streams: one that is given up for its lateness still counts as not answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from parley.engines.options import OptionReader
from parley.engines.ports import (
    VC,
    ConversionSpec,
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineSpec,
    EngineUnavailable,
    VoiceConverter,
)
from parley.engines.registry import create as create_engine
from parley.engines.vc.raw_fallback import RawFallback
from parley.engines.vc.voice_child import VoiceChild
from parley.engines.vc.voice_client import ConverterLost, SocketStream, Watch

logger = logging.getLogger(__name__)

LEAST_WAIT_S: Final = 0.1
MOST_WAIT_S: Final = 10.0
HEALTHY_S: Final = 10.0
"""A child that lived so long is replaced at once."""

_OWN: Final = ("voice", "start_s", "limit_s")


def create(model: str, options: Mapping[str, object]) -> ProcessConverter:
    """`process:ENGINE:MODEL`; options `voice` (one of the engine's), `start_s` (60, for loading), `limit_s` (5, for an answer);
    all others are the engine's."""
    reader = OptionReader("vc process", {name: options[name] for name in _OWN if name in options})
    voice = reader.text("voice")
    start_s, limit_s = reader.number("start_s", 60, 0.1, 3_600), reader.number("limit_s", 5, 0.05, 600)
    reader.close()
    spec = EngineSpec.parse(model, {name: value for name, value in options.items() if name not in _OWN})
    return ProcessConverter(spec, voice, start_s, limit_s)


class ProcessConverter:
    """A `VoiceConverter` with the one voice that its process was started with. `open()` starts the process."""

    def __init__(self, spec: EngineSpec, voice: str, start_s: float, limit_s: float) -> None:
        self._spec = spec
        self._asked_voice = voice
        self._start_s = start_s
        self._inner = _declared(spec)
        self._voice = voice
        if self._inner is not None:
            self._voice = self._inner.resolve_voice(voice) or voice
        self._child: VoiceChild | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._streams: set[RawFallback] = set()
        self._pulse = _Pulse(limit_s, self._try)
        self._rate = self._inner.info.sample_rate if self._inner else 24_000
        self.latency_ms = 0.0
        self.block_ms = 0.0
        self.fault: EngineError | None = None
        self.restarts = 0
        """How often the process was replaced."""

    @property
    def info(self) -> EngineInfo:
        if self._inner is None:
            summary = "Any voice converter in a process of its own: process:ENGINE:MODEL."
            return EngineInfo(stage="vc", name="process", summary=summary, sample_rate=self._rate)
        info = self._inner.info
        summary = f"{info.name} in a process of its own. {info.summary}"
        voices = (self._voice,) if self._voice else ()
        return replace(info, name="process", summary=summary, sample_rate=self._rate, voices=voices)

    @property
    def pid(self) -> int:
        """Process id of the child, 0 where there is none."""
        return self._child.pid if self._child else 0

    async def open(self) -> None:
        if self._inner is None:
            raise EngineUnavailable(
                "The vc engine process names no engine.", 'Write vc = "process:ENGINE:MODEL".', code="unknown_engine"
            )
        if self._supervisor is not None:
            return
        child = self._child = await self._start()
        self.latency_ms, self.block_ms = child.announced.latency_ms, child.announced.block_ms
        self._rate, self._voice = child.announced.rate, child.announced.voice
        self._supervisor = asyncio.get_running_loop().create_task(self._supervise(child))

    async def close(self) -> None:
        supervisor, self._supervisor = self._supervisor, None
        for stream in tuple(self._streams):
            stream.close()
        self._pulse.stop()
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait([supervisor])
        child, self._child = self._child, None
        if child is not None:
            await child.stop()

    def resolve_voice(self, voice: str) -> str | None:
        return self._voice if voice in ("", self._voice) else None

    def open_stream(self, spec: ConversionSpec) -> RawFallback:
        if self.resolve_voice(spec.voice) is None:
            raise EngineRefused(
                f"The process of the voice converter has no voice {spec.voice!r}: it was started with {self._voice!r}.",
                "Set the option `voice` of its engine table.",
                code="unknown_voice",
            )
        if self._supervisor is None:
            raise EngineError("The voice converter is not open.", code="engine_closed")
        latency = round(self.latency_ms * self._rate / 1_000)
        return RawFallback(self._connect, spec, self._rate, latency, among=self._streams, reported=self._is_away)

    def _is_away(self) -> bool:
        return self.fault is not None

    def _connect(self, spec: ConversionSpec) -> SocketStream:
        if self._child is None:
            raise self.fault or EngineError("The voice converter is away.", code="converter_lost")
        latency = round(self.latency_ms * self._rate / 1_000)
        return SocketStream(self._child.path, self._rate, latency, watch=self._pulse)

    async def _start(self) -> VoiceChild:
        name = ":".join(filter(None, (self._spec.name, self._spec.model)))
        arguments = [name, *(("--voice", self._asked_voice) if self._asked_voice else ())]
        for key, value in self._spec.options.items():
            arguments += ["--option", f"{key}={_as_text(key, value)}"]
        return await VoiceChild.start(name, arguments, self._start_s)

    async def _supervise(self, child: VoiceChild) -> None:
        loop = asyncio.get_running_loop()
        wait_s = LEAST_WAIT_S
        while True:
            began = loop.time()
            status = await child.ended()
            self._child = None
            self._pulse.stop()
            how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            self.fault = ConverterLost(self._spec.name, how)
            logger.warning("%s It is being restarted.", self.fault.message)
            await child.kill()
            lost = loop.time()
            wait_s = LEAST_WAIT_S if lost - began >= HEALTHY_S else wait_s
            child = await self._again(wait_s)
            wait_s = min(2 * wait_s, MOST_WAIT_S)
            self.restarts += 1
            self._child, self.fault = child, None
            for stream in self._streams:
                stream.retry()
            logger.warning(
                "The voice converter is back after %d ms (restart %d)", 1_000 * (loop.time() - lost), self.restarts
            )

    async def _again(self, wait_s: float) -> VoiceChild:
        while True:
            await asyncio.sleep(wait_s)
            try:
                return await self._start()
            except EngineUnavailable as error:
                wait_s = min(2 * wait_s, MOST_WAIT_S)
                self.fault = error
                logger.warning("%s It is tried again in %.1f s", error.message, wait_s)

    async def _try(self, limit_s: float) -> None:
        """Nothing has been answered for long: end the child if it does not answer a trial either."""
        child = self._child
        if child is None:
            return
        trial = SocketStream(child.path, self._rate, round(self.latency_ms * self._rate / 1_000), limit_s)
        try:
            await trial.convert(np.zeros(self._rate // 50, np.float32))
            await trial.finish()
        except EngineError as error:
            logger.warning("A process of %s hangs and is killed: %s", self._spec.name, error.message)
            await child.kill()
        finally:
            trial.close()


class _Pulse(Watch):
    """Calls `late` when frames were asked and none was answered for `limit_s`."""

    def __init__(self, limit_s: float, late: Callable[[float], Coroutine[None, None, None]]) -> None:
        self._limit_s = limit_s
        self._late = late
        self._timer: asyncio.TimerHandle | None = None
        self._trial: asyncio.Task[None] | None = None

    def asked(self) -> None:
        if self._timer is None and self._trial is None:
            self._timer = asyncio.get_running_loop().call_later(self._limit_s, self._suspect)

    def answered(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self) -> None:
        """There is no child to judge."""
        self.answered()
        trial, self._trial = self._trial, None
        if trial is not None:
            trial.cancel()

    def _suspect(self) -> None:
        self._timer = None
        self._trial = asyncio.get_running_loop().create_task(self._late(self._limit_s))
        self._trial.add_done_callback(self._tried)

    def _tried(self, trial: asyncio.Task[None]) -> None:
        if self._trial is trial:
            self._trial = None
        if not trial.cancelled() and (error := trial.exception()) is not None:
            logger.error("A trial of the voice converter failed", exc_info=error)


def _declared(spec: EngineSpec) -> VoiceConverter | None:
    """The engine that the process will run, not opened: what it declares holds for it. None where none is named."""
    if not spec.name:
        return None
    engine = create_engine(VC, spec)
    assert isinstance(engine, VoiceConverter)
    for key, value in spec.options.items():
        _as_text(key, value)
    return engine


def _as_text(key: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return ",".join(value)
    raise ValueError(f"vc process: {key} must be a text, a number, a flag or a list of texts, not {value!r}.")
