"""A language model as the translator: `mt = "llm:openai:gpt-5-mini"`, with a guard that tells a translation from an answer.

Laws:
- The engine after `llm:` is any of the stage `llm`, several with commas between them (`engines.fallback`); its options are the table of its
  name. Its errors are reported as they are.
- With the guard, a clause is held until it is whole and has been judged (`drift.py`). One that drifted is asked for again, once, with the
  strict prompt; if that drifts as well, `EngineRefused` (`translation_drift`): nothing of either is given on.
- An output that is longer than a translation can be is not read to its end: its stream is closed, as it is when the caller leaves.
- With `pairs`, the last translations of a caller (`share`) stand in its next prompts; at most `MAX_SHARES` callers are remembered.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from parley.engines.mt import language_guess
from parley.engines.mt.drift import DOUBTS, Drift, drift_of, longest
from parley.engines.mt.translation_prompt import LANGUAGES, knows, prompt
from parley.engines.options import OptionReader
from parley.engines.ports import (
    LLM,
    ChatEnd,
    ChatRequest,
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineUnavailable,
    GuardCount,
    LanguageModel,
    NeedsModels,
    Supervised,
    TextDelta,
    TranslationRequest,
)
from parley.engines.registry import create as create_engine
from parley.text.language_tags import primary_tag

logger = logging.getLogger(__name__)

MAX_PAIRS: Final = 8
MAX_SHARES: Final = 64
"""Callers whose last translations are kept; a session that has been silent for the longest loses its own first."""

MAX_TEXT: Final = 32_000
"""Characters of one text: some fifteen minutes of speech, far longer than a clause."""

HOW_TO_NAME: Final = 'Name a language model: mt = "llm:openai:gpt-5-mini", "llm:ollama:qwen3", "llm:llama:FILE.gguf".'

_WORD: Final = re.compile(r"[^\W_]")
_QUOTES: Final = (('"', '"'), ("“", "”"), ("«", "»"), ("„", "“"), ("'", "'"))
_MARKS: Final = re.compile(r"</?text>")


def create(model: str, options: Mapping[str, object]) -> LlmTranslator:
    """`llm:ENGINE[:MODEL]`; options `guard` (true), `pairs` (0), and a table for each engine, by its name or `engine:model`."""
    reader = OptionReader("mt llm", options)
    guard, pairs = reader.flag("guard", True), round(reader.number("pairs", 0, 0, MAX_PAIRS))
    inner = _inner(model, reader) if model else None
    reader.close()
    return LlmTranslator(inner, model, guard=guard, pairs=pairs)


def _inner(named: str, reader: OptionReader) -> LanguageModel:
    texts = [text.strip() for text in named.split(",") if text.strip()]
    names = [text.partition(":")[0].strip() for text in texts]
    tables = {key: reader.table(key) for key in dict.fromkeys((*names, *texts))}
    if len(texts) == 1:
        spec = LLM.spec(named, {**tables[names[0]], **tables[texts[0]]})
    else:
        spec = LLM.spec(named, {key: table for key, table in tables.items() if table})
    engine = create_engine(LLM, spec)
    if not isinstance(engine, LanguageModel):
        raise EngineUnavailable(f"The engine {named!r} does not implement LanguageModel.", code="invalid_engine")
    return engine


class LlmTranslator:
    """A `Translator` that asks a `LanguageModel`, and is `Guarded`. `inner` None: it describes itself and cannot be opened."""

    def __init__(self, inner: LanguageModel | None, model: str = "", *, guard: bool = True, pairs: int = 0) -> None:
        self._inner = inner
        self._model = model
        self._guard = guard
        self._pairs = pairs
        self._earlier: OrderedDict[tuple[object, str, str], deque[tuple[str, str]]] = OrderedDict()
        self._asked = self._refused = 0
        self._drifted: Counter[str] = Counter()
        self._open = False

    @property
    def info(self) -> EngineInfo:
        by = (
            f"{self._model} asked to translate"
            if self._model
            else "A language model (llm:ENGINE:MODEL) asked to translate"
        )
        return EngineInfo(
            stage="mt",
            name="llm",
            summary=f"{by}, each clause {'judged before it is given on' if self._guard else 'as it comes'}.",
            needs=self._inner.info.needs if self._inner is not None else ("an engine of the stage llm",),
            languages=tuple(sorted(LANGUAGES)),
            streams=not self._guard,
            licence=self._inner.info.licence if self._inner is not None else "",
        )

    @property
    def fault(self) -> EngineError | None:
        """Why the language model cannot work at this moment, where it knows it itself."""
        inner: object = self._inner
        return inner.fault if isinstance(inner, Supervised) else None

    def missing_models(self) -> tuple[str, ...]:
        """Those of the language model."""
        inner: object = self._inner
        return inner.missing_models() if isinstance(inner, NeedsModels) else ()

    def guard_counts(self) -> GuardCount:
        """How often a translation was asked for, drifted, and was refused, since the engine was created."""
        return GuardCount(self._asked, self._drifted.total(), self._refused, dict(self._drifted))

    async def open(self) -> None:
        """Open the language model, and read the model that recognises languages."""
        if self._inner is None:
            raise EngineUnavailable("The translator `llm` names no language model.", HOW_TO_NAME, code="invalid_engine")
        if self._guard:
            await asyncio.to_thread(language_guess.load)
        await self._inner.open()
        self._open = True

    async def close(self) -> None:
        self._open = False
        self._earlier.clear()
        if self._inner is not None:
            await self._inner.close()

    def translates(self, from_language: str, to_language: str) -> bool:
        if not knows(to_language) or (from_language and not knows(from_language)):
            return False
        return primary_tag(from_language) != primary_tag(to_language)

    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        """The translation: one piece once it has been judged, or without the guard the pieces as they come."""
        self._check(request)
        if not _WORD.search(request.text):
            return
        key = (request.share, primary_tag(request.from_language), request.to_language)
        pairs = tuple(self._earlier.get(key, ()))
        self._asked += 1
        if self._guard:
            made = await self._judged(request, pairs)
            self._remember(key, request.text, made)
            yield made
            return
        pieces: list[str] = []
        async with aclosing(self._written(prompt(request, pairs))) as written:
            async for piece in written:
                pieces.append(piece)
                yield piece
        self._remember(key, request.text, "".join(pieces))

    def _check(self, request: TranslationRequest) -> None:
        if not self._open:
            raise EngineUnavailable("The translator is not open.", code="not_open")
        if not self.translates(request.from_language, request.to_language):
            raise EngineRefused(
                f"llm does not translate from {request.from_language!r} to {request.to_language!r}.",
                "It translates between two different languages of its list, which `parley engines` prints.",
                code="unsupported_language",
            )
        if len(request.text) > MAX_TEXT:
            raise EngineRefused(
                f"The text has {len(request.text)} characters; one translation takes {MAX_TEXT}.",
                "Translate it clause by clause.",
                code="context_length_exceeded",
            )

    async def _judged(self, request: TranslationRequest, pairs: Sequence[tuple[str, str]]) -> str:
        """The first of the two outputs that is a translation. Raises `EngineRefused` where neither is."""
        drifts: list[Drift] = []
        for strict in (False, True):
            made, end = await self._whole(prompt(request, pairs, strict=strict), longest(request.text))
            drift = _cut(end) or drift_of(
                request.text, made, request.from_language, request.to_language, language_guess.guess
            )
            if drift is None or (strict and drift.kind in DOUBTS):
                return made
            drifts.append(drift)
            if not strict:
                self._drifted[drift.kind] += 1
                logger.info("%s did not translate (%s: %s); asked again", self._model, drift.kind, drift.reason)
        self._refused += 1
        said = "; then ".join(drift.reason for drift in drifts)
        raise EngineRefused(
            f"{self._model or 'The language model'} did not translate what was said: {said}.",
            "Use a model that follows instructions better, or a translation engine (`parley engines`).",
            code="translation_drift",
        )

    async def _whole(self, asked: ChatRequest, limit: int) -> tuple[str, str]:
        """The output and how it ended; it is read to a little beyond the length that is refused."""
        text = ""
        async with aclosing(self._events(asked)) as events:
            async for event in events:
                if isinstance(event, ChatEnd):
                    return _bare(text), event.reason
                if isinstance(event, TextDelta):
                    text += event.text
                    if len(text) > limit + _SLACK:
                        return text, "stop"
        return _bare(text), "stop"

    async def _written(self, asked: ChatRequest) -> AsyncGenerator[str, None]:
        async with aclosing(self._events(asked)) as events:
            async for event in events:
                if isinstance(event, TextDelta) and event.text:
                    yield event.text

    def _events(self, asked: ChatRequest) -> Any:
        """What the language model streams."""
        assert self._inner is not None
        return self._inner.reply(asked)

    def _remember(self, key: tuple[object, str, str], source: str, target: str) -> None:
        if not self._pairs:
            return
        self._earlier.setdefault(key, deque(maxlen=self._pairs)).append((source, target))
        self._earlier.move_to_end(key)
        if len(self._earlier) > MAX_SHARES:
            self._earlier.popitem(last=False)


_SLACK: Final = 64
"""Characters beyond the limit that are read: white space and quotation marks, which are taken off, do not count."""


def _cut(reason: str) -> Drift | None:
    """An output that the model's server ended before the model did."""
    if reason in {"length", "content_filter"}:
        return Drift("empty" if reason == "content_filter" else "length", f"the output was cut ({reason})")
    return None


def _bare(text: str) -> str:
    """Without the marks of the prompt, and without quotation marks around the whole."""
    bare = _MARKS.sub("", text).strip()
    for opening, closing in _QUOTES:
        inner = bare[1:-1]
        if (
            len(bare) > 2
            and bare[0] == opening
            and bare[-1] == closing
            and opening not in inner
            and closing not in inner
        ):
            return inner.strip()
    return bare
