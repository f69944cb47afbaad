"""Moonshine's models, through the package `moonshine-voice`: English, heard while it is said, on a CPU.

Laws:
- The streaming models encode new audio once while one turn is heard; several turns at once cost more (see `moonshine_model`). Those of the
  first generation hear a segment anew for each partial, in a time that grows with its length: a pause ends it sooner.
- Turns, promises, pauses and fairness are those of `offline_turns`. A pause is heard to its end; what follows it is heard together with
  what came before, up to `COMMIT_SAMPLES` or `WHOLE_COMMIT_SAMPLES`.
- Nothing is downloaded here.

Source: "Moonshine: Speech Recognition for Live Transcription and Voice Commands" (arXiv:2410.15608, 2024); "Moonshine v2: Ergodic Streaming
Encoder ASR for Latency-Critical Speech Applications" (arXiv:2602.12241, 2026); https://github.com/moonshine-ai/moonshine (MIT).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from parley.engines import weights
from parley.engines.fair_queue import Backlog
from parley.engines.options import OptionReader
from parley.engines.ports import EngineError, EngineInfo, Partial, RecognitionSpec, Samples, Transcript
from parley.engines.stt.moonshine_model import HeardSegment, MoonshineModel
from parley.engines.stt.offline_turns import COMMIT_SAMPLES, OfflineStream, OfflineTurns, in_turn
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.engines.stt.turn_language import turn_language

LANGUAGES = ("en",)

WHOLE_COMMIT_SAMPLES = 4 * SAMPLE_RATE
"""A pause behind so much audio ends a segment for a model that does not stream."""


def create(model: str, options: Mapping[str, object]) -> MoonshineRecognizer:
    """`moonshine:FOLDER`, or a model of the catalogue. Option: `partials` (true)."""
    reader = OptionReader("stt moonshine", options)
    partials = reader.flag("partials", True)
    reader.close()
    return MoonshineRecognizer(model, partials)


class MoonshineRecognizer:
    """The `SpeechRecognizer` port. Call `open()`, then `open_stream()` for each turn."""

    def __init__(self, model: str, partials: bool = True) -> None:
        self._name = model
        self._partials = partials
        self._model: MoonshineModel | None = None
        self._turns: MoonshineTurns | None = None

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="stt",
            name="moonshine",
            summary="Moonshine's models: English, heard while it is said, on a CPU",
            needs=("moonshine-voice", "a model"),
            sample_rate=SAMPLE_RATE,
            languages=LANGUAGES,
            licence="MIT",
            promises=self._partials,
            timings=self._model is not None and self._model.times_words,
        )

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be heard at this moment; None while something can."""
        return self._turns.fault if self._turns else None

    def missing_models(self) -> tuple[str, ...]:
        """The model of the catalogue that is named, where it is not on this machine."""
        return weights.missing("moonshine", self._name)

    async def open(self) -> None:
        if self._turns is None:
            self._model = await asyncio.to_thread(MoonshineModel, self._name)
            self._turns = MoonshineTurns(self._title, self._model, partials=self._partials)

    async def close(self) -> None:
        turns, self._turns = self._turns, None
        model, self._model = self._model, None
        if turns is not None and model is not None:
            await turns.close()
            await asyncio.to_thread(model.close)

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> OfflineStream:
        """Start a turn. Raises `EngineRefused` for a language other than English, `EngineError` when too many are open."""
        if self._turns is None:
            raise EngineError("Moonshine is not open.", code="engine_closed")
        turn_language(
            spec, LANGUAGES, "", model=self._title, remedy="It hears English; --stt whisper:base hears 99 languages."
        )
        return self._turns.open_stream(spec, on_partial)

    @property
    def _title(self) -> str:
        return f"moonshine:{self._name}"


class MoonshineTurns(OfflineTurns):
    """The turns of one model."""

    def __init__(self, title: str, model: MoonshineModel, *, partials: bool) -> None:
        commit = COMMIT_SAMPLES if model.streams else WHOLE_COMMIT_SAMPLES
        super().__init__(title, self._whole, partials=partials, agreement=True, commit_samples=commit)
        self._model = model

    def _whole(self, audio: Samples, spec: RecognitionSpec) -> Transcript:
        """On a thread: audio that is complete already."""
        return self._model.hear(audio)

    def new_stream(
        self,
        spec: RecognitionSpec,
        on_partial: Callable[[Partial], None],
        backlog: Backlog,
        on_end: Callable[[OfflineStream], None],
    ) -> OfflineStream:
        if not spec.live or not self.partials or not self._model.streams:
            return super().new_stream(spec, on_partial, backlog, on_end)
        return MoonshineStream(spec, on_partial, self, backlog, on_end, HeardSegment(self._model))


class MoonshineStream(OfflineStream):
    """One turn of which only new audio is encoded."""

    def __init__(
        self,
        spec: RecognitionSpec,
        on_partial: Callable[[Partial], None],
        turns: MoonshineTurns,
        backlog: Backlog,
        on_end: Callable[[OfflineStream], None],
        segment: HeardSegment,
    ) -> None:
        super().__init__(spec, on_partial, turns, backlog, on_end)
        self._worker = turns.worker
        self._segment = segment

    async def hear(self, audio: Samples, start_ms: float, settled: bool) -> Transcript:
        hear = partial(self._segment.hear, audio, settled=settled)
        return in_turn(await self._worker.call(hear, self.share, live=self.live), start_ms)

    def _leave(self) -> None:
        super()._leave()
        self._segment.drop()
