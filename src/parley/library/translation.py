"""Recordings to text in another language, sentence by sentence.

Laws:
- What is said is recognised and cut as `transcribe()` does, then cut into sentences; each is translated with those before it as context, in
  order, and comes as soon as it is translated.
- Nothing is dropped: a sentence whose translation fails comes with its source and the error, and the next ones go on.
- Speech that is in the target language already comes unchanged, and is marked.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import aclosing
from dataclasses import dataclass, replace

from parley.engines.ports import (
    MT,
    STT,
    EngineError,
    EngineRefused,
    EngineSpec,
    SpeechRecognizer,
    Term,
    TranslationRequest,
    Translator,
    VoiceActivityModel,
)
from parley.library import checks
from parley.library.errors import LibraryError
from parley.library.events import Failed, PartialTranscript, TurnEnded
from parley.library.frame_reader import Frame
from parley.library.function_recognizers import SttFunction, VadFunction
from parley.library.pipeline import Pipeline
from parley.library.recordings import AudioInput, each, frames_of_audio
from parley.library.transcription import AS_USUAL, HearingOptions, Segment, segment_of, transcriber
from parley.runtime.faults import engine_code, fault_of, named
from parley.text.language_tags import primary_tag
from parley.text.segment_clauses import TimedText, segment_clauses

CONTEXT_SENTENCES = 3
"""How many of the sentences before go with each: they settle what a pronoun stands for, and a model reads no more within its time."""

TRANSLATION_TIMEOUT_S = 120.0
"""A sentence takes a local model milliseconds, a language model on a busy CPU tens of seconds."""


@dataclass(frozen=True, slots=True)
class TranslatedSegment:
    """A sentence: when it was said (milliseconds of the recording), its words, and what they mean in the target language.

    `language` is the BCP-47 tag of what was said, "" where neither the recogniser nor the caller knows. `unchanged`: it was in the target
    language already, `target` is `source`. `error` says why there is no translation; `target` is then "".
    """

    start_ms: float
    end_ms: float
    source: str
    target: str
    language: str = ""
    unchanged: bool = False
    error: EngineError | None = None


def translate(
    audio: AudioInput,
    *,
    to: str,
    from_language: str = "",
    mt: str | EngineSpec | Translator | None = None,
    stt: str | EngineSpec | SpeechRecognizer | SttFunction = "pocketsphinx",
    vad: str | EngineSpec | VoiceActivityModel | VadFunction = "silero",
    sample_rate: int | None = None,
    terms: Mapping[str, str] | None = None,
    pipeline: Pipeline | None = None,
    on_partial: Callable[[str], None] | None = None,
) -> Generator[TranslatedSegment, None, None]:
    """The sentences of a file, a recording, or frames at `sample_rate`, in the language `to`, as they are translated.

    Languages are BCP-47 tags; `from_language` "" is found out by the recogniser. `mt` is the translator. `terms` are words and their
    prescribed translations, for a translator whose `info.glossary` is True. `pipeline` saves loading the engines again (its own `stt`,
    `vad` and `mt` count then). `on_partial` is called with words that are not final yet.

    Raises `LibraryError` where no translator is given, `EngineRefused` for a language that it does not know, `EngineUnavailable`,
    `EngineError` where the recogniser fails, `AudioFileError` and `OSError` for a file.
    """
    pieces, rate = frames_of_audio(audio, sample_rate, "translate")
    if pipeline is not None:
        yield from _driven(pipeline, atranslated(pipeline, pieces, rate, to, from_language, terms, on_partial))
        return
    with _pipeline(mt, stt, vad, from_language) as opened:
        yield from _driven(opened, atranslated(opened, pieces, rate, to, from_language, terms, on_partial))


async def atranslate(
    audio: AudioInput,
    *,
    to: str,
    from_language: str = "",
    mt: str | EngineSpec | Translator | None = None,
    stt: str | EngineSpec | SpeechRecognizer | SttFunction = "pocketsphinx",
    vad: str | EngineSpec | VoiceActivityModel | VadFunction = "silero",
    sample_rate: int | None = None,
    terms: Mapping[str, str] | None = None,
    pipeline: Pipeline | None = None,
    on_partial: Callable[[str], None] | None = None,
) -> AsyncGenerator[TranslatedSegment, None]:
    """`translate()` on a running event loop; closing the iterator (`aclose()`) stops the work."""
    pieces, rate = await asyncio.to_thread(frames_of_audio, audio, sample_rate, "atranslate")
    if pipeline is not None:
        async with aclosing(atranslated(pipeline, pieces, rate, to, from_language, terms, on_partial)) as segments:
            async for segment in segments:
                yield segment
        return
    async with (
        _pipeline(mt, stt, vad, from_language) as opened,
        aclosing(atranslated(opened, pieces, rate, to, from_language, terms, on_partial)) as segments,
    ):
        async for segment in segments:
            yield segment


def _pipeline(
    mt: str | EngineSpec | Translator | None,
    stt: str | EngineSpec | SpeechRecognizer | SttFunction,
    vad: str | EngineSpec | VoiceActivityModel | VadFunction,
    language: str,
) -> Pipeline:
    if mt is None:
        raise LibraryError("translate() has no translator.", remedy='Name one: mt="..."; `parley engines` lists them.')
    return Pipeline(vad=vad, turn=None, stt=stt, llm=None, tts=None, mt=mt, language=language)


def _driven(pipeline: Pipeline, segments: AsyncGenerator[TranslatedSegment, None]) -> Iterator[TranslatedSegment]:
    """The segments, made on the pipeline's own loop."""
    # An exception of a call, Ctrl-C too, has ended the generator; what the caller does between two calls has not.
    while (segment := pipeline._run(_next(segments))) is not None:
        try:
            yield segment
        except BaseException:
            if not pipeline._closed:
                pipeline._run(segments.aclose())
            raise


async def _next(segments: AsyncGenerator[TranslatedSegment, None]) -> TranslatedSegment | None:
    return await anext(segments, None)


async def atranslated(
    pipeline: Pipeline,
    pieces: Iterable[Frame] | AsyncIterable[Frame],
    rate: int,
    to: str,
    from_language: str = "",
    terms: Mapping[str, str] | None = None,
    on_partial: Callable[[str], None] | None = None,
    listening: HearingOptions = AS_USUAL,
) -> AsyncGenerator[TranslatedSegment, None]:
    """The sentences of frames at `rate`, on the loop where the pipeline is open; `listening`: how they are heard. Raises as
    `translate()`."""
    loaded = await pipeline._here()
    translator = SegmentTranslator(
        loaded.engines.find(MT), to, from_language or loaded.config.language, tuple((terms or {}).items())
    )
    known = loaded.engines[STT].info.languages
    if not translator.source and len(known) == 1:
        translator.source = known[0]
    await translator.check()
    session = transcriber(pipeline, rate, listening)
    try:
        async for piece in each(pieces):
            for event in await session.astep(piece):
                async for segment in _translated(event, rate, translator, on_partial):
                    yield segment
        for event in await session.aflush():
            async for segment in _translated(event, rate, translator, on_partial):
                yield segment
    finally:
        await session.aclose()


async def _translated(
    event: object, rate: int, translator: SegmentTranslator, on_partial: Callable[[str], None] | None
) -> AsyncIterator[TranslatedSegment]:
    match event:
        case PartialTranscript(text) if on_partial is not None:
            on_partial(text)
        case TurnEnded():
            segment = segment_of(event, rate)
            for sentence in sentences_of(segment):
                yield await translator.translated(sentence, segment.language)
        case Failed(code, message):
            raise EngineError(message, code=code) from event.error
        case _:
            pass


def sentences_of(segment: Segment) -> tuple[TimedText, ...]:
    """The sentences of a segment, with their times in milliseconds."""
    if not segment.text.strip():
        return ()
    words = [TimedText(word.text, word.start_s * 1000, word.end_s * 1000) for word in segment.words]
    return segment_clauses(segment.text, segment.start_s * 1000, segment.end_s * 1000, words, segment.language)


class SegmentTranslator:
    """Translates one sentence after the other: `await check()` first, then `translated()`. `source` "" is found out for each sentence.

    Raises `LibraryError` where there is no engine, and for a language that is not written as a tag.
    """

    def __init__(
        self, engine: Translator | None, to: str, source: str = "", terms: tuple[tuple[str, str], ...] = ()
    ) -> None:
        checks.text("to", to)
        if not primary_tag(to).replace("-", "").isalnum():
            raise LibraryError(f"to={to!r} is no language.", remedy="Give a BCP-47 tag, such as 'pt' or 'pt-BR'.")
        if engine is None:
            raise LibraryError(
                "This pipeline has no engine for text translation (mt).",
                remedy="Name one for mt; `parley engines` lists them.",
            )
        self._engine = engine
        self._who = named("The translator", engine)
        self.to = to
        self.source = source
        self._terms = tuple(Term(source, target) for source, target in terms)
        self._before: deque[str] = deque(maxlen=CONTEXT_SENTENCES)
        self._share = object()

    async def check(self) -> None:
        """Raises `EngineRefused` where the engine cannot translate into `to` at all, or from `source` if that is known."""
        known = self._engine.info.languages
        if self.source:
            if same_language(self.source, self.to) or self._engine.translates(self.source, self.to):
                return
            # The engine's own refusal says best what there is instead.
            await self._text("hello", self.source)
            what = f"from {self.source!r} to {self.to!r}"
        elif not known or primary_tag(self.to) in map(primary_tag, known):
            return
        else:
            what = f"to {self.to!r}"
        raise EngineRefused(
            f"{self._who} does not translate {what}.",
            code="unsupported_language",
            remedy=f"It knows {', '.join(known)}." if known else "",
        )

    async def translated(self, sentence: TimedText, detected: str = "") -> TranslatedSegment:
        """The sentence in the target language. `detected` is the language that the recogniser found, "" for none. Never raises for a fault
        of the engine: it is in the segment."""
        language = self.source or detected
        source = sentence.text.strip()
        segment = TranslatedSegment(sentence.start_ms, sentence.end_ms, source, "", language)
        if language and same_language(language, self.to):
            done = replace(segment, target=source, unchanged=True)
        else:
            try:
                done = replace(segment, target=await self._text(source, language))
            except EngineError as error:
                done = replace(segment, error=error)
            except Exception as error:  # noqa: BLE001 - the engine boundary
                fault = fault_of(error, self._who)
                failed = EngineError(fault.message, code=fault.code)
                failed.__cause__ = error
                done = replace(segment, error=failed)
        self._before.append(source)
        return done

    async def _text(self, source: str, language: str) -> str:
        request = TranslationRequest(source, language, self.to, self._terms, tuple(self._before), self._share)
        pieces: list[str] = []
        try:
            with engine_code():
                async with (
                    asyncio.timeout(TRANSLATION_TIMEOUT_S),
                    aclosing(self._engine.translate(request)) as stream,  # type: ignore[type-var]
                ):
                    async for piece in stream:
                        pieces.append(piece)
        except TimeoutError as error:
            raise EngineError(
                f"{self._who} gave no translation within {TRANSLATION_TIMEOUT_S:g} s.",
                "Choose a smaller model, or another engine for mt.",
                code="timeout",
            ) from error
        target = " ".join("".join(pieces).split())
        if not target and any(character.isalnum() for character in source):
            raise EngineError(f"{self._who} gave no text for a sentence that has words.", code="empty_translation")
        return target or source


def same_language(language: str, other: str) -> bool:
    """Whether two tags name one language. Region and script tell two apart only where both tags have them ("pt-BR" and "pt-PT")."""
    one, two = (tag.strip().lower().replace("_", "-") for tag in (language, other))
    return primary_tag(one) == primary_tag(two) and (one == two or "-" not in one or "-" not in two)
