"""Whether a server stays as it was after thousands of sessions: `make soak`, or `python -m benchmarks.soak`.

Starts a server in a process of its own and drives talking sessions over real sockets, in rounds: spoken turns, interruptions, errors,
and every way for a session to end. When all sessions of a round are over, it looks at what is left: memory, live objects, tasks,
threads, descriptors, and the processor time that each session took. Prints a line for each round, writes results/soak.json, and exits
with 1 when memory grows, something stays alive, or sessions become dearer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import uvloop
from rich.console import Console

from benchmarks.realtime import RECORDING, ROOT, machine, speech
from parley.client.urls import realtime_url
from parley.load.conversation import LoadConversation, Script, Tally
from parley.load.link import LoadLink
from parley.load.pacing import Wheel
from parley.load.process_usage import read_usage
from parley.load.recording import SpeechTrack, cut_track, load_recording, text_frame

RESULTS = ROOT / "benchmarks" / "results" / "soak.json"

START_LIMIT_S = 120
CHUNK_MS = 20
STAGE_S = 0.4
VISIT_LIMIT_S = 120.0
"""One session with its turns; longer, and it counts as stuck."""
SETTLE_LIMIT_S = 45.0
"""From the end of a round's last client until nothing of it may be alive: longer than a dead link is waited for (20 s)."""
SHOWN = 80
"""Characters of a reason: those that differ in a number alone are one."""
RETRY_S = 1.0
"""A server on a crowded machine refuses sessions, and each comes again: so there are never more at once than the machine carries."""
MIN_ROUNDS = 5
"""Two to warm up, and three to compare with them."""

WARM_UP_SHARE = 0.2
"""Of all rounds: allocators and caches have then seen everything that a session does."""
MAX_GROWTH = 0.05
MAX_CPU_DRIFT = 0.25
"""Processor time by session of the last rounds against the first; held to only where the client's own did not drift as far, because
a neighbour on the same core makes both dearer."""
MAX_LOST_SHARE = 0.02

ENGINES = {
    "bench": ["--pipeline", "bench"],
    "default": ["--pipeline", "default", "--stt", "pocketsphinx", "--llm", "responder", "--tts", "espeak"],
}

GARBAGE = (
    b"{",
    b"[]",
    b'{"type":"nothing.known"}',
    b'{"type":"response.cancel"}',
    b'{"type":"session.update","session":7}',
)
BROKEN_FRAME = b"\xff\xff\xff\xff\xff\xff\xff\xff"
TOO_LARGE = b"\x81\xff" + (1 << 40).to_bytes(8) + b"\0\0\0\0"
"""The header of a frame that announces a terabyte."""

Ending = Callable[["Visit"], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """How a session goes: when it ends, and how. `at` names the moment: after its last reply, in a reply, or in a turn's speech."""

    name: str
    at: str
    end: Ending
    turns: int = 1
    interrupts: bool = False
    garbage: bool = False


@dataclass(slots=True)
class Round:
    """What was left when a round's sessions were over, and what they cost."""

    number: int
    seconds: float
    rss_mib: float
    server_cpu_ms: float
    client_cpu_ms: float
    descriptors: int
    alive: dict[str, int]
    ended: dict[str, int]


class Visit:
    """One session, from its handshake to its end; a microphone on the wheel meanwhile."""

    def __init__(self, kind: Kind, track: SpeechTrack) -> None:
        self.kind = kind
        self.tally = Tally(measuring=True)
        script = Script(track, STAGE_S, gap_s=0.1, barge_after_s=0.1 if kind.interrupts else None)
        self.conversation = LoadConversation(script, self.tally)
        self.link: LoadLink | None = None
        self.ended = False
        self._replies = 0
        self._track = track
        self._spoken = 0

    async def run(self, url: str, wheel: Wheel) -> str:
        """Returns how it ended, in words."""
        self.link = await LoadLink.dial(url, None, self._heard)
        for message in GARBAGE if self.kind.garbage else ():
            self.link.send(text_frame(message))
        self.conversation.begin(time.monotonic())
        wheel.add(self)
        try:
            async with asyncio.timeout(VISIT_LIMIT_S):
                await asyncio.shield(self.link.ended)
        except TimeoutError:
            return "stuck"
        finally:
            wheel.remove(self)
            self.link.abandon("over")
        return self.kind.name if self.ended else f"lost: {self.link.ended.result()[:SHOWN]}"

    def chunk_due(self, planned_s: float) -> None:
        if self.link is None or self.ended:
            return
        frame = self.conversation.frame_due(planned_s)
        self.link.send(frame)
        if frame is not self._track.silence:
            self._spoken += 1
            if self.kind.at == "speech" and self._spoken > self._track.end_frame // 2:
                self._end()

    def _heard(self, message: bytes, now_s: float) -> None:
        self.conversation.receive(message, now_s)
        if self.ended:
            return
        start = message[:200]
        if self.kind.at == "reply" and b'"response.output_audio.delta"' in start:
            self._end()
        elif b'"response.done"' in start:
            self._replies += 1
            if self.kind.at == "end" and self._replies >= self.kind.turns:
                self._end()

    def _end(self) -> None:
        self.ended = True
        self.kind.end(self)

    def send(self, data: bytes) -> None:
        assert self.link is not None
        self.link.send(data)


def say_goodbye(visit: Visit) -> None:
    assert visit.link is not None
    visit.link.close()


def hang_up(visit: Visit) -> None:
    assert visit.link is not None
    visit.link.abandon("hung up")


KINDS = (
    Kind("talks and says goodbye", "end", say_goodbye),
    Kind("talks twice and hangs up", "end", hang_up, turns=2),
    Kind("interrupts and says goodbye", "end", say_goodbye, turns=3, interrupts=True),
    Kind("interrupts and hangs up in a reply", "reply", hang_up, interrupts=True),
    Kind("says goodbye in a reply", "reply", say_goodbye),
    Kind("hangs up while speaking", "speech", hang_up),
    Kind("says goodbye while speaking", "speech", say_goodbye),
    Kind("sends garbage, talks, says goodbye", "end", say_goodbye, garbage=True),
    Kind("breaks the protocol (1002)", "end", lambda visit: visit.send(BROKEN_FRAME)),
    Kind("announces too much (1009) in a reply", "reply", lambda visit: visit.send(TOO_LARGE)),
)
"""One round holds each of them equally often, so that rounds can be compared."""


class Server:
    """The server under test, with its probe."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def alive(self) -> dict[str, int]:
        stdin, stdout = _pipes(self.process)
        stdin.write("\n")
        stdin.flush()
        found: dict[str, int] = json.loads(stdout.readline())
        return found

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


@contextmanager
def server(engines: str, log: Path) -> Iterator[Server]:
    """Ends it with SIGTERM; an exit code other than 0 is an error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    environment |= {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmarks.soak_server", "serve", "--port", "0", *ENGINES[engines]]
    with tempfile.TemporaryDirectory() as folder, log.open("w") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env=environment,
            cwd=folder,
        )
        try:
            yield Server(process, realtime_url(f"ws://{_address(process, log)}", None))
            process.terminate()
            if (code := process.wait(60)) != 0:
                raise SystemExit(f"the server ended with {code}:\n{log.read_text()[-4000:]}")
        finally:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[str], log: Path) -> str:
    until_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < until_s and process.poll() is None:
        if listening := re.search(r"listens on http://([^\s/]+)", log.read_text()):
            return listening.group(1)
        time.sleep(0.1)
    raise SystemExit(f"the server did not start:\n{log.read_text()}")


async def drive(url: str, track: SpeechTrack, sessions: int, at_once: int) -> Counter[str]:
    """One round: how its sessions ended."""
    wheel, ended, room = Wheel(CHUNK_MS), Counter[str](), asyncio.Semaphore(at_once)
    wheel.start()

    async def visit(number: int) -> None:
        async with room:
            # Those that run at once should not do the same at the same time.
            await asyncio.sleep(0.05 * (number % 10))
            ended[await persistent(KINDS[number % len(KINDS)], track, url, wheel, ended)] += 1

    try:
        await asyncio.gather(*(visit(number) for number in range(sessions)))
    finally:
        wheel.stop()
    return ended


async def persistent(kind: Kind, track: SpeechTrack, url: str, wheel: Wheel, ended: Counter[str]) -> str:
    while True:
        try:
            return await Visit(kind, track).run(url, wheel)
        except ConnectionRefusedError as refused:
            if "HTTP 503" not in str(refused):
                return f"lost: {str(refused)[:SHOWN]}"
            ended["(refused at first)"] += 1
            await asyncio.sleep(RETRY_S)
        except OSError as error:
            return f"lost: {str(error)[:SHOWN]}"


def settle(target: Server) -> dict[str, int]:
    """What is alive once nothing changes any more for the better, or time is up."""
    until_s = time.monotonic() + SETTLE_LIMIT_S
    while True:
        alive = target.alive()
        if not any(count for name, count in alive.items() if name not in ("tasks", "threads")):
            return alive
        if time.monotonic() > until_s:
            return alive
        time.sleep(0.2)


def soak(
    target: Server, track: SpeechTrack, arguments: argparse.Namespace, report: Callable[[Round], None]
) -> list[Round]:
    rounds: list[Round] = []
    began_s = time.monotonic()
    size = arguments.sessions_total // arguments.rounds

    def enough() -> bool:
        passed_min = (time.monotonic() - began_s) / 60
        at_most_min = max(arguments.at_most_minutes, arguments.minutes) if arguments.at_most_minutes else 0
        if at_most_min and passed_min > at_most_min and len(rounds) >= MIN_ROUNDS:
            return True
        return bool(len(rounds) >= arguments.rounds and passed_min >= arguments.minutes)

    while not enough():
        before_s, server_s, client_s = time.monotonic(), read_usage(target.process.pid).cpu_s, time.process_time()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            ended = runner.run(drive(target.url, track, size, arguments.at_once))
        used_s, client_s = read_usage(target.process.pid).cpu_s - server_s, time.process_time() - client_s
        alive = settle(target)
        rounds.append(
            Round(
                number=len(rounds) + 1,
                seconds=round(time.monotonic() - before_s, 1),
                rss_mib=round(read_usage(target.process.pid).rss_bytes / 2**20, 1),
                server_cpu_ms=round(1000 * used_s / size, 2),
                client_cpu_ms=round(1000 * client_s / size, 2),
                descriptors=target.descriptors,
                alive=alive,
                ended=dict(ended),
            )
        )
        report(rounds[-1])
    return rounds


def verdict(rounds: list[Round], sessions: int) -> tuple[dict[str, float], list[str]]:
    """The figures, and each bar that was broken, in words."""
    warm = max(2, round(WARM_UP_SHARE * len(rounds)))
    first, last = rounds[warm - 1], rounds[-3:]
    compared = rounds[warm : warm + 3]
    level, end = max(one.rss_mib for one in rounds[:warm]), statistics.median(one.rss_mib for one in last)
    growth = end / level - 1
    cpu, client = (_drift(compared, last, name) for name in ("server_cpu_ms", "client_cpu_ms"))
    lost = sum(n for one in rounds for how, n in one.ended.items() if how.startswith(("lost", "stuck")))
    broken = []
    if growth > MAX_GROWTH:
        broken.append(f"memory grew from {level:g} to {end:g} MiB ({100 * growth:+.1f} %) after the warm-up")
    for name in first.alive:
        most = max(one.alive[name] for one in rounds[:warm]) if name in ("tasks", "threads") else 0
        if (left := rounds[-1].alive[name]) > most:
            broken.append(f"{left} {name} are alive after the last round; at most {most} may be")
    if rounds[-1].descriptors > (most := max(one.descriptors for one in rounds[:warm])):
        broken.append(f"{rounds[-1].descriptors} descriptors are open after the last round; {most} after the warm-up")
    if cpu > MAX_CPU_DRIFT and cpu - client > MAX_CPU_DRIFT:
        broken.append(f"a session takes {100 * cpu:+.0f} % of processor time (the client's: {100 * client:+.0f} %)")
    if lost > MAX_LOST_SHARE * sessions:
        broken.append(f"{lost} of {sessions} sessions were lost or stuck")
    figures = {"level_mib": level, "end_mib": end, "growth_percent": round(100 * growth, 2)}
    return figures | {"cpu_drift_percent": round(100 * cpu, 1), "lost": lost}, broken


def _drift(first: list[Round], last: list[Round], name: str) -> float:
    before, after = (statistics.median(getattr(one, name) for one in some) for some in (first, last))
    return after / before - 1 if before else 0.0


def main() -> int:
    arguments = parse_arguments()
    console, doubts = Console(width=None if sys.stdout.isatty() else 140), Console(stderr=True)
    console.print("round     s  RSS MiB                             CPU ms  client ms  tasks  threads  fds  alive")

    def report(one: Round) -> None:
        left = {name: n for name, n in one.alive.items() if n and name not in ("tasks", "threads")}
        bar = "#" * round(one.rss_mib / 20)
        numbers = f"{one.number:5} {one.seconds:5.0f} {one.rss_mib:8.1f} {bar:25} {one.server_cpu_ms:9.1f} {one.client_cpu_ms:10.1f}"
        console.print(
            f"{numbers} {one.alive['tasks']:6} {one.alive['threads']:8} {one.descriptors:4}  {left or 'nothing'}"
        )
        for how, count in one.ended.items():
            if how.startswith(("lost", "stuck", "(")):
                doubts.print(f"[yellow]round {one.number}: {count} x {how}[/]")

    with tempfile.TemporaryDirectory() as scratch:
        track = cut_track(load_recording(speech(Path(scratch), arguments.wav)), CHUNK_MS)
        with server(arguments.engines, Path(scratch) / "server.log") as target:
            rounds = soak(target, track, arguments, report)
    sessions = sum(n for one in rounds for how, n in one.ended.items() if not how.startswith("("))
    figures, broken = verdict(rounds, sessions)
    console.print(f"{sessions} sessions: {figures}")
    for bar in broken:
        doubts.print(f"[red]bar broken: {bar}[/]")
    if arguments.write:
        result = {"machine": machine(), "engines": arguments.engines, "sessions": sessions, "figures": figures}
        written = result | {"broken": broken, "rounds": [asdict(one) for one in rounds]}
        RESULTS.write_text(json.dumps(written, indent=2) + "\n")
    return 1 if broken else 0


def parse_arguments() -> Any:
    parser = argparse.ArgumentParser(description="Drive thousands of sessions and look at what they leave behind.")
    parser.add_argument("--sessions-total", type=int, default=2000, help="sessions, in all rounds together (2000)")
    parser.add_argument("--rounds", type=int, default=20, help="times that all sessions are let end (20)")
    parser.add_argument("--at-once", type=int, default=50, help="sessions at the same time (50)")
    parser.add_argument("--minutes", type=float, default=0, help="go on for so long, with as many rounds as it takes")
    parser.add_argument(
        "--at-most-minutes",
        type=float,
        default=0,
        help="end early, with fewer rounds, on a slow machine; --minutes goes before it",
    )
    parser.add_argument("--engines", choices=sorted(ENGINES), default="bench", help="bench, or what runs everywhere")
    parser.add_argument("--wav", type=Path, default=RECORDING, help="what the sessions say")
    parser.add_argument("--write", action="store_true", help="write results/soak.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
