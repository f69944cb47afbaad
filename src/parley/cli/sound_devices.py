"""The microphone and the loudspeaker of a command: how they are named, and their sound.

Laws: in every command `--input-device` names the microphone and `--output-device` the loudspeaker; names from before are understood and
not shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from parley.cli.failures import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import numpy as np
    from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")


class OptionWithOldNames(click.Option):
    """An option whose help shows its first name alone."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        names, self.opts = self.opts, self.opts[:1]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = names


def input_device_option(*old: str, default: str | None = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Adds `--input-device`, which the command takes as `input_device`; `old` are its names from before."""
    return _option("input", "Microphone", old, default)


def output_device_option(*old: str, default: str | None = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Adds `--output-device`, which the command takes as `output_device`; `old` are its names from before."""
    return _option("output", "Loudspeaker", old, default)


def _option(
    direction: str, what: str, old: tuple[str, ...], default: str | None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    return click.option(
        f"--{direction}-device",
        *old,
        f"{direction}_device",
        cls=OptionWithOldNames,
        metavar="NAME",
        default=default,
        help=f"{what}, by number or part of its name (`parley talk --devices` lists them).",
    )


async def microphone(wanted: str, stop: asyncio.Event) -> AsyncGenerator[Any, None]:
    """Frames of int16 at the devices' rate, until `stop`."""
    from parley.talk.devices import FRAMES, RATE, WAITING_SOUNDS, find_device, list_devices

    device = find_device(await asyncio.to_thread(list_devices), wanted, "input")
    import sounddevice

    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[bytes | None] = asyncio.Queue()

    def recorded(data: Any, *_: Any) -> None:
        loop.call_soon_threadsafe(waiting.put_nowait, bytes(data))

    stopping = loop.create_task(stop.wait())
    stopping.add_done_callback(lambda _: waiting.put_nowait(None))
    try:
        with sounddevice.RawInputStream(
            samplerate=RATE, blocksize=FRAMES, channels=1, dtype="int16", device=device.index, callback=recorded
        ):
            click.echo(f"Listening to {device.name}; Ctrl-C ends.", err=True)
            while (data := await waiting.get()) is not None:
                if waiting.qsize() > WAITING_SOUNDS:
                    raise CommandFailed(
                        "The recogniser is ten seconds behind the microphone.", "Choose a smaller model with --stt."
                    )
                yield data
    finally:
        stopping.cancel()


@asynccontextmanager
async def loudspeaker(wanted: str) -> AsyncIterator[Callable[[NDArray[np.int16]], Awaitable[None]]]:
    """A sink that plays int16 `[n]` at the devices' rate; at the end it plays to its end."""
    from parley.talk.devices import RATE, find_device, list_devices

    device = find_device(await asyncio.to_thread(list_devices), wanted, "output")
    import sounddevice

    stream: Any = sounddevice.RawOutputStream(samplerate=RATE, channels=1, dtype="int16", device=device.index)
    played = False

    async def play(audio: NDArray[np.int16]) -> None:
        nonlocal played
        played = True
        # The stream's own buffer makes a call wait while it is full; the loop does not.
        await asyncio.to_thread(stream.write, audio.tobytes())

    with stream:
        yield play
        if played:
            # A device that is stopped right after the last write drops its buffer.
            await asyncio.to_thread(stream.write, bytes(2 * int(RATE * stream.latency)))
