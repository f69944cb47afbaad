"""RVC voices, v1 and v2, on ONNX Runtime: speech in the voice of another person, while it streams.

Laws:
- Everything about a voice is read from its folder (`rvc_folder`); nothing is downloaded here.
- What a stream holds back is one block, the fade and 5 ms (`rvc_stream`): a live voice is one more block behind.
- The block is chosen at open, by how long this machine takes for it (`rvc_block`), unless it is given; either way it is timed, and a voice
  that cannot be converted in time is a warning, not an error: a recording can still be converted.
- Conversion runs on a thread of a `ModelWorker`; streams take turns block by block.

Source: https://github.com/RVC-Project/Retrieval-based-Voice-Conversion-WebUI (MIT).
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from parley.engines.model_worker import ModelWorker
from parley.engines.onnx_session import DEVICES
from parley.engines.options import OptionReader
from parley.engines.ports import ConversionSpec, EngineError, EngineInfo, EngineRefused
from parley.engines.vc.rvc_block import BlockTiming, choose_block, p95
from parley.engines.vc.rvc_folder import FileOptions, find_voice
from parley.engines.vc.rvc_generator import FRAMES_PER_S
from parley.engines.vc.rvc_model import RvcModel, VoiceOptions
from parley.engines.vc.rvc_stream import LiveShape, LiveVoice, RvcConversion

log = logging.getLogger(__name__)

FRAME_MS: Final = 10
MAX_THREADS: Final = 4
RATES: Final = (32_000, 40_000, 48_000)
_UNKNOWN_RATE: Final = 40_000
"""What `info` says before the voice is open, where nothing says it."""

_REPEATS: Final = 20
_LEAST_REPEATS: Final = 4
_MEASURE_S: Final = 1.5
"""How often one candidate is timed, and after which time no more."""
_WARM_UPS: Final = 2


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """In ms and s; `block_ms` 0 chooses one. `silence_db` in dBFS."""

    block_ms: float
    crossfade_ms: float
    context_s: float
    generator_context_s: float
    silence_db: float

    def shape(self, block_ms: float) -> LiveShape:
        """The lengths of streams with such a block, rounded to 10 ms."""
        context = round(self.context_s * FRAMES_PER_S)
        return LiveShape(
            block=round(block_ms / FRAME_MS),
            fade=round(self.crossfade_ms / FRAME_MS),
            context=context,
            spoken=min(context, round(self.generator_context_s * FRAMES_PER_S)),
            gate=10 ** (self.silence_db / 20),
        )


def create(model: str, options: Mapping[str, object]) -> RvcConverter:
    """`rvc:FOLDER`, or the file of a generator; the options are listed in docs/voice-conversion.md."""
    reader = OptionReader("vc rvc", options)
    voice = VoiceOptions(
        pitch=reader.number("pitch", 0, -24, 24),
        formant=reader.number("formant", 0, -12, 12),
        index_rate=reader.number("index_rate", 0.5, 0, 1),
        protect=reader.number("protect", 0.33, 0, 0.5),
        speaker=_whole("speaker", reader.number("speaker", 0, 0, 10_000)),
        sample_rate=_rate(reader.number("sample_rate", 0, 0, 48_000)),
        device=reader.choice("device", "cpu", DEVICES),
        threads=_whole("threads", reader.number("threads", min(MAX_THREADS, os.cpu_count() or 1), 1, 64)),
    )
    live = LiveOptions(
        block_ms=_block(reader.number("block_ms", 0, 0, 1_000)),
        crossfade_ms=reader.number("crossfade_ms", 40, 10, 40),
        context_s=reader.number("context_s", 2.5, 0.5, 10),
        generator_context_s=reader.number("generator_context_s", 0.5, 0, 10),
        silence_db=reader.number("silence_db", -60, -120, 0),
    )
    files = FileOptions(reader.text("content"), reader.text("pitch_model"), reader.text("index"))
    reader.close()
    return RvcConverter(model, voice, live, files)


class RvcConverter:
    """A `VoiceConverter`. Call `open()`, then `open_stream()` for each utterance."""

    def __init__(self, model: str, voice: VoiceOptions, live: LiveOptions, files: FileOptions) -> None:
        self._name = model
        self._options = voice
        self._live = live
        self._files = files
        self._voice = ""
        self._model: RvcModel | None = None
        self._shape = live.shape(live.block_ms or 1_000)
        self._worker: ModelWorker | None = None
        self.timing: BlockTiming | None = None
        """How long a block takes on this machine, its 95th percentile and its real-time factor; None before `open()`."""

    @property
    def info(self) -> EngineInfo:
        model = self._model
        return EngineInfo(
            stage="vc",
            name="rvc",
            summary="RVC voices (v1, v2) from a folder: the speaker sounds like another person.",
            needs=("onnxruntime", "the folder of a voice"),
            sample_rate=model.rate if model else self._options.sample_rate or _UNKNOWN_RATE,
            voices=(self._voice,) if self._voice else (),
            licence="MIT; each voice has its own",
            deterministic=model is not None and model.deterministic,
        )

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be converted at this moment; None while something can."""
        return self._worker.fault if self._worker else None

    @property
    def latency_ms(self) -> float:
        """One block, the fade and 5 ms, less one sample."""
        return self._shape.latency_ms(self.info.sample_rate)

    @property
    def block_ms(self) -> float:
        return float(self._shape.block * FRAME_MS)

    async def open(self) -> None:
        if self._worker is not None:
            return
        model, name, timing = await asyncio.to_thread(self._load)
        self._model, self._voice, self.timing = model, name, timing
        self._shape = self._live.shape(timing.block_ms)
        self._worker = ModelWorker(self._title, title="Voice conversion", code_prefix="converter")
        log.info(
            "%s: blocks of %d ms take %.0f ms (95th percentile), real-time factor %.2f; a live voice is %.0f ms behind",
            self._title,
            timing.block_ms,
            timing.p95_ms,
            timing.rtf,
            self.latency_ms + self.block_ms,
        )
        if not timing.live:
            log.warning(
                "%s is too slow for live use here: %.0f ms for a block of %d ms. Live speech will pass unconverted where it falls behind; "
                "a GPU (device), a smaller context_s or more threads shorten the time.",
                self._title,
                timing.p95_ms,
                timing.block_ms,
            )

    async def close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close()
        self._model = None

    def open_stream(self, spec: ConversionSpec) -> RvcConversion:
        model, worker = self._model, self._worker
        if model is None or worker is None:
            raise EngineError("RVC is not open.", code="engine_closed")
        if self.resolve_voice(spec.voice) is None:
            raise EngineRefused(f"rvc has no voice {spec.voice!r}.", f"It has {self._voice}.", code="unknown_voice")
        shape = self._shape
        live = LiveVoice(model, shape, spec.context)
        return RvcConversion(live, shape.block * model.frame, shape.held(model.frame), worker, spec.share)

    def resolve_voice(self, voice: str) -> str | None:
        return self._voice if self._voice and voice in ("", self._voice) else None

    @property
    def _title(self) -> str:
        return f"rvc:{self._name}"

    def _load(self) -> tuple[RvcModel, str, BlockTiming]:
        """On a thread."""
        files = find_voice(self._name, self._files, indexed=self._options.index_rate > 0)
        model = RvcModel(files, self._options)
        if self._live.block_ms:
            block_ms = round(self._live.block_ms)
            return model, files.name, BlockTiming(block_ms, p95(self._time(model, block_ms)))
        return model, files.name, choose_block(lambda block_ms: self._time(model, block_ms))

    def _time(self, model: RvcModel, block_ms: int) -> Sequence[float]:
        """How long each of some blocks takes, in ms."""
        shape = self._live.shape(block_ms)
        length = shape.block * model.frame
        chance = np.random.default_rng(1)
        voice = LiveVoice(model, shape, None)
        times: list[float] = []
        began_s = time.monotonic()
        for number in range(_WARM_UPS + _REPEATS):
            block = chance.uniform(-0.5, 0.5, length).astype(np.float32)  # louder than any gate
            at_s = time.perf_counter()
            voice.step(block)
            if number >= _WARM_UPS:
                times.append(1_000 * (time.perf_counter() - at_s))
            if len(times) >= _LEAST_REPEATS and time.monotonic() - began_s > _MEASURE_S:
                break
        return times


def _whole(name: str, value: float) -> int:
    if value != round(value):
        raise ValueError(f"vc rvc: {name} must be a whole number, not {value:g}.")
    return round(value)


def _rate(value: float) -> int:
    if value not in (0, *RATES):
        raise ValueError(
            f"vc rvc: sample_rate must be 32000, 40000 or 48000, or left out: the voice says it; not {value:g}."
        )
    return round(value)


def _block(value: float) -> float:
    if value and (value < 50 or value % FRAME_MS):
        raise ValueError(f"vc rvc: block_ms must be 0 (chosen at open), or 50 to 1000 in steps of 10, not {value:g}.")
    return value
