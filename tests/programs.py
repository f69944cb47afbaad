"""Python programs that tests run to their end, each in a process of its own, without importing Parley anew for each.

A server process imports what most of them need, then forks for every program: the child has the program's arguments, folder, environment
and pipes, runs it as `__main__`, and ends as an interpreter does. Where the system has no `pidfd_open` (it is Linux's), an interpreter is
started for each.

What a program needs of its environment before it imports anything (`PYTHONWARNINGS`, `OMP_NUM_THREADS`) has no effect.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

FORK_SERVER = Path(__file__).with_name("fork_server.py")
FORKS = hasattr(os, "pidfd_open")


class Program:
    """A program that runs. Its descriptors are the caller's to close."""

    def __init__(
        self,
        arguments: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        descriptors: tuple[int, int, int],
        terminal: bool,
    ) -> None:
        order = {"arguments": [*arguments], "cwd": str(cwd), "env": dict(env), "terminal": terminal}
        status, status_end = os.pipe()
        try:
            socket.send_fds(_server(), [json.dumps(order).encode()], [*descriptors, status_end])
        finally:
            os.close(status_end)
        self._told = open(status, encoding="ascii")  # noqa: SIM115 - `wait` closes it
        self.pid = int(self._told.readline())
        self.returncode: int | None = None

    def wait(self) -> int:
        """The exit code; minus the number of the signal that ended it."""
        if self.returncode is None:
            self.returncode = int(self._told.readline())
            self._told.close()
        return self.returncode

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def start_at_terminal(
    *arguments: str, cwd: Path, env: Mapping[str, str], terminal: int
) -> Program | subprocess.Popen[bytes]:
    """`python ARGUMENTS` in a session of its own, whose terminal this is."""
    if not FORKS:
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=cwd, env=env, stdin=terminal, stdout=terminal, stderr=terminal,
            start_new_session=True, preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
        )  # fmt: skip
    return Program(arguments, cwd, env, (terminal,) * 3, True)


def run_program(
    *arguments: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout_s: float = 120,
) -> subprocess.CompletedProcess[str]:
    """What `python ARGUMENTS` prints and how it ends; the arguments begin with `-c CODE` or with a script."""
    done = run_program_in_bytes(*arguments, cwd=cwd, env=env, stdin=stdin, timeout_s=timeout_s)
    return subprocess.CompletedProcess(arguments, done.returncode, done.stdout.decode(), done.stderr.decode())


def run_program_in_bytes(
    *arguments: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout_s: float = 120,
) -> subprocess.CompletedProcess[bytes]:
    """The same where what it prints is no text."""
    if not FORKS:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=cwd, env=env, input=stdin, capture_output=True, timeout=timeout_s, check=False
        )
    (stdin_end, input_end), (out, out_end), (err, err_end) = (os.pipe() for _ in range(3))
    try:
        program = Program(
            arguments, cwd or Path.cwd(), os.environ if env is None else env, (stdin_end, out_end, err_end), False
        )
    finally:
        for end in (stdin_end, out_end, err_end):
            os.close(end)
    printed: dict[int, bytes] = {}
    threads = [
        threading.Thread(target=_write, args=(input_end, stdin)),
        *(threading.Thread(target=_read, args=(end, printed)) for end in (out, err)),
    ]
    limit = threading.Timer(timeout_s, program.kill)
    for thread in (*threads, limit):
        thread.start()
    code = program.wait()
    late = limit.finished.is_set()
    limit.cancel()
    for thread in (*threads, limit):
        thread.join()
    if late:
        raise subprocess.TimeoutExpired(arguments, timeout_s, printed[out], printed[err])
    return subprocess.CompletedProcess(arguments, code, printed[out], printed[err])


def _write(descriptor: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), open(descriptor, "wb") as pipe:
        pipe.write(data)


def _read(descriptor: int, printed: dict[int, bytes]) -> None:
    with open(descriptor, "rb") as pipe:
        printed[descriptor] = pipe.read()


@functools.cache
def _server() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, str(FORK_SERVER), str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours
