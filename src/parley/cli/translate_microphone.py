"""`parley translate --mic`: this machine's microphone, translated clause by clause: shown, and spoken.

Laws: the session is the library's, with the interpreter's policy: a clause is translated as soon as its words are stable, and a voice over
the translation cuts nothing. Translations go to stdout, what was heard to stderr.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from parley.cli.failures import CommandFailed
from parley.stop_signals import on_stop_signals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import numpy as np
    from numpy.typing import NDArray

    from parley.config import PipelineConfig
    from parley.library.events import VoiceEvent
    from parley.library.pipeline import Pipeline

HEADPHONES = "Wear headphones: the microphone hears the loudspeaker, and the translation would be translated again."


def interpret(config: PipelineConfig, to: str, *, speak: bool, bilingual: bool, devices: tuple[str, str]) -> None:
    """Translate until Ctrl-C. `devices` are the names of the microphone and the loudspeaker, "" for the default ones."""
    asyncio.run(_interpret(config, to, speak, bilingual, devices))


async def _interpret(config: PipelineConfig, to: str, speak: bool, bilingual: bool, devices: tuple[str, str]) -> None:
    from parley.cli.sound_devices import loudspeaker, microphone
    from parley.talk.devices import RATE

    stop = asyncio.Event()
    on_stop_signals(stop.set)
    async with AsyncExitStack() as stack:
        pipeline = await stack.enter_async_context(_pipeline(config, speak))
        sink = await stack.enter_async_context(loudspeaker(devices[1])) if speak else None
        if speak:
            click.echo(HEADPHONES, err=True)
        source = await stack.enter_async_context(aclosing(microphone(devices[0], stop)))
        await show(await interpreted(pipeline, source, sink, to, config.language, RATE), bilingual)


async def interpreted(
    pipeline: Pipeline,
    source: AsyncGenerator[Any, None],
    sink: Callable[[NDArray[np.int16]], Awaitable[None]] | None,
    to: str,
    language: str,
    rate: int,
) -> AsyncGenerator[VoiceEvent, None]:
    """The events of a live session at `rate` that translates `source` into `to`, and speaks into `sink` if there is one."""
    from parley.core.policy.interpreter import Interpreter
    from parley.engines.ports import MT, TTS
    from parley.library.session import VoiceSession
    from parley.library.translation import SegmentTranslator
    from parley.runtime.faults import named

    engine: Any = pipeline.engines.get(MT.name)
    await SegmentTranslator(engine, to, language).check()
    tts: Any = pipeline.engines.get(TTS.name)
    voice = pipeline.config.voice
    if sink is not None and tts.resolve_voice(voice, to) is None and tts.resolve_voice(voice) is not None:
        raise CommandFailed(
            f"{named('The speech synthesizer', tts)} does not speak {to!r}.",
            "Name another with --tts, or only show the translation: --quiet.",
        )
    session = VoiceSession(
        pipeline,
        sample_rate=rate,
        output_rate=rate,
        policy=Interpreter(to, language),
        modality="audio" if sink is not None else "text",
    )
    return session.live(source, sink)


async def show(events: AsyncGenerator[VoiceEvent, None], bilingual: bool) -> None:
    """Print each translation as its text comes, and what is being heard, dimmed, on a terminal."""
    from parley.library.events import Failed, PartialTranscript, ReplyEnded, ReplyText, TurnEnded

    shown = sys.stderr.isatty()
    writing = False
    async with aclosing(events) as coming:
        async for event in coming:
            match event:
                case PartialTranscript(text) if shown and not writing:
                    click.echo(f"\r\033[K{click.style(text[-100:], dim=True)}", nl=False, err=True)
                case ReplyText(text):
                    if shown and not writing:
                        click.echo("\r\033[K", nl=False, err=True)
                    writing = True
                    click.echo(text, nl=False)
                    sys.stdout.flush()
                case TurnEnded(turn) if bilingual and turn.heard:
                    click.echo(f"{chr(10) if writing else ''}  {turn.heard}", err=True)
                    writing = False
                case ReplyEnded() if writing:
                    click.echo()
                    writing = False
                case Failed(_, message):
                    click.echo(f"{chr(10) if writing else ''}parley: {message}", err=True)
                    writing = False
                case _:
                    pass
    if writing:
        click.echo()


@asynccontextmanager
async def _pipeline(config: PipelineConfig, speak: bool) -> AsyncIterator[Pipeline]:
    from parley.engines.ports import MT, STT, TTS, VAD, VC
    from parley.library.pipeline import Pipeline

    if speak and TTS not in config.engines:
        raise CommandFailed(
            "No speech synthesis is named.", "Name one with --tts ENGINE, or only show the translation: --quiet."
        )
    async with Pipeline(
        vad=config.engines[VAD],
        turn=None,
        stt=config.engines[STT],
        llm=None,
        tts=config.engines[TTS] if speak else None,
        mt=config.engines[MT],
        vc=config.engines.get(VC) if speak else None,
        voice=config.voice if speak else "",
        language=config.language,
    ) as pipeline:
        yield pipeline
