"""Which options of a stage go together, where several layers set some.

Laws: an engine is given no option, endpoint or key that was meant for another one; what is left out of a setting gets a warning.
"""

from __future__ import annotations

from typing import Any

from parley.config.layers import ENDPOINT_ENGINES, KeyPath, Layer, pipeline_table
from parley.engines.openai_api.keys import OPENAI_URL, base_url_variable, key_variable, same_server, server_name
from parley.engines.ports import stages

READ_BY_THEMSELVES = frozenset({"auto", "openai", "realtime", "responses"})
"""Engines that read the variables of an endpoint themselves: in a chain, these are for them."""

_SECRETS = {"api_key", "api_key_env", "headers"}
"""Options that are for one server."""

AUTO_FAMILIES = {"llm": {"auto", "openai"}, "stt": {"auto", "whisper"}}
"""By stage, `auto` and the engine that it prefers: it takes that engine's options, so that they outlive a change between the two."""


def drop_foreign_options(file: Layer, later: tuple[Layer, ...], pipeline: str) -> None:
    """Drop the file's options of a stage whose engine a later layer replaces: they belong to the other engine."""
    table = pipeline_table(file, pipeline)
    for stage in (stage.name for stage in stages()):
        chosen = _engine(later, pipeline, stage)
        before = _engine_in(table.get(stage, "auto"))
        if chosen and chosen != before and not {before, chosen} <= AUTO_FAMILIES.get(stage, set()):
            table.pop(f"{stage}_options", None)
            file.places = {
                key: place
                for key, place in file.places.items()
                if key[:3] != ("pipelines", pipeline, f"{stage}_options")
            }


def _engine(layers: tuple[Layer, ...], pipeline: str, stage: str) -> str:
    """The engine of a stage by the last layer that names one, without its model; "" if no layer does, "chain" for several."""
    return _engine_in(_named_engine(layers, pipeline, stage))


def _named_engine(layers: tuple[Layer, ...], pipeline: str, stage: str) -> object:
    named = (pipeline_table(layer, pipeline).get(stage) for layer in reversed(layers))
    return next((name for name in named if name), "")


def _engine_in(named: object) -> str:
    """The engine that a setting names; "chain" for a list, or names with commas between them."""
    engines = _engines_in(named)
    return "chain" if len(engines) > 1 else engines[0]


def _engines_in(named: object) -> list[str]:
    """The engines that a setting names, without their models."""
    parts = named if isinstance(named, list) else str(named).split(",")
    return [str(part).partition(":")[0].strip() for part in parts] or [""]


def drop_endpoints_of_others(environment: Layer, layers: tuple[Layer, ...], pipeline: str) -> list[str]:
    """Drop the environment's endpoint and key of each stage whose engine has no endpoint; returns warnings."""
    warnings = []
    table = pipeline_table(environment, pipeline)
    for stage, engines in ENDPOINT_ENGINES.items():
        engine, options = _engine(layers, pipeline, stage), f"{stage}_options"
        if engine in engines or options not in table:
            continue
        del table[options]
        if engine == "chain" and not READ_BY_THEMSELVES.isdisjoint(_engines_in(_named_engine(layers, pipeline, stage))):
            continue
        used = engine or "the default engine"
        warnings += [
            f"{environment.places.pop(key)} changes nothing: the pipeline {pipeline} uses {used}."
            for key in [key for key in environment.places if options in key]
        ]
    return warnings


def drop_keys_of_others(environment: Layer, layers: tuple[Layer, ...], pipeline: str) -> list[str]:
    """Drop the keys and headers of each layer that would go to another server than the one they stand beside; returns warnings.

    Without a base URL beside it, a key of the environment is for OpenAI, and one of a file for the engine's own server.
    """
    warnings = []
    for stage in ENDPOINT_ENGINES:
        own = OPENAI_URL if _engine(layers, pipeline, stage) in ("", *READ_BY_THEMSELVES) else ""
        tables = [(layer, _options(layer, pipeline, stage)) for layer in layers]
        used = next((url for _, table in reversed(tables) if (url := _base_url(table))), own)
        for layer, table in tables:
            meant = _base_url(table) or (OPENAI_URL if layer is environment else own)
            if meant == used or same_server(meant, used):
                continue
            for name in sorted(_SECRETS & table.keys()):
                del table[name]
                place = _forget(layer, ("pipelines", pipeline, f"{stage}_options", name))
                warnings.append(
                    f"{place}: {stage}_options.{name} is not used: it is for {server_name(meant)}, and the pipeline {pipeline} asks "
                    f"{server_name(used)}. Set {stage}_options.api_key_env beside base_url in parley.toml, or {base_url_variable(stage)} "
                    f"with {key_variable(stage)}."
                )
    return warnings


def _options(layer: Layer, pipeline: str, stage: str) -> dict[str, Any]:
    options = pipeline_table(layer, pipeline).get(f"{stage}_options")
    return options if isinstance(options, dict) else {}


def _base_url(options: dict[str, Any]) -> str:
    return str(options.get("base_url", "")).strip()


def _forget(layer: Layer, key: KeyPath) -> str:
    """Where a setting, or the first of a table, was made; it has no place from now on."""
    places = [layer.places.pop(one) for one in list(layer.places) if one[: len(key)] == key]
    return places[0] if places else ""
