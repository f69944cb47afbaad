"""Translation through languages in between: `pivot:apertium,bergamot` gives Spanish to English by way of Portuguese, and back.

Laws:
- The engines are asked in their order, or in the reverse of it, each once: with three engines there are two languages in between.
- One sentence goes the whole way before the next one sets out, so that sentences stay where they are and the first piece comes early.
- Terms are placeholders all the way and are put in place at its end; the engines in between see none of them.
- `through` names the languages in between; else they are found out, with English before others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise, product
from typing import Any, Final, cast

from parley.engines.common_info import common_info
from parley.engines.mt.pairs import Pair, find_pair, languages, tag
from parley.engines.mt.sentence_translator import SentenceTranslator
from parley.engines.options import OptionReader
from parley.engines.ports import (
    MT,
    EngineError,
    EngineInfo,
    EngineSpec,
    EngineUnavailable,
    ListsPairs,
    NeedsModels,
    Supervised,
    TranslationRequest,
    Translator,
)
from parley.engines.registry import create as create_engine
from parley.text.language_tags import primary_tag

MAX_HOPS: Final = 3
"""Each one adds its errors to those before it."""

Path = tuple[tuple[int, Pair], ...]
"""Number of the engine and its pair, hop by hop."""


def create(model: str, options: Mapping[str, object]) -> PivotTranslator:
    """`pivot:FIRST,SECOND[,THIRD]`; options `through` (languages in between), and a table of options for an engine, by its name."""
    reader = OptionReader("mt pivot", options)
    names = tuple(filter(None, map(str.strip, model.split(","))))
    through = tuple(map(tag, reader.names("through")))
    specs = [EngineSpec.parse(name, reader.table(EngineSpec.parse(name).name)) for name in names]
    reader.close()
    if names and not 2 <= len(names) <= MAX_HOPS:
        raise ValueError(f"a pivot names two or three engines (pivot:apertium,bergamot), not {len(names)}.")
    if names and through and len(through) != len(names) - 1:
        raise ValueError(
            f"`through` names one language between each two engines: {len(names) - 1}, not {len(through)}."
        )
    engines = [create_engine(MT, spec) for spec in specs]
    for name, engine in zip(names, engines, strict=True):
        if not isinstance(engine, ListsPairs):
            raise ValueError(f"{name} does not list its pairs of languages, so that no way through it can be found.")
    return PivotTranslator(names, cast("list[Translator]", engines), through)


class PivotTranslator(SentenceTranslator):
    """Several translators in a row as one. It opens and closes them, unless `shared`: then they are open already, and stay so."""

    def __init__(
        self,
        names: Sequence[str],
        engines: Sequence[Translator],
        through: tuple[str, ...] = (),
        *,
        shared: bool = False,
    ) -> None:
        super().__init__()
        self._name = f"pivot:{','.join(names)}"
        self._engines = tuple(engines)
        self._through = through
        self._shared = shared
        self._open = shared
        self._listed: tuple[tuple[Pair, ...], ...] = ()
        self._paths: dict[Pair, Path] = {}

    @property
    def info(self) -> EngineInfo:
        if not self._engines:
            summary = "Two or three engines in a row, through languages in between: pivot:apertium,bergamot."
            return EngineInfo(stage="mt", name="pivot", summary=summary, glossary=True)
        return replace(
            reduce(common_info, [engine.info for engine in self._engines]),
            name="pivot",
            summary=f"Through a language in between: {self._name.partition(':')[2]}.",
            languages=languages(self.pairs()),
            streams=True,
            glossary=True,
            deterministic=all(engine.info.deterministic for engine in self._engines),
        )

    @property
    def fault(self) -> EngineError | None:
        """Why a hop cannot be made at this moment; None while all can."""
        watched = (engine.fault for engine in self._engines if isinstance(engine, Supervised))
        return next(filter(None, watched), None)

    def missing_models(self) -> tuple[str, ...]:
        needing = [engine for engine in self._engines if isinstance(engine, NeedsModels)]
        return tuple(dict.fromkeys(name for engine in needing for name in engine.missing_models()))

    def pairs(self) -> tuple[Pair, ...]:
        return tuple(sorted(self._ways()))

    def way(self, from_language: str, to_language: str) -> tuple[str, ...]:
        """The languages from one to the other, in their order; () where there is no way."""
        pair = find_pair(self._ways(), from_language, to_language)
        path = self._ways()[pair] if pair else ()
        return (path[0][1][0], *(hop[1] for _, hop in path)) if path else ()

    async def open(self) -> None:
        if self._shared:
            return
        if not self._engines:
            raise EngineUnavailable(
                "The pivot names no engines.", 'Name some: mt = "pivot:apertium,bergamot"', code="unknown_engine"
            )
        opened = await asyncio.gather(*(engine.open() for engine in self._engines), return_exceptions=True)
        for error in filter(None, opened):
            await self.close()
            raise error
        if not self._ways():
            listed = "; ".join(
                f"{engine.info.name}: {', '.join('-'.join(pair) for pair in cast(ListsPairs, engine).pairs())}"
                for engine in self._engines
            )
            await self.close()
            raise EngineUnavailable(
                f"No language is between the engines of {self._name}.",
                f"Each must translate into a language that the next one translates from ({listed}).",
                code="unsupported_language",
            )
        self._open = True

    async def close(self) -> None:
        self._open = self._shared
        if self._shared:
            return
        for error in await asyncio.gather(*(engine.close() for engine in self._engines), return_exceptions=True):
            if error is not None:
                raise error

    def _check_open(self) -> None:
        if not self._open:
            raise EngineUnavailable(f"{self._name} is not open.", code="not_open")

    async def _unit(self, text: str, pair: Pair, request: TranslationRequest) -> str:
        path = self._ways().get(pair)
        if path is None:
            raise EngineError(f"{self._name} is closed.", code="engine_closed")
        for number, (source, target) in path:
            hop = TranslationRequest(text, source, target, share=request.share)
            text = await _whole(self._engines[number].translate(hop))
        return text.strip()

    def _ways(self) -> Mapping[Pair, Path]:
        """The way of each pair; found again when an engine's pairs have changed, as opening it may."""
        listed = tuple(cast(ListsPairs, engine).pairs() for engine in self._engines)
        if listed != self._listed:
            self._paths = _ways(listed, self._through)
            self._listed = listed
        return self._paths


async def _whole(pieces: AsyncIterator[str]) -> str:
    stream = cast(Any, pieces)
    try:
        return "".join([piece async for piece in stream])
    finally:
        await stream.aclose()


def _ways(listed: tuple[tuple[Pair, ...], ...], through: tuple[str, ...]) -> dict[Pair, Path]:
    """The best path of each pair, through the engines in their order and in the reverse of it."""
    found: dict[Pair, Path] = {}
    forward = tuple(range(len(listed)))
    for order, between in ((forward, through), (forward[::-1], through[::-1])):
        for hops in product(*(listed[number] for number in order)):
            path = tuple(zip(order, hops, strict=True))
            if _leads_on(hops, between):
                pair = hops[0][0], hops[-1][1]
                if pair not in found or _rank(path) < _rank(found[pair]):
                    found[pair] = path
    return found


def _leads_on(hops: tuple[Pair, ...], between: tuple[str, ...]) -> bool:
    """Whether each hop begins where the one before it ended, no language comes twice, and those in between are the wanted ones."""
    if any(primary_tag(one[1]) != primary_tag(other[0]) for one, other in pairwise(hops)):
        return False
    stations = [primary_tag(hops[0][0]), *(primary_tag(hop[1]) for hop in hops)]
    if len(set(stations)) != len(stations):
        return False
    if not between:
        return True
    return all(
        wanted in (one[1], other[0]) or (wanted == primary_tag(wanted) == primary_tag(one[1]))
        for wanted, (one, other) in zip(between, pairwise(hops), strict=True)
    )


def _rank(path: Path) -> tuple[int, int, Path]:
    """Paths through English first, then those without regions."""
    stations = [hop[1] for _, hop in path[:-1]]
    return -stations.count("en"), sum(map(len, stations)), path
