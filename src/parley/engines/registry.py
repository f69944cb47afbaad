"""Finds engines by name through the entry-point group `parley.engines`, and creates them.

Laws:
- Built-ins and third parties register the same way: an entry point `STAGE.NAME = "package.module:create"` whose function is an
  `EngineFactory`. Nothing here knows any engine by name.
- Creating an engine loads nothing heavy; `open()` does.
- A wrong name or option is an `EngineUnavailable` that suggests the right one, or lists what is installed.
- Packages are searched once for each value of `sys.path`: what is installed later is found by the next process.
- Whatever a package's code raises is an `EngineUnavailable` of its engine: the other engines are listed and used.
"""

from __future__ import annotations

import difflib
import functools
import importlib.metadata
import sys
from collections.abc import Mapping
from typing import Any

from parley.engines.ports import Engine, EngineFactory, EngineInfo, EngineSpec, EngineUnavailable, Stage, stages
from parley.invocation import DISTRIBUTION

GROUP = "parley.engines"

REINSTALL = "Reinstall Parley from its checkout: make clean, then what you started with."


def names(stage: Stage[Any]) -> tuple[str, ...]:
    """The names of the installed engines of one stage, sorted."""
    return tuple(sorted(_entry_points(stage)))


def create(stage: Stage[Any], spec: EngineSpec) -> Engine:
    """Make the engine that `spec` names; call its `open()` next. Raises `EngineUnavailable` for a wrong name or option."""
    points = _entry_points(stage)
    point = points.get(spec.name)
    if point is None:
        raise EngineUnavailable(
            f"There is no {stage} engine named {spec.name!r}.",
            code="unknown_engine",
            remedy=_suggestion(spec.name, sorted(points)),
        )
    factory = _load(point)
    try:
        return factory(spec.model, spec.options)
    except ValueError as error:
        raise EngineUnavailable(
            f"The options of the {stage} engine {spec.name!r} are wrong: {error}",
            code="invalid_engine_option",
            remedy="Correct the option in this pipeline's engine table; `parley engines` lists the engines.",
        ) from error
    except EngineUnavailable:
        raise
    except Exception as error:
        raise _broken(point, "its factory", error) from error


def available() -> list[EngineInfo]:
    """The declaration of every installed engine, in the order of the stages, then by name.

    One that cannot be created has the reason as its summary.
    """
    found: list[EngineInfo] = []
    for stage in stages():
        for name in names(stage):
            try:
                found.append(_declared(stage, name))
            except EngineUnavailable as error:
                summary = f"{stage} engine that cannot be set up: {error.message}"
                found.append(EngineInfo(stage=stage.name, name=name, summary=summary))
    return found


def _entry_points(stage: Stage[Any]) -> Mapping[str, importlib.metadata.EntryPoint]:
    prefix = f"{stage}."
    points = _installed(tuple(sys.path))
    return {point.name.removeprefix(prefix): point for point in points if point.name.startswith(prefix)}


@functools.lru_cache(maxsize=1)
def _installed(path: tuple[str, ...]) -> tuple[importlib.metadata.EntryPoint, ...]:
    """The engines of all packages on `path`, which is `sys.path`. Kept, because reading every package's metadata takes milliseconds."""
    return tuple(importlib.metadata.entry_points(group=GROUP))


def _declared(stage: Stage[Any], name: str) -> EngineInfo:
    engine = create(stage, EngineSpec(name))
    try:
        return engine.info
    except Exception as error:
        raise _broken(_entry_points(stage)[name], "its info", error) from error


def _load(point: importlib.metadata.EntryPoint) -> EngineFactory:
    try:
        loaded: EngineFactory = point.load()
    except (ImportError, AttributeError) as error:
        package = _package(point)
        raise EngineUnavailable(
            f"The engine {point.name!r} of the package {package!r} cannot be imported: {error}.",
            code="engine_import_failed",
            remedy=REINSTALL if package == DISTRIBUTION else f"Reinstall it: pip install --force-reinstall {package}",
        ) from error
    except Exception as error:  # a module may do anything when it is imported
        raise _broken(point, "its import", error) from error
    return loaded


def _broken(point: importlib.metadata.EntryPoint, step: str, error: Exception) -> EngineUnavailable:
    """The package's own code raised at this step."""
    return EngineUnavailable(
        f"The engine {point.name!r} cannot be used: {step} raised {type(error).__name__}: {error}.",
        f"This is a fault of the package {_package(point)!r}: update it, or name another engine.",
        code="engine_broken",
    )


def _package(point: importlib.metadata.EntryPoint) -> str:
    return point.dist.name if point.dist else point.module


def _suggestion(wanted: str, known: list[str]) -> str:
    if not known:
        return f"None is installed for this stage. {REINSTALL}"
    close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    meant = f"Did you mean {close[0]!r}? " if close else ""
    return f"{meant}Installed: {', '.join(known)}."
