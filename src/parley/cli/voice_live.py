"""`parley voice convert --live`: the microphone in another voice, and one line that says how it fares.

Laws: on a terminal the line is drawn anew; elsewhere it is one line each second, and with `--json` one object. Ctrl-C ends at once.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Protocol

import click

from parley.cli.voice_target import ConversionTarget, opened
from parley.stop_signals import on_stop_signals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

    from parley.talk.live_voice import LiveBuffers, LiveVoiceEvent, LiveVoiceFigures

SHOWN_S = 0.25
LINE_S = 1.0

SWITCH_S = 0.0005

WIPE = "\r\033[K"

SLOW_RTF = 0.6
"""From here on a converter may be late now and then: its worst blocks take the time of a whole one."""


class LiveView(Protocol):
    """Shows what happens."""

    every_s: float

    def note(self, text: str) -> None: ...

    def figures(self, figures: LiveVoiceFigures) -> None: ...


def converse(target: ConversionTarget, devices: tuple[str, str], buffers: LiveBuffers, *, as_json: bool) -> None:
    """Convert until Ctrl-C. `devices` are the names of the microphone and the loudspeaker, "" for the default ones."""
    asyncio.run(_converse(target, devices, buffers, as_json))


async def _converse(target: ConversionTarget, devices: tuple[str, str], buffers: LiveBuffers, as_json: bool) -> None:
    """Ends when the conversion fails, or at the first signal."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    on_stop_signals(stop.set)
    with _view(as_json) as view:
        converting = loop.create_task(_run(target, devices, view, buffers))
        stopping = loop.create_task(stop.wait())
        try:
            await asyncio.wait([converting, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            converting.cancel()
            stopping.cancel()
            await asyncio.wait([converting, stopping])
    if not converting.cancelled() and (error := converting.exception()) is not None:
        raise error


async def _run(target: ConversionTarget, devices: tuple[str, str], view: LiveView, buffers: LiveBuffers) -> None:
    from parley.talk.live_voice import live_voice

    # The devices' threads must not wait 5 ms for Python while a block is computed.
    sys.setswitchinterval(SWITCH_S)
    async with opened(target) as converter:
        events = live_voice(converter, target.voice, devices, every_s=view.every_s, buffers=buffers)
        async with aclosing(events) as coming:
            async for event in coming:
                _show(view, target, event)


def _show(view: LiveView, target: ConversionTarget, event: LiveVoiceEvent) -> None:
    from parley.talk.live_voice import DevicesOpened, DeviceVanished

    match event:
        case DevicesOpened(source, sink, again):
            begins = "The devices are back" if again else "Converting"
            rates = f"{source.name} ({source.rate / 1000:g} kHz) to {sink.name} ({sink.rate / 1000:g} kHz)"
            view.note(f"{begins}: {rates}, with {target}. Ctrl-C ends.")
        case DeviceVanished(name):
            view.note(f"{name} has vanished: nothing is heard until it is there again.")
        case figures:
            view.figures(figures)


# --- what is shown ----------------------------------------------------------------------------------------------------


@contextmanager
def _view(as_json: bool) -> Iterator[LiveView]:
    if as_json:
        yield JsonLines()
    elif not sys.stdout.isatty():
        yield PlainLines()
    else:
        view = DrawnLine()
        try:
            yield view
        finally:
            view.wipe()


class JsonLines:
    every_s = LINE_S

    def note(self, text: str) -> None:
        click.echo(text, err=True)

    def figures(self, figures: LiveVoiceFigures) -> None:
        click.echo(json.dumps(figures.to_json()))
        sys.stdout.flush()


class PlainLines(JsonLines):
    def figures(self, figures: LiveVoiceFigures) -> None:
        click.echo(", ".join(f"{name} {value}" for name, value, _ in fields(figures)))
        sys.stdout.flush()


class DrawnLine:
    """The last line of the terminal, drawn anew each time."""

    every_s = SHOWN_S

    def __init__(self) -> None:
        from rich.console import Console
        from rich.text import Text

        # What rich prepares when it prints for the first time would come between two blocks of sound.
        Console(file=io.StringIO(), force_terminal=True).print(Text("", "dim"), "")
        self._console = Console(emoji=False, highlight=False)

    def note(self, text: str) -> None:
        self.wipe()
        self._console.print(text)

    def figures(self, figures: LiveVoiceFigures) -> None:
        self.wipe()
        self._console.print(line(figures, self._console.width - 1), end="")
        self._console.file.flush()

    def wipe(self) -> None:
        """Empty the line; the cursor stands at its begin."""
        self._console.file.write(WIPE)


def fields(figures: LiveVoiceFigures) -> list[tuple[str, str, bool]]:
    """Name, value, and whether it needs attention; the most important first."""
    return [
        ("delay", f"{figures.delay_ms:.0f} ms", False),
        ("RTF", f"{figures.rtf_p50:.2f}/{figures.rtf_p95:.2f}", figures.rtf_p95 >= SLOW_RTF),
        ("raw", f"{figures.raw_blocks} ({figures.raw_ms / 1000:.1f} s)", figures.raw_blocks > 0),
        ("gaps", f"{figures.gaps}", figures.gaps > 0),
        ("buffer", f"{figures.buffer_ms:.0f} ms", False),
        ("in", f"{figures.input_dbfs:.0f} dB", figures.input_dbfs > -1),
        ("out", f"{figures.output_dbfs:.0f} dB", figures.output_dbfs > -1),
        ("clocks", f"{figures.clocks_ppm:+.0f} ppm", False),
    ]


def line(figures: LiveVoiceFigures, width: int) -> Text:
    """One line, no wider than the terminal; what does not fit is left out from the end."""
    from rich.text import Text

    shown = Text(no_wrap=True, overflow="crop")
    for name, value, attention in fields(figures):
        part = Text.assemble((f"{name} ", "dim"), (value, "yellow" if attention else ""))
        if shown.cell_len + part.cell_len + 2 > width:
            break
        shown.append("  " if shown else "").append(part)
    return shown
