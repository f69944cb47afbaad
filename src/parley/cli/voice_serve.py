"""`parley voice serve`: converts speech for other programs on this machine, through a Unix socket."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from parley.voice.process import ReadyVoice


@click.command(
    "serve",
    epilog="""\b
Examples:
  parley voice serve vocoder:ana
  parley voice serve rvc:models/ana --rate 48000 --block 100
  parley voice serve vocoder:ana --socket /tmp/ana.sock --json
""",
)
@click.argument("engine", metavar="ENGINE[:MODEL]")
@click.option(
    "--socket",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Listen here [default: voice.sock in your runtime folder].",
)
@click.option("--rate", type=click.IntRange(8_000, 48_000), metavar="HZ", help="Rate of the audio [the engine's].")
@click.option(
    "--block", type=click.FloatRange(5, 1_000), metavar="MS", help="Audio that is computed at once [the engine's]."
)
@click.option("--voice", default="", metavar="NAME", help="One of the engine's voices [its usual one].")
@click.option("--clients", type=click.IntRange(1, 1_024), metavar="N", help="The most clients at once [64].")
@click.option(
    "--plain", is_flag=True, help="For whole sentences: wait for each block, never give the speaker's own voice."
)
@click.option("--json", "as_json", is_flag=True, help="Announce the server as a JSON object.")
@click.option(
    "--until-stdin-ends", is_flag=True, help="End when standard input does: with the program that started it."
)
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the engine; repeatable.")
def voice_serve(
    engine: str,
    socket: Path | None,
    rate: int | None,
    block: float | None,
    voice: str,
    clients: int | None,
    plain: bool,
    as_json: bool,
    until_stdin_ends: bool,
    options: Sequence[str],
) -> None:
    """Convert speech for other programs, through a Unix socket, until Ctrl-C.

    Each frame of PCM16 with its length in front (32 bits, the least significant first) is answered by one of as many samples, at a
    constant delay that is announced. docs/voice-conversion.md has the protocol, and a client in fifteen lines.
    """
    from parley.voice.process import ServerEnd, end_with_stdin

    ending = ServerEnd()
    if until_stdin_ends:
        end_with_stdin(ending)
    from parley.engines.ports import EngineSpec
    from parley.voice.process import ServedVoice, serve
    from parley.voice.serving import MAX_CLIENTS

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    given = dict(_option(text) for text in options) | ({} if block is None else {"block_ms": block})
    wanted = ServedVoice(
        EngineSpec.parse(engine, given),
        socket=socket and socket.absolute(),
        rate=rate or 0,
        voice=voice,
        plain=plain,
        max_clients=clients or MAX_CLIENTS,
    )
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(wanted, _announce_json if as_json else _announce, ending))


def _option(text: str) -> tuple[str, object]:
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise click.BadParameter(f"{text!r} is not KEY=VALUE.", param_hint="--option")
    return key.strip(), value


def _announce_json(ready: ReadyVoice) -> None:
    click.echo(json.dumps(asdict(ready)))
    sys.stdout.flush()


def _announce(ready: ReadyVoice) -> None:
    click.echo(
        f"{ready.engine} converts to the voice {ready.voice} at {ready.socket}: {ready.rate} Hz, "
        f"delay {ready.latency_ms:.0f} ms. Ctrl-C ends it."
    )
    sys.stdout.flush()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
