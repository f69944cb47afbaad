"""What a call over WebRTC costs, beside the same conversation over a WebSocket: CPU of the server for each session and second.

Server and clients are processes of their own, with the engines of `bench`, which cost nothing. Each client says a recording, pauses
for three seconds, and hears the answer, again and again; calls come one after the other until all are there, then the server's CPU
time is read at both ends of `--seconds`.

    python benchmarks/webrtc.py --sessions 100 --seconds 20
    python benchmarks/webrtc.py --sessions 100 --seconds 20 --over websocket
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

RATE = 24_000
BROWSER_RATE = 48_000
PAUSE_S = 3.0
WAV = Path(__file__).resolve().parents[1] / "tests" / "clips" / "weather_question.wav"
READY_S = 120.0


@dataclass(frozen=True, slots=True)
class Spoken:
    """What came of one client's session."""

    connected: bool
    heard_s: float
    replies: int


def spoken(wav: Path) -> bytes:
    """The recording and a pause, PCM16 at 24 kHz."""
    from parley.load.recording import load_recording

    return load_recording(wav).pcm.tobytes() + bytes(int(PAUSE_S * RATE) * 2)


def served(port: int, sessions: int, pipe: Connection) -> None:
    """The server's process: answers "cpu" with its CPU time, and ends with anything else."""
    from parley.config import load
    from parley.runtime.engines import LoadedEngines
    from parley.server.app import create_app
    from parley.server.lifetime import listen

    async def main() -> None:
        flags = {"port": port, "pipeline": "bench", "max_sessions": sessions + 10, "admission_lag_ms": 10_000}
        config = load(None, flags, {})
        engines = await LoadedEngines.open_all(config.pipelines.values(), lambda report: None)
        app = create_app(config, engines)
        server = app.server(lambda: pipe.send("ready"))
        serving = asyncio.create_task(server.serve_on(listen(config.server)))
        loop = asyncio.get_running_loop()

        def asked() -> None:
            if pipe.recv() == "cpu":
                used = resource.getrusage(resource.RUSAGE_SELF)
                pipe.send((used.ru_utime + used.ru_stime, used.ru_maxrss, len(app.sessions), engines.tick_lag_ms()))
            else:
                server.leave()
                server.leave()

        loop.add_reader(pipe.fileno(), asked)
        await serving
        loop.remove_reader(pipe.fileno())
        await engines.close()

    import uvloop

    # A session of its own: the scheduler of Linux shares a core between sessions, and the clients would take the server's part.
    os.setsid()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def webrtc_client(port: int, wav: Path, over: asyncio.Event) -> Spoken:
    """A call whose audio is encoded once and sent again and again: a client that costs little. It counts the packets that come."""
    import httpx
    from aiortc import RTCPeerConnection, RTCSessionDescription
    from aiortc.mediastreams import MediaStreamTrack
    from av import Packet

    class Sending(MediaStreamTrack):
        kind = "audio"

        def __init__(self, packets: list[bytes]) -> None:
            super().__init__()
            self._packets, self._at, self._start_s = packets, 0, 0.0

        async def recv(self) -> Packet[Any]:
            from fractions import Fraction

            loop = asyncio.get_running_loop()
            self._start_s = self._start_s or loop.time()
            await asyncio.sleep(max(0.0, self._start_s + self._at * 0.02 - loop.time()))
            packet = Packet(self._packets[self._at % len(self._packets)])
            packet.pts, packet.time_base = self._at * 960, Fraction(1, 48_000)
            self._at += 1
            return packet

    connection, replies = RTCPeerConnection(), 0
    connection.addTrack(Sending(opus(wav)))
    channel = connection.createDataChannel("oai-events")

    def message(data: str) -> None:
        nonlocal replies
        replies += json.loads(data)["type"] == "output_audio_buffer.stopped"

    channel.on("message", message)
    await connection.setLocalDescription(await connection.createOffer())
    async with httpx.AsyncClient(timeout=60) as http:
        answer = await http.post(
            f"http://127.0.0.1:{port}/v1/realtime/calls?model=bench",
            content=connection.localDescription.sdp,
            headers={"content-type": "application/sdp"},
        )
    if answer.status_code != 201:
        return Spoken(False, 0.0, 0)
    await connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
    # A client that decoded would take more than the server: aiortc has a thread for each. The packets are counted, and dropped.
    for receiver in connection.getReceivers():
        receiver._enabled = False
    await over.wait()
    stats = await connection.getStats()
    packets = max((one.packetsReceived for one in stats.values() if one.type == "transport"), default=0)
    connected = connection.connectionState == "connected"
    await connection.close()
    return Spoken(connected, packets * 0.02, replies)


def opus(wav: Path) -> list[bytes]:
    """Speech and a pause, in packets of 20 ms as a browser makes them: 48 kHz, "voip", 32 kbit/s."""
    from fractions import Fraction

    import av
    import numpy as np

    from parley.audio.short_resampling import ShortResampler

    audio = ShortResampler(RATE, BROWSER_RATE).push(np.frombuffer(spoken(wav), np.int16).astype(np.float32))
    codec: Any = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.format, codec.layout, codec.bit_rate = BROWSER_RATE, "s16", "mono", 32_000
    codec.time_base = Fraction(1, BROWSER_RATE)
    codec.options = {"application": "voip", "frame_duration": "20", "compression_level": "9"}
    packets: list[bytes] = []
    size = BROWSER_RATE // 50
    for at in range(0, len(audio) - size, size):
        frame = av.AudioFrame(format="s16", layout="mono", samples=size)
        frame.sample_rate, frame.time_base, frame.pts = BROWSER_RATE, codec.time_base, at
        frame.planes[0].update(np.clip(np.rint(audio[at : at + size]), -32_768, 32_767).astype(np.int16).tobytes())
        packets += map(bytes, codec.encode(frame))
    return packets


async def websocket_client(port: int, wav: Path, over: asyncio.Event) -> Spoken:
    """The same over a WebSocket, 20 ms in a message."""
    import websockets

    audio, size = spoken(wav), RATE // 25
    frames = [
        json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(audio[at : at + size]).decode()})
        for at in range(0, len(audio), size)
    ]
    heard, replies = 0, 0
    async with websockets.connect(f"ws://127.0.0.1:{port}/v1/realtime?model=bench", max_size=None) as socket:

        async def read() -> None:
            nonlocal heard, replies
            async for text in socket:
                event = json.loads(text)
                if event["type"] == "response.output_audio.delta":
                    heard += len(event["delta"]) * 3 // 4
                replies += event["type"] == "response.done"

        reading = asyncio.create_task(read())
        loop, at = asyncio.get_running_loop(), 0
        start_s = loop.time()
        while not over.is_set():
            await socket.send(frames[at % len(frames)])
            at += 1
            await asyncio.sleep(max(0.0, start_s + at * 0.02 - loop.time()))
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
    return Spoken(True, heard / 2 / RATE, replies)


CLIENTS: dict[str, Callable[[int, Path, asyncio.Event], Any]] = {"webrtc": webrtc_client, "websocket": websocket_client}


def clients(port: int, over: str, sessions: int, wav: Path, pipe: Connection) -> None:
    """The clients' process: "ready" once all are there, results when it is told to end."""

    async def main() -> list[Spoken]:
        ended, tasks = asyncio.Event(), []
        for _ in range(sessions):
            tasks.append(asyncio.create_task(CLIENTS[over](port, wav, ended)))
            await asyncio.sleep(0.05)
        await asyncio.sleep(2)
        pipe.send("ready")
        asyncio.get_running_loop().add_reader(pipe.fileno(), ended.set)
        await ended.wait()
        asyncio.get_running_loop().remove_reader(pipe.fileno())
        return list(await asyncio.gather(*tasks))

    pipe.send(asyncio.run(main()))


def measured(options: argparse.Namespace, port: int) -> dict[str, object]:
    """Run it once."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=served, args=(port, options.sessions, theirs), daemon=True)
    server.start()
    assert ours.poll(READY_S), "the server did not start"
    ours.recv()
    shares = max(1, options.client_processes)
    crowd = []
    for _ in range(shares):
        talk, talking = context.Pipe()
        process = context.Process(
            target=clients, args=(port, options.over, options.sessions // shares, options.wav, talking), daemon=True
        )
        process.start()
        crowd.append((process, talk))
    for _, talk in crowd:
        assert talk.poll(READY_S), "the clients did not come"
        talk.recv()
    ours.send("cpu")
    cpu, _, running, _ = ours.recv()
    began_s = time.monotonic()
    time.sleep(options.seconds)
    ours.send("cpu")
    after, kib, still, lag_ms = ours.recv()
    took_s = time.monotonic() - began_s
    results: list[Spoken] = []
    for process, talk in crowd:
        talk.send("end")
        results += talk.recv()
        process.join(10)
    ours.send("end")
    server.join(10)
    return {
        "over": options.over,
        "sessions": running,
        "still": still,
        "cpu_ms_per_session_second": round(1000 * (after - cpu) / took_s / max(1, running), 2),
        "server_cpu_share": round((after - cpu) / took_s, 3),
        "loop_lag_ms": round(lag_ms, 2),
        "server_mib": kib // 1024,
        "connected": sum(one.connected for one in results),
        "heard_s_each": round(sum(one.heard_s for one in results) / max(1, len(results)), 1),
        "replies": sum(one.replies for one in results),
        "load_average": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--wav", type=Path, default=WAV, help="what each client says before each pause")
    parser.add_argument("--over", choices=sorted(CLIENTS), default="webrtc")
    parser.add_argument("--client-processes", type=int, default=1)
    parser.add_argument("--port", type=int, default=18_765)
    options = parser.parse_args()
    json.dump(measured(options, options.port), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
