"""Chooses a translator by pair of languages, among what is on this machine, and says which and why.

Laws:
- Candidates: the engines of the option `engines`, Bergamot's models of the catalogue that are on this machine, the directions of an
  installed Apertium, and ways of two hops through one language in between. A neural hop costs 1, one of rules 2 between related languages
  and 4 between others; the cheapest route wins, of two equal ones the shorter. A region that is asked for decides between equal ones.
- The option `llm` names a translator by a language model (`llm:ollama:qwen3`). It is asked where nothing local knows the pair.
- One that cannot be opened is left out, and `notice` says so with the remedy; `open()` fails where none opens.
- `routes()` lists every pair that is known beforehand with its engine and the reason; the first use of a pair is logged with them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any, Final, cast

from parley.engines.mt.apertium import ApertiumTranslator
from parley.engines.mt.apertium_modes import DIRECTORY
from parley.engines.mt.bergamot import BergamotTranslator
from parley.engines.mt.pairs import Pair, find_pair, languages, refused
from parley.engines.mt.pivot import PivotTranslator
from parley.engines.options import OptionReader
from parley.engines.ports import (
    MT,
    EngineError,
    EngineInfo,
    EngineRefused,
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

log = logging.getLogger(__name__)

INSTALL: Final = (
    "Install pairs of languages: apt-get install apertium apertium-eng-spa apertium-es-pt; fetch a model: parley models search bergamot; "
    'or name a language model: mt_options.llm = "llm:ollama:MODEL" (docs/translation.md).'
)

_FAMILIES: Final = (
    frozenset({"an", "ast", "ca", "es", "fr", "gl", "it", "oc", "pt", "ro", "sc"}),
    frozenset({"da", "nb", "nn", "no", "sv", "is"}),
    frozenset({"be", "bg", "hr", "mk", "pl", "ru", "sh", "sl", "sr", "szl", "uk"}),
    frozenset({"af", "nl"}),
    frozenset({"hi", "ur"}),
    frozenset({"id", "ms"}),
    frozenset({"kk", "tr", "tt"}),
)
"""Languages so related that rules translate between them well."""


@dataclass(frozen=True, slots=True)
class Route:
    """How a pair is translated: by which engine, and why by that one."""

    from_language: str
    to_language: str
    engine: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Choice:
    translator: Translator
    route: Route
    cost: tuple[int, int]


def create(model: str, options: Mapping[str, object]) -> AutoTranslator:
    """`auto`; options `engines` (more of them: `ctranslate2:FOLDER`), `llm` (`llm:ENGINE:MODEL`), and a table of options for an engine, by
    its name."""
    reader = OptionReader("mt auto", options)
    names = reader.names("engines")
    last = reader.text("llm", model)
    specs = [EngineSpec.parse(name, reader.table(EngineSpec.parse(name).name)) for name in names]
    last_spec = EngineSpec.parse(last, reader.table("llm_options")) if last else None
    directory = Path(reader.text("apertium", DIRECTORY))
    reader.close()
    members: dict[str, Translator] = {
        name: cast(Translator, create_engine(MT, spec)) for name, spec in zip(names, specs, strict=True)
    }
    spoken_for = {spec.name for spec in specs}
    if "bergamot" not in spoken_for:
        members["bergamot"] = BergamotTranslator()
    if "apertium" not in spoken_for:
        members["apertium"] = ApertiumTranslator(directory)
    return AutoTranslator(members, cast(Translator, create_engine(MT, last_spec)) if last_spec else None, last)


class AutoTranslator:
    """A `Translator` that stands for those on this machine. `members` are candidates by name, `last` is asked where none knows the pair."""

    def __init__(self, members: Mapping[str, Translator], last: Translator | None = None, last_name: str = "") -> None:
        self._members = dict(members)
        self._last = last
        self._last_name = last_name
        self._opened: dict[str, Translator] = {}
        self._choices: dict[Pair, _Choice] = {}
        self._logged: set[Pair] = set()
        self._is_open = False
        self._lack = ""
        """Why nothing is translated; "" where something is."""
        self.notice = ""
        """What a user should know about the choice; "" before `open()` and when there is nothing to say."""

    @property
    def info(self) -> EngineInfo:
        engines = list((self._opened or self._candidates()).values())
        infos = [engine.info for engine in engines]
        return EngineInfo(
            stage="mt",
            name="auto",
            summary="By pair of languages: Bergamot's models, Apertium, a way through a third language, else a language model.",
            needs=tuple(dict.fromkeys(need for info in infos for need in info.needs)) if self._opened else (),
            languages=self._languages(infos),
            licence="; ".join(dict.fromkeys(f"{info.name}: {info.licence}" for info in infos if info.licence)),
            glossary=all(info.glossary for info in infos),
            deterministic=all(info.deterministic for info in infos),
        )

    def _languages(self, infos: list[EngineInfo]) -> tuple[str, ...]:
        """Those of the routes, and those of what is asked where there is none; before `open()`, those of all candidates."""
        last = self._opened.get(self._last_name)
        known = {*languages(self._choices), *(last.info.languages if last is not None else ())}
        return tuple(sorted(known or {tag for info in infos for tag in info.languages}))

    @property
    def last(self) -> str:
        """The translator that is asked where no route is known, such as `llm:ollama:qwen3`; "" for none, and before `open()`."""
        return self._last_name if self._last_name in self._opened else ""

    @property
    def fault(self) -> EngineError | None:
        """Why some requests cannot be translated at this moment; None while all can."""
        watched = (engine.fault for engine in self._opened.values() if isinstance(engine, Supervised))
        return next(filter(None, watched), None)

    def missing_models(self) -> tuple[str, ...]:
        needing = [engine for engine in self._candidates().values() if isinstance(engine, NeedsModels)]
        return tuple(dict.fromkeys(name for engine in needing for name in engine.missing_models()))

    def pairs(self) -> tuple[Pair, ...]:
        return tuple(sorted(self._choices))

    def routes(self) -> tuple[Route, ...]:
        """Every pair that is known beforehand, with the engine that translates it and why. Empty before `open()`."""
        return tuple(self._choices[pair].route for pair in self.pairs())

    async def open(self) -> None:
        """Open all that can be. Where none can it translates nothing, and says so when it is asked: a server needs no translator until
        somebody wants one."""
        candidates = {name: engine for name, engine in self._candidates().items() if _is_here(engine)}
        outcomes = await asyncio.gather(*(engine.open() for engine in candidates.values()), return_exceptions=True)
        failures: list[str] = []
        for (name, engine), error in zip(candidates.items(), outcomes, strict=True):
            if error is None:
                self._opened[name] = engine
            elif isinstance(error, EngineError):
                failures.append(f"{name} cannot be used: {error.message} {error.remedy}".rstrip())
            else:
                await self.close()
                raise error
        self._is_open = True
        self._lack = "" if self._opened else " ".join(["No translator is on this machine.", *failures])
        self.notice = " ".join(failures) if self._opened else ""
        self._choices = _choices({name: one for name, one in self._opened.items() if one is not self._last})

    async def close(self) -> None:
        opened, self._opened, self._choices = list(self._opened.values()), {}, {}
        self._is_open = False
        for error in filter(None, await asyncio.gather(*(engine.close() for engine in opened), return_exceptions=True)):
            raise error

    def translates(self, from_language: str, to_language: str) -> bool:
        return self._chosen(from_language, to_language) is not None

    async def translate(self, request: TranslationRequest) -> AsyncIterator[str]:
        """Stream the translation of the engine that is chosen for the pair (see the port)."""
        if not self._is_open:
            raise EngineUnavailable("auto is not open.", code="not_open")
        if self._lack:
            raise EngineRefused(self._lack, INSTALL, code="unsupported_language")
        choice = self._chosen(request.from_language, request.to_language)
        if choice is None:
            error = refused("auto", request.from_language, request.to_language, self.pairs())
            remedy = " ".join(filter(None, (error.remedy, self.notice)))
            raise EngineRefused(error.message, remedy, code=error.code)
        self._log(choice.route)
        source = request.from_language or choice.route.from_language
        stream = cast(Any, choice.translator.translate(replace(request, from_language=source)))
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                yield piece

    def _candidates(self) -> dict[str, Translator]:
        return self._members if self._last is None else {**self._members, self._last_name: self._last}

    def _chosen(self, from_language: str, to_language: str) -> _Choice | None:
        nearest = find_pair(self._choices, from_language, to_language)
        if nearest is not None:
            fitting = (
                pair for pair in self._choices if list(map(primary_tag, pair)) == list(map(primary_tag, nearest))
            )
            return self._choices[min(fitting, key=lambda pair: (self._choices[pair].cost, pair != nearest))]
        if (
            self._last_name in self._opened
            and self._last is not None
            and self._last.translates(from_language, to_language)
        ):
            route = Route(from_language, to_language, self._last_name, "nothing on this machine translates this pair")
            return _Choice(self._last, route, (0, 0))
        return None

    def _log(self, route: Route) -> None:
        pair = (route.from_language, route.to_language)
        if pair not in self._logged and len(self._logged) < MAX_LOGGED:
            self._logged.add(pair)
            log.info(
                "text from %s into %s is translated by %s: %s",
                route.from_language or "?",
                route.to_language,
                route.engine,
                route.reason,
            )


MAX_LOGGED: Final = 1024
"""Pairs of languages whose route is logged: a client may ask for any tag."""


def _is_here(engine: Translator) -> bool:
    """Whether anything of the engine is installed: one without is no fault to report."""
    return bool(engine.pairs()) if isinstance(engine, BergamotTranslator | ApertiumTranslator) else True


def _choices(members: Mapping[str, Translator]) -> dict[Pair, _Choice]:
    """The cheapest route of each pair."""
    listing = {name: engine for name, engine in members.items() if isinstance(engine, ListsPairs)}
    found: list[tuple[Pair, _Choice]] = []
    for name, engine in listing.items():
        for pair in cast(ListsPairs, engine).pairs():
            cost = _cost(name, pair)
            found.append((pair, _Choice(engine, Route(*pair, name, _why(name, pair)), (cost, 1))))
    small = [name for name, engine in listing.items() if len(cast(ListsPairs, engine).pairs()) <= MAX_PAIRS]
    for one, other in permutations(small, 2):
        pivot = PivotTranslator((one, other), (listing[one], listing[other]), shared=True)
        for pair in pivot.pairs():
            way = pivot.way(*pair)
            forward = way[0] in {source for source, _ in cast(ListsPairs, listing[one]).pairs()}
            hops = tuple(zip((one, other) if forward else (other, one), pairwise(way), strict=True))
            cost = sum(_cost(name, hop) for name, hop in hops)
            names = f"pivot:{','.join(name for name, _ in hops)}"
            reason = f"through {way[1]}: " + ", then ".join(_why(name, hop) for name, hop in hops)
            found.append((pair, _Choice(pivot, Route(*pair, names, reason), (cost, 2))))
    chosen: dict[Pair, _Choice] = {}
    for pair, choice in found:
        if pair not in chosen or choice.cost < chosen[pair].cost:
            chosen[pair] = choice
    return chosen


MAX_PAIRS: Final = 1000
"""An engine with more pairs has them all by itself, and nothing is added by ways through it."""


def _cost(name: str, pair: Pair) -> int:
    if not name.startswith("apertium"):
        return 1
    return 2 if _related(pair) else 4


def _related(pair: Pair) -> bool:
    one, other = map(primary_tag, pair)
    return any(one in family and other in family for family in _FAMILIES)


def _why(name: str, pair: Pair) -> str:
    if not name.startswith("apertium"):
        return f"{name} has a neural model from {pair[0]} into {pair[1]}"
    if _related(pair):
        return f"{name} has rules from {pair[0]} into {pair[1]}, which are related"
    return f"{name} has rules from {pair[0]} into {pair[1]}"
