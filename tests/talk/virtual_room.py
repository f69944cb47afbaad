"""A machine without a sound card: a PulseAudio server whose null sinks are the loudspeaker and the cable into the microphone.

What is played into the sink `mic` comes out of the default microphone; what is played to the default loudspeaker (`speakers`) can be
tapped. With `echo` the loudspeaker is heard in the microphone, as on a laptop.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

RATE = 48_000
TOOLS = ("pulseaudio", "pactl", "pacat", "parec", "paplay")
CHUNK_BYTES = 2 * RATE // 50
LOUD = 300
"""int16: what counts as sound. Null sinks are silent to the last bit, and speech is a hundred times louder."""


def require_tools() -> None:
    """Skip, aloud, where there is no PulseAudio or no PortAudio."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(
            f"{', '.join(missing)} not installed (Debian: apt-get install pulseaudio pulseaudio-utils libasound2-plugins)"
        )
    try:
        import sounddevice  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.skip(f"sounddevice with PortAudio is not installed (Debian: apt-get install libportaudio2): {error}")


@dataclass
class Tap:
    """What a sink plays, from now on, on the clock of `time.monotonic()`."""

    sink: str
    environment: dict[str, str]
    chunks: list[tuple[float, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        command = ["parec", f"--device={self.sink}.monitor", "--latency-msec=20", f"--rate={RATE}", "--channels=1"]
        self._process = subprocess.Popen(
            [*command, "--format=s16le", "--raw"], stdout=subprocess.PIPE, env=self.environment, bufsize=0
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        while data := self._process.stdout.read(CHUNK_BYTES):
            self.chunks.append((time.monotonic(), data))

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._thread.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def sound(self) -> tuple[float, NDArray[np.int16]]:
        """When the first sample was, and all of them."""
        data = b"".join(chunk for _, chunk in self.chunks)
        audio = np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2")
        # The chunk that arrived soonest for its position gives the best start time of the recording.
        at, begins = 0, []
        for arrived_s, chunk in self.chunks:
            at += len(chunk)
            begins.append(arrived_s - at / 2 / RATE)
        return min(begins), audio

    def spans(self, gap_s: float = 0.35) -> list[tuple[float, float]]:
        """From when to when it was loud; pauses shorter than `gap_s` belong to what they interrupt."""
        begin_s, audio = self.sound()
        loud = np.flatnonzero(np.abs(audio.astype(np.int32)) > LOUD)
        if not len(loud):
            return []
        cuts = np.flatnonzero(np.diff(loud) > gap_s * RATE)
        starts, ends = np.concatenate(([0], cuts + 1)), np.concatenate((cuts, [len(loud) - 1]))
        return [
            (begin_s + float(loud[start]) / RATE, begin_s + float(loud[end]) / RATE)
            for start, end in zip(starts, ends, strict=True)
        ]


class Room:
    """The running server; `environment` is for its clients. `start()`, and `stop()` to unplug every device."""

    def __init__(self, environment: dict[str, str], echo: float) -> None:
        self.environment = environment
        self._echo = echo
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        environment = self.environment
        sinks = [f"--load=module-null-sink sink_name={name} rate={RATE}" for name in ("mic", "speakers")]
        protocol = f"--load=module-native-protocol-unix socket={environment['XDG_RUNTIME_DIR']}/native auth-anonymous=1"
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--log-target=null", *sinks, protocol]
        daemon = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        self._processes = [daemon]
        _wait_for(environment, daemon)
        _ask(environment, "set-default-sink", "speakers")
        _ask(environment, "set-default-source", "mic.monitor")
        # A null sink works in blocks as long as its most patient listener allows, two seconds at worst: these keep it at 20 ms.
        for sink in ("mic", "speakers"):
            common = ["--latency-msec=20", f"--rate={RATE}", "--channels=1"]
            for command in (
                ["pacat", f"--device={sink}", *common, "/dev/zero"],
                ["parec", f"--device={sink}.monitor", *common],
            ):
                quiet = subprocess.DEVNULL
                self._processes.append(subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet))
        if self._echo:
            _ask(
                environment, "load-module", "module-loopback", "source=speakers.monitor", "sink=mic", "latency_msec=60"
            )
            _turn_down(environment, self._echo)

    def stop(self) -> None:
        daemon, *streams = self._processes
        for stream in streams:
            stream.kill()
            stream.wait()
        daemon.terminate()
        daemon.wait()

    def play(self, recording: Path) -> None:
        """Say a recording into the microphone, and wait until it has been said."""
        subprocess.run(
            ["paplay", "--device=mic", "--latency-msec=20", str(recording)], env=self.environment, check=True
        )

    @contextmanager
    def tapped(self) -> Iterator[tuple[Tap, Tap]]:
        """Taps on the microphone's cable and on the loudspeaker."""
        taps = Tap("mic", self.environment), Tap("speakers", self.environment)
        try:
            yield taps
        finally:
            for tap in taps:
                tap.stop()


@contextmanager
def virtual_room(folder: Path, *, echo: float = 0.0) -> Iterator[Room]:
    """A room of its own; `echo` is the share of the loudspeaker's amplitude that reaches the microphone, 60 ms later."""
    require_tools()
    # A socket's path may have 107 characters.
    runtime = Path("/tmp") / f"parley-room-{os.getpid()}-{threading.get_ident() % 10_000}"
    runtime.mkdir(mode=0o700)
    environment = {
        **os.environ,
        "XDG_RUNTIME_DIR": str(runtime),
        "PULSE_SERVER": f"unix:{runtime}/native",
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
    }
    room = Room(environment, echo)
    try:
        room.start()
        yield room
    finally:
        room.stop()
        shutil.rmtree(runtime, ignore_errors=True)


def _ask(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(["pactl", *command], env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def _wait_for(environment: dict[str, str], daemon: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + 10
    while subprocess.run(["pactl", "info"], env=environment, capture_output=True, check=False).returncode:
        if daemon.poll() is not None or time.monotonic() > deadline_s:
            pytest.fail("PulseAudio did not start")
        threading.Event().wait(0.05)


def _turn_down(environment: dict[str, str], share: float) -> None:
    """The loopback's volume, as a share of the amplitude (PulseAudio's own scale is cubic)."""
    inputs = _ask(environment, "list", "sink-inputs").split("Sink Input #")[1:]
    loopback = next(entry for entry in inputs if "module-loopback" in entry)
    _ask(environment, "set-sink-input-volume", loopback.split()[0], str(round(65536 * share ** (1 / 3))))
