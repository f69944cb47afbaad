"""Chooses a voice: hibari's for English, espeak-ng's for every other language.

Laws:
- Both are opened; where one cannot be, the other speaks alone, and `notice` says so with the remedy. With neither, `open()` fails.
- A voice belongs to the engine that has it. OpenAI's names, and no name, are hibari's in English and espeak-ng's elsewhere.
- Every voice comes at one sample rate, hibari's where both are open.
- The language is the request's; without one, that of the script the text is written in, and for Latin letters English. Text in another
  script is not English, whatever the request says.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import TypeVar, cast

from parley.audio.resampling import Resampler
from parley.engines.options import OptionReader
from parley.engines.ports import (
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineUnavailable,
    SpeechChunk,
    SpeechRequest,
    VoiceDescription,
    Word,
)
from parley.engines.tts.espeak import EspeakSynthesizer
from parley.engines.tts.espeak_voices import catalogue, language_of_script, names_language
from parley.engines.tts.hibari import HibariSynthesizer

_Synthesizer = HibariSynthesizer | EspeakSynthesizer
_Opened = TypeVar("_Opened", HibariSynthesizer, EspeakSynthesizer)


def create(model: str, options: Mapping[str, object]) -> AutoSynthesizer:
    """Entry point `tts.auto[:VOICE]`; option `voice` (the default voice of either engine)."""
    reader = OptionReader("tts auto", options)
    voice = reader.text("voice", model)
    reader.close()
    return AutoSynthesizer(voice)


class AutoSynthesizer:
    """A `SpeechSynthesizer` that stands for two. `voice` is the default voice: one of either engine's."""

    def __init__(self, voice: str = "") -> None:
        self._default_voice = voice
        self._english: HibariSynthesizer | None = HibariSynthesizer()
        self._others: EspeakSynthesizer | None = EspeakSynthesizer()
        self._open = False
        self.notice = ""
        """What a user should know about the choice; "" before `open()` and when there is nothing to say."""

    @property
    def info(self) -> EngineInfo:
        engines = self._engines()
        infos = [engine.info for engine in engines]
        return EngineInfo(
            stage="tts",
            name="+".join(info.name for info in infos) if self._open else "auto",
            summary="hibari for English, espeak-ng for every other language.",
            needs=tuple(dict.fromkeys(need for info in infos for need in info.needs)),
            sample_rate=infos[0].sample_rate,
            languages=tuple(dict.fromkeys(language for info in infos for language in info.languages)),
            voices=tuple(dict.fromkeys(voice for info in infos for voice in info.voices)),
            licence="; ".join(f"{info.name}: {info.licence}" for info in infos),
            timings=all(info.timings for info in infos),
            normalizes=all(info.normalizes for info in infos),
        )

    @property
    def knows_voices(self) -> bool:
        """Both engines' voices lie on this machine."""
        return True

    @property
    def makeshift(self) -> bool:
        """Whether one of the two speaks alone."""
        return bool(self.notice)

    @property
    def fault(self) -> EngineError | None:
        """Why some requests cannot be spoken at this moment; None while all can."""
        return next((fault for engine in self._engines() if (fault := engine.fault) is not None), None)

    def missing_models(self) -> tuple[str, ...]:
        """The default voice, where it is one of hibari's that is not on this machine."""
        return HibariSynthesizer(self._default_voice).missing_models()

    async def open(self) -> None:
        failures: list[EngineUnavailable] = []
        self._english = await _opened(HibariSynthesizer(), failures)
        self._others = await _opened(EspeakSynthesizer(), failures)
        if self._english is None and self._others is None:
            raise failures[0]
        if self._english is None:
            self.notice = (
                f"Replies are spoken by espeak-ng, in a robotic voice. {failures[0].message} {failures[0].remedy}"
            )
        elif self._others is None:
            self.notice = f"Only English can be spoken. {failures[0].message} {failures[0].remedy}"
        self._open = True
        if self._default_voice and self.resolve_voice("") is None:
            await self.close()
            raise EngineUnavailable(
                f"Neither hibari nor espeak-ng has the voice {self._default_voice!r}.",
                "List the voices with: parley engines --json",
                code="unknown_voice",
            )

    async def close(self) -> None:
        self._open = False
        for engine in self._engines():
            await engine.close()

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        engine = self._engine_for(voice, language)
        return None if engine is None else engine.resolve_voice(voice or self._default_voice, language)

    def voice_in(self, voice: str, language: str) -> str | None:
        voice = voice or self._default_voice
        owner = self._engine_for(voice, "")
        if owner is None or (owner is self._english and owner.resolve_voice(voice, language) is not None):
            return voice
        if self._others is None:
            return None
        if self._others.resolve_voice(voice) is not None:
            return self._others.voice_in(voice, language)
        return self._others.resolve_voice("", language)

    def describe_voice(self, voice: str) -> VoiceDescription:
        owner = next((one for one in self._engines() if one.resolve_voice(voice) == voice), None)
        return VoiceDescription() if owner is None else owner.describe_voice(voice)

    def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """As the engine that speaks it: with the request's voice, or the nearest one that speaks the language.

        Raises `EngineRefused` for an unknown voice (`unknown_voice`) or language (`unsupported_language`).
        """
        voice = request.voice or self._default_voice
        if self.resolve_voice(voice) is None:
            raise EngineRefused(
                f"Neither hibari nor espeak-ng has a voice {voice!r}.",
                "Use an OpenAI voice name, a voice of hibari (heart), or a language of espeak-ng (de, de+f2).",
                code="unknown_voice",
            )
        language = self._language_of(request, voice)
        found = self.voice_in(voice, language) if language else voice
        engine = None if found is None else self._engine_for(found, language)
        if found is None or engine is None:
            raise EngineRefused(
                f"Neither hibari nor espeak-ng speaks the language {language!r}.",
                "List the languages with: parley engines --json",
                code="unsupported_language",
            )
        spoken = engine.speak(replace(request, voice=found, language=language))
        declared, own = self.info.sample_rate, engine.info.sample_rate
        if own == declared:
            return spoken
        return _resampled(cast(AsyncGenerator[SpeechChunk, None], spoken), own, declared)

    def _language_of(self, request: SpeechRequest, voice: str) -> str:
        script = language_of_script(request.text)
        named = names_language(catalogue(), voice)
        if not request.language:
            return "" if named else script
        engine = self._engine_for(voice, request.language)
        return script if script and engine is not None and engine is self._english else request.language

    def _engines(self) -> list[_Synthesizer]:
        return [engine for engine in (self._english, self._others) if engine is not None]

    def _engine_for(self, voice: str, language: str) -> _Synthesizer | None:
        """The engine that has this voice in this language; None where neither has."""
        return next(
            (one for one in self._engines() if one.resolve_voice(voice or self._default_voice, language) is not None),
            None,
        )


async def _resampled(spoken: AsyncGenerator[SpeechChunk, None], own: int, rate: int) -> AsyncIterator[SpeechChunk]:
    """The speech at another sample rate; a word is reported with the audio that it begins in."""
    resampler, made = Resampler(own, rate), 0
    words: tuple[Word, ...] = ()
    async with aclosing(spoken) as chunks:
        async for chunk in chunks:
            words = chunk.words
            if len(audio := resampler.push(chunk.audio)):
                made += len(audio)
                begun = tuple(word for word in words if word.start_ms <= 1_000 * made / rate)
                yield SpeechChunk(audio, rate, begun)
    if len(audio := resampler.finish()) or words:
        yield SpeechChunk(audio, rate, words)


async def _opened(engine: _Opened, failures: list[EngineUnavailable]) -> _Opened | None:
    try:
        await engine.open()
    except EngineUnavailable as error:
        failures.append(error)
        return None
    return engine
