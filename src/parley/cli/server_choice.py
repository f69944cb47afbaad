"""The server that a command talks to: one of its own in this process, or the one that `--url` names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from parley.cli.failures import CommandFailed

if TYPE_CHECKING:
    from parley.client.connection import Server
    from parley.client.session_setup import SessionOptions
    from parley.config import Config, PipelineConfig

P = ParamSpec("P")
R = TypeVar("R")

_OPTIONS = (
    click.option(
        "--url", metavar="URL", help="Talk to this Realtime server [default: one of its own, in this process]."
    ),
    click.option("--model", metavar="NAME", help="Ask that server for this model [default: gpt-realtime]."),
    click.option("--api-key-env", metavar="NAME", help="The environment variable that holds that server's key."),
)


def server_options(command: Callable[P, R]) -> Callable[P, R]:
    """Adds `--url`, `--model` and `--api-key-env`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_server(url: str | None, model: str | None, api_key_env: str | None) -> None:
    """Checks that need nothing loaded. Raises `CommandFailed`, `click.UsageError`."""
    if url is not None:
        _key(api_key_env)
        return
    for name, value in (("model", model), ("api-key-env", api_key_env)):
        if value is not None:
            raise click.UsageError(f"--{name} belongs to --url.")


@contextmanager
def chosen_server(
    config: Config,
    url: str | None,
    model: str | None,
    api_key_env: str | None,
    *,
    trace_dir: Path | None = None,
    pipelines: Mapping[str, PipelineConfig] | None = None,
) -> Iterator[Server]:
    """The server, while the context lasts. `pipelines` are for one in this process (`own_server`)."""
    from parley.client.connection import Server

    if url is None:
        from parley.cli.talk_server import own_server

        with own_server(config, trace_dir, pipelines) as server:
            yield server
        return
    yield Server.at(url, model=model or model_of(url), key=_key(api_key_env))


def model_of(url: str) -> str:
    """The URL's own, or the name that OpenAI's server knows and a Parley's default pipeline answers to."""
    from urllib.parse import parse_qs, urlsplit

    return parse_qs(urlsplit(url).query).get("model", ["gpt-realtime"])[-1]


def explicit_options(config: Config, url: str | None) -> SessionOptions:
    """What is asked of the server beside its own settings. One in this process has the configuration; another one is sent only what is set
    there."""
    from parley.client.session_setup import SessionOptions

    pipeline = config.pipelines[config.default_pipeline]
    voice = instructions = None
    if url is not None:
        set_here = {
            setting.key.rpartition(".")[2]
            for setting in config.settings
            if setting.source != "default" and setting.key.startswith(f"pipelines.{pipeline.name}.")
        }
        voice = pipeline.voice if "voice" in set_here else None
        instructions = pipeline.instructions if "instructions" in set_here else None
    return SessionOptions(voice=voice, instructions=instructions, language=pipeline.language or None)


def _key(name: str | None) -> str:
    if name is None:
        return ""
    key = os.environ.get(name, "").strip()
    if not key:
        raise CommandFailed(f"The environment variable {name}, which --api-key-env names, is not set.")
    return key
