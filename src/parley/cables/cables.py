"""Our two cables, made on this user's sound server.

Laws:
- Making twice is making once: what is there is kept, what is missing is made.
- Only what carries our mark in its module's argument is ever unloaded. A device of the same name that something else made is an error.
- One process at a time makes or removes.
- Cables live as long as the sound server; with `persist` they are in its configuration, too.
Does not know: PortAudio, streams.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from parley.audio.private_files import make_private_folder
from parley.cables import persistence, state
from parley.cables.other_systems import check_system
from parley.cables.own import CABLES, MARK, CableKind, CableModule
from parley.cables.pulse import PulseConnection
from parley.cables.sound_server import ServerModule, SoundServer, SoundServerUnavailable
from parley.errors import ParleyError

LOCK_S: Final = 10.0


class CableNameTaken(ParleyError):
    """Something that Parley did not make has the name of a cable's device."""


class CablesBusy(ParleyError):
    """Another process makes or removes the cables."""


@dataclass(frozen=True, slots=True)
class Cable:
    """A cable as it is now. `modules` are the indexes of what carries it at the sound server, none where its configuration made it.

    `present`: all its devices are there. `missing` names those that are not.
    """

    kind: CableKind
    modules: tuple[int, ...]
    missing: tuple[str, ...]

    @property
    def present(self) -> bool:
        return not self.missing


@dataclass(frozen=True, slots=True)
class RemovedCables:
    """What `remove()` did: the indexes that it unloaded, the configuration files that it took the cables out of, and the devices that stay
    until the sound server is started again, because its configuration made them."""

    modules: tuple[int, ...]
    files: tuple[Path, ...]
    remaining: tuple[str, ...]


def create(persist: bool = False) -> list[Cable]:
    """Make the cables that are missing, and return both. With `persist`, also after each start of the sound server.

    Raises `CablesByHand` off Linux, `SoundServerUnavailable`, `CableNameTaken`, `CablesBusy`, `PersistenceFailed`, `StateUnwritable`.
    """
    check_system()
    with _alone(), PulseConnection() as connection:
        server, modules = connection.state(), connection.modules()
        missing = [(cable, module) for cable, module in _parts() if not _there(server, modules, module)]
        loaded: list[state.RememberedModule] = []
        try:
            for cable, module in missing:
                index = connection.load(module.name, module.argument)
                loaded.append(state.RememberedModule(cable.name, server.run, index, module.name, module.argument))
            state.remember([*_alive(server, modules), *loaded])
            _keep_defaults(connection, server)
            if persist:
                persistence.persist(server.pipewire)
        except ParleyError:
            for entry in reversed(loaded):
                connection.unload(entry.index)
            state.remember(_alive(server, modules))
            raise
        return _cables(connection)


def listed() -> list[Cable]:
    """Both cables, there or not. Raises `CablesByHand` off Linux, `SoundServerUnavailable`."""
    check_system()
    with PulseConnection() as connection:
        return _cables(connection)


def remove() -> RemovedCables:
    """Remove the cables, from the sound server's configuration as well. Removing what is not there is no error.

    Raises `CablesByHand` off Linux, `SoundServerUnavailable` (after the configuration was changed), `CablesBusy`, `PersistenceFailed`,
    `StateUnwritable`.
    """
    check_system()
    with _alone():
        files = persistence.unpersist()
        with PulseConnection() as connection:
            server, modules = connection.state(), connection.modules()
            remembered = {entry.index for entry in _alive(server, modules)}
            ours = [module.index for module in modules if module.index in remembered or _cable_of(module)]
            # A remapped source goes before the sink whose monitor it uses.
            for index in sorted(ours, reverse=True):
                _unload(connection, index)
            state.remember([])
            left = connection.state()
        remaining = tuple(device.name for device in left.devices if device.marked and not device.monitor_of)
    return RemovedCables(tuple(sorted(ours)), tuple(files), remaining)


def _parts() -> Iterator[tuple[CableKind, CableModule]]:
    for cable in CABLES:
        for module in cable.modules:
            yield cable, module


def _there(server: SoundServer, modules: list[ServerModule], wanted: CableModule) -> bool:
    """Whether the device of a module is there. Raises `CableNameTaken` where something else made it."""
    device = server.device(wanted.device)
    if device is None:
        return False
    owner = next((module for module in modules if module.index == device.module), None)
    if device.marked or (owner is not None and _cable_of(owner)):
        return True
    by = f"module {owner.index} ({owner.name})" if owner is not None else "another program"
    remedy = f"Unload it: pactl unload-module {owner.index}" if owner is not None else "Remove it."
    raise CableNameTaken(f"The sound server has a device {wanted.device} that Parley did not make: {by} did.", remedy)


def _cable_of(module: ServerModule) -> str:
    """The cable that a loaded module belongs to, by the mark in its argument; "" where it is not ours."""
    for cable, wanted in _parts():
        if module.name == wanted.name and f"{MARK}='{cable.name}'" in module.argument:
            return cable.name
    return ""


def _alive(server: SoundServer, modules: list[ServerModule]) -> list[state.RememberedModule]:
    by_index = {module.index: module for module in modules}
    return [entry for entry in state.recall() if entry.alive(server.run, by_index)]


def _cables(connection: PulseConnection) -> list[Cable]:
    server, modules = connection.state(), connection.modules()
    names = {device.name for device in server.devices}
    return [
        Cable(
            cable,
            tuple(module.index for module in modules if _cable_of(module) == cable.name),
            tuple(module.device for module in cable.modules if module.device not in names),
        )
        for cable in CABLES
    ]


def _keep_defaults(connection: PulseConnection, before: SoundServer) -> None:
    """A new device may become the default: everything on this machine would then play into the call."""
    now = connection.state()
    for old, new in ((before.default_output, now.default_output), (before.default_input, now.default_input)):
        device, taken = now.device(old), now.device(new)
        if device is not None and taken is not None and taken.cable and not device.cable:
            connection.set_default(device)


def _unload(connection: PulseConnection, index: int) -> None:
    """A module may have gone with the one that it needed."""
    try:
        connection.unload(index)
    except SoundServerUnavailable:
        if any(module.index == index for module in connection.modules()):
            raise


@contextmanager
def _alone() -> Iterator[None]:
    file = state.path().with_suffix(".lock")
    try:
        make_private_folder(file.parent)
        lock = FileLock(file, timeout=LOCK_S, mode=0o600)
        with lock:
            yield
    except Timeout as error:
        raise CablesBusy("Another process makes or removes cables.", "Wait for it, then try again.") from error
    except OSError as error:
        raise state.StateUnwritable(f"{file} cannot be made: {error.strerror}.", "Make its folder writable.") from error
