"""Language models that give a kept answer where exactly the same is asked again.

Laws:
- Only a text that ended by itself is kept, and only for a prompt of texts: no tools, no calls of tools, no images, no audio. A model that
  hears may answer the sound and not the words.
- The key is the whole request and the engine; an answer is given for `lifetime_s` at most, and the least recently used answers go first.
- A kept answer comes in the pieces in which it was written, with the usage that was measured then.

It repeats itself: whoever asks the same gets the same words until they expire, however the model would vary them. Kept in memory only.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from parley.engines.ports import (
    ChatEnd,
    ChatEvent,
    ChatRequest,
    EngineSpec,
    EngineUnavailable,
    ForwardedHead,
    ForwardRequest,
    ForwardsRequests,
    LanguageModel,
    TextApi,
    TextDelta,
    text_apis,
)
from parley.runtime.engine_front import EngineFront
from parley.runtime.generation.streams import closing

MAX_ANSWER_CHARS: Final = 16_384
"""An answer of a quarter of an hour; a longer one is not worth its memory."""


@dataclass(slots=True)
class ResponseCacheCounts:
    """Prompts that were answered from the cache, by the model, and those that are never kept."""

    hits: int = 0
    misses: int = 0
    passed: int = 0


@dataclass(frozen=True, slots=True)
class _Answer:
    events: tuple[ChatEvent, ...]
    kept_s: float


class ResponseCache:
    """The kept answers of all language models of a server: at most `max_replies`. `clock` in seconds."""

    def __init__(self, lifetime_s: float, max_replies: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts = ResponseCacheCounts()
        self._lifetime_s = lifetime_s
        self._max = max_replies
        self._clock = clock
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def cached(self, engine: LanguageModel, spec: EngineSpec) -> CachedLanguageModel:
        """The model, with the cache in front of it. `spec` is what it was made of."""
        return CachedLanguageModel(engine, spec, self)

    def find(self, key: bytes) -> tuple[ChatEvent, ...] | None:
        """The answer of this key, while it lives."""
        answer = self._answers.get(key)
        if answer is None:
            return None
        if self._clock() - answer.kept_s >= self._lifetime_s:
            del self._answers[key]
            return None
        self._answers.move_to_end(key)
        return answer.events

    def keep(self, key: bytes, events: tuple[ChatEvent, ...]) -> None:
        self._answers[key] = _Answer(events, self._clock())
        self._answers.move_to_end(key)
        while len(self._answers) > self._max:
            self._answers.popitem(last=False)


class CachedLanguageModel(EngineFront[LanguageModel]):
    """A `LanguageModel` with a cache in front of it."""

    def __init__(self, engine: LanguageModel, spec: EngineSpec, cache: ResponseCache) -> None:
        super().__init__(engine)
        self._cache = cache
        self._identity = f"{spec.name}:{spec.model}\n{spec.options!r}"

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Stream one reply (see the port)."""
        cache = self._cache
        key = self._key(request) if _is_plain(request) else None
        kept = None if key is None else cache.find(key)
        if kept is not None:
            cache.counts.hits += 1
            for event in kept:
                yield event
                await asyncio.sleep(0)  # as a model does, it lets others go on between two pieces
            return
        if key is None:
            cache.counts.passed += 1
        else:
            cache.counts.misses += 1
        written: list[ChatEvent] = []
        async with closing(self.engine.reply(request)) as events:
            async for event in events:
                written.append(event)
                # Kept before it is handed on: who has the end asks for nothing more.
                if key is not None and isinstance(event, ChatEnd) and _may_be_kept(written):
                    cache.keep(key, tuple(written))
                yield event

    @property
    def apis(self) -> frozenset[TextApi]:
        """Those of the model."""
        return text_apis(self.engine)

    def forward(self, request: ForwardRequest) -> AsyncIterator[ForwardedHead | bytes]:
        """Hand a request on to the model (see the port): nothing of it is kept."""
        engine: object = self.engine
        if not isinstance(engine, ForwardsRequests):
            raise EngineUnavailable("The language model forwards no requests.", code="not_open")
        return engine.forward(request)

    def _key(self, request: ChatRequest) -> bytes:
        # The representation of a frozen value of strings and numbers is unambiguous, and holds every field that a request has.
        return hashlib.sha256(f"{self._identity}\n{request!r}".encode("utf-8", "surrogatepass")).digest()


def _is_plain(request: ChatRequest) -> bool:
    """Whether the prompt is text alone, and asks for text alone."""
    return not request.tools and not any(
        message.images or message.audio or message.tool_calls or message.role == "tool" for message in request.messages
    )


def _may_be_kept(written: list[ChatEvent]) -> bool:
    """Whether the answer is a text that ended by itself."""
    *pieces, end = written
    texts = [piece.text for piece in pieces if isinstance(piece, TextDelta)]
    whole = isinstance(end, ChatEnd) and end.reason == "stop" and len(texts) == len(pieces)
    return whole and 0 < sum(map(len, texts)) <= MAX_ANSWER_CHARS
