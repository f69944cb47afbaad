"""Clients of a voice server: blocking, as a program in another language would be."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from parley.audio.pcm import to_bytes, to_float
from parley.engines.ports import Samples

LIMIT_S = 30.0


class VoiceClient:
    """One connection to the server at `path`."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(LIMIT_S)
        self.socket.connect(str(path))

    def send(self, audio: Samples) -> None:
        body = to_bytes(audio)
        self.socket.sendall(struct.pack("<I", len(body)) + body)

    def receive(self) -> Samples:
        (length,) = struct.unpack("<I", self._exactly(4))
        return to_float(self._exactly(length))

    def exchange(self, audio: Samples) -> Samples:
        self.send(audio)
        return self.receive()

    def converted(self, audio: Samples, size: int) -> Samples:
        """All of it, in frames of `size`, and what the flush gives."""
        parts = []
        for at in range(0, len(audio), size):
            parts.append(self.exchange(audio[at : at + size]))
            assert len(parts[-1]) == len(audio[at : at + size])
        return np.concatenate([*parts, self.exchange(audio[:0])])

    def closed(self) -> bool:
        """Wait until the server has closed the connection."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionError:
            pass
        return True

    def close(self) -> None:
        self.socket.close()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("the server has closed the connection")
            data += more
        return data


class ServerProcess:
    """`parley voice serve` as a process; `ready` is what it announced."""

    def __init__(self, *arguments: str, errors: Path, stdin: int | None = subprocess.DEVNULL) -> None:
        self.errors = errors
        with errors.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "parley.cli.main", "voice", "serve", *arguments, "--json"],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.ready = json.loads(line) if line else {}

    @property
    def path(self) -> Path:
        return Path(self.ready["socket"])

    def log(self) -> str:
        return self.errors.read_text()

    def end(self) -> int:
        """Wait for its end; its status."""
        assert self.process.stdout is not None
        status = self.process.wait(LIMIT_S)
        self.process.stdout.close()
        return status


@contextlib.contextmanager
def served(*arguments: str, errors: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(*arguments, errors=errors)
    try:
        assert server.ready, server.log()
        yield server
    finally:
        server.process.terminate()
        assert server.end() == 0


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for the condition; fail where it does not come."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path("/proc").is_dir()


def bench(audio: Samples, latency: int) -> Samples:
    """What the bench converter makes of it, through PCM16."""
    heard = to_float(to_bytes(audio))
    ahead = np.concatenate([heard[latency:], np.zeros(min(latency, len(heard)), np.float32)])[: len(heard)]
    made: Samples = (heard + ahead) / 2
    return made
