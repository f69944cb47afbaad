"""The voice of one attempt: clauses to synthesized audio, converted to another voice where the pipeline has a converter.

Laws:
- Each clause is one request to the synthesizer and one stream of the converter (`ClauseConversion`); nothing of its audio waits for the
  next clause.
- Word times are those of the synthesizer: a converter keeps the time line (`ConversionStream`), and one that does not fails the attempt,
  so that what counts as heard is what was heard.
- The synthesizer speaks with the voice that was asked for, or with one that speaks the language of the text where its own voices differ
  in that (`VoicesByLanguage`).
- Where the listener is behind (`StartGeneration.tight`), the silence between two clauses is cut to `GAP_MS`.
- A conversational synthesizer is given the conversation as it was heard, and behind it the clauses of this attempt.
- A synthesizer that does not read numbers, dates, money, units and symbols aloud by itself is given their spoken form, in the language
  that it is asked for; the words that it times are those of the written text again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from parley.audio.silence import GapCutter
from parley.core.words.effects import StartGeneration
from parley.core.words.events import ClauseStarted, GenerationEvent, SpeechGenerated, SpokenWord
from parley.core.words.limits import SAMPLES_PER_MS
from parley.engines.ports import (
    TTS,
    VC,
    EngineSet,
    Samples,
    SpeechChunk,
    SpeechRequest,
    SpeechSynthesizer,
    VoicesByLanguage,
)
from parley.runtime.conversion import ClauseConversion, SpokenBefore
from parley.runtime.engine_results import checked_chunk
from parley.runtime.faults import named
from parley.runtime.generation.encoding import OutputEncoder
from parley.runtime.generation.pacing import Pacing
from parley.runtime.generation.spoken_context import ClauseContext, SpokenContext
from parley.runtime.generation.streams import closing
from parley.runtime.generation.text_sources import engine_of
from parley.text.clauses import Clause
from parley.text.spoken_form import spoken_form
from parley.text.word_timing import PlacedWord, WordTiming

logger = logging.getLogger(__name__)

GAP_MS = 80
"""Silence between two clauses where the listener is behind: as short as between two words of fluent speech."""

LONGEST_PIECE_MS = 1_000
"""Of a longer chunk so much is handled in one slice: a millisecond or two of resampling and encoding, and one delta."""


class Voicing:
    """One attempt's voice: await `speak()` with each clause in order. Its events go to `say`.

    Raises `EngineError` (`no_engine`) where the pipeline has no synthesizer.
    """

    __slots__ = (
        "_before",
        "_clauses",
        "_converter",
        "_effect",
        "_encoder",
        "_language",
        "_normalizes",
        "_pacing",
        "_say",
        "_share",
        "_synthesizer",
        "_voice",
        "who",
    )

    def __init__(
        self,
        effect: StartGeneration,
        engines: EngineSet,
        share: object,
        pacing: Pacing,
        say: Callable[[GenerationEvent], None],
        context: SpokenContext,
    ) -> None:
        self._effect = effect
        self._share = share
        self._pacing = pacing
        self._say = say
        self._synthesizer = engine_of(TTS, engines)
        self._converter = engines.find(VC)
        self.who = named("The speech synthesizer", self._synthesizer)
        """Who speaks, for messages."""
        if self._converter is not None:
            self.who += f" with the voice converter {self._converter.info.name!r}"
            self._before = SpokenBefore(self._converter.info.sample_rate)
        # With a converter the session's voice may be one of the converter's, which the synthesizer does not know.
        known = self._converter is None or self._synthesizer.resolve_voice(effect.voice) is not None
        self._voice, self._language = voice_for(self._synthesizer, effect.voice if known else "", effect.language)
        self._normalizes = self._synthesizer.info.normalizes
        self._encoder = OutputEncoder(effect.format)
        turns = context.turns(effect.heard) if self._synthesizer.info.conversational else None
        self._clauses = ClauseContext(effect.attempt, turns)

    async def speak(self, clause: Clause) -> None:
        """Speak one clause: `ClauseStarted`, then its audio as it is made."""
        attempt = self._effect.attempt
        self._clauses.begin()
        self._say(ClauseStarted(attempt, clause.text, self._clauses.name))
        if not clause.spoken:
            return
        timing = WordTiming(clause.text, clause.spoken)
        form = None if self._normalizes else spoken_form(clause.spoken, self._language or self._effect.language)
        said = clause.spoken if form is None else form.text
        converted = None
        if self._converter is not None:
            converted = ClauseConversion(self._converter, self._effect.voice, self._share, self._before)
        made = 0
        gaps: GapCutter | None = None
        try:
            async with closing(self._synthesizer.speak(self._request(said))) as chunks:
                async for given in chunks:
                    chunk = checked_chunk(given, self.who)
                    made += len(chunk.audio)
                    self._clauses.add(chunk)
                    if self._effect.tight and gaps is None:
                        gaps = GapCutter(chunk.sample_rate, GAP_MS // 2)
                    timed = timing.spoken(chunk.words if form is None else form.written(chunk.words))
                    for piece in _pieces_of(chunk):
                        await self._pacing.slice(1_000 * len(piece) / chunk.sample_rate)
                        if gaps is not None:
                            piece = gaps.push(piece)
                            rate = chunk.sample_rate
                        words = _in_samples(timed, gaps)
                        at = chunk.sample_rate if converted is None else converted.rate
                        ready = piece if converted is None else await converted.push(piece, chunk.sample_rate)
                        await self._post(self._encoder.encode(ready, at), words)
            words = _in_samples(timing.last, gaps)
            if gaps is not None:
                tail = gaps.finish()
                ready, at = (tail, rate) if converted is None else (await converted.push(tail, rate), converted.rate)
                await self._post(self._encoder.encode(ready, at), words)
            if converted is not None:
                await self._post(self._encoder.encode(await converted.finish(), converted.rate), words)
        finally:
            if converted is not None:
                converted.close()
        for audio in self._encoder.finish():
            self._say(SpeechGenerated(attempt, audio, words))
        self._clauses.end(clause.spoken)
        if not made:
            # Not a fault: an engine may have no sound for a lone symbol. For a sentence it is the engine's mistake.
            logger.warning("%s gave no audio for %d characters of text", self.who, len(clause.spoken))

    def _request(self, said: str) -> SpeechRequest:
        name, turns = self._clauses.name, self._clauses.turns
        return SpeechRequest(said, self._voice, self._language, self._effect.speed, self._share, name, turns)

    async def _post(self, deltas: Sequence[bytes], words: tuple[SpokenWord, ...]) -> None:
        for audio in deltas:
            self._say(SpeechGenerated(self._effect.attempt, audio, words))
            await self._pacing.sent(len(audio))


def voice_for(synthesizer: SpeechSynthesizer, voice: str, language: str) -> tuple[str, str]:
    """The voice and the language to ask the synthesizer for.

    `voice` where it speaks `language`, else the nearest voice that does; where none does, `voice` and no language: the engine goes by
    the text, as it does where the language is not known.
    """
    if not language:
        return voice, ""
    if isinstance(synthesizer, VoicesByLanguage):
        voice = synthesizer.voice_in(voice, language) or voice
    speaks = synthesizer.resolve_voice(voice, language) is not None or synthesizer.resolve_voice(voice) is None
    return voice, language if speaks else ""


def _in_samples(words: Sequence[PlacedWord], gaps: GapCutter | None = None) -> tuple[SpokenWord, ...]:
    """As the core counts: 24 kHz samples, without the silence that was cut in front."""
    cut_ms = 0.0 if gaps is None else gaps.cut_ms
    return tuple(SpokenWord(word.text_end, round(max(0.0, word.end_ms - cut_ms) * SAMPLES_PER_MS)) for word in words)


def _pieces_of(chunk: SpeechChunk) -> Iterator[Samples]:
    """The chunk's audio in pieces of at most `LONGEST_PIECE_MS`; an empty chunk is one empty piece."""
    longest = max(1, chunk.sample_rate * LONGEST_PIECE_MS // 1_000)
    yield chunk.audio[:longest]
    for at in range(longest, len(chunk.audio), longest):
        yield chunk.audio[at : at + longest]
