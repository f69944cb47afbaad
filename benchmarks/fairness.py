"""What one greedy session takes from another one's speech recognition: `python -m benchmarks.fairness`.

Starts `parley serve` (PocketSphinx, the models of fixed latency) on a free port. A bystander says one sentence after another, ends each
turn itself and waits for its words: alone, and then while another session does one of these:

    turns    keeps 60 committed turns of 30 s waiting (as many of them as the server takes)
    brought  brings conversation items of 2 x 1 MiB of audio, as many as the server takes
    flood    sends conversation items of 15 x 1 MiB of audio as fast as the link takes them, whatever the server answers

Prints the time from the bystander's commit to its words, the ratio, and the server's memory: before, at its highest, and after the greedy
session has left. Figures go to results/fairness.json. A ratio says what the greedy session costs; the times
themselves depend on the machine. `--parley PATH` measures the server of another installation.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from parley.audio import pcm
from parley.audio.resampling import resample
from tests.speech import clip

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "fairness.json"
PARLEY = str(Path(sys.executable).parent / "parley")
RATE = 24_000
START_LIMIT_S = 120
WORDS_LIMIT_S = 60.0
"""A bystander's turn that has no words by then counts as this long."""

GREEDY_TURNS = 60
GREEDY_TURN_S = 30
BROUGHT_PARTS = 2
FLOOD_PARTS = 15
ITEM_PART_BYTES = 1024 * 1024
SETTLE_S = 3.0
"""After the greedy session has begun, and after it has left: until the server stands where it will stand."""

SESSION = {
    "type": "session.update",
    "session": {
        "type": "transcription",
        "audio": {"input": {"turn_detection": None, "transcription": {"model": "pocketsphinx"}}},
    },
}
COMMIT = {"type": "input_audio_buffer.commit"}


@dataclass
class Greed:
    """What the greedy session sent and was told."""

    sent: int = 0
    sent_bytes: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    words: int = 0


def main() -> int:
    arguments = parse_arguments()
    found = []
    for kind in arguments.kinds.split(","):
        with server(arguments.parley) as (url, pid):
            found.append(asyncio.run(measure(kind, url, pid, arguments.turns)))
        print(line(found[-1]))
    if arguments.write:
        RESULTS.write_text(json.dumps({"runs": found}, indent=2) + "\n")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What one greedy session takes from another one's speech recognition.")
    parser.add_argument("--kinds", default="turns,brought,flood", help="what the greedy session does (all three)")
    parser.add_argument(
        "--turns", type=int, default=5, help="the bystander's turns, alone and beside the greedy session (5)"
    )
    parser.add_argument("--parley", default=PARLEY, help="the command to serve with")
    parser.add_argument("--no-write", dest="write", action="store_false", help="leave results/fairness.json alone")
    return parser.parse_args()


def line(run: dict[str, Any]) -> str:
    told = (
        f"{run['kind']}: words after {run['alone_s']:.2f} s alone, {run['beside_s']:.2f} s beside the greedy session "
        f"(longest {run['beside_longest_s']:.2f} s): {run['ratio']:.1f} times; it sent {run['sent']}, was refused {run['refused']}"
    )
    memory = run["memory_mib"]
    return f"{told}; MiB {memory['before']:.0f} before, {memory['highest']:.0f} at the highest, {memory['after']:.0f} after"


async def measure(kind: str, url: str, pid: int, turns: int) -> dict[str, Any]:
    sentence = at_24k(clip("weather_question"))
    await words_after(url, sentence, 1)
    before = resident_mib(pid)
    alone = await words_after(url, sentence, turns)
    greed, highest = Greed(), [before]
    tasks = [
        asyncio.create_task(be_greedy(kind, url, greed)),
        asyncio.create_task(watch_memory(pid, highest)),
    ]
    await asyncio.sleep(SETTLE_S)
    beside = await words_after(url, sentence, turns)
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    await asyncio.sleep(SETTLE_S)
    tasks[1].cancel()
    await asyncio.wait(tasks)
    return {
        "kind": kind,
        "alone_s": round(statistics.median(alone), 3),
        "beside_s": round(statistics.median(beside), 3),
        "beside_longest_s": round(max(beside), 3),
        "ratio": round(statistics.median(beside) / statistics.median(alone), 2),
        "sent": greed.sent,
        "sent_mib": round(greed.sent_bytes / 2**20),
        "refused": greed.refused,
        "words": greed.words,
        "memory_mib": {"before": before, "highest": max(highest), "after": resident_mib(pid)},
    }


async def words_after(url: str, sentence: bytes, turns: int) -> list[float]:
    """A session's turns one after another: seconds from each commit to its words."""
    found = []
    async with session(url) as link:
        for _ in range(turns):
            await link.send(json.dumps(append(sentence)))
            await link.send(json.dumps(COMMIT))
            began = time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WORDS_LIMIT_S):
                    await told(link, "conversation.item.input_audio_transcription.completed")
            found.append(time.monotonic() - began)
    return found


async def be_greedy(kind: str, url: str, greed: Greed) -> None:
    """Until it is cancelled."""
    with contextlib.suppress(ConnectionClosed):
        async with session(url) as link:
            listener = asyncio.create_task(count(link, greed))
            try:
                if kind == "turns":
                    await greedy_turns(link, greed)
                else:
                    await greedy_items(link, greed, FLOOD_PARTS if kind == "flood" else BROUGHT_PARTS, kind == "flood")
            finally:
                listener.cancel()


async def greedy_turns(link: ClientConnection, greed: Greed) -> None:
    """Sixty at once, and another one whenever one has got its words or was refused a second ago."""
    reading = at_24k(clip("two_cities"))[: 2 * RATE * GREEDY_TURN_S]
    piece = json.dumps(append(reading))
    while True:
        answered = greed.words + sum(greed.refused.values())
        if greed.sent - answered < GREEDY_TURNS:
            await link.send(piece)
            await link.send(json.dumps(COMMIT))
            greed.sent += 1
            greed.sent_bytes += len(reading)
        if greed.refused:
            await link.send(json.dumps({"type": "input_audio_buffer.clear"}))
            await asyncio.sleep(1.0)
        elif greed.sent >= GREEDY_TURNS:
            await asyncio.sleep(0.1)


async def greedy_items(link: ClientConnection, greed: Greed, parts: int, flood: bool) -> None:
    reading = np.frombuffer(at_24k(clip("two_cities")), np.uint8)
    part = np.resize(reading, ITEM_PART_BYTES).tobytes()
    content = [{"type": "input_audio", "audio": base64.b64encode(part).decode()}] * parts
    item = json.dumps(
        {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}
    )
    while True:
        await link.send(item)
        greed.sent += 1
        greed.sent_bytes += parts * ITEM_PART_BYTES
        if not flood:
            await asyncio.sleep(1.0 if greed.refused else 0.1)


async def count(link: ClientConnection, greed: Greed) -> None:
    async for frame in link:
        event = json.loads(frame)
        if event["type"] == "error":
            code = event["error"]["code"]
            greed.refused[code] = greed.refused.get(code, 0) + 1
        elif event["type"].startswith("conversation.item.input_audio_transcription."):
            if event["type"].endswith("completed"):
                greed.words += 1
            elif event["type"].endswith("failed"):
                code = event["error"]["code"]
                greed.refused[code] = greed.refused.get(code, 0) + 1


@contextlib.asynccontextmanager
async def session(url: str) -> AsyncIterator[ClientConnection]:
    async with connect(f"{url}/v1/realtime?intent=transcription", max_size=None, ping_timeout=None) as link:
        await link.send(json.dumps(SESSION))
        await told(link, "session.updated")
        yield link


async def told(link: ClientConnection, kind: str) -> dict[str, Any]:
    """The next event of this kind. Raises `SystemExit` for an error."""
    async for frame in link:
        event: dict[str, Any] = json.loads(frame)
        if event["type"] == kind:
            return event
        if event["type"] == "error":
            raise SystemExit(f"the server refused the bystander: {event['error']}")
    raise SystemExit("the server closed the connection")


def append(audio: bytes) -> dict[str, str]:
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}


def at_24k(path: Path) -> bytes:
    """A mono recording as PCM16 at 24 kHz."""
    with wave.open(str(path), "rb") as recording:
        ints, rate = np.frombuffer(recording.readframes(recording.getnframes()), "<i2"), recording.getframerate()
    return pcm.to_bytes(resample(pcm.to_float(ints), rate, RATE))


async def watch_memory(pid: int, highest: list[float]) -> None:
    while True:
        highest.append(resident_mib(pid))
        await asyncio.sleep(0.1)


def resident_mib(pid: int) -> float:
    """Resident memory of the server's own process, without its decoders (proc(5), /proc/PID/statm)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


@contextmanager
def server(parley: str) -> Iterator[tuple[str, int]]:
    """A server for one run: its URL and process id."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    flags = ["--stt", "pocketsphinx", "--llm", "bench", "--tts", "bench", "--port", "0"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [parley, "serve", *flags], stderr=subprocess.PIPE, text=True, env=environment, cwd=folder
        )
        assert process.stderr is not None
        expired = threading.Timer(START_LIMIT_S, process.kill)
        expired.start()
        said: list[str] = []
        try:
            for each in process.stderr:
                said.append(each)
                if listening := re.search(r"listens on http(://[^\s]+)", each):
                    break
            else:
                raise SystemExit(f"parley serve did not start:\n{''.join(said)}")
            expired.cancel()
            threading.Thread(target=lambda stream: list(stream), args=(process.stderr,), daemon=True).start()
            yield f"ws{listening.group(1)}", process.pid
        finally:
            expired.cancel()
            process.terminate()
            process.wait(30)


if __name__ == "__main__":
    sys.exit(main())
