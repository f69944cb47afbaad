"""`parley talk`: a spoken conversation in the terminal, with a server of its own or any Realtime server."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parley.cli.failures import CommandFailed
from parley.cli.model_downloads import provide_models
from parley.cli.options import PIPELINE_FLAGS, load_config, pipeline_configured
from parley.cli.own_terminal import forget_typed_keys, logs_to, terminal_to_ourselves
from parley.cli.server_choice import check_server, chosen_server, explicit_options, server_options
from parley.cli.sound_devices import input_device_option, output_device_option
from parley.cli.tool_prompt import can_ask
from parley.invocation import install

if TYPE_CHECKING:
    from parley.client.connection import Server
    from parley.client.session_setup import SessionOptions
    from parley.config import Config
    from parley.talk.conversation import Talk
    from parley.talk.devices import Direction
    from parley.talk.microphone import Cleaner
    from parley.talk.ports import Chosen, TalkView


@click.command(
    epilog="""\b
Examples:
  parley talk
  parley talk --llm openai:qwen3 --llm-base-url http://localhost:11434/v1
  parley talk --url ws://192.168.1.5:8765 --api-key-env PARLEY_API_KEY
  parley talk --url wss://api.openai.com/v1/realtime --api-key-env OPENAI_API_KEY
  parley talk --devices
"""
)
@pipeline_configured
@server_options
@input_device_option("--input")
@output_device_option("--output")
@click.option("--devices", "show_devices", is_flag=True, help="List the sound devices and end.")
@click.option("--push-to-talk", is_flag=True, help="Turns begin and end with the space key, instead of by themselves.")
@click.option(
    "--turn-detection",
    type=click.Choice(["server_vad", "semantic_vad"]),
    help="How the server finds the end of a turn [default: the server's own way].",
)
@click.option(
    "--echo-control",
    type=click.Choice(["on", "off"]),
    default="on",
    show_default=True,
    help="Keep the loudspeaker out of the microphone; with headphones it finds that there is nothing to do.",
)
@click.option("--typed", is_flag=True, help="Type instead of speaking: no microphone is opened.")
@click.option("--plain", is_flag=True, help="Print one line for each event, for logs and screen readers.")
@click.option(
    "--record",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep audio (left you, right the reply as heard), trace and transcript in this folder.",
)
def talk(config_path: Path | None, show_devices: bool, **options: object) -> None:
    """Talk to an assistant: through this machine's microphone and loudspeaker, interruptible at any time.

    Brings the server of `parley serve` along, with the engines that parley.toml and the flags name, or talks to any other with --url. While
    you talk: Space silences the reply (with --push-to-talk: begins and ends your turn), M mutes, T types, ? explains all keys, Q leaves.
    Without a microphone you type your messages; without a loudspeaker you read the replies. A tool of an MCP server that needs consent
    waits for F7 (allow) or F8 (refuse); without a terminal it is refused.
    """
    if show_devices:
        _list_devices()
        return
    flags = {name: options.pop(name) for name in PIPELINE_FLAGS}
    config = load_config(config_path, flags)
    url, model, key = (_text(options[name]) for name in ("url", "model", "api_key_env"))
    check_server(url, model, key)
    options |= _check_packages(options)
    if url is None:
        config = _conversing(config)
        provide_models(config, config.pipelines[config.default_pipeline].engines.items())
    record = options["record"]
    with chosen_server(config, url, model, key, trace_dir=record if isinstance(record, Path) else None) as server:
        _converse(server, config, options)


def _conversing(config: Config) -> Config:
    """With the default pipeline alone, and without its translator: a conversation translates nothing, and loading one takes seconds."""
    from dataclasses import replace

    from parley.engines.ports import MT

    pipeline = config.pipelines[config.default_pipeline]
    engines = {stage: spec for stage, spec in pipeline.engines.items() if stage is not MT}
    return replace(config, pipelines={pipeline.name: replace(pipeline, engines=engines)})


def _list_devices() -> None:
    from parley.talk.devices import list_devices

    devices = list_devices()
    if not devices:
        raise CommandFailed("This machine has no sound devices.")
    width = max(len(device.name) for device in devices)
    for device in devices:
        able = ", ".join(
            f"{name}{' (default)' if default else ''}"
            for name, channels, default in (
                ("input", device.inputs, device.default_input),
                ("output", device.outputs, device.default_output),
            )
            if channels
        )
        click.echo(f"{device.index:>3}  {device.name:<{width}}  {device.host}: {able}")


def _is_plain(options: dict[str, object]) -> bool:
    """A screen needs a terminal; a pipe, a log and a dumb terminal get lines."""
    terminal = sys.stdin.isatty() and sys.stderr.isatty() and sys.stdout.isatty()
    return bool(options["plain"]) or not terminal or os.environ.get("TERM") == "dumb"


def _check_packages(options: dict[str, object]) -> dict[str, str | None]:
    """What sound there is, as `input_device` and `output_device` (None: leave it out), before any engine is loaded: what is missing should
    not cost a minute."""
    from importlib.util import find_spec

    from parley.talk.devices import DevicesUnavailable, find_device, list_devices

    if not _is_plain(options) and find_spec("textual") is None:
        raise CommandFailed(
            "The screen needs the package textual.", f"Install it, or do without it (--plain): {install('talk')}"
        )
    found: dict[str, str | None] = {}
    try:
        devices = list_devices()
    except DevicesUnavailable as error:
        if not options["typed"]:
            instead = "To type your messages and read the replies instead: parley talk --typed"
            raise CommandFailed(error.message, f"{error.remedy} {instead}") from error
        return {"input_device": None, "output_device": None}
    wants: tuple[tuple[str, Direction, str], ...] = (
        ("input_device", "input", "Type your messages instead"),
        ("output_device", "output", "Read the replies instead"),
    )
    for name, direction, instead in wants:
        wanted = str(options[name])
        found[name] = wanted
        if direction == "input" and options["typed"]:
            found[name] = None
            continue
        try:
            find_device(devices, wanted, direction)
        except DevicesUnavailable as error:
            if wanted:
                raise
            click.echo(f"{error.message} {instead}, or leave, connect one and start again.", err=True)
            found[name] = None
    return found


def _session_options(config: Config, options: dict[str, object]) -> SessionOptions:
    """What is asked of the server, with what the flags say of this conversation."""
    return replace(
        explicit_options(config, _text(options["url"])),
        hands_free=not options["push_to_talk"] and options["input_device"] is not None,
        turn_detection=_text(options["turn_detection"]),
        spoken=options["output_device"] is not None,
    )


def _converse(server: Server, config: Config, options: dict[str, object]) -> None:
    from parley.audio.processing import ProcessingUnavailable
    from parley.talk.ports import Chosen

    record = options["record"]
    chosen = Chosen(
        server,
        _session_options(config, options),
        _text(options["input_device"]),
        _text(options["output_device"]),
        record if isinstance(record, Path) else None,
        asks=can_ask(),
    )
    # Without a microphone or a loudspeaker there is no echo.
    echo = options["echo_control"] == "on" and chosen.input is not None and chosen.output is not None
    cleaner = _cleaner(echo)
    try:
        talk = _plainly(chosen, cleaner) if _is_plain(options) else _on_screen(chosen, cleaner)
    except ProcessingUnavailable as error:
        raise CommandFailed(error.message, f"{error.remedy}; or use --echo-control off and a headset.") from error
    except OSError as error:
        raise CommandFailed(f"The recording cannot be written: {error}.") from error
    _summarize(talk)


def _text(chosen: object) -> str | None:
    return chosen if isinstance(chosen, str) else None


def _cleaner(on: bool) -> Callable[[], Cleaner | None]:
    from parley.talk.devices import RATE
    from parley.talk.microphone import echo_control

    return (lambda: echo_control(RATE)) if on else (lambda: None)


def _plainly(chosen: Chosen, cleaner: Callable[[], Cleaner | None]) -> Talk:
    from parley.talk.conversation import Talk
    from parley.talk.tui.plain import PlainView, run_plain

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    view = PlainView(lambda line: print(line, flush=True), width)  # noqa: T201 - the result of the command

    async def main() -> Talk:
        conversation = Talk(chosen, view, cleaner)
        await run_plain(conversation, view)
        return conversation

    return asyncio.run(main())


def _on_screen(chosen: Chosen, cleaner: Callable[[], Cleaner | None]) -> Talk:
    from parley.talk.conversation import Talk
    from parley.talk.tui.drawing import glyphs_for
    from parley.talk.tui.screen import TalkScreen

    def make(view: TalkView) -> Talk:
        return Talk(chosen, view, cleaner)

    screen = TalkScreen(make, glyphs_for(sys.stdout.encoding))
    forget_typed_keys()
    with logs_to(lambda message: screen.talk.notify_from_thread("warning", message)), terminal_to_ourselves():
        ended = screen.run()
    if isinstance(ended, BaseException):
        raise ended
    if screen.return_code:
        raise CommandFailed("The screen failed; --plain does without.")
    return screen.talk


def _summarize(conversation: Talk) -> None:
    from parley.talk.figures import spreads
    from parley.talk.tui.drawing import summary

    figures = conversation.figures
    for line in summary(figures.turns, figures.interruptions, conversation.devices.underruns, spreads(figures.turns)):
        click.echo(line)
    if conversation.chosen.record is not None:
        click.echo(f"recorded in {conversation.chosen.record}")
