"""The options of `csm`, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from parley.engines.options import OptionReader
from parley.engines.tts.csm.model import Sampling

ENGINE: Final = "tts csm"
DTYPES: Final = ("auto", "float32", "bfloat16")
GRAPHS: Final = ("auto", "on", "off")
_DEVICE: Final = re.compile(r"auto|cpu|cuda(:\d{1,2})?")
_NAME: Final = re.compile(r"[\w.-]{1,64}")


@dataclass(frozen=True, slots=True)
class ClipSetting:
    """A voice that is cloned: the recording, what is said in it ("": the text file beside it), and the speaker's number."""

    path: str
    text: str = ""
    speaker: int = 0


@dataclass(frozen=True, slots=True)
class CsmSettings:
    """What `create()` was given. `voices` is by name; `folder` one of clips, "" for none; `voice` "" the first one."""

    sampling: Sampling
    context_s: float
    batch: int
    slots: int
    device: str
    dtype: str
    graphs: bool | None
    voice: str
    voices: Mapping[str, ClipSetting]
    folder: str


def read(options: Mapping[str, object]) -> CsmSettings:
    """Raises `ValueError` that names the option."""
    reader = OptionReader(ENGINE, options)
    seed = reader.optional_number("seed", 0, 2**53)
    batch = _whole("batch", reader.number("batch", 16, 1, 64))
    named = options.get("voices")
    folder = reader.text("voices") if isinstance(named, str) else ""
    settings = CsmSettings(
        sampling=Sampling(
            temperature=reader.number("temperature", 0.9, 0, 2),
            top_k=_whole("top_k", reader.number("top_k", 50, 0, 256)),
            seed=None if seed is None else _whole("seed", seed),
            eos_bias=reader.number("eos_bias", 0, -20, 20),
        ),
        context_s=reader.number("context_s", 45, 0, 120),
        batch=batch,
        slots=_whole("sessions", reader.number("sessions", max(32, batch), batch, 512)),
        device=_device(reader.text("device", "auto")),
        dtype=reader.choice("dtype", "auto", DTYPES),
        graphs={"auto": None, "on": True, "off": False}[reader.choice("graphs", "auto", GRAPHS)],
        voice=reader.text("voice"),
        voices={} if folder else {name: _clip(name, value) for name, value in reader.table("voices").items()},
        folder=folder,
    )
    reader.close()
    return settings


def _clip(name: str, value: object) -> ClipSetting:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{ENGINE}: voices: {name!r} is no name: use letters, digits, '.', '_' and '-', 64 at most.")
    if isinstance(value, str) and value.strip():
        return ClipSetting(value.strip())
    if not isinstance(value, Mapping):
        raise ValueError(f"{ENGINE}: voices.{name} must be the path of a recording, or a table, not {value!r}.")
    reader = OptionReader(f"{ENGINE}: voices.{name}", value)
    clip = ClipSetting(reader.text("clip"), reader.text("text"), _whole("speaker", reader.number("speaker", 0, 0, 9)))
    reader.close()
    if not clip.path:
        raise ValueError(f"{ENGINE}: voices.{name} needs `clip`, the path of a recording.")
    return clip


def _device(value: str) -> str:
    if not _DEVICE.fullmatch(value):
        raise ValueError(f"{ENGINE}: device must be auto, cpu, cuda or cuda:N, not {value!r}.")
    return value


def _whole(name: str, value: float) -> int:
    if value != int(value):
        raise ValueError(f"{ENGINE}: {name} must be a whole number, not {value:g}.")
    return int(value)
