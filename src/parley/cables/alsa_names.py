"""The sound server's devices as PortAudio names.

PortAudio on Linux reaches a sound server through ALSA only, whose plugin shows it as one device, `pulse` or `default`.
`expose_devices()` writes an ALSA configuration with one device for each sink and source, and has this process use it. It extends the
system's configuration; nothing outside this process changes.

Laws:
- The file is this process's own (0600, in the folder of the login) and is removed when the process ends.
- A name, once given, keeps its device until the process ends, also while the device is gone.
- PortAudio reads its list of devices when it starts, and again after `sounddevice._terminate()` and `_initialize()`. A device of its list
  that vanished and returned under the same name is opened again without that, since ALSA looks it up at each open: other open streams go
  on undisturbed. Only a device that PortAudio has not listed yet needs the restart. Both are tested on PulseAudio.
- To PortAudio each device states 44.1 kHz, whatever its own rate is: open it at `ExposedDevice.rate`, so that the server does not resample.
Does not know: PortAudio.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import ctypes.util
import os
import re
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from parley.cables.folders import replace_text, runtime_folder
from parley.cables.pulse import read_sound_server
from parley.cables.sound_server import SoundDevice, SoundServer, SoundServerUnavailable
from parley.errors import ParleyError

VARIABLE: Final = "ALSA_CONFIG_PATH"
SYSTEM_FILE: Final = "/usr/share/alsa/alsa.conf"
PLUGIN: Final = "libasound_module_pcm_pulse.so"
LONGEST_NAME: Final = 120

Direction = Literal["input", "output"]

_BARE: Final = re.compile(r"[a-z0-9_-]*")
"""ALSA's own names, such as `default` and `surround51`; a device must not take one."""


class AlsaPluginMissing(ParleyError):
    """PortAudio cannot reach the sound server here."""


class NoSuchDevice(ParleyError):
    """The sound server has no device of that name."""


@dataclass(frozen=True, slots=True)
class ExposedDevice:
    """A device of the sound server, and the name by which PortAudio lists it. An input and an output may share a name."""

    name: str
    device: SoundDevice

    @property
    def direction(self) -> Direction:
        return self.device.direction

    @property
    def rate(self) -> int:
        """Open it at this rate, in Hz."""
        return self.device.rate


def expose_devices(server: SoundServer | None = None) -> list[ExposedDevice]:
    """Make the sound server's devices visible to PortAudio in this process, and return them with their names.

    Call it before `sounddevice` is imported, or restart PortAudio afterwards. Call it again when devices came: the file is rewritten.
    `server` spares a question where its state is known. Blocks for milliseconds. Monitors and our own cables are included, because a
    direction may have to record one; see `SoundDevice.own_monitor`. Raises `SoundServerUnavailable`, `AlsaPluginMissing`, `FolderRefused`.
    """
    _check_plugin()
    found = server if server is not None else read_sound_server()
    with _changing:
        _name_new(found.devices)
        path = _file()
        try:
            replace_text(path, _configuration())
        except OSError as error:
            raise SoundServerUnavailable(f"{path} cannot be written: {error.strerror}.", "Is the disk full?") from error
        os.environ[VARIABLE] = _search_path(path)
        return [
            ExposedDevice(_given[device.direction, device.name], device) for device in found.devices if _usable(device)
        ]


def find_exposed(exposed: Sequence[ExposedDevice], wanted: str, direction: Direction) -> ExposedDevice:
    """The device that is called so: its PortAudio name, its description or its name at the sound server, exactly and then in part, in any
    case. Raises `NoSuchDevice`."""
    able = [each for each in exposed if each.direction == direction]
    folded = wanted.casefold()
    said = [
        ({each.name.casefold(), each.device.description.casefold(), each.device.name.casefold()}, each) for each in able
    ]
    for names, each in said:
        if folded in names:
            return each
    for names, each in said:
        if any(folded in name for name in names):
            return each
    listed = ", ".join(repr(each.name) for each in able) or "none"
    raise NoSuchDevice(
        f"The sound server has no {direction} device {wanted!r}; there are: {listed}.", "Choose one of them."
    )


# --- names -----------------------------------------------------------------------------------------------------------------

_changing = threading.Lock()
_given: dict[tuple[Direction, str], str] = {}
"""The PortAudio name of each device that this process has seen. It grows with different devices only."""


def _usable(device: SoundDevice) -> bool:
    """ALSA evaluates a string that begins with $, and a name is part of a string of the file."""
    return device.name.isprintable() and not device.name.startswith("$")


def _name_new(devices: Iterable[SoundDevice]) -> None:
    wanted = [(device, _readable(device)) for device in devices if _usable(device)]
    often = Counter((device.direction, name.casefold()) for device, name in wanted)
    for device, name in wanted:
        key = (device.direction, device.name)
        if key in _given:
            continue
        taken = {given.casefold() for (direction, _), given in _given.items() if direction == device.direction}
        if often[device.direction, name.casefold()] > 1 or name.casefold() in taken or _BARE.fullmatch(name):
            name = _short(name, f" ({_allowed(device.name)})")
        number, unique = 1, name
        while unique.casefold() in taken:
            number += 1
            unique = _short(name, f" {number}")
        _given[key] = unique


def _readable(device: SoundDevice) -> str:
    return _short(_allowed(device.description) or _allowed(device.name), "")


def _short(name: str, suffix: str) -> str:
    return name[: LONGEST_NAME - len(suffix)] + suffix


def _allowed(name: str) -> str:
    """Without what ALSA takes for syntax in the name of a device: dots and colons; and without control characters."""
    kept = "".join("_" if char in ".:" else char if char.isprintable() else " " for char in name)
    return " ".join(kept.split()).lstrip("@$")


# --- the file --------------------------------------------------------------------------------------------------------------


def _configuration() -> str:
    entries: dict[str, list[tuple[Direction, str]]] = {}
    for (direction, device), name in _given.items():
        entries.setdefault(name, []).append((direction, device))
    lines = ["# Written by Parley for one process: the sound server's devices as ALSA devices."]
    for name, sides in sorted(entries.items()):
        lines += [f"pcm.{_quoted(name)} {{", "    type asym"]
        for direction, device in sides:
            side = "playback" if direction == "output" else "capture"
            lines.append(f"    {side}.pcm {{ type pulse device {_quoted(device)} }}")
        lines += [f"    hint {{ show on description {_quoted(name)} }}", "}"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _file() -> Path:
    folder = runtime_folder()
    for path in folder.glob("alsa-*.conf"):
        number = path.stem.removeprefix("alsa-")
        if number.isdecimal() and not Path(f"/proc/{number}").exists():
            path.unlink(missing_ok=True)
    path = folder / f"alsa-{os.getpid()}.conf"
    if path not in _registered:
        _registered.append(path)
        atexit.register(_remove, path, os.getpid())
    return path


_registered: list[Path] = []


def _remove(path: Path, process: int) -> None:
    # A child that was forked runs its parent's exit functions as well.
    if os.getpid() == process:
        with contextlib.suppress(OSError):
            path.unlink()


def _search_path(path: Path) -> str:
    """The configuration that this process would have used, then ours."""
    kept = [each for each in re.split("[: ]+", os.environ.get(VARIABLE, "")) if each and Path(each) not in _registered]
    return ":".join([*(kept or [_system_file()]), str(path)])


def _system_file() -> str:
    folder = os.environ.get("ALSA_CONFIG_DIR", "")
    return f"{folder}/alsa.conf" if folder else SYSTEM_FILE


# --- the plugin ------------------------------------------------------------------------------------------------------------


class _Found(ctypes.Structure):
    """`Dl_info` of dladdr(3)."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def _check_plugin() -> None:
    """Raises `AlsaPluginMissing`. The folder is where libasound itself looks."""
    library = ctypes.util.find_library("asound")
    if library is None:
        raise AlsaPluginMissing("ALSA's library is not installed.", "Install it with: apt-get install libasound2")
    folder = os.environ.get("ALSA_PLUGIN_DIR", "")
    if not folder:
        found = _Found()
        address = ctypes.cast(ctypes.CDLL(library).snd_pcm_open, ctypes.c_void_p)
        ctypes.CDLL(None).dladdr(address, ctypes.byref(found))
        folder = os.path.join(os.path.dirname(os.fsdecode(found.file or b"")), "alsa-lib")
    if not os.path.isfile(os.path.join(folder, PLUGIN)):
        raise AlsaPluginMissing(
            f"ALSA's plugin for sound servers is not installed: {folder} has no {PLUGIN}.",
            "Install it with: apt-get install libasound2-plugins (Fedora: dnf install alsa-plugins-pulseaudio; Arch: alsa-plugins). "
            "PipeWire needs it too: its pipewire-alsa shows one device only.",
        )
