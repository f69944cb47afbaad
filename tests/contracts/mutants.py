"""Engines with one fault each, made of the good ones of this repository: what the contract suite must catch."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parley.engines.llm.bench import BenchModel
from parley.engines.llm.responder import Responder
from parley.engines.model_worker import ModelWorker
from parley.engines.moderation.words import WordList
from parley.engines.mt.bench import BenchTranslator
from parley.engines.mt.drift import drift_of, longest
from parley.engines.mt.language_guess import guess
from parley.engines.mt.llm import LlmTranslator
from parley.engines.mt.translation_prompt import prompt
from parley.engines.ports import (
    ChatEnd,
    ChatEvent,
    ChatMessage,
    ChatRequest,
    ConversionSpec,
    DialogueEvent,
    DialogueRequest,
    EngineInfo,
    EngineRefused,
    GuardCount,
    ModerationRequest,
    ModerationVerdict,
    Partial,
    PauseContext,
    RecognitionSpec,
    Samples,
    SpeechChunk,
    SpeechRequest,
    SpokenDelta,
    TextDelta,
    Transcript,
    TranslationRequest,
    VoiceSample,
    VoiceTensor,
)
from parley.engines.speech.bench import BenchSpeechModel
from parley.engines.stt.offline_turns import OfflineStream
from parley.engines.tts.espeak import EspeakSynthesizer
from parley.engines.tts.hibari import HibariSynthesizer
from parley.engines.turn.rules import RuleJudge
from parley.engines.vad.silero import SileroVad
from parley.engines.vc.bench import BenchConversion, BenchConverter
from tests.engines.bursts import BurstRecognizer, transcribe

# --- synthesizers ---


class Reworked(EspeakSynthesizer):
    """Every chunk goes through `rework`."""

    def rework(self, chunk: SpeechChunk) -> SpeechChunk:
        return chunk

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        async for chunk in super().speak(request):
            yield self.rework(chunk)


class WrongRate(Reworked):
    def rework(self, chunk: SpeechChunk) -> SpeechChunk:
        return replace(chunk, sample_rate=24_000)


class WrongType(Reworked):
    def rework(self, chunk: SpeechChunk) -> SpeechChunk:
        return replace(chunk, audio=chunk.audio.astype(np.float64))


class Integers(Reworked):
    def rework(self, chunk: SpeechChunk) -> SpeechChunk:
        return replace(chunk, audio=(chunk.audio * 32767).astype(np.int16))


class NotANumber(Reworked):
    def rework(self, chunk: SpeechChunk) -> SpeechChunk:
        audio = chunk.audio.copy()
        audio[:1] = np.nan
        return replace(chunk, audio=audio)


class TooLoud(Reworked):
    def rework(self, chunk: SpeechChunk) -> SpeechChunk:
        return replace(chunk, audio=chunk.audio * 8)


class Inaudible(Reworked):
    def rework(self, chunk: SpeechChunk) -> SpeechChunk:
        return replace(chunk, audio=np.zeros_like(chunk.audio))


class LosesAWord(Reworked):
    def rework(self, chunk: SpeechChunk) -> SpeechChunk:
        return replace(chunk, words=tuple(word for word in chunk.words if word.text != "Paris"))


class TimesNothing(Reworked):
    """Declares `timings`, and has none."""

    def rework(self, chunk: SpeechChunk) -> SpeechChunk:
        return replace(chunk, words=())


class ReportsWordsAhead(Reworked):
    def rework(self, chunk: SpeechChunk) -> SpeechChunk:
        later = tuple(replace(word, start_ms=word.start_ms + 9_000, end_ms=word.end_ms + 9_000) for word in chunk.words)
        return replace(chunk, words=later)


class TimesBackwards(Reworked):
    def rework(self, chunk: SpeechChunk) -> SpeechChunk:
        return replace(chunk, words=tuple(replace(word, end_ms=word.start_ms - 1) for word in chunk.words))


class TimesPastTheEnd(Reworked):
    def rework(self, chunk: SpeechChunk) -> SpeechChunk:
        return replace(chunk, words=tuple(replace(word, end_ms=word.end_ms + 500) for word in chunk.words))


class DropsTheLastSound(HibariSynthesizer):
    """Its last chunk with sound is lost; a chunk of silence may come behind it."""

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        kept: list[SpeechChunk] = []
        async for chunk in super().speak(request):
            if chunk.audio.any():
                for before in kept:
                    yield before
                kept.clear()
            kept.append(chunk)


class ReusesItsMemory(EspeakSynthesizer):
    """Every chunk is a view of one buffer."""

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        buffer = np.zeros(1 << 20, np.float32)
        async for chunk in super().speak(request):
            buffer[: len(chunk.audio)] = chunk.audio
            yield replace(chunk, audio=buffer[: len(chunk.audio)])


class SharesTheSpeed(EspeakSynthesizer):
    """All requests are spoken as fast as the last one."""

    speed = 1.0

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        self.speed = request.speed
        await asyncio.sleep(0)
        async for chunk in super().speak(replace(request, speed=self.speed)):
            yield chunk


class SpeaksForAnother(HibariSynthesizer):
    """Gives whoever asks next what the last caller asked for."""

    text = ""

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        self.text = request.text
        await asyncio.sleep(0)
        async for chunk in super().speak(replace(request, text=self.text)):
            yield chunk


class HoldsTheInterpreter(EspeakSynthesizer):
    """A native call that computes on a thread, and lets no other thread run."""

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        await asyncio.get_running_loop().run_in_executor(None, pow, 3, 5_000_000)
        async for chunk in super().speak(request):
            yield chunk


class LeaksAFileAnAnswer(EspeakSynthesizer):
    """Closes them, but only when it is closed itself."""

    def __init__(self) -> None:
        super().__init__()
        self._left: list[int] = []

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        async for chunk in super().speak(request):
            yield chunk
        self._left.append(os.open(os.devnull, os.O_RDONLY))

    async def close(self) -> None:
        await super().close()
        while self._left:
            os.close(self._left.pop())


class BlocksTheLoop(EspeakSynthesizer):
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        time.sleep(1)  # noqa: ASYNC251 - the fault
        async for chunk in super().speak(request):
            yield chunk


class BusyOnTheLoop(EspeakSynthesizer):
    """Computes where it should not; it may hold the interpreter all the time."""

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        began = time.thread_time()
        while time.thread_time() - began < 0.6:
            sum(range(10_000))
        async for chunk in super().speak(request):
            yield chunk


class OpensOnTheLoop(EspeakSynthesizer):
    async def open(self) -> None:
        time.sleep(1)  # noqa: ASYNC251 - the fault
        await super().open()


class IgnoresItsText(EspeakSynthesizer):
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        async for chunk in super().speak(replace(request, text="Always the same.")):
            yield chunk


class IgnoresTheSpeed(EspeakSynthesizer):
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        async for chunk in super().speak(replace(request, speed=1.0)):
            yield chunk


class DeclaresAVoiceTooMany(EspeakSynthesizer):
    @property
    def info(self) -> EngineInfo:
        return replace(super().info, voices=(*super().info.voices, "grandmother"))


class TakesAnyMix(EspeakSynthesizer):
    """Declares mixes, speaks them with their first voice, and takes malformed ones too."""

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, mixes=True)

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        first = voice.partition("(")[0]
        return voice if first != voice and super().resolve_voice(first) else super().resolve_voice(voice, language)

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        async for chunk in super().speak(replace(request, voice=request.voice.partition("(")[0])):
            yield chunk


class ClonesNobody(HibariSynthesizer):
    """Says that it clones voices, and speaks with its own."""

    clones = True
    needs_text = False

    async def clone_voice(self, sample: VoiceSample) -> str:
        return f"own-{sample.sha256}"

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        return voice if voice.startswith("own-") else super().resolve_voice(voice, language)

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        async for chunk in super().speak(replace(request, voice="" if "own-" in request.voice else request.voice)):
            yield chunk


class ReadsNoTensor(ClonesNobody):
    """Says that it reads tensors of voices, and speaks with its own."""

    clones = False
    reads_tensors = True

    def tensor_language(self, name: str) -> str:
        return "en"

    async def read_voice(self, tensor: VoiceTensor) -> str:
        return f"own-{tensor.sha256}"


class SpeaksAnyVoice(EspeakSynthesizer):
    """Takes an unknown voice for the usual one, and says nothing."""

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        known = request.voice if self.resolve_voice(request.voice) else ""
        async for chunk in super().speak(replace(request, voice=known)):
            yield chunk


class SwallowsACancel(EspeakSynthesizer):
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)
        async for chunk in super().speak(request):
            yield chunk


class WorksOn:
    """A synthesizer that computes a whole text on its thread, whoever listens."""

    def __init__(self) -> None:
        self._worker: ModelWorker | None = None

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("tts", "works-on", "Works on.", sample_rate=16_000, voices=("tone",))

    async def open(self) -> None:
        self._worker = ModelWorker("works-on")

    async def close(self) -> None:
        if self._worker is not None:
            await self._worker.close()

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        return "tone"

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        assert self._worker is not None

        def synthesize(emit: Callable[[Samples], bool]) -> None:
            for word in request.text.split():
                for _ in range(20):
                    np.sort(np.random.default_rng(len(word)).normal(size=5_000))
                emit(np.full(1_600, 0.1, np.float32))

        async for audio in self._worker.stream(synthesize, request.share):
            yield SpeechChunk(audio, 16_000)


class LateChunk(EspeakSynthesizer):
    """Its iterator gives another chunk after it was closed."""

    def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        return _Reopening(super().speak(request), SpeechChunk(np.full(100, 0.1, np.float32), 22_050))


class _Reopening:
    def __init__(self, chunks: Any, late: SpeechChunk) -> None:
        self._chunks = chunks
        self._late: SpeechChunk | None = late
        self._closed = False

    def __aiter__(self) -> _Reopening:
        return self

    async def __anext__(self) -> SpeechChunk:
        if self._closed and self._late is not None:
            late, self._late = self._late, None
            return late
        chunk: SpeechChunk = await anext(self._chunks)
        return chunk

    async def aclose(self) -> None:
        self._closed = True
        await self._chunks.aclose()


class LeaksAThread(EspeakSynthesizer):
    async def open(self) -> None:
        await super().open()
        over = threading.Event()
        LEFT_BEHIND.append(over.set)
        threading.Thread(target=over.wait, daemon=True).start()


class LeaksATask(EspeakSynthesizer):
    async def open(self) -> None:
        await super().open()
        task = asyncio.get_running_loop().create_task(asyncio.Event().wait())
        LEFT_BEHIND.append(task.get_name)  # (keeps it)


class LeaksAFile(EspeakSynthesizer):
    async def open(self) -> None:
        await super().open()
        handle = os.open(os.devnull, os.O_RDONLY)
        LEFT_BEHIND.append(lambda: os.close(handle))


class LeaksMemory(EspeakSynthesizer):
    async def open(self) -> None:
        await super().open()
        weights = np.ones(600_000)
        LEFT_BEHIND.append(weights.sum)


class NeverAnswersAfterClose(EspeakSynthesizer):
    """A request that runs when the engine is closed waits for ever."""

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        await asyncio.sleep(0)
        if self._worker is None:
            await asyncio.Event().wait()
        async for chunk in super().speak(request):
            yield chunk


class RaisesWhatItLikes(EspeakSynthesizer):
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        request.text.encode()  # UnicodeEncodeError for half a surrogate pair
        async for chunk in super().speak(request):
            yield chunk


LEFT_BEHIND: list[Callable[[], object]] = []
"""What the mutants leaked, to be given back by the tests."""


# --- language models ---


class TwoFinals(Responder):
    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        async for event in super().reply(request):
            yield event
        yield ChatEnd("stop")


class NoFinal(Responder):
    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        async for event in super().reply(request):
            if not isinstance(event, ChatEnd):
                yield event


class TextAfterTheEnd(Responder):
    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        async for event in super().reply(request):
            yield event
        yield TextDelta(" And another thing.")


class IgnoresMaxTokens(Responder):
    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        async for event in super().reply(replace(request, max_tokens=None)):
            yield event


class SharesTheLastQuestion(Responder):
    """Answers the question that was asked last, whoever asked it."""

    last: tuple[ChatMessage, ...] = ()

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, deterministic=True)

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        self.last = request.messages
        await asyncio.sleep(0)
        async for event in super().reply(replace(request, messages=self.last)):
            yield event


class SwallowsACancelledReply(BenchModel):
    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)
        async for event in super().reply(request):
            yield event


# --- recognisers ---


class Streamed(BurstRecognizer):
    """Streams of another class."""

    stream: type[OfflineStream] = OfflineStream

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> OfflineStream:
        stream = super().open_stream(spec, on_partial)
        stream.__class__ = self.stream
        return stream


class _TakesBack(OfflineStream):
    def _deliver(self, partial: Partial) -> None:
        super()._deliver(Partial(partial.text, partial.text))
        super()._deliver(Partial(partial.text, ""))


class ShrinkingStableText(Streamed):
    stream = _TakesBack


class _Chatters(OfflineStream):
    def close(self) -> None:
        listener = self._on_partial
        super().close()
        self._loop.call_soon(listener, Partial("too late"))


class LatePartial(Streamed):
    stream = _Chatters


class IgnoresItsAudio(BurstRecognizer):
    def __init__(self) -> None:
        super().__init__(lambda audio, spec: Transcript("always the same", language="en"))


class HearsWordsInSilence(BurstRecognizer):
    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> OfflineStream:
        stream = super().open_stream(spec, on_partial)
        stream.feed((0.2 * np.sin(np.arange(4_000) / 5)).astype(np.float32))
        return stream


class SharesItsAudio(BurstRecognizer):
    """All turns go into one buffer."""

    def __init__(self) -> None:
        super().__init__(self._together)
        self._heard = 0

    def _together(self, audio: Samples, spec: RecognitionSpec) -> Transcript:
        self._heard += 1
        return Transcript(f"turn {self._heard}", language="en")


class ScoresUndeclared(BurstRecognizer):
    @property
    def info(self) -> EngineInfo:
        return replace(super().info, logprobs=False)


class TakesAnyLanguage(BurstRecognizer):
    @property
    def info(self) -> EngineInfo:
        return replace(super().info, languages=("en",))


class HearsAnotherLanguage(BurstRecognizer):
    """Declares two, and answers in the one that was not asked for."""

    def __init__(self) -> None:
        super().__init__(lambda audio, spec: replace(transcribe(audio, spec), language="fr"))

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, languages=("en", "fr"))


class RemembersTheLastTurn(BurstRecognizer):
    """What it heard before changes what it hears."""

    def __init__(self) -> None:
        super().__init__(self._after)
        self._before = ""

    def _after(self, audio: Samples, spec: RecognitionSpec) -> Transcript:
        before, heard = self._before, transcribe(audio, spec)
        self._before = heard.text
        return heard if before in ("", heard.text) else replace(heard, text=f"{heard.text} again")


class WordsBackwards(BurstRecognizer):
    def __init__(self) -> None:
        super().__init__(self._backwards)

    def _backwards(self, audio: Samples, spec: RecognitionSpec) -> Transcript:
        heard = transcribe(audio, spec)
        return replace(heard, words=heard.words[::-1])


class TimesNoWord(BurstRecognizer):
    """Declares `timings`, and has none."""

    def __init__(self) -> None:
        super().__init__(lambda audio, spec: replace(transcribe(audio, spec), words=()))


class WordsBehindTheAudio(BurstRecognizer):
    def __init__(self) -> None:
        super().__init__(self._late)

    def _late(self, audio: Samples, spec: RecognitionSpec) -> Transcript:
        heard = transcribe(audio, spec)
        return replace(heard, words=tuple(replace(word, end_ms=word.end_ms + 60_000) for word in heard.words[-1:]))


# --- the other stages ---


class SharedSlots(SileroVad):
    """Every stream has the state of the first."""

    def score(self, slots: Sequence[int], frames: NDArray[np.float32]) -> NDArray[np.float32]:
        if slots:
            for array in (self._context, self._h, self._c):
                array[list(slots)] = array[0]
        made = super().score(slots, frames)
        if slots:
            for array in (self._context, self._h, self._c):
                array[0] = array[slots[0]]
        return made


class LogOdds(SileroVad):
    def score(self, slots: Sequence[int], frames: NDArray[np.float32]) -> NDArray[np.float32]:
        return 4 * super().score(slots, frames) - 2


class DoubleScores(SileroVad):
    def score(self, slots: Sequence[int], frames: NDArray[np.float32]) -> NDArray[np.float32]:
        return super().score(slots, frames).astype(np.float64)


class NeverReset(SileroVad):
    def reset(self, slot: int) -> None:
        pass


class Percent(RuleJudge):
    async def judge(self, pause: PauseContext) -> float:
        return 100 * await super().judge(pause)


class Undecided(RuleJudge):
    async def judge(self, pause: PauseContext) -> float:
        return 0.5


class LosesTheLastWord(BenchTranslator):
    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        async for piece in super().translate(replace(request, text=" ".join(request.text.split()[:1]))):
            yield piece


class TranslatesTheContext(BenchTranslator):
    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        text = " ".join((*request.context, request.text))
        async for piece in super().translate(replace(request, text=text)):
            yield piece


class ListsAPairTooMany(BenchTranslator):
    def pairs(self) -> tuple[tuple[str, str], ...]:
        return (("en", "fr"), *super().pairs())


class DropsATerm(BenchTranslator):
    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        async for piece in super().translate(replace(request, terms=request.terms[:1])):
            yield piece


class LeavesAPlaceholder(BenchTranslator):
    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        terms = tuple(replace(term, target=f"XQ{number}") for number, term in enumerate(request.terms))
        async for piece in super().translate(replace(request, terms=terms)):
            yield piece


class LosesWhatItCannotSay(BenchTranslator):
    """It gives nothing for a text in another script, and does not say so."""

    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        if request.text.isascii():
            async for piece in super().translate(request):
                yield piece


class TakesAShortContextOnly(BenchTranslator):
    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        if sum(map(len, request.context)) > 2_000:
            raise EngineRefused("The context is too long.", "Send less of it.", code="context_length_exceeded")
        async for piece in super().translate(request):
            yield piece


class RepeatsTheLastCaller(BenchTranslator):
    """A number of what was translated before, for whomever, comes again."""

    last = ""

    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        before, self.last = self.last, request.text
        async for piece in super().translate(request):
            yield piece
        for number in re.findall(r"\d+", before):
            yield f" {number}"


class LeaksItsContext(BenchTranslator):
    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        async for piece in super().translate(request):
            yield piece
        for number in re.findall(r"\d+", " ".join(request.context)):
            yield f" {number}"


class PutsAllContextIntoThePrompt(LlmTranslator):
    """Its context has no window: the prompt grows with the session."""

    async def _judged(self, request: TranslationRequest, pairs: Sequence[tuple[str, str]]) -> str:
        asked = prompt(request, pairs)
        before = ChatMessage("user", " ".join(request.context))
        return (await self._whole(replace(asked, messages=(before, *asked.messages)), 10_000))[0]


class NeverAsksAgain(LlmTranslator):
    async def _judged(self, request: TranslationRequest, pairs: Sequence[tuple[str, str]]) -> str:
        made, _ = await self._whole(prompt(request, pairs), longest(request.text))
        drift = drift_of(request.text, made, request.from_language, request.to_language, guess)
        if drift is None:
            return made
        self._drifted[drift.kind] += 1
        self._refused += 1
        raise EngineRefused(drift.reason, "Use another model.", code="translation_drift")


class SpeaksTheSecondDrift(LlmTranslator):
    """What drifts twice is given on all the same."""

    last = ""

    async def _whole(self, asked: ChatRequest, limit: int) -> tuple[str, str]:
        self.last, end = await super()._whole(asked, limit)
        return self.last, end

    async def _judged(self, request: TranslationRequest, pairs: Sequence[tuple[str, str]]) -> str:
        try:
            return await super()._judged(request, pairs)
        except EngineRefused:
            return self.last


class SpeaksBeforeItJudges(LlmTranslator):
    """Its pieces are given on as they come; the second output follows the first."""

    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        first = ""
        async for piece in self._written(prompt(request)):
            first += piece
            yield piece
        if drift_of(request.text, first, request.from_language, request.to_language, guess):
            async for piece in super().translate(request):
                yield piece


class LosesTheSource(LlmTranslator):
    """Where it fails it gives nothing, so that the source is not shown."""

    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        try:
            async for piece in super().translate(request):
                yield piece
        except EngineRefused as error:
            if error.code != "translation_drift":
                raise


class CountsNoDrift(LlmTranslator):
    def guard_counts(self) -> GuardCount:
        return replace(super().guard_counts(), drifted=0, refused=0, kinds={})


class HoldsBackTooMuch(BenchConverter):
    def open_stream(self, spec: ConversionSpec) -> BenchConversion:
        super().open_stream(spec)
        return BenchConversion(4_800, 0)


class _Repeating(BenchConversion):
    """The stream gives the context back before the rest."""

    __slots__ = ("context",)

    context: Samples

    async def finish(self) -> Samples:
        return np.concatenate([self.context, await super().finish()])


class RepeatsContext(BenchConverter):
    def open_stream(self, spec: ConversionSpec) -> BenchConversion:
        stream = _Repeating(480, 0)
        stream.context = np.zeros(0, np.float32) if spec.context is None else spec.context
        return stream


class _Revived(BenchConversion):
    __slots__ = ()

    def _check(self) -> None:
        pass


class ConvertsAfterClose(BenchConverter):
    def open_stream(self, spec: ConversionSpec) -> BenchConversion:
        super().open_stream(spec)
        return _Revived(480, 0)


class OneConversion(BenchConverter):
    """One stream serves everybody."""

    one: BenchConversion | None = None

    def open_stream(self, spec: ConversionSpec) -> BenchConversion:
        fresh = super().open_stream(spec)
        if self.one is not None and not self.one._closed:
            return self.one
        self.one = fresh
        return fresh


class SilentAnswer(BenchSpeechModel):
    async def reply(self, request: DialogueRequest) -> AsyncIterator[DialogueEvent]:
        async for event in super().reply(request):
            yield replace(event, audio=np.zeros_like(event.audio)) if isinstance(event, SpokenDelta) else event


class DeafAnswer(BenchSpeechModel):
    async def reply(self, request: DialogueRequest) -> AsyncIterator[DialogueEvent]:
        async for event in super().reply(replace(request, audio=np.zeros(0, np.float32))):
            yield event


class ReadsTheBeginning(WordList):
    async def judge(self, request: ModerationRequest) -> ModerationVerdict:
        return await super().judge(replace(request, text=request.text[:100]))


class TrustsTheAssistant(WordList):
    async def judge(self, request: ModerationRequest) -> ModerationVerdict:
        if request.side == "assistant":
            return ModerationVerdict(False)
        return await super().judge(request)


class ForgetsTheClauseBefore(WordList):
    async def judge(self, request: ModerationRequest) -> ModerationVerdict:
        return await super().judge(replace(request, before=""))


class RemembersTheLast(WordList):
    """One verdict serves everybody who asks at once."""

    last = ModerationVerdict(False)

    async def judge(self, request: ModerationRequest) -> ModerationVerdict:
        self.last = await super().judge(request)
        await asyncio.sleep(0)
        return self.last
