"""The server of `tests/programs.py`: imports what programs need, and forks for each that is asked for.

Nothing that starts a thread, which a child would wait for in vain: no `onnxruntime`, no `livekit`.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import socket
import sys
import termios
import types

IMPORTED = (
    "onnx",
    "parley.cli.ask",
    "parley.cli.chat",
    "parley.cli.main",
    "parley.cli.say",
    "parley.cli.serve",
    "parley.cli.talk",
    "parley.cli.transcribe",
    "parley.cli.translate",
    "parley.client.connection",
    "parley.engines.stt.pocketsphinx",
    "parley.engines.tts.hibari",
    "parley.engines.vad.silero",
    "parley.library",
    "parley.server.app",
    "pocketsphinx",
    "uvloop",
)


def orders(link: socket.socket) -> dict[str, object] | None:
    """Each child's order, in the child; None in the server, at the end."""
    running: dict[int, tuple[int, int]] = {}
    while True:
        waiting: list[int] = [link.fileno(), *running]
        for ready in select.select(waiting, [], [])[0]:
            if ready in running:
                pid, status = running.pop(ready)
                os.write(status, f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())
                os.close(status)
                os.close(ready)
                continue
            data, descriptors, _, _ = socket.recv_fds(link, 1 << 20, 4)
            if not data:
                return None
            pid = os.fork()
            if pid == 0:
                for number, descriptor in enumerate(descriptors[:3]):
                    os.dup2(descriptor, number)
                for descriptor in (*descriptors, *running, *(status for _, status in running.values()), link.fileno()):
                    os.close(descriptor)
                link.detach()
                order: dict[str, object] = json.loads(data)
                return order
            for descriptor in descriptors[:3]:
                os.close(descriptor)
            os.write(descriptors[3], f"{pid}\n".encode())
            running[os.pidfd_open(pid)] = pid, descriptors[3]


def run(order: dict[str, object]) -> None:
    """The program, as the interpreter would run it."""
    arguments, cwd, env = order["arguments"], order["cwd"], order["env"]
    assert isinstance(arguments, list)
    assert isinstance(env, dict)
    if order["terminal"]:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        # What the server's own streams are is no terminal.
        sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.chdir(str(cwd))
    os.environ.clear()
    os.environ.update(env)
    if arguments[0] != "-c":
        sys.argv = arguments
        sys.path[0] = os.path.dirname(arguments[0])
        runpy.run_path(arguments[0], run_name="__main__")
        return
    sys.argv = ["-c", *arguments[2:]]
    sys.path[0] = ""
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(arguments[1], "<string>", "exec"), main.__dict__)


def serve() -> None:
    link = socket.socket(fileno=int(sys.argv[1]))
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    order = orders(link)
    if order is not None:
        run(order)


if __name__ == "__main__":
    serve()
