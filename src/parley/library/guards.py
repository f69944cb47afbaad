"""A session's engines behind its border: an exception of an engine is reported as `Failed`, and fails only that turn.

Laws: each meets the port of what it guards and adds nothing; the voice activity model is guarded by its worker (`VoiceWorker`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

from parley.engines.ports import (
    LLM,
    MT,
    STT,
    TTS,
    TURN,
    VC,
    ChatEvent,
    ChatRequest,
    ConversionSpec,
    ConversionStream,
    Engine,
    EngineError,
    EngineInfo,
    LanguageModel,
    Partial,
    PauseContext,
    RecognitionSpec,
    RecognizerStream,
    Samples,
    SpeechChunk,
    SpeechRecognizer,
    SpeechRequest,
    SpeechSynthesizer,
    Stage,
    Transcript,
    TranslationRequest,
    Translator,
    TurnJudge,
    VoiceConverter,
    VoicesByLanguage,
)
from parley.library.function_synthesizer import Chunker, OwnCutter
from parley.library.functions import FunctionEngine, name_of
from parley.library.own_code import OwnCode
from parley.runtime.engine_results import checked_judgement, checked_transcript
from parley.runtime.pipeline import LoadedPipeline

_END: Any = object()


def guarded(pipeline: LoadedPipeline, own: OwnCode, chunker: Chunker | None) -> LoadedPipeline:
    """The pipeline for one session."""
    guards = {stage: _GUARDS[stage](engine, own) for stage, engine in pipeline.engines.items() if stage in _GUARDS}
    safe = replace(pipeline, engines=pipeline.engines.replaced(guards))
    if chunker is None:
        return safe
    name = f"chunker={name_of(chunker)}"
    return replace(safe, cutter=lambda language: OwnCutter(own, name, chunker))


def called_in_messages(stage: str, engine: Engine) -> str:
    """`llm=reply()` for a function, else `The stt engine whisper`."""
    return f"{stage}={engine.name}" if isinstance(engine, FunctionEngine) else f"The {stage} engine {engine.info.name}"


class _Guard:
    """The common part. Only opened engines are guarded, and their pipeline closes them."""

    stage = ""

    def __init__(self, engine: Engine, own: OwnCode) -> None:
        self._any = engine
        self._own = own

    @property
    def info(self) -> EngineInfo:
        return self._any.info

    async def open(self) -> None:
        """It is open."""

    async def close(self) -> None:
        """Its pipeline closes it."""

    def _border(self) -> Any:
        return self._own.border(self.stage, called_in_messages(self.stage, self._any))

    async def _pieces(self, begin: Callable[[], AsyncIterator[Any]]) -> AsyncIterator[Any]:
        """The stream of an engine, with the border around each step and around its end."""
        with self._border():
            stream = aiter(begin())
        try:
            while True:
                with self._border():
                    piece = await anext(stream, _END)
                if piece is _END:
                    return
                yield piece
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                with self._border():
                    await close()


class _Judge(_Guard):
    stage = "turn"

    def __init__(self, engine: TurnJudge, own: OwnCode) -> None:
        super().__init__(engine, own)
        self._engine = engine

    async def judge(self, pause: PauseContext) -> float:
        """If the judge fails, the longest pause ends the turn."""
        try:
            with self._border():
                return checked_judgement(float(await self._engine.judge(pause)))
        except EngineError as error:
            self._own.report(self.stage, error)
            return 0.0


class _Recognizer(_Guard):
    stage = "stt"

    def __init__(self, engine: SpeechRecognizer, own: OwnCode) -> None:
        super().__init__(engine, own)
        self._engine = engine

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> RecognizerStream:
        with self._border():
            return _Stream(self._engine.open_stream(spec, on_partial), self._own, self._border)


class _Stream:
    def __init__(self, stream: RecognizerStream, own: OwnCode, border: Callable[[], Any]) -> None:
        self._stream = stream
        self._own = own
        self._border = border

    def feed(self, audio: Samples) -> None:
        with self._border():
            self._stream.feed(audio)

    async def flush(self) -> Transcript:
        with self._border():
            return checked_transcript(await self._stream.flush())

    async def finish(self) -> Transcript:
        with self._border():
            return checked_transcript(await self._stream.finish())

    def close(self) -> None:
        try:
            with self._border():
                self._stream.close()
        except EngineError as error:
            self._own.report("stt", error)  # the turn has its transcript, or needs none


class _Model(_Guard):
    stage = "llm"

    def __init__(self, engine: LanguageModel, own: OwnCode) -> None:
        super().__init__(engine, own)
        self._engine = engine

    def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        return self._pieces(lambda: self._engine.reply(request))


class _Synthesizer(_Guard):
    stage = "tts"

    def __init__(self, engine: SpeechSynthesizer, own: OwnCode) -> None:
        super().__init__(engine, own)
        self._engine = engine

    def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        return self._pieces(lambda: self._engine.speak(request))

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        with self._border():
            return self._engine.resolve_voice(voice, language)

    def voice_in(self, voice: str, language: str) -> str | None:
        if not isinstance(self._engine, VoicesByLanguage):
            return voice
        with self._border():
            return self._engine.voice_in(voice, language)


class _Translator(_Guard):
    stage = "mt"

    def __init__(self, engine: Translator, own: OwnCode) -> None:
        super().__init__(engine, own)
        self._engine = engine

    def translates(self, from_language: str, to_language: str) -> bool:
        with self._border():
            return self._engine.translates(from_language, to_language)

    def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        return self._pieces(lambda: self._engine.translate(request))


class _Converter(_Guard):
    stage = "vc"

    def __init__(self, engine: VoiceConverter, own: OwnCode) -> None:
        super().__init__(engine, own)
        self._engine = engine

    @property
    def latency_ms(self) -> float:
        return self._engine.latency_ms

    @property
    def block_ms(self) -> float:
        return self._engine.block_ms

    def resolve_voice(self, voice: str) -> str | None:
        with self._border():
            return self._engine.resolve_voice(voice)

    def open_stream(self, spec: ConversionSpec) -> ConversionStream:
        with self._border():
            return _Conversion(self._engine.open_stream(spec), self._own, self._border)


class _Conversion:
    def __init__(self, stream: ConversionStream, own: OwnCode, border: Callable[[], Any]) -> None:
        self._stream = stream
        self._own = own
        self._border = border

    async def convert(self, audio: Samples) -> Samples:
        with self._border():
            return await self._stream.convert(audio)

    async def finish(self) -> Samples:
        with self._border():
            return await self._stream.finish()

    def close(self) -> None:
        try:
            with self._border():
                self._stream.close()
        except EngineError as error:
            self._own.report("vc", error)  # the utterance has its audio, or needs none


_GUARDS: Mapping[Stage[Any], Callable[[Any, OwnCode], Engine]] = {
    TURN: _Judge,
    STT: _Recognizer,
    LLM: _Model,
    TTS: _Synthesizer,
    MT: _Translator,
    VC: _Converter,
}
"""The stages whose engines a session calls itself. Others are called by the owner's code, which sees what they raise."""
