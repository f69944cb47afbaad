"""Records a clip from the microphone, with its level and the time that is left on standard error."""

from __future__ import annotations

import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from parley.cli.failures import CommandFailed

if TYPE_CHECKING:
    from parley.audio.files import Recording
    from parley.talk.devices import Device

QUIET_DBFS = -60.0
METER = 30
SILENT_S = 3.0
"""A microphone that gives nothing for so long has vanished."""


def record(seconds: float, wanted: str) -> Recording:
    """The next `seconds` of the microphone `wanted` ("": the default one), or less where Ctrl-C ends it. Raises `DevicesUnavailable`,
    and `CommandFailed` for one that vanishes."""
    import numpy as np

    from parley.audio import pcm
    from parley.audio.files import Recording
    from parley.audio.levels import rms_dbfs
    from parley.talk.devices import find_device, list_devices

    device = find_device(list_devices(), wanted, "input")
    pieces: list[Any] = []
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    length = round(seconds * device.rate)
    click.echo(f"Speak for {seconds:g} s into {device.name}; Ctrl-C ends earlier.", err=True)
    with _recording(device, waiting), _interruptible() as stop:
        recorded, silent_since = 0, time.monotonic()
        while recorded < length and not stop.is_set():
            try:
                data = waiting.get(timeout=0.2)
            except queue.Empty:
                if time.monotonic() - silent_since > SILENT_S:
                    raise CommandFailed(
                        f"{device.name} gives no sound.", "Is it connected? Choose one: --input-device"
                    ) from None
                continue
            silent_since = time.monotonic()
            pieces.append(pcm.to_float(data))
            recorded += len(pieces[-1])
            _meter(seconds - recorded / device.rate, rms_dbfs(pieces[-1]))
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    return Recording(np.concatenate([np.zeros(0, np.float32), *pieces])[:length], device.rate)


@contextmanager
def _recording(device: Device, waiting: queue.SimpleQueue[bytes]) -> Iterator[None]:
    from parley.talk.devices import DevicesUnavailable, sounddevice_library

    sd = sounddevice_library()

    def recorded(data: Any, *_: Any) -> None:
        waiting.put(bytes(data))

    try:
        stream = sd.RawInputStream(
            samplerate=device.rate,
            blocksize=device.rate // 10,
            channels=1,
            dtype="int16",
            device=device.index,
            callback=recorded,
        )
    except sd.PortAudioError as error:
        raise DevicesUnavailable(
            f"{device.name} cannot be opened: {error}.", "Choose another: --input-device"
        ) from error
    with stream:
        yield


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Ctrl-C ends the recording, and what was recorded is kept."""
    stop = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _meter(left_s: float, level_dbfs: float) -> None:
    if not sys.stderr.isatty():
        return
    share = max(0.0, min(1.0, 1 - level_dbfs / QUIET_DBFS))
    bar = "#" * round(METER * share)
    loud = "  too loud" if level_dbfs > -3 else ""
    click.echo(f"\r\033[K{max(0.0, left_s):4.1f} s  [{bar:<{METER}}] {level_dbfs:4.0f} dB{loud}", nl=False, err=True)
