"""What a sound server says: PulseAudio, or PipeWire through its PulseAudio protocol.

Laws:
- One question, one connection, within `ANSWER_S`: a server that hangs is an error, not a wait.
- No server is started: a connection is refused where none runs.
- A `PulseConnection` belongs to one thread. Everything here blocks, for milliseconds where the server is well.
Does not know: PortAudio, our cables beyond their mark.
"""

from __future__ import annotations

import contextlib
import select
import sys
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Literal

from parley.cables.own import MARK, cable_of
from parley.cables.sound_server import (
    ServerModule,
    SoundDevice,
    SoundServer,
    SoundServerRefused,
    SoundServerUnavailable,
    SoundStream,
)
from parley.invocation import install

ANSWER_S: Final = 3.0
"""A server answers in milliseconds; one under load in tenths of a second."""

_DEVICES: Final = ("sink", "source")
_STREAMS: Final = ("sink_input", "source_output")
_NO_INDEX: Final = 0xFFFF_FFFF


def read_sound_server() -> SoundServer:
    """The server's state now. Raises `SoundServerUnavailable`."""
    with PulseConnection() as connection:
        return connection.state()


def check_library() -> None:
    """Raises `SoundServerUnavailable` where no sound server can be asked from here: the system, the package or the library is another."""
    _library()


class PulseConnection:
    """A connection to the sound server of `$PULSE_SERVER`, or of this user: `with` opens and closes it. Every method raises
    `SoundServerUnavailable` where the server is gone or does not answer within `ANSWER_S`; the connection is then of no more use."""

    def __init__(self) -> None:
        self._library = _library()
        self._pulse: Any = None
        self._until_s: float | None = None
        self._stopping = False
        self._news = self._listening = False

    def __enter__(self) -> PulseConnection:
        library = self._library
        self._pulse = library.Pulse("parley", connect=False)
        # The poll function bounds every question: libpulse itself waits half a minute, and pulsectl's own time limit is always used up.
        self._pulse.set_poll_func(self._poll, lambda *error: None)
        try:
            with self._bounded():
                self._pulse.connect(autospawn=False)
        except BaseException:
            self._pulse.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pulse.close()

    def state(self) -> SoundServer:
        """Devices, streams and defaults."""
        pulse = self._pulse
        with self._bounded():
            info, cards = pulse.server_info(), {card.index: card.profile_active.name for card in pulse.card_list()}
            outputs = [_device(found, "output", cards) for found in pulse.sink_list()]
            inputs = [_device(found, "input", cards) for found in pulse.source_list()]
            played, recorded = pulse.sink_input_list(), pulse.source_output_list()
        names = {(device.direction, device.index): device.name for device in (*outputs, *inputs)}
        streams = [
            *(_stream(found, "output", names.get(("output", found.sink), "")) for found in played),
            *(_stream(found, "input", names.get(("input", found.source), "")) for found in recorded),
        ]
        return SoundServer(
            info.server_name or "",
            info.server_version or "",
            f"{info.cookie:08x}",
            info.default_sink_name or "",
            info.default_source_name or "",
            (*outputs, *inputs),
            tuple(streams),
        )

    def modules(self) -> list[ServerModule]:
        """The modules that are loaded."""
        with self._bounded():
            return [ServerModule(found.index, found.name, found.argument or "") for found in self._pulse.module_list()]

    def load(self, name: str, argument: str) -> int:
        """Load a module and return its index."""
        with self._bounded(f"loading {name}"):
            return int(self._pulse.module_load(name, argument))

    def set_default(self, device: SoundDevice) -> None:
        """Make a device the default of its direction."""
        choose = self._pulse.sink_default_set if device.direction == "output" else self._pulse.source_default_set
        with self._bounded(f"choosing {device.name} as default"):
            choose(device.name)

    def unload(self, index: int) -> None:
        """Unload a module."""
        with self._bounded(f"unloading module {index}"):
            self._pulse.module_unload(index)

    # --- events ----------------------------------------------------------------------------------------------------------

    def subscribe(self) -> None:
        """Ask for events; `wait()` then returns when one comes, or has come since it last returned."""
        stop = self._library.PulseLoopStop

        def heard(event: Any) -> None:
            facility, what = str(event.facility._value), str(event.t._value)
            if facility in _DEVICES and what == "change":
                return  # volumes and states
            self._news = True
            if self._listening:
                raise stop

        # Always set: events come while the state is asked for, too, and the answer may be older than they are.
        self._pulse.event_callback_set(heard)
        with self._bounded():
            self._pulse.event_mask_set(*_DEVICES, *_STREAMS, "server")

    def wait(self) -> None:
        """Block until a device came or went, or a stream came, went or changed, since the last call returned; or `stop()` is called.
        Before it returns, what comes within a few milliseconds is taken together."""
        with self._translated("waiting for events"):
            self._listening = True
            try:
                if not self._news and not self._stopping:
                    self._pulse.event_listen()
            finally:
                self._listening = False
            if not self._stopping:
                self._pulse.event_listen(timeout=_TOGETHER_S)
        self._news = False

    def stop(self) -> None:
        """Have `wait()` return; from any thread. Call it until it did: a wait that is about to begin may miss it."""
        self._stopping = True
        self._pulse.event_listen_stop()

    # --- bounds ----------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _bounded(self, doing: str = "asking the sound server") -> Iterator[None]:
        self._until_s = time.monotonic() + ANSWER_S
        try:
            with self._translated(doing):
                yield
        finally:
            self._until_s = None

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        library = self._library
        try:
            yield
        except (library.PulseDisconnected, library.PulseError, library.CallError) as error:
            late = self._until_s is not None and time.monotonic() >= self._until_s
            if late:
                raise SoundServerUnavailable(
                    f"The sound server does not answer ({doing}, {ANSWER_S:g} s).", _restart()
                ) from error
            if self._pulse.connected:
                raise SoundServerRefused(
                    f"The sound server refused: {doing}.", "Its log says why: `journalctl --user`."
                ) from error
            raise SoundServerUnavailable("No sound server can be reached.", _start()) from error

    def _poll(self, waited: list[Any], timeout_s: float) -> int:
        """For libpulse's loop: poll(2) that gives up at the time limit. A negative `timeout_s` means no limit."""
        limit_s = None if timeout_s < 0 else timeout_s
        if self._until_s is not None:
            left_s = self._until_s - time.monotonic()
            if left_s <= 0:
                # pulsectl's loops end with the connection. An error returned to libpulse would be printed by it.
                self._pulse.connected = False
                return 0
            limit_s = left_s if limit_s is None else min(left_s, limit_s)
        poller = select.poll()
        for entry in waited:
            entry.revents = 0
            poller.register(entry.fd, entry.events)
        ready = dict(poller.poll(None if limit_s is None else limit_s * 1000))
        for entry in waited:
            entry.revents = ready.get(entry.fd, 0)
        return len(ready)


_TOGETHER_S: Final = 0.02


def _library() -> Any:
    if sys.platform != "linux":
        raise SoundServerUnavailable("PulseAudio and PipeWire are on Linux only.")
    try:
        import pulsectl
        from pulsectl import _pulsectl
    except ModuleNotFoundError as error:
        raise SoundServerUnavailable(
            "The package pulsectl, which asks the sound server, is not installed.", f"Install it: {install('talk')}"
        ) from error
    except OSError as error:
        raise SoundServerUnavailable(
            "The library of PulseAudio's clients (libpulse.so.0) is not installed.",
            "Install it with: apt-get install libpulse0 (Fedora: dnf install pulseaudio-libs)",
        ) from error
    return _Names(pulsectl, _pulsectl)


class _Names:
    """The parts of pulsectl that are used here.

    pulsectl 24.12 keeps a pointer into libpulse's memory as the sample rate of a device; here it is read while the memory is valid.
    """

    def __init__(self, pulsectl: Any, low: Any) -> None:
        def with_rate(of: Any) -> Any:
            class Rated(of):  # type: ignore[misc]
                def _init_from_struct(self, struct: Any) -> None:
                    super()._init_from_struct(struct)
                    self.rate = int(struct.sample_spec.rate)

            return Rated

        listed = pulsectl.Pulse._pulse_get_list

        class RatedPulse(pulsectl.Pulse):  # type: ignore[misc]
            sink_list = listed(
                low.PA_SINK_INFO_CB_T, low.pa.context_get_sink_info_list, with_rate(pulsectl.PulseSinkInfo)
            )
            source_list = listed(
                low.PA_SOURCE_INFO_CB_T, low.pa.context_get_source_info_list, with_rate(pulsectl.PulseSourceInfo)
            )

        self.Pulse = RatedPulse
        self.PulseLoopStop = pulsectl.PulseLoopStop
        self.PulseError: type[Exception] = pulsectl.PulseError
        self.PulseDisconnected: type[Exception] = pulsectl.PulseDisconnected
        self.CallError: type[Exception] = low.LibPulse.CallError


def _device(found: Any, direction: Literal["input", "output"], cards: Mapping[int, str]) -> SoundDevice:
    said: Mapping[str, str] = found.proplist
    monitor_of = (found.monitor_of_sink_name or "") if direction == "input" else ""
    port = found.port_active
    profile = said.get("bluetooth.protocol") or said.get("api.bluez5.profile") or cards.get(found.card, "")
    return SoundDevice(
        index=found.index,
        name=found.name,
        description=found.description or found.name,
        direction=direction,
        rate=found.rate,
        channels=int(found.channel_count),
        monitor_of=monitor_of,
        cable=cable_of(found.name, said, monitor_of),
        bus=said.get("device.bus", "") or ("bluetooth" if said.get("device.api") == "bluez5" else ""),
        form_factor=said.get("device.form_factor", ""),
        port=port.name if port is not None else "",
        profile=profile,
        marked=MARK in said,
        module=None if found.owner_module == _NO_INDEX else int(found.owner_module),
    )


def _stream(found: Any, direction: Literal["input", "output"], device: str) -> SoundStream:
    said: Mapping[str, str] = found.proplist
    process = said.get("application.process.id", "")
    return SoundStream(
        found.index,
        direction,
        device,
        int(process) if process.isdecimal() else 0,
        said.get("application.name", ""),
        found.name or "",
    )


def _start() -> str:
    return (
        "Start it: `systemctl --user start pipewire-pulse` or `pulseaudio --start`. In a container, set PULSE_SERVER."
    )


def _restart() -> str:
    return (
        "Restart it: `systemctl --user restart pipewire-pulse`, or `pulseaudio --kill` and then `pulseaudio --start`."
    )
