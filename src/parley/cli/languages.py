"""What `parley engines --languages` shows: the languages of each pipeline from speech to speech, and the pairs of each translator.

Laws:
- What a pipeline covers is judged by its `LanguageChain`, as the server does.
- Engines are opened, because some know their languages only then, and closed again. One that cannot be opened is listed with the reason;
  the others are listed all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from parley.config import Config
    from parley.engines.mt.auto import Route
    from parley.engines.ports import EngineSpec, Translator
    from parley.runtime.engine_opening import EngineReport
    from parley.runtime.engines import LoadedEngines
    from parley.runtime.language_chain import LanguageChain
    from parley.runtime.pipeline import LoadedPipeline

OPEN_LIMIT_S = 120.0
"""Enough to load weights from a slow disk."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something translates nothing, and how to correct it."""

    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class PipelineLanguages:
    """One pipeline: its engines by name, and its languages as primary tags.

    `understands` and `speaks` are empty where the recogniser or the voice does not say. `pairs` are (understood, spoken), the source ""
    where the recogniser does not say; `unspoken` are languages that the translator reaches and the voice does not speak.
    """

    name: str
    default: bool
    engines: dict[str, str]
    understands: tuple[str, ...] = ()
    speaks: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    unspoken: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class TranslatorLanguages:
    """One translator: `name` is `engine` or `engine:model`, `pipelines` those that use it.

    `routes` are its pairs with the engine that translates each and why; `languages` what it knows without listing pairs; `others` names
    the engine that is asked for other pairs ("": none).
    """

    name: str
    pipelines: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    languages: tuple[str, ...] = ()
    others: str = ""
    notice: str = ""
    problem: Problem | None = None


def lack_of(chain: LanguageChain) -> Problem | None:
    """Why a pipeline speaks no translation; None where it speaks one."""
    from parley.engines.mt.auto import INSTALL
    from parley.runtime.language_chain import UNKNOWN

    if chain.targets():
        return None
    if chain.translator is None:
        return Problem("It has no translator.", 'Name one: mt = "auto" (docs/translation.md).')
    if not chain.translator.info.languages:
        return Problem("No translator is on this machine.", INSTALL)
    if unspoken := chain.unspoken():
        message = f"Its voice speaks none of the languages that it is translated into: {', '.join(unspoken)}."
        return Problem(message, 'Name a voice that does: tts = "espeak" speaks about 100 languages.')
    heard = ", ".join(chain.heard) if chain.heard != (UNKNOWN,) else "an unknown language"
    return Problem(
        f"Its translator translates nothing from {heard}, which is what the recogniser understands.", INSTALL
    )


async def languages_of(config: Config) -> tuple[list[PipelineLanguages], list[TranslatorLanguages]]:
    """The pipelines of the configuration, the default first, and the translators: those of the pipelines, then the other ones."""
    translators = [await _translator(*named) for named in _translators(config)]
    loaded = await _loaded(config)
    try:
        names = sorted(config.pipelines, key=lambda name: name != config.default_pipeline)
        return [_pipeline(config, loaded, name) for name in names], translators
    finally:
        await loaded.close()


async def _loaded(config: Config) -> LoadedEngines:
    """The engines between which a translation goes, as the server opens them."""
    from parley.engines.ports import MT, STT, TTS, VAD, VC
    from parley.runtime.engines import LoadedEngines

    spoken = (VAD, STT, MT, TTS, VC)
    return await LoadedEngines.open_all(
        replace(one, engines={stage: spec for stage, spec in one.engines.items() if stage in spoken})
        for one in config.pipelines.values()
    )


def _pipeline(config: Config, loaded: LoadedEngines, name: str) -> PipelineLanguages:
    from parley.engines.ports import MT, STT, TTS

    specs = config.pipelines[name].engines
    engines = {stage.name: _label(specs[stage]) for stage in (STT, MT, TTS) if stage in specs}
    facts = PipelineLanguages(name, name == config.default_pipeline, engines)
    if name in loaded.failures:
        return replace(facts, problems=tuple(map(_failure, loaded.failures[name])))
    return replace(_covered(facts, loaded.pipeline(name)), engines=engines)


def _covered(facts: PipelineLanguages, pipeline: LoadedPipeline) -> PipelineLanguages:
    from parley.runtime.language_chain import UNKNOWN

    chain = pipeline.languages
    problem = lack_of(chain)
    return replace(
        facts,
        understands=tuple(tag for tag in chain.heard if tag != UNKNOWN),
        speaks=tuple(sorted(chain.spoken)),
        pairs=chain.pairs(),
        unspoken=chain.unspoken(),
        problems=() if problem is None else (problem,),
    )


def _failure(report: EngineReport) -> Problem:
    return Problem(f"{report.stage} {report.name} cannot be used: {report.message}", report.remedy)


def _label(spec: EngineSpec) -> str:
    return f"{spec.name}:{spec.model}" if spec.model else spec.name


def _translators(config: Config) -> Iterable[tuple[EngineSpec, tuple[str, ...]]]:
    """Each distinct translator of the pipelines with their names, then every engine of the stage that none of them names."""
    from parley.engines import registry
    from parley.engines.ports import MT, EngineSpec

    used: list[tuple[EngineSpec, list[str]]] = []
    for pipeline in config.pipelines.values():
        spec = pipeline.engines.get(MT)
        if spec is not None:
            users = next((names for other, names in used if other == spec), None)
            if users is None:
                used.append((spec, [pipeline.name]))
            else:
                users.append(pipeline.name)
    yield from ((spec, tuple(names)) for spec, names in used)
    named = {spec.name for spec, _ in used}
    yield from ((EngineSpec(name), ()) for name in registry.names(MT) if name not in named)


async def _translator(spec: EngineSpec, pipelines: tuple[str, ...]) -> TranslatorLanguages:
    from parley.engines import registry
    from parley.engines.ports import MT, EngineError

    facts = TranslatorLanguages(_label(spec), pipelines)
    try:
        engine = cast("Translator", registry.create(MT, spec))
        try:
            async with asyncio.timeout(OPEN_LIMIT_S):
                await engine.open()
            return _listed(facts, engine)
        finally:
            await engine.close()
    except EngineError as error:
        problem = Problem(error.message, error.remedy)
    except TimeoutError:
        problem = Problem(f"It was not open after {OPEN_LIMIT_S:.0f} s.", "See what it waits for: parley serve")
    except Exception as error:  # noqa: BLE001 - the engine boundary
        problem = Problem(f"{type(error).__name__}: {error}", "`parley doctor` checks the installation.")
    return replace(facts, problem=problem)


def _listed(facts: TranslatorLanguages, engine: Translator) -> TranslatorLanguages:
    from parley.engines.mt.auto import INSTALL, AutoTranslator, Route
    from parley.engines.ports import ListsPairs

    facts = replace(facts, notice=str(getattr(engine, "notice", "")))
    if isinstance(engine, AutoTranslator):
        routes, others = engine.routes(), engine.last
        problem = None if routes or others else Problem("No translator is on this machine.", INSTALL)
        return replace(facts, routes=routes, others=others, problem=problem)
    if not isinstance(engine, ListsPairs):
        return replace(facts, languages=engine.info.languages)
    routes = tuple(Route(source, target, facts.name, "") for source, target in engine.pairs())
    problem = (
        None
        if routes
        else Problem("It has no pair of languages on this machine.", "docs/translation.md says how to install one.")
    )
    return replace(facts, routes=routes, problem=problem)


# --- on a terminal ---

MAX_NAMED = 12
"""Languages on one line."""

MAX_LINES = 40
"""Routes, or source languages, of one engine."""


def lines(pipelines: Iterable[PipelineLanguages], translators: Iterable[TranslatorLanguages]) -> Iterable[str]:
    """All of it, for people to read."""
    yield "Pipelines, from speech to speech"
    for pipeline in pipelines:
        yield ""
        yield f"  {pipeline.name}{' (the default)' if pipeline.default else ''}"
        yield from (f"    {line}" for line in _pipeline_lines(pipeline))
    yield ""
    yield "Translators on this machine"
    for translator in translators:
        yield ""
        used = f" (pipelines: {', '.join(translator.pipelines)})" if translator.pipelines else ""
        yield f"  {translator.name}{used}: {_count(translator)}"
        yield from (f"    {line}" for line in _translator_lines(translator))


def _pipeline_lines(pipeline: PipelineLanguages) -> Iterable[str]:
    stt, mt, tts = (pipeline.engines.get(stage, "none") for stage in ("stt", "mt", "tts"))
    failed = bool(pipeline.problems) and not pipeline.understands and not pipeline.speaks
    if not failed:
        yield f"recogniser   {stt}: {some(pipeline.understands) or 'does not say what it understands'}"
        yield f"translator   {mt}"
        yield f"voice        {tts}: {some(pipeline.speaks) or 'does not say what it speaks'}"
    yield from (f"end to end   {line}" for line in _limited(_by_source(pipeline.pairs), "source languages"))
    if pipeline.unspoken and pipeline.pairs:
        yield f"no voice     {some(pipeline.unspoken)}"
    for problem in pipeline.problems:
        yield f"end to end   nothing. {problem.message}"
        yield from _indented(problem.remedy, "             ")


def _translator_lines(translator: TranslatorLanguages) -> Iterable[str]:
    if translator.problem is not None:
        yield translator.problem.message
        yield from _indented(translator.problem.remedy, "")
    told = [route for route in translator.routes if route.reason]
    yield from _limited([f"{_pair(route)}   {route.engine}: {route.reason}" for route in told], "routes")
    plain = [(route.from_language, route.to_language) for route in translator.routes if not route.reason]
    yield from _limited(_by_source(plain), "source languages")
    if translator.languages:
        yield f"between {some(translator.languages)}"
    if translator.others:
        yield f"other pairs: {translator.others}"
    yield from _indented(translator.notice, "")


def _count(translator: TranslatorLanguages) -> str:
    if translator.problem is not None:
        return "nothing"
    if translator.languages:
        return f"{len(translator.languages)} languages"
    return f"{len(translator.routes)} {'pair' if len(translator.routes) == 1 else 'pairs'}"


def _pair(route: Route) -> str:
    return f"{route.from_language} -> {route.to_language}"


def _by_source(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """`en -> es, pt`, a line for each source."""
    targets: dict[str, list[str]] = {}
    for source, target in pairs:
        targets.setdefault(source, []).append(target)
    return [f"{source or 'any'} -> {some(tuple(into))}" for source, into in targets.items()]


def some(tags: tuple[str, ...], limit: int = MAX_NAMED) -> str:
    """The first of them, and how many more there are."""
    return ", ".join(tags[:limit]) + (f" and {len(tags) - limit} more" if len(tags) > limit else "")


def _limited(every: list[str], what: str) -> Iterable[str]:
    yield from every[:MAX_LINES]
    if len(every) > MAX_LINES:
        yield f"and {len(every) - MAX_LINES} more {what} (--json lists them)"


def _indented(text: str, by: str) -> Iterable[str]:
    if text:
        yield f"{by}{text}"
