"""Where the text of an attempt comes from: the language model, the speech model in its place, the translator, or the work itself.

Laws: every source streams the same pieces, in whole characters and in slices of bounded length, and ends with exactly one
`GenerationFinished` or raises; it calls `began` when its first piece is there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import TypeVar, assert_never

from parley.core.words.effects import StartGeneration
from parley.core.words.events import GenerationFinished, MeasuredUsage, ToolArgumentsGenerated, ToolCallStarted
from parley.core.words.ids import AttemptId, CallId
from parley.core.words.work import Reply, Translation, Utterance
from parley.engines.ports import (
    LLM,
    MT,
    SPEECH,
    ChatEnd,
    ChatEvent,
    Engine,
    EngineError,
    EngineSet,
    SpeechModel,
    SpokenDelta,
    Stage,
    Term,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
    TranslationRequest,
)
from parley.runtime.faults import named
from parley.runtime.generation.dialogue import dialogue_request
from parley.runtime.generation.model_output import in_slices
from parley.runtime.generation.prompt_mapping import chat_request
from parley.runtime.generation.streams import closing
from parley.text.faithful import missing_facts

TextPiece = TextDelta | ToolCallStarted | ToolArgumentsGenerated | GenerationFinished

E = TypeVar("E", bound=Engine)


def text_of(
    effect: StartGeneration, engines: EngineSet, share: object, began: Callable[[], None]
) -> AsyncGenerator[TextPiece, None]:
    """The text of this work. Raises, when it is first awaited, `EngineError` (`no_engine`) where the pipeline lacks the engine for it."""
    match effect.work:
        case Reply():
            model = engines.find(SPEECH) if LLM not in engines else None
            events = _reply(effect, engines) if model is None else _unspoken(effect, model, share)
            return _sliced(effect.attempt, events, began, source_name(effect, engines))
        case Translation() as work:
            pieces = _translation(work, engines, share)
            return _compared(work, _sliced(effect.attempt, pieces, began, source_name(effect, engines)))
        case Utterance(text):
            return _sliced(effect.attempt, _utterance(text), began, source_name(effect, engines))
        case _:
            assert_never(effect.work)


def source_name(effect: StartGeneration, engines: EngineSet) -> str:
    """Where the text of this work comes from, as the subject of a sentence."""
    match effect.work:
        case Reply():
            model = engines.find(SPEECH)
            if model is not None and (effect.modality == "audio" or LLM not in engines):
                return named("The speech model", model)
            return named("The language model", engines.find(LLM))
        case Translation():
            return named("The translator", engines.find(MT))
        case Utterance():
            return "The text"
        case _:
            assert_never(effect.work)


def engine_of(stage: Stage[E], engines: EngineSet) -> E:
    """The pipeline's engine of that stage. Raises `EngineError` (`no_engine`) where it goes without."""
    engine = engines.find(stage)
    if engine is None:
        raise EngineError(
            f"This pipeline has no engine for {stage.title} ({stage}).",
            code="no_engine",
            remedy=f"Name one for {stage}; `parley engines` lists them.",
        )
    return engine


async def _reply(effect: StartGeneration, engines: EngineSet) -> AsyncGenerator[ChatEvent, None]:
    request = chat_request(effect.prompt, effect.modality, effect.language)
    async with closing(engine_of(LLM, engines).reply(request)) as events:
        async for event in events:
            yield event


async def _unspoken(effect: StartGeneration, model: SpeechModel, share: object) -> AsyncGenerator[ChatEvent, None]:
    """The words of an answer that nobody hears."""
    request = await dialogue_request(effect, model, share)
    async with closing(model.reply(request)) as events:
        async for event in events:
            yield TextDelta(event.text) if isinstance(event, SpokenDelta) else event


async def _translation(work: Translation, engines: EngineSet, share: object) -> AsyncGenerator[ChatEvent, None]:
    terms = tuple(Term(source, target) for source, target in work.terms)
    request = TranslationRequest(work.text, work.from_language, work.to_language, terms, work.context, share)
    async with closing(engine_of(MT, engines).translate(request)) as pieces:
        async for piece in pieces:
            yield TextDelta(piece)
    yield ChatEnd("stop")


async def _utterance(text: str) -> AsyncGenerator[ChatEvent, None]:
    yield TextDelta(text)
    yield ChatEnd("stop")


async def _compared(work: Translation, pieces: AsyncGenerator[TextPiece, None]) -> AsyncGenerator[TextPiece, None]:
    """The pieces of a translation; its end says which facts of the source it lacks."""
    written = ""
    async with closing(pieces):
        async for piece in pieces:
            match piece:
                case TextDelta(text):
                    written += text
                    yield piece
                case GenerationFinished():
                    missing = missing_facts(work.text, written, work.to_language, work.from_language)
                    yield replace(piece, differences=missing)
                case _:
                    yield piece


async def _sliced(
    attempt: AttemptId, source: AsyncIterator[ChatEvent], began: Callable[[], None], name: str
) -> AsyncGenerator[TextPiece, None]:
    """What the source writes, its calls and its end as events of the attempt."""
    calls: set[int] = set()
    first = True
    async with closing(source), aclosing(in_slices(source)) as events:
        async for event in events:
            if first:
                first = False
                began()
            match event:
                case TextDelta():
                    yield event
                case ToolCallDelta():
                    for one in call_events(attempt, event, calls):
                        yield one
                case ChatEnd(reason, usage):
                    yield GenerationFinished(attempt, reason, measured(usage))
                    return
    raise broken_off(name)


def call_events(
    attempt: AttemptId, delta: ToolCallDelta, calls: set[int]
) -> Iterator[ToolCallStarted | ToolArgumentsGenerated]:
    """A piece of a tool call as events of the attempt; `calls` are the calls that have begun."""
    if delta.index not in calls:
        calls.add(delta.index)
        yield ToolCallStarted(attempt, delta.index, CallId(delta.call_id), delta.name)
    if delta.arguments:
        yield ToolArgumentsGenerated(attempt, delta.index, delta.arguments)


def broken_off(name: str) -> EngineError:
    """The error for a stream without an end; `name` begins a sentence."""
    return EngineError(
        f"{name} ended its stream in the middle of the reply.",
        "A stream of replies ends with one ChatEnd.",
        code="connection_failed",
    )


def measured(usage: TokenUsage | None) -> MeasuredUsage | None:
    if usage is None:
        return None
    return MeasuredUsage(usage.input_tokens, usage.output_tokens, usage.cached_tokens)
