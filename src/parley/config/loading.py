"""Merges the layers into one `Config`, validated, each value with its source.

Laws: later wins, key by key: built-in < file < environment < flags. Every fault of one load is reported at once, each with its place.
A public address without a key is refused unless `insecure`. Never prints or logs a secret.
Does not know: how an engine is made; it only asks the registry for the names that exist.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from parley.config import sections
from parley.config.errors import ConfigError, did_you_mean
from parley.config.exposure import check_exposure
from parley.config.layers import (
    KeyPath,
    Layer,
    find_file,
    pipeline_names,
    read_environment,
    read_file,
    read_flags,
)
from parley.config.replaced_stages import check_wishes, options_of_nobody
from parley.config.schema import (
    BUILT_IN_PIPELINES,
    ConfigSchema,
    ServerSection,
    known_keys,
    with_stages,
)
from parley.config.shown import explain
from parley.config.stage_options import drop_endpoints_of_others, drop_foreign_options, drop_keys_of_others
from parley.config.telephony import telephony_of
from parley.config.values import Config, ModelsConfig, OwnVoicesConfig
from parley.engines import registry
from parley.engines.ports import stages
from parley.errors import ParleyError


def load(config_path: Path | None, flags: Mapping[str, object], environ: Mapping[str, str]) -> Config:
    """The effective configuration from a file, `environ` and `flags` (names as in `--help`, `-` as `_`; None: not given).

    Raises `ConfigError`, which names every wrong setting, where it was set and how to fix it.
    """
    path = find_file(config_path, environ)
    file = read_file(path) if path else Layer()
    pipeline = _chosen_pipeline(file, environ, flags)
    environment, warnings = read_environment(environ, pipeline)
    command_line = read_flags(flags, pipeline)
    served = _served(file, pipeline)
    drop_foreign_options(file, (environment, command_line), pipeline)
    layers = (Layer(data={"pipelines": served}), file, environment, command_line)
    warnings += drop_endpoints_of_others(environment, layers, pipeline)
    warnings += drop_keys_of_others(environment, layers, pipeline)
    settings = _validated(layers)
    _check_default(settings, file, pipeline, layers)
    places = {key: place for layer in layers for key, place in layer.places.items()}
    _check_engines(settings, places)
    check_wishes(settings, places)
    warnings += options_of_nobody(settings, places)
    keys = _api_keys(settings.server, places, environ)
    keys_file = keys_file_of(settings.server.keys_file, environ)
    check_exposure(settings.server, bool(keys) or (keys_file is not None and keys_file.exists()), places)
    _check_tls(settings.server, places)
    trace_dir = _trace_dir(settings.server, places)
    pipelines = {name: sections.pipeline(name, section) for name, section in settings.pipelines.items()}
    return Config(
        server=sections.server(settings.server, keys, keys_file, trace_dir),
        pipelines=MappingProxyType(pipelines),
        default_pipeline=pipeline,
        path=path,
        settings=tuple(explain(settings, places, keys)),
        warnings=tuple(warnings),
        models=ModelsConfig(settings.models.pull, settings.models.mirror),
        own_voices=OwnVoicesConfig(settings.own_voices.limit),
        speech_cache=sections.speech_cache(settings.speech_cache),
        response_cache=sections.response_cache(settings.response_cache),
        telephony=telephony_of(settings, places),
        webrtc=settings.webrtc.config(),
        interpret=sections.interpret(settings.interpret, path),
    )


def _chosen_pipeline(file: Layer, environ: Mapping[str, str], flags: Mapping[str, object]) -> str:
    chosen = flags.get("pipeline") or environ.get("PARLEY_PIPELINE") or file.data.get("default_pipeline") or "default"
    return str(chosen)


def _served(file: Layer, pipeline: str) -> dict[str, dict[str, Any]]:
    """The built-in pipelines that are served: those chosen or named in the file, and `bench`, which costs nothing."""
    named = pipeline_names(file)
    return {
        name: dict(fields)
        for name, fields in BUILT_IN_PIPELINES.items()
        if name in (pipeline, "bench") or name in named
    }


class _LayerSource(PydanticBaseSettingsSource):
    """One layer as a source of pydantic-settings."""

    def __init__(self, settings: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._layer.data.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._layer.data


def _validate(layers: tuple[Layer, ...]) -> ConfigSchema:
    class Layered(ConfigSchema):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: PydanticBaseSettingsSource, **__: PydanticBaseSettingsSource
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(_LayerSource(settings_cls, layer) for layer in reversed(layers))

    try:
        return with_stages(Layered)()
    except ValidationError as error:
        places = {key: place for layer in layers for key, place in layer.places.items()}
        faults = [_fault(dict(fault), places) for fault in error.errors(include_url=False, include_context=False)]
        raise InvalidLayers(faults) from None


class InvalidLayers(ParleyError):
    """A line for each fault of the merged layers."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _validated(layers: tuple[Layer, ...]) -> ConfigSchema:
    """The settings of all layers. Each layer must be valid without those after it too: a later value does not hide an earlier fault."""
    faults: dict[str, None] = {}
    settings: ConfigSchema | None = None
    for count in range(1, len(layers) + 1):
        try:
            settings = _validate(layers[:count])
        except InvalidLayers as invalid:
            faults |= dict.fromkeys(invalid.faults)
    if faults or settings is None:
        raise ConfigError("\n".join(faults))
    return settings


def _fault(fault: dict[str, Any], places: Mapping[KeyPath, str]) -> str:
    key = tuple(str(part) for part in fault["loc"] if not isinstance(part, int) and part != "[key]")
    place = places.get(key) or next((there for known, there in places.items() if known[: len(key)] == key), "")
    where = f"{place}: " if place else ""
    if fault["type"] == "extra_forbidden":
        hint = did_you_mean(key[-1], known_keys(key[:-1]))
        return f"{where}unknown setting {'.'.join(key)}. {hint}".rstrip()
    if fault["type"] in ("model_type", "dict_type"):
        return f"{where}{'.'.join(key)}: expected a table, such as [{'.'.join(key)}] with a line for each setting."
    said = fault["msg"].removeprefix("Value error, ").replace("Input should be", "it must be")
    message = f"{said.partition(', unable to')[0]}."
    # A flag names its setting already.
    return f"{where}{message}" if place.startswith("flag ") else f"{where}{'.'.join(key)}: {message}"


def _check_default(settings: ConfigSchema, file: Layer, pipeline: str, layers: tuple[Layer, ...]) -> None:
    defined = {*BUILT_IN_PIPELINES, *pipeline_names(file)}
    if pipeline in defined:
        return
    place = next(
        (layer.places[("default_pipeline",)] for layer in reversed(layers) if ("default_pipeline",) in layer.places), ""
    )
    raise ConfigError(
        f"{place}: there is no pipeline {pipeline!r}; the pipelines are {', '.join(sorted(defined))}.",
        remedy=did_you_mean(pipeline, defined) or f"Add a table [pipelines.{pipeline}] to parley.toml.",
    )


def _check_engines(settings: ConfigSchema, places: Mapping[KeyPath, str]) -> None:
    """Refuses names that are not registered, before anything is loaded."""
    faults = []
    for name, section in settings.pipelines.items():
        for stage in stages():
            key = ("pipelines", name, stage.name)
            known = registry.names(stage) if key in places else ()
            for engine in stage.engine_names(getattr(section, stage.name)):
                if known and engine not in known:
                    hint = did_you_mean(engine, known)
                    listed = ", ".join(known)
                    faults.append(
                        f"{places[key]}: there is no {stage} engine {engine!r}; there are {listed}. {hint}".rstrip()
                    )
    if faults:
        raise ConfigError("\n".join(faults), remedy="`parley engines` describes them.")


def _api_keys(server: ServerSection, places: dict[KeyPath, str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """The keys that open the server. `api_key_env` counts as a setting of the file: a key in the environment or a flag wins."""
    given = places.get(("server", "api_keys"), "")
    if not server.api_key_env or given.startswith(("env ", "flag ")):
        return server.api_keys
    value = environ.get(server.api_key_env, "")
    keys = tuple(part.strip() for part in value.split(",") if part.strip())
    if not keys:
        raise ConfigError(
            f"{places[('server', 'api_key_env')]}: server.api_key_env names {server.api_key_env}, which is not set.",
            remedy=f"Set {server.api_key_env} to the key that clients must send, or remove the setting.",
        )
    places[("server", "api_keys")] = f"env {server.api_key_env}"
    return (*server.api_keys, *keys)


def keys_file_of(named: str, environ: Mapping[str, str]) -> Path | None:
    """The file of named keys: the one that is named, else `parley/keys.json` in this user's configuration; None without a home."""
    if named:
        return Path(named).expanduser()
    folder = environ.get("XDG_CONFIG_HOME") or (environ.get("HOME") and f"{environ['HOME']}/.config")
    return Path(folder) / "parley" / "keys.json" if folder else None


def find_mirror(environ: Mapping[str, str]) -> str:
    """`models.mirror`, without the rest of the configuration, which may name engines that need models first.

    Raises `ConfigError` for a configuration file that cannot be read.
    """
    path = find_file(None, environ)
    section = read_file(path).data.get("models") if path is not None else None
    found = section.get("mirror") if isinstance(section, dict) else None
    return environ.get("PARLEY_MODELS_MIRROR") or (found if isinstance(found, str) else "")


def find_keys_file(config_path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file of named keys, without the rest of the configuration, which may not be valid before there is a key.

    Raises `ConfigError` for a configuration file that cannot be read.
    """
    named = environ.get("PARLEY_KEYS_FILE", "")
    path = find_file(config_path, environ)
    if not named and path is not None:
        section = read_file(path).data.get("server")
        found = section.get("keys_file") if isinstance(section, dict) else None
        named = found if isinstance(found, str) else ""
    return keys_file_of(named, environ)


def _check_tls(server: ServerSection, places: Mapping[KeyPath, str]) -> None:
    if bool(server.tls_cert) == bool(server.tls_key):
        return
    there, missing = ("tls_cert", "tls_key") if server.tls_cert else ("tls_key", "tls_cert")
    raise ConfigError(
        f"{places[('server', there)]}: server.{there} is set and server.{missing} is not.",
        remedy="TLS needs both: the certificate (with its chain) and its private key, as PEM files.",
    )


def _trace_dir(server: ServerSection, places: Mapping[KeyPath, str]) -> Path | None:
    """The folder for traces; raises `ConfigError` where no file can be written there."""
    if not server.trace_dir:
        return None
    folder = Path(server.trace_dir).expanduser()
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if _exists(path))
    except (OSError, ValueError) as error:
        there, why = folder, f"cannot be used ({getattr(error, 'strerror', error)})"
    else:
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            return folder
        why = "is a file" if not there.is_dir() else "cannot be written to"
    raise ConfigError(
        f"{places[('server', 'trace_dir')]}: server.trace_dir {server.trace_dir}: {there} {why}.",
        remedy="Name a folder that this user may write to; it is created where it does not exist.",
    )


def _exists(path: Path) -> bool:
    """Raises `OSError` or `ValueError` where the system cannot say, as for a name that is too long."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
