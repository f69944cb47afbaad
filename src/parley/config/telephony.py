"""Reads `[telephony]`: where telephone systems reach the server, and who may.

Laws: an address that other machines can reach takes no call that brings nothing to show for itself, unless `server.insecure`.
"""

from __future__ import annotations

from collections.abc import Mapping

from parley.config.errors import ConfigError, did_you_mean
from parley.config.layers import KeyPath
from parley.config.schema import ConfigSchema
from parley.config.values import TelephonyConfig
from parley.engines.addresses import is_loopback

MOST_PORT = 65_535


def telephony_of(settings: ConfigSchema, places: Mapping[KeyPath, str]) -> TelephonyConfig:
    """The section, checked. Raises `ConfigError`."""
    section = settings.telephony
    if section.pipeline and section.pipeline not in settings.pipelines:
        raise ConfigError(
            f"{places[('telephony', 'pipeline')]}: telephony.pipeline: there is no pipeline {section.pipeline!r}.",
            remedy=did_you_mean(section.pipeline, settings.pipelines) or "Name one of [pipelines.NAME].",
        )
    address = _address(section.audiosocket, places) if section.audiosocket else None
    if (
        address is not None
        and not (is_loopback(address[0]) or section.audiosocket_uuids)
        and not settings.server.insecure
    ):
        raise ConfigError(
            f"{places[('telephony', 'audiosocket')]}: telephony.audiosocket {section.audiosocket} can be reached from other machines, "
            "and any call would be taken.",
            remedy="Listen on 127.0.0.1, name the calls that are taken (telephony.audiosocket_uuids), or take everyone's with --insecure.",
        )
    return TelephonyConfig(**{**section.model_dump(), "audiosocket": address})


def _address(text: str, places: Mapping[KeyPath, str]) -> tuple[str, int]:
    host, _, port = text.strip().rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > MOST_PORT:
        raise ConfigError(
            f"{places[('telephony', 'audiosocket')]}: telephony.audiosocket {text!r} is not an address and a port.",
            remedy="Write it as 127.0.0.1:9092 (port 0 takes any free one).",
        )
    return host, int(port)
