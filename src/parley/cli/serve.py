"""`parley serve`: loads the configuration, starts the server, prints its URL."""

from __future__ import annotations

from pathlib import Path

import click

from parley.cli.model_downloads import provide_models
from parley.cli.options import configured, load_config, pull_option


@click.command(
    epilog="""\b
Examples:
  parley serve
  parley serve --open
  parley serve --llm openai:qwen3 --llm-base-url http://localhost:11434/v1
  PARLEY_API_KEY=secret parley serve --host 0.0.0.0
"""
)
@configured
@pull_option
@click.option(
    "--open", "open_page", is_flag=True, help="Show the page in this machine's browser once the server listens."
)
def serve(config_path: Path | None, open_page: bool, **flags: object) -> None:
    """Start the server and serve until Ctrl-C; running replies may end first.

    Works without any setting: recognition and synthesis run here, and the language model is one found on this machine's
    usual ports, or a small built-in responder that says how to connect one.
    """
    config = load_config(config_path, flags)
    provide_models(config, (spec for pipeline in config.pipelines.values() for spec in pipeline.engines.items()))
    from parley.server.app import serve as serve_forever

    serve_forever(config, open_page=open_page)
