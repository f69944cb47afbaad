"""Voice conversion without a model: pitch, range, formants and mean envelope are moved towards those of a voice profile.

Laws:
- What comes out depends on the samples, the voice, the options and what `spec.context` and earlier streams of the same `spec.share` said of
  the speaker; never on time, on the pieces, or on other shares.
- Of a speaker statistics are kept, no audio, and no longer than the share itself lives.
- A piece of up to `_INLINE` samples is computed at once, in about 2 ms; of a longer one the event loop never waits: it is computed on a
  thread, in slices, between which other sessions take their turns.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from parley.engines.model_worker import ModelWorker
from parley.engines.options import OptionReader
from parley.engines.ports import (
    ConversionSpec,
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineUnavailable,
    Samples,
)
from parley.engines.vc import profiles
from parley.engines.vc.envelope import SAMPLE_RATE
from parley.engines.vc.phase_vocoder import HOP, LATENCY, Move, PhaseVocoder
from parley.engines.vc.profiles import VoiceProfile
from parley.engines.vc.source_voice import SourceVoice

DEFAULT: Final = "low"

_INLINE: Final = 480
_SLICE: Final = SAMPLE_RATE // 4
"""Samples that are computed before another session takes its turn: 250 ms of audio, some 20 ms of work."""

_CONTEXT: Final = 3 * SAMPLE_RATE
"""Of `spec.context` the last 3 s are heard."""


def create(model: str, options: Mapping[str, object]) -> VocoderConverter:
    """`vocoder[:PROFILE]` (`low`); options `pitch` (0 semitones, added), `range` (1: how far the movement of the pitch is scaled to the
    profile's), `envelope` (1: how far the mean envelope is moved), `formant` (semitones; as the profiles say), `source` (profile of the
    speaker; estimated)."""
    reader = OptionReader("vc vocoder", options)
    engine = VocoderConverter(
        model,
        source=reader.text("source"),
        pitch=reader.number("pitch", 0, -24, 24),
        range=reader.number("range", 1, 0, 1.5),
        envelope=reader.number("envelope", 1, 0, 1),
        formant=reader.optional_number("formant", -6, 6),
    )
    reader.close()
    return engine


class VocoderConverter:
    """A `VoiceConverter` to the profiles of this machine. Those are read by `open()`; one that is made later needs a restart.

    `voice` is the profile of a session that names none, `source` that of the speaker. `pitch`, `range`, `envelope` and `formant` are those
    of `Move`. `open()` raises `EngineUnavailable` for a profile that is missing or damaged.
    """

    latency_ms = 1_000 * LATENCY / SAMPLE_RATE
    block_ms = 1_000 * HOP / SAMPLE_RATE

    def __init__(
        self,
        voice: str = "",
        *,
        source: str = "",
        pitch: float = 0.0,
        range: float = 1.0,
        envelope: float = 1.0,
        formant: float | None = None,
    ) -> None:
        self._default = voice.strip() or DEFAULT
        self._source_name = source
        self._move = Move(profiles.BUILT_IN[0], pitch, range, envelope, formant)
        self._voices: dict[str, VoiceProfile] = {}
        self._source: VoiceProfile | None = None
        self._speakers = _Speakers()
        self._worker: ModelWorker | None = None

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="vc",
            name="vocoder",
            summary="Moves pitch, formants and timbre towards a voice profile, 50 ms behind; no model.",
            sample_rate=SAMPLE_RATE,
            voices=tuple(self._voices) or profiles.names(),
            deterministic=True,
        )

    async def open(self) -> None:
        worker = ModelWorker("The voice converter vocoder", title="Voice conversion", code_prefix="converter")
        try:
            self._voices, self._source = await worker.call(self._read)
        except BaseException:
            await worker.close()
            raise
        self._worker = worker

    def _read(self) -> tuple[dict[str, VoiceProfile], VoiceProfile | None]:
        """The profiles. A damaged one that nothing names is left out: it must not keep the others from being served."""
        found: dict[str, VoiceProfile] = {}
        for name in profiles.names():
            try:
                found[name] = profiles.load(name)
            except EngineUnavailable:
                if name in (self._default, self._source_name):
                    raise
        source = profiles.load(self._source_name) if self._source_name else None
        if self._default not in found:
            profiles.load(self._default)
        # The first piece of a stream waits for nothing: tables are computed, and NumPy's transforms are loaded.
        warm = PhaseVocoder(self._move, SourceVoice())
        warm.push(np.zeros(SAMPLE_RATE // 10, np.float32))
        return found, source

    async def close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close()

    def open_stream(self, spec: ConversionSpec) -> VocoderConversion:
        name = self.resolve_voice(spec.voice)
        if name is None:
            raise EngineRefused(
                f"vocoder has no voice {spec.voice!r}.",
                f"It has: {', '.join(self._voices)}. Make one of a clip: parley voice profile NAME clip.wav.",
                code="unknown_voice",
            )
        if self._worker is None:
            raise EngineError("The voice converter vocoder is not open.", code="engine_closed")
        source = self._speakers.of(spec.share, self._source)
        context = None if spec.context is None else spec.context[-_CONTEXT:]
        vocoder = PhaseVocoder(replace(self._move, target=self._voices[name]), source.copy())
        return VocoderConversion(
            vocoder,
            lambda: self._worker,
            id(spec.share),
            context,
            lambda: self._speakers.keep(spec.share, vocoder.source),
        )

    def resolve_voice(self, voice: str) -> str | None:
        name = voice or self._default
        return name if name in self.info.voices else None


class _Speakers:
    """What is known of the speaker of each share, while the share lives."""

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[object, SourceVoice] = weakref.WeakKeyDictionary()

    def of(self, share: object, profile: VoiceProfile | None) -> SourceVoice:
        if not _is_key(share):
            return SourceVoice(profile)
        return self._known.get(share) or SourceVoice(profile)

    def keep(self, share: object, voice: SourceVoice) -> None:
        if _is_key(share):
            self._known[share] = voice


def _is_key(share: object) -> bool:
    """Whether something can be kept for as long as `share` lives: None, a number or a text is nobody's own."""
    try:
        weakref.ref(share)
        hash(share)
    except TypeError:
        return False
    return share is not None


@dataclass(slots=True)
class VocoderConversion:
    """One utterance."""

    _vocoder: PhaseVocoder
    _worker: Callable[[], ModelWorker | None]
    _owner: int
    """Of the work: a number, because the queue of the worker remembers owners for longer than they live."""

    _context: Samples | None
    _keep: Callable[[], None]
    _closed: bool = False

    async def convert(self, audio: Samples) -> Samples:
        if self._context is not None:
            context, self._context = self._context, None
            await self._call(partial(self._vocoder.learn, context))
        if len(audio) <= _INLINE:
            self._open_worker()
            return self._vocoder.push(audio)
        made = [await self._call(partial(self._vocoder.push, piece)) for piece in _pieces(audio)]
        return np.concatenate(made)

    async def finish(self) -> Samples:
        self._open_worker()
        made = self._vocoder.finish()
        self._keep()
        self._closed = True
        return made

    def close(self) -> None:
        self._closed = True
        self._context = None

    def _open_worker(self) -> ModelWorker:
        if self._closed:
            raise EngineError("This conversion is over.", code="stream_closed")
        worker = self._worker()
        if worker is None:
            raise EngineError("The voice converter vocoder was closed.", code="engine_closed")
        return worker

    async def _call(self, work: Callable[[], Samples | None]) -> Samples:
        made = await self._open_worker().call(work, self._owner)
        self._open_worker()
        return np.zeros(0, np.float32) if made is None else made


def _pieces(audio: Samples) -> list[Samples]:
    return [audio[at : at + _SLICE] for at in range(0, len(audio), _SLICE)]
