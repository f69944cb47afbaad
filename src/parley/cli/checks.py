"""The checks of `parley doctor`: each examines one thing and says how to fix it.

Laws: a check never changes anything and never raises for what it looks for; what it can't know it doesn't claim.
`required` says whether the server can't do without it.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from parley.invocation import DISTRIBUTION, install, install_packages

if TYPE_CHECKING:
    from parley.config import Config
    from parley.engines.openai_api.service import Service
    from parley.engines.ports import EngineSpec, Stage

MIN_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor: the name of the check, whether it passed, what it saw, and how to fix it."""

    name: str
    ok: bool
    seen: str
    remedy: str = ""
    required: bool = True


def check_python() -> Check:
    seen = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= MIN_PYTHON
    return Check("python", ok, seen, "" if ok else "Install Python 3.11 or newer.")


def check_packages() -> Iterator[Check]:
    """Every package that Parley's own metadata requires (without environment markers and extras)."""
    try:
        requirements = metadata.requires(DISTRIBUTION) or ()
    except metadata.PackageNotFoundError:
        yield Check("packages", False, f"{DISTRIBUTION} is not installed", install_packages("--editable", "."))
        return
    missing = []
    found = 0
    for requirement in requirements:
        if ";" in requirement:
            continue
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        try:
            metadata.version(name)
            found += 1
        except metadata.PackageNotFoundError:
            missing.append(requirement)
    if missing:
        yield Check("packages", False, f"missing: {', '.join(missing)}", install_packages(*missing))
    else:
        yield Check("packages", True, f"{found} installed")


def check_port(config: Config) -> Check:
    host, port = config.server.host, config.server.port
    name = f"address {host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return Check(
            name,
            False,
            error.strerror or str(error),
            "Stop what listens there, or choose another: --port 0 takes any free one.",
        )
    return Check(name, True, "free")


def check_open_files(config: Config) -> Check:
    """The limit that `parley serve` gets: it raises the soft limit to the hard one."""
    from parley.server.descriptors import FIX, WANTED, open_files_limit, open_files_needed

    name, limits = "open files", open_files_limit()
    if limits is None:
        return Check(name, True, "this system sets no limit")
    (soft, hard), sessions = limits, config.server.max_sessions
    raised, needed = max(soft, min(hard, WANTED)), open_files_needed(sessions)
    seen = f"{raised}" + (f" (the server raises {soft} to that)" if raised > soft else "")
    if raised >= needed:
        return Check(name, True, seen)
    seen += f"; {sessions} sessions (server.max_sessions) need {needed}"
    return Check(name, False, seen, f"{FIX} Or lower server.max_sessions.", required=False)


def check_keys(config: Config) -> Check:
    """The keys of the settings and of the key file."""
    from parley.config import ConfigError
    from parley.server.app import access_of

    try:
        access = access_of(config.server)
    except ConfigError as error:
        return Check("API key", False, error.message, error.remedy)
    count = len(access.keys())
    if count:
        return Check("API key", True, f"{count} set")
    if not access.open:
        return Check("API key", False, "required, but there is none", "Make one: parley keys add NAME")
    if not config.server.exposed:
        return Check("API key", True, "not set; not needed, because only this machine can connect")
    return Check(
        "API key",
        False,
        "not set; all who reach this machine may use it",
        "Make one: parley keys add NAME",
        required=False,
    )


def check_tls(config: Config) -> Check | None:
    """The certificate and its key, where they are set."""
    from parley.config import ConfigError
    from parley.server.tls import tls_context, tls_warning

    if config.server.tls_cert is None:
        return None
    try:
        tls_context(config.server)
        warning = tls_warning(config.server, datetime.now(UTC))
    except ConfigError as error:
        return Check("TLS", False, error.message, error.remedy)
    if warning:
        return Check("TLS", False, warning, required=False)
    return Check("TLS", True, f"{config.server.tls_cert}")


def engines_of(config: Config) -> Iterator[tuple[Stage[Any], EngineSpec, list[str]]]:
    """Each distinct engine of all pipelines once, with the pipelines that name it."""
    seen: list[tuple[Stage[Any], EngineSpec, list[str]]] = []
    for pipeline in config.pipelines.values():
        for stage, spec in pipeline.engines.items():
            users = next((names for known, other, names in seen if (known, other) == (stage, spec)), None)
            if users is None:
                seen.append((stage, spec, [pipeline.name]))
            else:
                users.append(pipeline.name)
    yield from seen


def check_endpoints(config: Config) -> Iterator[Check]:
    """Whether each configured endpoint returns its list of models."""
    seen = set()
    for stage, spec, _ in engines_of(config):
        service = _service(stage, spec)
        url = str(spec.options.get("base_url") or "")
        if service is not None and url and (stage, url) not in seen:
            seen.add((stage, url))
            yield asyncio.run(check_endpoint(url, spec, service))


def _service(stage: Stage[Any], spec: EngineSpec) -> Service | None:
    """What this engine asks of an OpenAI-compatible endpoint; None for an engine that has none."""
    from parley.engines.llm.openai import CHAT
    from parley.engines.llm.responses import RESPONSES
    from parley.engines.ports import LLM, STT, TTS
    from parley.engines.stt.openai import TRANSCRIPTIONS
    from parley.engines.tts.openai import SPEECH

    services = {
        (LLM, "openai"): CHAT,
        (LLM, "auto"): CHAT,
        (LLM, "responses"): RESPONSES,
        (STT, "openai"): TRANSCRIPTIONS,
        (TTS, "openai"): SPEECH,
    }
    return services.get((stage, spec.name))


async def check_endpoint(url: str, spec: EngineSpec, service: Service) -> Check:
    """Request the list of models of one endpoint, with the limits and the key of the engine that will use it."""
    from parley.config.shown import mask
    from parley.engines.openai_api.connection import models_at, read_endpoint
    from parley.engines.openai_api.errors import models_named
    from parley.engines.options import OptionReader
    from parley.engines.ports import EngineError

    name = f"endpoint {mask(('base_url',), url, '')}"
    if not url.startswith(("http://", "https://")):
        remedy = f"Correct {service.base_url_flag}, such as {service.example_url}."
        return Check(name, False, "not an http:// or https:// URL", remedy)
    try:
        models = await models_at(read_endpoint(OptionReader(service.stage, spec.options), service), service)
    except EngineError as error:
        return Check(name, False, error.message, error.remedy)
    except ValueError as error:
        return Check(name, False, str(error), "Correct the option in parley.toml.")
    if models is None:
        return Check(name, False, "has no list of models", "Is the path right? It usually ends in /v1.", required=False)
    return Check(
        name, True, f"answers; it {models_named(spec.model, models)}" if models else "answers; it lists no models"
    )


def check_audio() -> Check:
    """Microphone and loudspeaker: only for talking from this machine; a server needs none."""
    name = "audio devices"
    try:
        import sounddevice
    except ImportError:
        return Check(name, False, "sounddevice is not installed", install("talk"), required=False)
    except OSError:
        remedy = "Install PortAudio (Debian: apt-get install libportaudio2; macOS: brew install portaudio)."
        return Check(name, False, "PortAudio is not installed", remedy, required=False)
    devices = sounddevice.query_devices()
    inputs = sum(device["max_input_channels"] > 0 for device in devices)
    outputs = sum(device["max_output_channels"] > 0 for device in devices)
    ok = inputs > 0 and outputs > 0
    remedy = "" if ok else "Connect a microphone and a loudspeaker to talk from this machine; a server needs none."
    return Check(name, ok, f"{inputs} to record, {outputs} to play", remedy, required=False)
