"""The translations of a recording spoken in its place: each segment synthesized, and placed in the time of the original.

Laws: where each is spoken is decided by `placement.placed` alone; speech that must be faster is asked of the synthesizer first, and what it
leaves is done to its audio without changing the pitch, so that each lies exactly in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np

from parley.audio import pcm
from parley.audio.ducking import DuckedMix
from parley.audio.files import Recording
from parley.audio.resampling import Resampler
from parley.audio.types import Samples
from parley.engines.ports import EngineSpec, SpeechSynthesizer, VoiceConverter
from parley.engines.tts.tempo import Tempo
from parley.library import checks
from parley.library.frame_reader import FrameReader
from parley.library.function_synthesizer import TtsFunction
from parley.library.pipeline import Pipeline
from parley.library.placement import Placement, placed
from parley.library.speech import ClauseSpeaker, no_voice, no_words
from parley.library.translation import TranslatedSegment
from parley.text.clauses import ClauseCutter

MIX_LEVEL = 0.15
"""How loud the original is under the translation: audible, and not in its way."""

INAUDIBLE = 0.001
"""60 dB under full scale: what a synthesizer puts before and after the words."""

EDGE_MS = 10
"""Kept around the words, for soft consonants."""

EXACT_ENOUGH_MS = 10.0
"""A difference from the wanted length that no one hears."""


@dataclass(frozen=True, slots=True)
class Dub:
    """The spoken translation, as long as the original or longer, and where each segment lies in it (one for each segment, in order)."""

    recording: Recording
    placements: tuple[Placement, ...]


def dub(
    segments: Sequence[TranslatedSegment],
    *,
    to: str,
    tts: str | EngineSpec | SpeechSynthesizer | TtsFunction = "auto",
    voice: str = "",
    original: Recording | None = None,
    mix_original: bool = False,
    sample_rate: int = 24_000,
    pipeline: Pipeline | None = None,
    on_spoken: Callable[[int], None] | None = None,
    vc: str | EngineSpec | VoiceConverter | None = None,
) -> Dub:
    """Speak the translations in the language `to`, each where it belongs. A segment without a translation stays silent.

    `voice` "" is the synthesizer's default; `vc` converts the voice. `pipeline`, made by `dubbing_pipeline()`, has both open already. The
    result is as long as `original` if that is given; with `mix_original` it is heard too, softened to `MIX_LEVEL` under the translation.
    `on_spoken` is called with the number of segments that have been synthesized.

    Raises `EngineUnavailable`, `EngineError` where the synthesizer fails, `LibraryError` for impossible values.
    """
    checks.text("to", to)
    checks.flag("mix_original", mix_original)
    if mix_original and original is None:
        raise checks.refused("mix_original", mix_original, "Give the original too: original=parley.read_audio(...).")
    FrameReader(sample_rate, 1)
    if pipeline is not None:
        return _dubbed(pipeline, segments, to, original, mix_original, sample_rate, on_spoken)
    with dubbing_pipeline(tts, to, voice, vc) as opened:
        return _dubbed(opened, segments, to, original, mix_original, sample_rate, on_spoken)


def dubbing_pipeline(
    tts: str | EngineSpec | SpeechSynthesizer | TtsFunction,
    to: str,
    voice: str = "",
    vc: str | EngineSpec | VoiceConverter | None = None,
) -> Pipeline:
    """A pipeline that only speaks the language `to`. Opening it raises `EngineUnavailable` for a synthesizer that does not."""
    return Pipeline(vad=no_voice, turn=None, stt=no_words, llm=None, tts=tts, vc=vc, voice=voice, language=to)


def _dubbed(
    pipeline: Pipeline,
    segments: Sequence[TranslatedSegment],
    to: str,
    original: Recording | None,
    mix_original: bool,
    sample_rate: int,
    on_spoken: Callable[[int], None] | None,
) -> Dub:
    speaker = ClauseSpeaker(pipeline, "", to, 1.0, sample_rate)
    pipeline._run(speaker.open())
    spoken: list[Samples] = []
    for segment in segments:
        spoken.append(pipeline._run(_speech(speaker, segment.target, to, 1.0)))
        if on_spoken is not None:
            on_spoken(len(spoken))
    places = placed(segments, [1000 * len(audio) / sample_rate for audio in spoken])
    for index, (segment, place) in enumerate(zip(segments, places, strict=True)):
        if place.rate > 1.0:
            faster = pipeline._run(_speech(speaker, segment.target, to, place.rate))
            spoken[index] = _fitted(faster, place.end_ms - place.start_ms, sample_rate)
    return Dub(_assembled(spoken, places, original, mix_original, sample_rate), places)


async def _speech(speaker: ClauseSpeaker, text: str, language: str, speed: float) -> Samples:
    """The audio of a text, without silence before and after it."""
    cutter = ClauseCutter(language, opening=False)
    pieces: list[Samples] = [np.zeros(0, np.float32)]
    rate = 0
    for clause in (*cutter.push(text), *cutter.finish()):
        async with aclosing(speaker.speak(clause, speed)) as chunks:
            async for spoken in chunks:
                rate = spoken.sample_rate
                pieces.append(pcm.to_float(spoken.samples))
    return _trimmed(np.concatenate(pieces), rate)


def _trimmed(audio: Samples, rate: int) -> Samples:
    loud = np.flatnonzero(np.abs(audio) > INAUDIBLE)
    if not len(loud):
        return audio[:0]
    edge = rate * EDGE_MS // 1000
    return audio[max(0, int(loud[0]) - edge) : int(loud[-1]) + 1 + edge]


def _fitted(audio: Samples, wanted_ms: float, rate: int) -> Samples:
    """The audio at the wanted length, at its own pitch."""
    wanted = round(wanted_ms * rate / 1000)
    if abs(len(audio) - wanted) * 1000 / rate > EXACT_ENOUGH_MS:
        tempo = Tempo(rate, min(4.0, max(0.25, len(audio) / max(1, wanted))))
        audio = np.concatenate([tempo.feed(audio), tempo.end()])
    return audio[:wanted]


def _assembled(
    spoken: Sequence[Samples],
    places: Sequence[Placement],
    original: Recording | None,
    mix_original: bool,
    rate: int,
) -> Recording:
    starts = [round(place.start_ms * rate / 1000) for place in places]
    length = max((start + len(audio) for start, audio in zip(starts, spoken, strict=True)), default=0)
    if original is not None:
        length = max(length, round(original.seconds * rate))
    under = np.zeros(length, np.float32)
    if original is not None and mix_original:
        resampler = Resampler(original.sample_rate, rate, "HQ")
        heard = np.concatenate([resampler.push(original.audio), resampler.finish()])[:length]
        under[: len(heard)] = heard
    mix = DuckedMix(rate, MIX_LEVEL)
    pieces: list[Samples] = []
    at = 0
    for start, audio in zip(starts, spoken, strict=True):
        if len(audio):
            pieces.append(mix.over(under[at:start])[0])
            mix.queue(audio)
            at = start
    pieces.append(mix.over(under[at:])[0])
    return Recording(np.concatenate(pieces), rate)
