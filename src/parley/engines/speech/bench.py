"""A speech-to-speech model of fixed latency, for measuring everything around it: it answers with a tone for each word.

Laws:
- The answer has the words of the turn, as a recogniser heard them, or those of the last message that is no instruction, or "bench";
  each word is a tone of `word_ms`, whose pitch tells its
  length (200 Hz and 20 Hz more for each letter) and whose loudness is that of the user's audio.
- The first tone comes `first_audio_ms` after the request, the others at twice real time.
- Usage is its own count of words.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

import numpy as np

from parley.engines.options import OptionReader
from parley.engines.ports import (
    ChatEnd,
    DialogueEvent,
    DialogueRequest,
    EngineInfo,
    EngineRefused,
    Samples,
    SpokenDelta,
    TokenUsage,
    Word,
)

INPUT_RATE: Final = 24_000
SAMPLE_RATE: Final = 24_000
VOICE: Final = "tone"
USUAL_RMS: Final = 0.1
"""Loudness of an answer to no audio."""

_PACE: Final = 2.0


def create(model: str, options: Mapping[str, object]) -> BenchSpeechModel:
    """`bench`; options `first_audio_ms` (200) and `word_ms` (100)."""
    reader = OptionReader("speech bench", options)
    engine = BenchSpeechModel(
        first_audio_ms=reader.number("first_audio_ms", 200, 0, 60_000), word_ms=reader.number("word_ms", 100, 1, 10_000)
    )
    reader.close()
    return engine


class BenchSpeechModel:
    """A `SpeechModel` that costs nothing and takes exactly as long as its options say."""

    def __init__(self, first_audio_ms: float, word_ms: float) -> None:
        self._first_s = first_audio_ms / 1000
        self._word_ms = word_ms

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="speech",
            name="bench",
            measuring=True,
            summary=f"A tone for each word, for benchmarks (first audio after {self._first_s * 1000:g} ms).",
            sample_rate=INPUT_RATE,
            voices=(VOICE,),
            deterministic=True,
        )

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        return VOICE if voice in ("", VOICE) else None

    async def reply(self, request: DialogueRequest) -> AsyncIterator[DialogueEvent]:
        """The words of the last message as tones."""
        if self.resolve_voice(request.voice, request.language) is None:
            raise EngineRefused(
                f"bench has no voice {request.voice!r}.", code="unknown_voice", remedy=f"It has {VOICE}."
            )
        told = next((message.text for message in reversed(request.messages) if message.role != "system"), "")
        words = (request.transcript or told).split() or ["bench"]
        rms = float(np.sqrt(np.mean(request.audio**2))) if len(request.audio) else USUAL_RMS
        loop = asyncio.get_running_loop()
        due = loop.time() + self._first_s
        for number, word in enumerate(words):
            delay = due - loop.time()
            if delay > 0:
                await asyncio.sleep(delay)
            timed = Word(word, number * self._word_ms, (number + 1) * self._word_ms)
            sound = np.zeros(0, np.float32) if request.text_only else tone(word, self._word_ms, rms)
            text = word if number == 0 else f" {word}"
            yield SpokenDelta(sound, SAMPLE_RATE, text, () if request.text_only else (timed,))
            due += self._word_ms / 1000 / _PACE
        said = sum(len(message.text.split()) for message in request.messages)
        yield ChatEnd("stop", TokenUsage(said, len(words)))


def tone(word: str, word_ms: float, rms: float) -> Samples:
    """The tone that stands for a word: float32 `[n]` at 24 kHz."""
    times = np.arange(round(SAMPLE_RATE * word_ms / 1000)) / SAMPLE_RATE
    hertz = 200 + 20 * sum(letter.isalnum() for letter in word)
    made: Samples = (rms * np.sqrt(2) * np.sin(2 * np.pi * hertz * times)).astype(np.float32)
    return made
