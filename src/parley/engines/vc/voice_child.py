"""A voice server as a child process: `parley voice serve ... --plain --json`, started, announced, and ended.

Laws:
- The child ends when its standard input does, so it never outlives this process, however this process ends.
- It is in a session of its own: Ctrl-C in the server's terminal is the server's alone.
- What it writes on standard error goes to the log, and its last lines into the error where it cannot start.
- However it ends, it is waited for, and its socket is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from parley.engines.ports import EngineUnavailable
from parley.engines.vc.voice_sockets import check_path, runtime_folder

logger = logging.getLogger(__name__)

END_S: Final = 1.0
"""A child ends within one block; one that does not is killed."""

_LINES: Final = 5
_LONGEST_LINE: Final = 1 << 16
_count = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Announced:
    """What the child says of itself when it is ready."""

    rate: int
    latency_ms: float
    block_ms: float
    voice: str


class VoiceChild:
    """Made by `start()`. Await `ended()` to learn of its end; call `stop()` or `kill()` for one."""

    def __init__(self, process: asyncio.subprocess.Process, path: Path, name: str) -> None:
        self._process = process
        self._name = name
        self._last: deque[str] = deque(maxlen=_LINES)
        self._reading = asyncio.get_running_loop().create_task(self._read_errors())
        self.path = path
        self.announced = Announced(0, 0, 0, "")

    @classmethod
    async def start(cls, name: str, arguments: Sequence[str], limit_s: float) -> VoiceChild:
        """Start a child that serves `name` (for messages), ready within `limit_s`. Raises `EngineUnavailable`."""
        path = runtime_folder() / f"child-{os.getpid()}-{next(_count)}.sock"
        check_path(path)
        command = (
            *(sys.executable, "-P", "-m", "parley.cli.main", "voice", "serve", *arguments),
            *("--socket", str(path), "--plain", "--json", "--until-stdin-ends"),
        )
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, limit=_LONGEST_LINE
            )
        except OSError as error:
            raise EngineUnavailable(
                f"A process for {name} cannot be started: {error}.", "Free memory and processes.", code="worker_failed"
            ) from error
        child = cls(process, path, name)
        try:
            async with asyncio.timeout(limit_s):
                child.announced = await child._announcement()
        except (TimeoutError, ValueError, KeyError, TypeError) as error:
            await child.kill()
            how = f"is not ready after {limit_s:g} s" if isinstance(error, TimeoutError) else "ended at its start"
            raise EngineUnavailable(
                f"The process for {name} {how}.{child._said()}",
                f"Try it alone: parley voice serve {' '.join(arguments)}",
                code="worker_failed",
            ) from error
        except BaseException:
            await child.kill()
            raise
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ended(self) -> int:
        """Wait for its end; its exit status, negative for a signal."""
        return await self._process.wait()

    async def stop(self) -> None:
        """End it; idempotent."""
        stdin = self._process.stdin
        assert stdin is not None
        stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await self._process.wait()
        await self.kill()

    async def kill(self) -> None:
        """End it now, whatever it does; idempotent."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        await asyncio.wait([self._reading], timeout=END_S)
        self._reading.cancel()
        with contextlib.suppress(OSError):
            self.path.unlink()

    async def _announcement(self) -> Announced:
        stdout = self._process.stdout
        assert stdout is not None
        said = json.loads(await stdout.readline())
        return Announced(int(said["rate"]), float(said["latency_ms"]), float(said["block_ms"]), str(said["voice"]))

    async def _read_errors(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        while True:
            try:
                line = await stderr.readline()
            except ValueError:  # longer than is kept: it is dropped
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._last.append(text)
            logger.info("%s (%d): %s", self._name, self._process.pid, text)

    def _said(self) -> str:
        return f" It said last: {' | '.join(self._last)}" if self._last else " It said nothing."
