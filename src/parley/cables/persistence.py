"""The cables in the configuration of the user's sound server, so that they are there after each start of it.

Laws:
- PulseAudio: a marked block in `default.pa`. PipeWire: a file of its own in `pipewire.conf.d`. Removing takes out exactly what was written.
- A configuration that is a symbolic link stays one: the file that it leads to is changed.
- A cable that cannot be made never keeps the sound server from starting.
Does not know: whether a server runs.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from parley.cables.folders import config_folder, replace_text
from parley.cables.own import CABLES, CALL, MARK, MICROPHONE, RATE
from parley.errors import ParleyError

BEGIN: Final = (
    "### begin: cables of Parley, made by `parley cables create --persist`, taken out by `parley cables remove`"
)
END: Final = "### end: cables of Parley"
SYSTEM_SCRIPT: Final = "/etc/pulse/default.pa"


class PersistenceFailed(ParleyError):
    """The sound server's configuration cannot be read or written."""


def pulse_script() -> Path:
    """PulseAudio's start script of this user."""
    return config_folder() / "pulse" / "default.pa"


def pipewire_file() -> Path:
    """The file that PipeWire reads for the cables."""
    return config_folder() / "pipewire" / "pipewire.conf.d" / "50-parley-cables.conf"


def persisted() -> list[Path]:
    """The files that have the cables in them. Raises `PersistenceFailed`."""
    files = [pulse_script()] if BEGIN in _read(pulse_script()) else []
    return files + ([pipewire_file()] if pipewire_file().exists() else [])


def persist(pipewire: bool) -> Path:
    """Write the cables into the configuration of PipeWire or of PulseAudio; they are then there from its next start on. Returns the file.

    Raises `PersistenceFailed`.
    """
    if pipewire:
        _write(pipewire_file(), _pipewire_text())
        return pipewire_file()
    script = pulse_script()
    if not script.exists() and not os.path.exists(SYSTEM_SCRIPT):
        # Including what is not there would keep PulseAudio from starting, and leaving it out would leave PulseAudio without devices.
        raise PersistenceFailed(
            f"PulseAudio's own start script {SYSTEM_SCRIPT} is not here.", f"Copy yours to {script}, then try again."
        )
    text = _without_block(_read(script)) if script.exists() else _include()
    if text and not text.endswith("\n"):
        text += "\n"
    _write(script, text + _pulse_block())
    return script


def unpersist() -> list[Path]:
    """Take the cables out again; a file with nothing but what Parley wrote is removed. Returns the files. Raises `PersistenceFailed`."""
    files = persisted()
    for file in files:
        text = "" if file == pipewire_file() else _without_block(_read(file))
        if file == pipewire_file() or text == _include():
            try:
                file.unlink()
            except OSError as error:
                raise _failed(file, error) from error
        else:
            _write(file, text)
    return files


def _include() -> str:
    return f".include {SYSTEM_SCRIPT}\n"


def _pulse_block() -> str:
    lines = [f"load-module {module.name} {module.argument}" for cable in CABLES for module in cable.modules]
    # After .nofail, a line that fails is logged; before it, PulseAudio would not start.
    return "\n".join([BEGIN, ".nofail", *lines, END]) + "\n"


def _without_block(text: str) -> str:
    """The text without each line from `BEGIN` to `END`. A block without its end is left alone: what is ours in it is unknown."""
    kept: list[str] = []
    block: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.strip() == BEGIN:
            kept += block
            block = [line]
        elif block:
            block.append(line)
            if line.strip() == END:
                block = []
        else:
            kept.append(line)
    return "".join(kept + block)


def _pipewire_text() -> str:
    """A loop from a sink to a source is the microphone, a null sink the call's loudspeaker."""
    feed, shown = (_described(module.argument) for module in MICROPHONE.modules)
    (call,) = (_described(module.argument) for module in CALL.modules)
    return f"""# Written by `parley cables create --persist`, removed by `parley cables remove`.
context.modules = [
    {{  name = libpipewire-module-loopback
        flags = [ nofail ]
        args = {{
            node.description = "{shown}"
            audio.rate = {RATE}
            audio.position = [ FL FR ]
            capture.props = {{
                media.class = Audio/Sink
                node.name = {MICROPHONE.playback}
                node.description = "{feed}"
                {MARK} = {MICROPHONE.name}
            }}
            playback.props = {{
                media.class = Audio/Source
                node.name = {MICROPHONE.capture}
                node.description = "{shown}"
                {MARK} = {MICROPHONE.name}
            }}
        }}
    }}
]
context.objects = [
    {{  factory = adapter
        flags = [ nofail ]
        args = {{
            factory.name = support.null-audio-sink
            media.class = Audio/Sink
            node.name = {CALL.playback}
            node.description = "{call}"
            audio.rate = {RATE}
            audio.position = [ FL FR ]
            monitor.channel-volumes = true
            object.linger = true
            {MARK} = {CALL.name}
        }}
    }}
]
"""


def _described(argument: str) -> str:
    return argument.partition("device.description='")[2].partition("'")[0]


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _failed(file, error) from error


def _write(file: Path, text: str) -> None:
    real = Path(os.path.realpath(file))
    try:
        mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else 0o644
        replace_text(real, text, mode)
    except OSError as error:
        raise _failed(file, error) from error


def _failed(file: Path, error: OSError) -> PersistenceFailed:
    return PersistenceFailed(
        f"{file}: {error.strerror}.", "Make it readable and writable for you, or leave --persist out."
    )
