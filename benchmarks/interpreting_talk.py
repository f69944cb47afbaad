"""A talk as sound, with the time of each of its words: what `benchmarks.interpreting` lets a session interpret."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parley.audio.resampling import Resampler
from parley.engines.ports import TTS, EngineSpec, Samples, SpeechRequest, SpeechSynthesizer
from parley.engines.registry import create
from parley.load.recording import SAMPLE_RATE

TALK = Path(__file__).with_name("interpreting_talk.toml")
BEFORE_MS = 500
SPEAKERS = {"en": ("hibari", "alloy"), "es": ("kokoro", "ef_dora"), "pt": ("kokoro", "pf_dora")}
"""Engine and voice for each language of the talk: natural voices, whose words have exact times."""

Facts = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word of the talk, the index of its sentence, and where its sound begins and ends in the audio."""

    text: str
    sentence: int
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Sentence:
    """`start_ms` and `end_ms` of its speech; `pause_ms` of silence follow. `facts`: names and numbers, each with its right forms."""

    text: str
    reference: str
    facts: Facts
    start_ms: float
    end_ms: float
    pause_ms: float


@dataclass(frozen=True, slots=True)
class Talk:
    """`pcm`: mono, 24 kHz."""

    pcm: NDArray[np.int16]
    sentences: tuple[Sentence, ...]
    words: tuple[SpokenWord, ...]

    @property
    def length_ms(self) -> float:
        return 1_000 * len(self.pcm) / SAMPLE_RATE

    @property
    def words_per_minute(self) -> float:
        """Pauses included."""
        return 60_000 * len(self.words) / self.length_ms


async def spoken(language: str, target: str, *, sentences: int, rounds: int, speed: float) -> Talk:
    """The first `sentences` of the talk, `rounds` times over, at `speed` (1.0: as the voice speaks by itself). `target`: the language of
    the references, "" for none."""
    written = tomllib.loads(TALK.read_text(encoding="utf-8"))["sentence"][:sentences]
    name, voice = SPEAKERS[language]
    engine = create(TTS, EngineSpec(name))
    assert isinstance(engine, SpeechSynthesizer)
    await engine.open()
    try:
        said = [await _speech(engine, one[language], voice, language, speed) for one in written]
    finally:
        await engine.close()
    pieces = [_silence(BEFORE_MS)]
    at_ms = float(BEFORE_MS)
    told: list[Sentence] = []
    words: list[SpokenWord] = []
    for entry, (sound, timed) in zip(written * rounds, said * rounds, strict=True):
        length_ms = 1_000 * len(sound) / SAMPLE_RATE
        words += [SpokenWord(text, len(told), at_ms + start, at_ms + end) for text, start, end in timed]
        told.append(_sentence(entry, language, target, at_ms, length_ms))
        pieces += [sound, _silence(entry["pause_ms"])]
        at_ms += length_ms + entry["pause_ms"]
    return Talk(np.concatenate(pieces), tuple(told), tuple(words))


def _sentence(entry: dict[str, Any], language: str, target: str, at_ms: float, length_ms: float) -> Sentence:
    facts = tuple(tuple(forms) for forms in entry["facts"])
    reference = entry.get(target, "")
    return Sentence(entry[language], reference, facts, at_ms, at_ms + length_ms, entry["pause_ms"])


def _silence(ms: float) -> NDArray[np.int16]:
    return np.zeros(round(SAMPLE_RATE * ms / 1_000), np.int16)


async def _speech(
    engine: SpeechSynthesizer, text: str, voice: str, language: str, speed: float
) -> tuple[NDArray[np.int16], list[tuple[str, float, float]]]:
    """The sound without silence around it, and its words with their beginning and end in milliseconds."""
    pieces: list[Samples] = []
    timed: list[tuple[str, float, float]] = []
    rate = SAMPLE_RATE
    async for chunk in engine.speak(SpeechRequest(text=text, voice=voice, language=language, speed=speed)):
        pieces.append(chunk.audio)
        rate = chunk.sample_rate
        timed = [(word.text, float(word.start_ms), float(word.end_ms)) for word in chunk.words] or timed
    resampler = Resampler(rate, SAMPLE_RATE, "HQ")
    audio = np.concatenate([resampler.push(np.concatenate(pieces)), resampler.finish()])
    loud = np.flatnonzero(np.abs(audio) > 0.01)
    first, last = int(loud[0]), int(loud[-1]) + 1
    front_ms, length_ms = 1_000 * first / SAMPLE_RATE, 1_000 * (last - first) / SAMPLE_RATE
    inside = [(word, max(0.0, a - front_ms), min(length_ms, b - front_ms)) for word, a, b in timed]
    return (np.clip(audio[first:last], -1, 1) * 32_767).astype(np.int16), inside
