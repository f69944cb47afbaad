"""Configuration: `parley.toml`, the environment and flags, merged into one frozen `Config` (later wins).

Call `load(config_path, flags, environ)`, hand `Config` to `server.app.serve`.
"""

from __future__ import annotations

from parley.config.errors import ConfigError, UnknownModel, did_you_mean
from parley.config.loading import find_mirror, load
from parley.config.values import BargeIn, Config, ModelsConfig, PipelineConfig, ServerConfig, Setting, TelephonyConfig
from parley.engines.addresses import is_loopback

__all__ = [
    "BargeIn",
    "Config",
    "ConfigError",
    "ModelsConfig",
    "PipelineConfig",
    "ServerConfig",
    "Setting",
    "TelephonyConfig",
    "UnknownModel",
    "did_you_mean",
    "find_mirror",
    "is_loopback",
    "load",
]
