"""Which voices hibari has on this machine, and which of them a requested name stands for.

Laws: pure look-ups; never loads the package. Every voice is a whole model in a file of its own: one is in the package, the others are
voices only where their files are (`parley models pull` brings them, or the package itself). A file is loaded only where its bytes are
those named here.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from parley.engines.ports import VoiceDescription
from parley.models import store
from parley.text.language_tags import primary_tag

LANGUAGE: Final = "en"
DEFAULT: Final = "heart"


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice of hibari 0.2: its file, and the file's SHA-256."""

    name: str
    file: str
    sha256: str
    british: bool = False
    male: bool = False


VOICES: Final = (
    Voice(DEFAULT, "hibari.onnx", "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"),
    Voice("kore", "af_kore.int8.onnx", "346885752673e45d42f9864c9e2432094bc4b6385df060d4b83273da764d2fa9"),
    Voice(
        "fenrir",
        "am_fenrir_v2.int8.onnx",
        "f59fbd87908c91f827bc21b1b89443757b9a8580db9eee20aa948deb731321f4",
        male=True,
    ),
    Voice(
        "emma", "bf_emma.int8.onnx", "f709f0488ee63b583a22189a955aaf4257b9806dd330be3490661e53af0a89c1", british=True
    ),
    Voice(
        "fable",
        "bm_fable.int8.onnx",
        "c28529302f2d27cd12f62625c24425888c4e3c2675583100ec530259136b8bc6",
        british=True,
        male=True,
    ),
)

_LOWER: Final = frozenset({"ash", "ballad", "cedar", "echo", "fable", "onyx", "verse"})
_HIGHER: Final = frozenset({"alloy", "coral", "marin", "nova", "sage", "shimmer"})
"""OpenAI's names, by whether the voice sounds lower or higher there."""


def assets() -> Path | None:
    """The folder of the package's files, found without importing it; None where the package is absent."""
    spec = importlib.util.find_spec("hibari")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "assets"
    return path if path.is_dir() else None


def downloads() -> Path:
    """The folder in which the package keeps voices that it has fetched."""
    if named := os.environ.get("HIBARI_HOME"):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "hibari"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "hibari"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hibari"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The voices whose files are there, by name, in the order of `VOICES`."""

    files: dict[str, tuple[Voice, Path]]

    def resolve(self, voice: str, language: str, default: str) -> str | None:
        """The voice that `voice` (a name of its own, one of OpenAI's, or "" for the default) stands for; None where there is none, or
        where it does not speak `language` ("" for any)."""
        if language and primary_tag(language) != LANGUAGE:
            return None
        name = voice.strip().lower() or default
        if name in self.files:
            return name
        if name in _LOWER:
            return next((one for one, (found, _) in self.files.items() if found.male), default)
        return default if name in _HIGHER else None

    def describe(self, voice: str) -> VoiceDescription:
        """What is known of one of the voices."""
        if voice not in self.files:
            return VoiceDescription()
        found, _ = self.files[voice]
        return VoiceDescription("en-GB" if found.british else "en-US", "male" if found.male else "female")


def installed() -> Catalogue:
    """The voices on this machine; empty where the package is not installed."""
    packaged, fetched = assets(), downloads()
    files = {}
    for voice in VOICES if packaged is not None else ():
        folder = packaged if voice.name == DEFAULT else store.installed(f"hibari:{voice.name}") or fetched
        if folder is not None and (folder / voice.file).is_file():
            files[voice.name] = voice, folder / voice.file
    return Catalogue(files)
