"""Text to speech, clause by clause, without a conversation.

Laws: the text is cut and made speakable like a reply, and its voice converted where there is a converter; audio comes as soon as the
first clause has any; closing the iterator stops the synthesis.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parley.audio import pcm
from parley.audio.resampling import Resampler
from parley.audio.types import Samples
from parley.engines.ports import TTS, VC, EngineSpec, SpeechRequest, SpeechSynthesizer, VoiceConverter
from parley.library import checks
from parley.library.errors import LibraryError
from parley.library.frame_reader import FrameReader
from parley.library.function_synthesizer import TtsFunction
from parley.library.pipeline import Pipeline
from parley.runtime.conversion import ClauseConversion, SpokenBefore
from parley.runtime.engine_results import checked_chunk
from parley.runtime.faults import named
from parley.runtime.generation.voicing import voice_for
from parley.text.clauses import Clause, ClauseCutter
from parley.text.spoken_form import spoken_form

MIN_SPEED, MAX_SPEED = 0.25, 4.0
"""Outside these, speech is unintelligible."""


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """Audio of a clause, int16 `[n]` at `sample_rate` Hz. `text` is the clause where its audio begins, "" where it continues."""

    samples: NDArray[np.int16]
    sample_rate: int
    text: str = ""


def synthesize(
    text: str | Iterable[str],
    *,
    tts: str | EngineSpec | SpeechSynthesizer | TtsFunction = "auto",
    voice: str = "",
    language: str = "",
    speed: float = 1.0,
    sample_rate: int = 24_000,
    vc: str | EngineSpec | VoiceConverter | None = None,
) -> Generator[Spoken, None, None]:
    """Speak `text`, or pieces of text as they come (lines of a file, deltas of a model); yields audio as it is made.

    `sample_rate` is what you want; `vc` converts the voice, and `voice` may then be one of the converter's. Raises `EngineUnavailable`
    for an engine that cannot be opened, `EngineError` for one that fails, `LibraryError` for a voice that it does not have.
    """
    checks.number("speed", speed, MIN_SPEED, MAX_SPEED)
    FrameReader(sample_rate, 1)
    pieces = [text] if isinstance(text, str) else text
    with Pipeline(
        vad=no_voice, turn=None, stt=no_words, llm=None, tts=tts, vc=vc, voice=voice, language=language
    ) as pipeline:
        speaker = ClauseSpeaker(pipeline, voice, language, speed, sample_rate)
        pipeline._run(speaker.open())
        for clause in _clauses(pieces, language):
            speaking = speaker.speak(clause)
            try:
                while (spoken := pipeline._run(_next(speaking))) is not None:
                    yield spoken
            finally:
                pipeline._run(speaking.aclose())


def no_voice(frame: Samples) -> float:
    """Replaces the voice activity model, which synthesis does not need."""
    return 0.0


def no_words(audio: Samples) -> str:
    """Replaces the recogniser."""
    return ""


def _clauses(pieces: Iterable[str], language: str) -> Iterator[Clause]:
    cutter = ClauseCutter(language)
    for piece in pieces:
        yield from cutter.push(piece)
    yield from cutter.finish()


async def _next(speaking: AsyncGenerator[Spoken, None]) -> Spoken | None:
    return await anext(speaking, None)


class ClauseSpeaker:
    """Speaks clauses with the pipeline's synthesizer, on its loop: `open()` first, then `speak()`, which raises what the engine raises."""

    def __init__(self, pipeline: Pipeline, voice: str, language: str, speed: float, sample_rate: int) -> None:
        self._pipeline = pipeline
        self._voice = voice
        self._language = language
        self._speed = speed
        self._rate = sample_rate
        self._tts: SpeechSynthesizer
        self._vc: VoiceConverter | None = None
        self._before = SpokenBefore(sample_rate)
        self._own_voice = voice
        self._who = ""

    async def open(self) -> None:
        loaded = await self._pipeline._here()
        self._tts = loaded.speaking()[TTS]
        self._who = named("The speech synthesizer", self._tts)
        self._vc = loaded.engines.find(VC)
        if self._vc is not None:
            self._who += f" with the voice converter {self._vc.info.name!r}"
            self._before = SpokenBefore(self._vc.info.sample_rate)
        self._voice = self._voice or loaded.config.voice
        self._own_voice = self._voice
        if self._voice and self._tts.resolve_voice(self._voice, self._language) is None:
            if self._vc is None or self._vc.resolve_voice(self._voice) is None:
                known = ", ".join([*self._tts.info.voices, *(self._vc.info.voices if self._vc else ())][:12])
                raise LibraryError(
                    f"The synthesizer has no voice {self._voice!r}.", remedy=f"It has {known}, and OpenAI's names."
                )
            self._own_voice = ""

    async def speak(self, clause: Clause, speed: float | None = None) -> AsyncGenerator[Spoken, None]:
        """The audio of one clause. `speed` is this clause's, in place of the one for all."""
        text = clause.text
        resampler: Resampler | None = None
        async with aclosing(self._voiced(clause, self._speed if speed is None else speed)) as pieces:
            async for piece, rate in pieces:
                held_back = piece[:0]
                if resampler is None or rate != resampler.in_rate:
                    held_back = resampler.finish() if resampler is not None else held_back
                    resampler = Resampler(rate, self._rate, "HQ")
                out = np.concatenate([held_back, resampler.push(piece)])
                if len(out):
                    yield Spoken(pcm.to_int16(out), self._rate, text)
                    text = ""
        if resampler is not None and len(rest := resampler.finish()):
            yield Spoken(pcm.to_int16(rest), self._rate, text)

    async def _voiced(self, clause: Clause, speed: float) -> AsyncGenerator[tuple[Samples, int], None]:
        """What is heard of the clause, with its sample rate."""
        if not clause.spoken:
            return
        said = clause.spoken
        if not self._tts.info.normalizes:
            said = spoken_form(said, self._language).text
        voice, language = voice_for(self._tts, self._own_voice, self._language)
        request = SpeechRequest(said, voice, language, speed)
        converted = None if self._vc is None else ClauseConversion(self._vc, self._voice, self, self._before)
        try:
            async with aclosing(self._tts.speak(request)) as chunks:  # type: ignore[type-var]
                async for given in chunks:
                    chunk = checked_chunk(given, self._who)
                    if converted is None:
                        yield chunk.audio, chunk.sample_rate
                    else:
                        yield await converted.push(chunk.audio, chunk.sample_rate), converted.rate
            if converted is not None:
                yield await converted.finish(), converted.rate
        finally:
            if converted is not None:
                converted.close()
