"""Reports devices that vanish or return, streams that the sound server moved, and the sound server's own end and return.

When a device is removed, PulseAudio and PipeWire silently move its streams to another one: a voice that is meant for the call would come
out of the headphones. PortAudio reports nothing of it.

Laws:
- A thread of its own waits for the server's events and compares two states of it; nothing polls while the server runs. After its end
  it is looked for every `RETRY_S`.
- A stream was opened on the device on which it is first seen. It is reported for each device that it is moved to.
- At most `LONGEST` reports wait for the reader; beyond that the oldest is lost, and counted.
Does not know: PortAudio, and which device a stream was meant for.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal

from parley.cables.pulse import PulseConnection, check_library
from parley.cables.sound_server import SoundServer, SoundServerUnavailable, SoundStream

RETRY_S: Final = 0.2
LONGEST: Final = 256
_JOIN_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class DeviceGone:
    """The device of this name at the sound server is gone."""

    name: str


@dataclass(frozen=True, slots=True)
class DeviceBack:
    """A device of this name is there: it is new, or came back, or was recreated so fast that its absence was not seen. Streams that were
    open on it before are not on it any more: open them again."""

    name: str


@dataclass(frozen=True, slots=True)
class StreamMoved:
    """The server moved a stream of the watched process from the device that it was opened on to another, or back.

    `opened_on` and `now_on` are names at the sound server.
    """

    stream: SoundStream
    opened_on: str
    now_on: str

    @property
    def astray(self) -> bool:
        """Whether it is on another device than the one it was opened on."""
        return self.now_on != self.opened_on


@dataclass(frozen=True, slots=True)
class ServerGone:
    """The sound server ended, or does not answer. All its devices and streams are gone; they are not reported one by one."""

    reason: str


@dataclass(frozen=True, slots=True)
class ServerBack:
    """A sound server is there again. A `DeviceBack` follows for each device that it has."""


WatchReport = DeviceGone | DeviceBack | StreamMoved | ServerGone | ServerBack


class DeviceWatch:
    """Watches the sound server while `async with` is entered; iterate over it for reports, or call `next_report()`.

    `names` are the devices to report; None: all. `process` is the one whose streams are watched; this one by default. Where no server runs
    at the start, `ServerGone` is the first report. Entering raises `SoundServerUnavailable` where the library is missing.
    """

    def __init__(self, names: Collection[str] | None = None, process: int | None = None) -> None:
        self._names = None if names is None else frozenset(names)
        self._process = os.getpid() if process is None else process
        self._waiting: deque[WatchReport] = deque()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = asyncio.Event()
        self._first = asyncio.Event()
        self._closing = threading.Event()
        self._connection: PulseConnection | None = None
        self._thread: threading.Thread | None = None
        self._devices: dict[str, int] = {}
        self._streams: dict[tuple[Literal["input", "output"], int], tuple[str, str]] = {}
        self.lost = 0
        """Reports that were dropped because nothing read them."""

    async def __aenter__(self) -> DeviceWatch:
        check_library()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._watch, name="device-watch", daemon=True)
        self._thread.start()
        await self._first.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        if self._thread is not None:
            await asyncio.to_thread(self._join, self._thread)

    def __aiter__(self) -> DeviceWatch:
        return self

    async def __anext__(self) -> WatchReport:
        return await self.next_report()

    async def next_report(self) -> WatchReport:
        """The next report; waits for it. Not for two tasks at once."""
        while True:
            with self._lock:
                if self._waiting:
                    return self._waiting.popleft()
                self._ready.clear()
            await self._ready.wait()

    def _join(self, thread: threading.Thread) -> None:
        while thread.is_alive():
            with self._lock:
                if self._connection is not None:
                    self._connection.stop()
            thread.join(_JOIN_S)

    # --- the thread ------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        gone = False
        while not self._closing.is_set():
            reason = ""
            try:
                with PulseConnection() as connection:
                    self._keep(connection)
                    try:
                        connection.subscribe()
                        self._began(connection.state(), gone)
                        gone = False
                        while not self._closing.is_set():
                            connection.wait()
                            self._compare(connection.state())
                    finally:
                        self._keep(None)
            except SoundServerUnavailable as error:
                reason = error.message
            if self._closing.is_set():
                return
            if not gone:
                self._report(ServerGone(reason))
                self._devices, self._streams = {}, {}
                gone = True
            self._started()
            self._closing.wait(RETRY_S)

    def _keep(self, connection: PulseConnection | None) -> None:
        """What `stop()` may be called on; closed connections may not."""
        with self._lock:
            self._connection = connection

    def _began(self, server: SoundServer, gone: bool) -> None:
        if gone:
            self._report(ServerBack())
            self._compare(server)
        else:
            self._devices, self._streams = self._devices_of(server), {}
            self._compare_streams(server)
        self._started()

    def _compare(self, server: SoundServer) -> None:
        self._compare_streams(server)
        devices = self._devices_of(server)
        for name in self._devices.keys() - devices.keys():
            self._report(DeviceGone(name))
        for name, index in devices.items():
            if self._devices.get(name) != index:
                self._report(DeviceBack(name))
        self._devices = devices

    def _compare_streams(self, server: SoundServer) -> None:
        """Moved streams are the most urgent: they are reported before the device that went."""
        seen: dict[tuple[Literal["input", "output"], int], tuple[str, str]] = {}
        for stream in server.streams_of(self._process):
            key = (stream.direction, stream.index)
            opened_on, before = self._streams.get(key, ("", ""))
            # PipeWire first takes a stream from its device, and gives it another one after that.
            now_on = stream.device or before
            seen[key] = (opened_on or now_on, now_on)
            if before and now_on != before:
                self._report(StreamMoved(stream, opened_on, now_on))
        self._streams = seen

    def _devices_of(self, server: SoundServer) -> dict[str, int]:
        return {
            device.name: device.index for device in server.devices if self._names is None or device.name in self._names
        }

    def _report(self, report: WatchReport) -> None:
        with self._lock:
            if len(self._waiting) == LONGEST:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append(report)
        self._call(self._ready)

    def _started(self) -> None:
        self._call(self._first)

    def _call(self, event: asyncio.Event) -> None:
        if event.is_set() or self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(event.set)
        except RuntimeError:  # the loop is closed
            self._closing.set()
