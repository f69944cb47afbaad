"""`parley serve` in a process of its own, as somebody would start it."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

PATIENCE_S = 60.0
"""Longer than any engine takes to load on a busy machine."""

LOG_LINES = 200
GREETING = "Parley listens on "


class Server:
    """A running server. `url` has no path; `log` is the end of what it said."""

    def __init__(
        self, *arguments: str, cwd: Path, port: int = 0, environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._process = subprocess.Popen(
            [str(Path(sys.executable).with_name("parley")), "serve", "--port", str(port), *arguments],
            cwd=cwd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
            | dict(environment),
        )
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        found: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(found,), daemon=True)
        self._reader.start()
        try:
            self.url = found.get(timeout=PATIENCE_S)
        except queue.Empty:
            self.url = ""
        if not self.url:
            self.end(kill=True)
            raise AssertionError(f"the server did not start:\n{''.join(self.log)}")

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def _read(self, found: queue.Queue[str]) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line)
            if line.startswith(GREETING):
                found.put(line.removeprefix(GREETING).split()[0])
        found.put("")

    def end(self, kill: bool = False) -> None:
        """Idempotent."""
        (self._process.kill if kill else self._process.terminate)()
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert self._process.stderr is not None
        self._process.stderr.close()
