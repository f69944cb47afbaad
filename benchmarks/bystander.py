"""How long one client waits while others do their worst: `python benchmarks/bystander.py`.

A server runs in a process of its own, with the real voice activity model and espeak-ng, a recogniser that costs nothing and a model that
writes 200 words a second. A bystander, in a second process, sends `input_audio_buffer.clear` every 10 ms and measures the time until the
answer. An attacker, in a third process, does what the scenario's name says. Each scenario begins with the same bystander on the idle
server. Prints a table; `--label NAME` keeps the rows under that name in results/bystander.json.

Round trips are wall time, and include what other programs on the machine take. The longest step and the longest turn of the event loop
are processor time of the server's thread (`time.thread_time`, around every callback), and do not.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import ClientConnection, connect

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "bystander.json"
START_LIMIT_S = 60
PROBE_EVERY_S = 0.010
BAR_MS = 20.0
"""The longest p99 of a bystander's round trip."""

MESSAGE_BYTES = 24 * 1024 * 1024 - 1024
AUDIO_BYTES = 14 * 1024 * 1024
MANUAL = {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}}
SENTENCES = "The train to the coast leaves at half past nine, and it stops at every village on the way. " * 200

CONFIG = f"""
[server]
port = 0
[pipelines.bystander]
stt = "bench"
tts = "espeak"
llm = "bench"
speculation = "off"
[pipelines.bystander.llm_options]
first_token_ms = 100
token_ms = 5
text = {json.dumps(SENTENCES)}
"""


# --- the server, with every callback measured -----------------------------------------------------------------------------


class Steps:
    """Processor time of the event loop's callbacks and turns since the last `take`."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.turn = 0.0
        self.busiest_turn = 0.0
        self.over = 0
        self.began_s = time.process_time()

    def take(self) -> dict[str, float]:
        now_s = time.process_time()
        figures = {
            "longest_step_ms": round(self.longest * 1e3, 2),
            "longest_turn_ms": round(self.busiest_turn * 1e3, 2),
            "steps_over_20_ms": self.over,
            "server_cpu_s": round(now_s - self.began_s, 3),
        }
        self.longest = self.busiest_turn = 0.0
        self.over = 0
        self.began_s = now_s
        return figures


def serve() -> None:
    """`parley serve` on asyncio's own loop (uvloop's callbacks cannot be measured); SIGUSR1 prints the steps since the last."""
    import selectors

    import parley.server.app as app
    from parley.config import load

    steps = Steps()
    run: Callable[[asyncio.Handle], None] = asyncio.Handle._run
    thread_time = time.thread_time

    def measured(handle: asyncio.Handle) -> None:
        began = thread_time()
        run(handle)
        took = thread_time() - began
        steps.turn += took
        steps.longest = max(steps.longest, took)
        steps.over += took > BAR_MS / 1e3

    class Selector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> Any:
            steps.busiest_turn = max(steps.busiest_turn, steps.turn)
            steps.turn = 0.0
            return super().select(timeout)

    asyncio.Handle._run = measured  # type: ignore[assignment, method-assign]
    app._loop_factory = lambda: lambda: asyncio.SelectorEventLoop(Selector())
    signal.signal(signal.SIGUSR1, lambda *_: print(json.dumps(steps.take()), flush=True))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parley.toml"
        path.write_text(CONFIG)
        app.serve(load(path, {"pipeline": "bystander"}, {}))


class Server:
    """The child process that `serve`s."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.url = url

    def steps(self) -> dict[str, float]:
        self._process.send_signal(signal.SIGUSR1)
        assert self._process.stdout is not None
        figures: dict[str, float] = json.loads(self._process.stdout.readline())
        return figures


@contextmanager
def server() -> Iterator[Server]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    pipe = subprocess.PIPE
    command = [sys.executable, __file__, "--serve"]
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)
    assert process.stderr is not None
    expired = threading.Timer(START_LIMIT_S, process.kill)
    expired.start()
    told: list[str] = []
    try:
        for line in process.stderr:
            told.append(line)
            if listening := re.search(r"listens on http(://[^\s]+)", line):
                break
        else:
            raise SystemExit(f"the server did not start:\n{''.join(told)}")
        expired.cancel()
        threading.Thread(target=lambda stream: list(stream), args=(process.stderr,), daemon=True).start()
        yield Server(process, f"ws{listening.group(1)}/v1/realtime")
    finally:
        expired.cancel()
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# --- the bystander --------------------------------------------------------------------------------------------------------


async def probe(url: str, seconds: float) -> None:
    """Print the round trips of `seconds`."""
    trips: list[float] = []
    async with connect(url, max_size=None, compression=None) as link:
        await link.recv()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.perf_counter()
            await link.send('{"type":"input_audio_buffer.clear"}')
            await link.recv()
            took = time.perf_counter() - began
            trips.append(took * 1e3)
            await asyncio.sleep(max(0.0, PROBE_EVERY_S - took))
    trips.sort()
    p50, p99 = trips[len(trips) // 2], trips[int(0.99 * len(trips))]
    figures = {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2), "max_ms": round(trips[-1], 2), "trips": len(trips)}
    print(json.dumps(figures))


# --- the attackers --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def session(url: str) -> AsyncIterator[ClientConnection]:
    async with connect(url, max_size=None, compression=None, close_timeout=1) as link:
        await link.recv()
        yield link


async def read(link: ClientConnection) -> None:
    async for _ in link:
        pass


async def out_of_band(url: str, seconds: float) -> None:
    """Eight spoken replies beside the conversation."""
    async with session(url) as link:
        for _ in range(8):
            await link.send('{"type":"response.create","response":{"conversation":"none","input":[]}}')
        await timed(read(link), seconds)


async def never_read(url: str, seconds: float) -> None:
    """Eight clients, each with eight spoken replies that it does not read."""
    import socket

    host, port = url.split("/")[2].split(":")
    request = f"GET /v1/realtime HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    request += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    from websockets.frames import Frame, Opcode

    create = b'{"type":"response.create","response":{"conversation":"none","input":[]}}'
    frames = b"".join(Frame(Opcode.TEXT, create).serialize(mask=True) for _ in range(8))
    links = []
    for _ in range(8):
        raw = socket.create_connection((host, int(port)))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        raw.sendall(request.encode())
        head = b""
        while b"session.created" not in head:
            piece = raw.recv(4096)
            assert piece, f"the server refused: {head!r}"
            head += piece
        raw.sendall(frames)
        links.append(raw)
    await asyncio.sleep(seconds)
    for raw in links:
        raw.close()


async def speakers(url: str, seconds: float) -> None:
    """Forty sessions that begin to speak at once; prints when each one's first audio came."""
    began = 0.0
    first: list[float] = []

    async def one(link: ClientConnection) -> None:
        await link.send('{"type":"response.create"}')
        heard = False
        async for frame in link:
            if not heard and b"response.output_audio.delta" in (frame if isinstance(frame, bytes) else frame.encode()):
                heard = True
                first.append(time.monotonic() - began)

    links = [await connect(url, max_size=None, compression=None, close_timeout=1) for _ in range(40)]
    began = time.monotonic()
    await timed(asyncio.gather(*(one(link) for link in links)), seconds)
    await asyncio.gather(*(link.close() for link in links))
    first.sort()
    late = {"first_audio_p50_ms": round(first[len(first) // 2] * 1e3), "first_audio_max_ms": round(first[-1] * 1e3)}
    print(json.dumps(late | {"spoke": len(first)}))


async def commits(url: str, seconds: float) -> None:
    """14 MiB appended and committed, again and again."""
    audio = base64.b64encode(os.urandom(AUDIO_BYTES)).decode()
    append = f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}'
    async with session(url) as link:
        await link.send(json.dumps(MANUAL))

        async def attack() -> None:
            while True:
                await link.send(append)
                await link.send('{"type":"input_audio_buffer.commit"}')

        await timed(asyncio.gather(attack(), read(link)), seconds)


def _filled(pattern: str, before: str = "[", after: str = "1]", size: int = MESSAGE_BYTES) -> str:
    return before + pattern * ((size - len(before) - len(after)) // len(pattern.encode())) + after


def _respond(inner: str) -> str:
    return f'{{"type":"response.create","response":{inner}}}'


def _instructions(pattern: str) -> str:
    return _filled(pattern, '{"type":"response.create","response":{"instructions":"', '"}}')


PART = '{"type":"input_text","text":"a"},'
MESSAGE = f'{{"type":"message","role":"user","content":[{(PART * 256)[:-1]}]}},'
SHORT = f'{{"type":"message","role":"user","content":[{PART[:-1]}]}},'

MESSAGES: dict[str, Callable[[], str]] = {
    "24 MB of []": lambda: _filled("[],"),
    "24 MB of {}": lambda: _filled("{},"),
    "24 MB of keys": lambda: (
        '{"type":"response.create",' + ",".join(f'"{i:07d}":1' for i in range(MESSAGE_BYTES // 12)) + "}"
    ),
    "24 MB of numbers of 4,000 digits": lambda: _filled("9" * 4000 + ","),
    "24 MB of escapes in a string": lambda: _instructions("\\n"),
    "24 MB of four-byte characters": lambda: _instructions("\U0001f600"),
    "24 MB of spaces": lambda: _filled(" ", '{"type":"response.create"', "}"),
    "17 MB of items with 256 parts": lambda: _respond(f'{{"input":[{(MESSAGE * 1990)[:-1]}]}}'),
    "2,000 items of one part": lambda: _respond(f'{{"conversation":"none","input":[{(SHORT * 2000)[:-1]}]}}'),
    "20 MB of tools": lambda: (
        '{"type":"session.update","session":{"type":"realtime","tools":['
        + ",".join(
            f'{{"type":"function","name":"f{i}","parameters":{_filled("1,", chr(123) + chr(34) + "a" + chr(34) + ":[", "1]}", 250_000)}}}'
            for i in range(80)
        )
        + "]}}"
    ),
    "15 MiB appended at once": lambda: (
        '{"type":"input_audio_buffer.append","audio":"' + base64.b64encode(bytes(15 << 20)).decode() + '"}'
    ),
    "an image of 20 MB": lambda: (
        '{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_image","image_url":'
        + _filled("A", '"data:image/png;base64,', '"}]}}', 20 << 20)
    ),
    "16 KB of [] a thousand times": lambda: _filled("[],", size=16_384),
}


def message(make: Callable[[], str]) -> Callable[[str, float], Coroutine[Any, Any, None]]:
    """One client that sends the message again and again."""

    async def attack(url: str, seconds: float) -> None:
        text = make().encode()
        async with session(url) as link:

            async def send() -> None:
                while True:
                    await link.send(text, text=True)

            await timed(asyncio.gather(send(), read(link)), seconds)

    return attack


SCENARIOS: dict[str, Callable[[str, float], Coroutine[Any, Any, None]]] = {
    "eight out-of-band replies": out_of_band,
    "eight clients that never read": never_read,
    "forty sessions begin to speak": speakers,
    "commits of 14 MiB": commits,
    **{name: message(make) for name, make in MESSAGES.items()},
}


async def timed(work: Awaitable[Any], seconds: float) -> None:
    try:
        await asyncio.wait_for(work, seconds)
    except (TimeoutError, OSError):
        pass
    except Exception as error:  # noqa: BLE001 - the server may close an attacker: that is an outcome too
        print(f"the attacker ended with {error!r}", file=sys.stderr)


# --- the bench --------------------------------------------------------------------------------------------------------------


def child(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)


def figures_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    told, _ = process.communicate(timeout=120)
    found: dict[str, Any] = json.loads(told.strip().splitlines()[-1]) if told.strip() else {}
    return found


def measure(name: str, seconds: float) -> dict[str, Any]:
    """The bystander on the idle server, then beside the attacker."""
    with server() as running:
        idle = figures_of(child("--probe", running.url, "--seconds", str(seconds / 2)))
        running.steps()
        attacker = child("--attack", name, running.url, "--seconds", str(seconds))
        time.sleep(0.5)
        bystander = figures_of(child("--probe", running.url, "--seconds", str(seconds)))
        outcome = figures_of(attacker)
        return {"scenario": name, "idle": idle, "bystander": bystander, **running.steps(), **outcome}


def main() -> int:
    arguments = parse_arguments()
    if arguments.serve:
        serve()
        return 0
    if arguments.probe:
        asyncio.run(probe(arguments.probe, arguments.seconds))
        return 0
    if arguments.attack:
        name, url = arguments.attack
        asyncio.run(SCENARIOS[name](url, arguments.seconds))
        return 0
    names = [name for name in SCENARIOS if arguments.only in name]
    found = []
    for name in names:
        print(name, file=sys.stderr)
        found.append(measure(name, arguments.seconds))
    Console(width=None if sys.stdout.isatty() else 140).print(table(found))
    if arguments.label:
        keep(arguments.label, found)
    return 1 if any(each["bystander"]["p99_ms"] > BAR_MS for each in found) else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure what a bystander waits while other clients attack the server."
    )
    parser.add_argument("--seconds", type=float, default=8, help="length of each attack (8)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only scenarios whose name contains this")
    parser.add_argument("--label", default="", help="keep the rows under this name in results/bystander.json")
    for hidden in ("--probe",):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--attack", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def keep(label: str, found: list[dict[str, Any]]) -> None:
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    rows = {each["scenario"]: each for each in kept.get(label, [])}
    rows |= {each["scenario"]: each for each in found}
    kept[label] = [rows[name] for name in SCENARIOS if name in rows]
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


def table(found: list[dict[str, Any]]) -> Table:
    shown = Table(title="A bystander's round trip, ms (wall); steps: processor time", title_justify="left", box=SIMPLE)
    columns = (
        "idle p99",
        "p50",
        "p99",
        "max",
        "longest step",
        "longest turn",
        "over 20 ms",
        "CPU s",
        "first audio p50",
    )
    shown.add_column("attack", no_wrap=True)
    for column in columns:
        shown.add_column(column, justify="right")
    for each in found:
        trip = each["bystander"]
        cells = [each["idle"]["p99_ms"], trip["p50_ms"], trip["p99_ms"], trip["max_ms"], each["longest_step_ms"]]
        cells += [each["longest_turn_ms"], each["steps_over_20_ms"], each["server_cpu_s"]]
        shown.add_row(each["scenario"], *(f"{cell:g}" for cell in cells), str(each.get("first_audio_p50_ms", "")))
    return shown


if __name__ == "__main__":
    sys.exit(main())
