"""`parley interpret` at work: server, engines, devices and screen, put together for one call.

Laws: what can be known before anything is loaded is checked first. Results go to stdout; messages to stderr, or to the screen's notes.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import click
import numpy as np

from parley.cli.checks import Check
from parley.cli.failures import CommandFailed
from parley.cli.interpret_plan import FORWARD, HOSTED_MODEL, REVERSE, call_plan, default_cable, wanted_directions
from parley.cli.options import synthesizer_of

if TYPE_CHECKING:
    from parley.audio.types import Int16
    from parley.client.connection import Server
    from parley.config import Config, PipelineConfig
    from parley.config.values import InterpretConfig
    from parley.engines.ports import VoiceActivityModel, VoiceConverter
    from parley.interpret.call import CallInterpreter
    from parley.interpret.device_names import DeviceNames
    from parley.interpret.ports import InterpreterView

SWITCH_S = 0.0005
"""The devices' threads must not wait 5 ms for Python."""


def converse(config: Config, *, on_screen: bool) -> None:
    """Interpret until the user leaves."""
    settings = completed(config.interpret)
    sys.setswitchinterval(SWITCH_S)
    with _server(config, settings) as server:
        asyncio.run(_converse(config, settings, server, on_screen=on_screen))


def examine(config: Config) -> int:
    """Print what `parley interpret` would need and whether it is there; 1 where something is missing."""
    settings = completed(config.interpret)
    failed = False
    for check in asyncio.run(_checks(config, settings)):
        mark, colour = ("ok  ", "green") if check.ok else ("FAIL", "red") if check.required else ("note", "yellow")
        click.echo(f"{click.style(mark, fg=colour)}  {check.name}: {check.seen}")
        if not check.ok and check.remedy:
            click.echo(f"      {check.remedy}")
        failed = failed or (check.required and not check.ok)
    return int(failed)


async def _checks(config: Config, settings: InterpretConfig) -> list[Check]:
    from parley.cli.interpret_checks import check_devices, check_server
    from parley.engines.ports import EngineUnavailable

    try:
        with _server(config, settings) as server:
            found = await check_server(server, settings)
    except EngineUnavailable as error:
        found = [Check("engines", False, error.message, error.remedy)]
    return [*found, *await check_devices(settings)]


def completed(settings: InterpretConfig) -> InterpretConfig:
    """The settings, checked for what belongs together. Raises `CommandFailed`."""
    from parley.text.language_tags import primary_tag

    if not settings.mine or not settings.theirs:
        missing = (
            "--mine and --theirs"
            if not settings.mine and not settings.theirs
            else "--mine"
            if not settings.mine
            else "--theirs"
        )
        raise CommandFailed(
            f"Who speaks what is not said: {missing}.", "Such as: parley interpret --mine es --theirs en"
        )
    if primary_tag(settings.mine) == primary_tag(settings.theirs):
        raise CommandFailed(f"Both parties speak {settings.mine!r}.", "Name two languages with --mine and --theirs.")
    if settings.beta and settings.route != "conversation":
        raise CommandFailed("--beta belongs to --route conversation.", "Translation sessions are GA only.")
    if settings.cost_cap is not None and not settings.price_per_minute:
        raise CommandFailed("A cost cap needs a price.", "Add --price-per-minute, such as 0.034.")
    if settings.model and not settings.url:
        raise CommandFailed("--model belongs to --url.", "The own server's pipelines are chosen with --pipeline.")
    return settings


# --- the server ------------------------------------------------------------------------------------------------------------


@contextmanager
def _server(config: Config, settings: InterpretConfig) -> Iterator[Server]:
    """The server that translates: the one that is named, or one of its own with a pipeline for each direction."""
    from parley.cli.model_downloads import provide_models
    from parley.cli.talk_server import own_server
    from parley.client.connection import Server

    if settings.url:
        model = settings.model or HOSTED_MODEL[settings.route]
        yield Server.at(settings.url, model=model, key=_key(settings.api_key_env))
        return
    pipelines = own_pipelines(config, settings)
    for pipeline in pipelines.values():
        provide_models(config, pipeline.engines.items())
    with own_server(config, None, pipelines) as server:
        yield server


def _key(name: str) -> str:
    if not name:
        return ""
    key = os.environ.get(name, "").strip()
    if not key:
        raise CommandFailed(f"The environment variable {name}, which --api-key-env names, is not set.")
    return key


def own_pipelines(config: Config, settings: InterpretConfig) -> dict[str, PipelineConfig]:
    """The pipeline of each direction that is wanted. Raises `CommandFailed`."""
    from parley.engines.ports import LLM, MT, TURN, VC

    made: dict[str, PipelineConfig] = {}
    for name, base, language, voice in (
        (FORWARD, settings.pipeline_forward, settings.mine, settings.voice_forward),
        (REVERSE, settings.pipeline_reverse, settings.theirs, settings.voice_reverse),
    ):
        if name not in wanted_directions(settings):
            continue
        if base and base not in config.pipelines:
            raise CommandFailed(
                f"interpret.pipeline_{name}: there is no pipeline {base!r}.", "Define it in parley.toml."
            )
        pipeline = config.pipelines[base or config.default_pipeline]
        unused = (VC, LLM, TURN) if settings.route == "translation" else (VC,)
        engines = {stage: spec for stage, spec in pipeline.engines.items() if stage not in unused}
        if settings.route == "translation" and MT not in engines:
            raise CommandFailed(f"The pipeline {pipeline.name!r} has no translator.", 'Name one: mt = "auto".')
        made[name] = replace(
            pipeline, name=name, engines=engines, language=language, voice=voice or pipeline.voice, original_volume=None
        )
    return made


# --- the call --------------------------------------------------------------------------------------------------------------


async def _converse(config: Config, settings: InterpretConfig, server: Server, *, on_screen: bool) -> None:
    from parley.cli.interpret_checks import check_devices, check_server
    from parley.interpret.desk import SoundDesk
    from parley.interpret.device_names import device_names

    problems = [each for each in await check_server(server, settings) if not each.ok]
    _stop_for(problems)
    async with device_names() as names, _voice_activity(config) as vad, _converter(settings) as converter:
        mode, notes = await _mode_here(names, settings)
        settings = replace(settings, mode=mode)
        problems += [each for each in await check_devices(settings) if not each.ok]
        _stop_for(problems)
        notice = await asyncio.to_thread(_spoken, config, settings) if settings.consent == "spoken" else None
        plan = call_plan(settings, server, converter, notice, is_parley=not settings.url or await _is_parley(server))
        desk = SoundDesk(names)

        def make(view: InterpreterView) -> CallInterpreter:
            from parley.interpret.call import CallInterpreter

            call = CallInterpreter(plan, view, vad, desk)
            for note in (*notes, *(f"{each.name}: {each.seen}. {each.remedy}".strip() for each in problems)):
                call.tell("warning", note)
            return call

        began_s = time.monotonic()
        title = f"parley interpret: {server.name}"
        call = await (_on_screen(make, title) if on_screen else _plainly(make))
    from parley.interpret.screen.summary import closing_lines

    for line in closing_lines(call, time.monotonic() - began_s):
        click.echo(line)
    failed = [each.failed for each in call.working.values() if each.failed]
    if failed and len(failed) == len(call.working):
        raise CommandFailed(failed[0])


def _spoken(config: Config, settings: InterpretConfig) -> Int16:
    """The notice that the other party hears, in their language, spoken by this machine's synthesizer. Raises `CommandFailed`."""
    import parley
    from parley.interpret.consent import SPOKEN, spoken_notice
    from parley.interpret.ports import WIRE_RATE

    text = spoken_notice(settings.theirs)
    if text is None:
        raise CommandFailed(
            f"There is no spoken notice in {settings.theirs!r}; there are: {', '.join(SPOKEN)}.",
            "Say it yourself: --consent shown.",
        )
    spec = synthesizer_of(config.pipelines[config.default_pipeline])
    spoken = parley.synthesize(text, tts=spec, language=settings.theirs, sample_rate=WIRE_RATE)
    return np.concatenate([piece.samples for piece in spoken])


def _stop_for(problems: list[Check]) -> None:
    """Raises `CommandFailed` for what the call cannot do without."""
    for problem in problems:
        if problem.required:
            raise CommandFailed(f"{problem.name}: {problem.seen}", problem.remedy)


async def _is_parley(server: Server) -> bool:
    from parley.client.parley_rest import ParleyRest

    return await ParleyRest(server).ask()


async def _mode_here(names: DeviceNames, settings: InterpretConfig) -> tuple[Any, list[str]]:
    """The mode, and what to say of it: without a cable into the call nobody there can hear a translation."""
    from parley.interpret.device_names import found_now
    from parley.talk.devices import DevicesUnavailable

    if settings.mode != "both":
        return settings.mode, []
    try:
        await asyncio.to_thread(found_now, names, settings.to_call or default_cable("to call"), "to call")
    except DevicesUnavailable as error:
        if settings.to_call:
            raise CommandFailed(error.message, error.remedy) from error
        return "listen", [
            "There is no cable into the call: you hear them, they do not hear you. `parley cables create` makes one."
        ]
    return "both", []


@asynccontextmanager
async def _voice_activity(config: Config) -> AsyncIterator[VoiceActivityModel]:
    from parley.engines import registry
    from parley.engines.ports import VAD

    engine: Any = registry.create(VAD, config.pipelines[config.default_pipeline].engines[VAD])
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def _converter(settings: InterpretConfig) -> AsyncIterator[VoiceConverter | None]:
    """The converter of the user's translations, open."""
    from parley.cli.voice_target import ConversionTarget, opened
    from parley.engines.ports import EngineSpec

    if not settings.voice_conversion:
        yield None
        return
    async with opened(ConversionTarget(EngineSpec.parse(settings.voice_conversion, {}), "")) as converter:
        yield converter


async def _plainly(make: Callable[[InterpreterView], CallInterpreter]) -> CallInterpreter:
    from parley.interpret.screen.plain import PlainInterpreter

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    view = PlainInterpreter(make, lambda line: print(line, flush=True), width)  # noqa: T201 - the result of the command
    await view.run()
    return cast("CallInterpreter", view.interpreter)


async def _on_screen(make: Callable[[InterpreterView], CallInterpreter], title: str) -> CallInterpreter:
    from parley.cli.own_terminal import logs_to, terminal_to_ourselves
    from parley.interpret.screen.dashboard import InterpretScreen
    from parley.talk.tui.drawing import glyphs_for

    screen = InterpretScreen(make, title, glyphs_for(sys.stdout.encoding))
    call = cast("CallInterpreter", screen.interpreter)
    with logs_to(lambda message: call.tell("warning", message)), terminal_to_ourselves():
        ended = await screen.run_async()
    if isinstance(ended, BaseException):
        raise ended
    if screen.return_code:
        raise CommandFailed("The screen failed; --plain does without.")
    return call
