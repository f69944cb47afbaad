"""A machine in a video call, without a sound card: a PulseAudio server with a microphone, headphones and Parley's two cables.

What is played into the sink `mic` is what the user says: it comes out of the source `realmic`, the default microphone. The headphones are
the sink `phones`, the default loudspeaker. The other party speaks into the sink `parley_call`, and hears the source `parley_mic`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.talk.virtual_room import RATE, Tap, require_tools

START_S = 60
"""How long a command may take until it is at work, on a busy machine."""

WAIT_S = 30
COMMAND = (sys.executable, "-c", "from parley.cli.main import main; main()")

MICROPHONE, HEADPHONES = "realmic", "phones"
TO_CALL, FROM_CALL = "parley_mic_sink", "parley_call"


class CallRoom:
    """The running server; `environment` is for its clients. `stop()` unplugs everything, `start()` plugs it in again, without cables."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        self.environment = {
            **kept,
            "XDG_RUNTIME_DIR": str(runtime),
            "PULSE_SERVER": f"unix:{runtime}/native",
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_DATA_HOME": str(folder / "data"),
        }
        self._daemon: subprocess.Popen[bytes] | None = None
        self._streams: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        socket = self.environment["PULSE_SERVER"].removeprefix("unix:")
        protocol = f"--load=module-native-protocol-unix socket={socket} auth-anonymous=1"
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--log-target=null", protocol]
        self._daemon = subprocess.Popen(command, env=self.environment, stderr=subprocess.DEVNULL)
        deadline_s = time.monotonic() + START_S
        while subprocess.run(["pactl", "info"], env=self.environment, capture_output=True, check=False).returncode:
            assert self._daemon.poll() is None, "PulseAudio did not start"
            assert time.monotonic() < deadline_s, "PulseAudio did not start"
            threading.Event().wait(0.05)
        self._sink("mic", "Room")
        self.plug_in_microphone()
        self.plug_in_headphones()

    def stop(self) -> None:
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.kill()
            stream.wait()
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait()

    # --- devices -----------------------------------------------------------------------------------------------------------

    def pactl(self, *arguments: str) -> str:
        """What pactl prints."""
        done = subprocess.run(["pactl", *arguments], env=self.environment, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def _sink(self, name: str, description: str, properties: str = "") -> None:
        stated = f"sink_properties=\"device.description='{description}' {properties}\""
        self.pactl("load-module", "module-null-sink", f"sink_name={name}", f"rate={RATE}", stated)
        self._flows(name)

    def _flows(self, sink: str) -> None:
        """Programs that play silence and record, as a call does. A null sink works in blocks as long as its most patient listener allows,
        two seconds at worst: these keep it at 20 ms. Returns once it does."""
        common = ["--latency-msec=20", f"--rate={RATE}", "--channels=1"]
        recording = ["parec", f"--device={sink}.monitor", *common]
        for tool in (["pacat", f"--device={sink}", *common, "/dev/zero"], recording):
            quiet = subprocess.DEVNULL
            self._streams.append(subprocess.Popen(tool, env=self.environment, stdout=quiet, stderr=quiet))
        with subprocess.Popen(recording, env=self.environment, stdout=subprocess.PIPE) as first:
            assert first.stdout is not None
            assert first.stdout.read(2 * RATE // 10)
            first.kill()

    def plug_in_microphone(self) -> None:
        stated = "source_properties=\"device.description='Desk microphone'\""
        self._microphone = self.pactl(
            "load-module", "module-remap-source", f"source_name={MICROPHONE}", "master=mic.monitor", stated
        )
        self.pactl("set-default-source", MICROPHONE)

    def plug_in_headphones(self) -> None:
        self._sink(HEADPHONES, "Test headphones", "device.form_factor=headphones")
        self.pactl("set-default-sink", HEADPHONES)

    def unplug_microphone(self) -> None:
        self.pactl("unload-module", self._microphone)

    def cables(self, what: str = "create") -> None:
        """`parley cables create`, or `remove`."""
        done = self.parley("cables", what)
        assert done.returncode == 0, done.stderr
        if what == "create":
            for sink in (TO_CALL, FROM_CALL):
                self._flows(sink)

    def parley(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A whole run of a command."""
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_S,
        )

    # --- people ------------------------------------------------------------------------------------------------------------

    def says(self, sink: str, recording: Path) -> subprocess.Popen[bytes]:
        """Begins to play a recording: the user into `mic`, the other party into `parley_call`."""
        command = ["paplay", f"--device={sink}", "--latency-msec=20", str(recording)]
        return subprocess.Popen(command, env=self.environment)

    @contextmanager
    def tapped(self, *sinks: str) -> Iterator[list[Tap]]:
        """What sinks play while the context lasts."""
        taps = [Tap(sink, self.environment) for sink in sinks]
        try:
            yield taps
        finally:
            for tap in taps:
                tap.stop()


@contextmanager
def call_room(folder: Path) -> Iterator[CallRoom]:
    """A room of its own, without cables."""
    require_tools()
    # A socket's path may have 107 characters.
    runtime = Path("/tmp") / f"parley-call-{os.getpid()}-{threading.get_ident() % 10_000}"
    runtime.mkdir(mode=0o700)
    room = CallRoom(folder, runtime)
    try:
        room.start()
        yield room
    finally:
        room.stop()
        shutil.rmtree(runtime, ignore_errors=True)


class Command:
    """A command in a process: what it prints, line by line, and what is typed into it."""

    def __init__(self, room: CallRoom, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=room.environment,
            cwd=room.folder,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.lines: list[tuple[float, str]] = []
        """Both streams; when a line came (`time.monotonic()`), and the line."""
        self._changed = threading.Condition()
        streams = self.process.stdout, self.process.stderr
        self._threads = [threading.Thread(target=self._read, args=(stream,)) for stream in streams]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._changed:
                self.lines.append((time.monotonic(), line.rstrip()))
                self._changed.notify_all()
        with self._changed:
            # The process ends: what is waited for does not come.
            self._changed.notify_all()

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def mark(self) -> int:
        """For `wait_for`: what is printed from now on."""
        with self._changed:
            return len(self.lines)

    def wait_for(self, *parts: str, since: int = 0, patience_s: float = WAIT_S) -> int:
        """Waits for a line that holds all `parts`; returns the mark behind it."""
        found: list[int] = []

        def seen() -> bool:
            lines = enumerate(self.lines[since:], since + 1)
            found[:] = [number for number, (_, line) in lines if all(part in line for part in parts)]
            return bool(found) or not any(thread.is_alive() for thread in self._threads)

        with self._changed:
            self._changed.wait_for(seen, patience_s)
            if not found:
                pytest.fail(f"no line holds {parts} after line {since} of:\n{self.text}")
            return found[0]

    def wait_for_speech(self, who: str, since: int) -> int:
        """Waits until a translation of `you` or `them` has been spoken; returns the mark behind it."""
        return self.wait_for(f"{who}: listening", since=self.wait_for(f"{who}: speaking", since=since))

    def count(self, *parts: str, since: int = 0) -> int:
        return sum(all(part in line for part in parts) for _, line in self.lines[since:])

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def leave(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=WAIT_S)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@contextmanager
def running(room: CallRoom, *arguments: str) -> Iterator[Command]:
    command = Command(room, *arguments)
    try:
        yield command
    finally:
        command.end()


def eventually(seen: Callable[[], bool], what: str, patience_s: float = WAIT_S) -> None:
    """Waits for something that announces itself by no line."""
    deadline_s = time.monotonic() + patience_s
    while not seen():
        assert time.monotonic() < deadline_s, what
        threading.Event().wait(0.05)
