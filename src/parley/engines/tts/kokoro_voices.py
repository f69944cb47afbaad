"""Which voices a folder of Kokoro holds, what a requested name stands for, and the styles of voices and of mixes.

Laws:
- Names are look-ups in a listing of the folder; a file is read when its voice is first spoken with, and kept, as mixes are, up to
  `MAX_KEPT` styles.
- A mix is the sum of its voices' styles by their shares (`parley.text.voice_mix`). It speaks the language of the voice that it names first.
- Voices of the user's own (`VoiceTensor`) can be added to an open folder: they are found by the names that `add()` gives them and not
  listed; the newest `MAX_OWN` stay.
- A voice speaks the language of the first letter of its name, as the published ones do (`af_heart`: American, female); one whose name says
  nothing speaks English.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from parley.engines.ports import EngineRefused, VoiceDescription, VoiceTensor
from parley.engines.tts import kokoro_tensors
from parley.engines.tts.kokoro_tensors import InvalidVoice, Style
from parley.text import voice_mix
from parley.text.language_tags import primary_tag

log = logging.getLogger(__name__)

DEFAULT: Final = "af_heart"
MAX_KEPT: Final = 32
"""Styles of half a megabyte each."""

MAX_OWN: Final = 64

_READINGS: Final = {
    "a": "en-us",
    "b": "en-gb",
    "e": "es",
    "f": "fr",
    "h": "hi",
    "i": "it",
    "p": "pt-br",
}
_UNREAD: Final = re.compile(r"[jz][fm]_")
"""Japanese and Chinese voices: nothing here reads those languages as they were trained."""

_SEXED: Final = re.compile(r"([abefhip])([fm])_")
_NAME: Final = re.compile(r"[\w.-]{1,64}")

_OPENAI: Final = {
    "alloy": "af_alloy",
    "ash": "am_michael",
    "ballad": "bm_george",
    "cedar": "am_fenrir",
    "coral": "af_bella",
    "echo": "am_echo",
    "fable": "bm_fable",
    "marin": "af_heart",
    "nova": "af_nova",
    "onyx": "am_onyx",
    "sage": "af_sarah",
    "shimmer": "af_sky",
    "verse": "am_puck",
}
"""OpenAI's names, by Kokoro's of the same name where there is one, else of a like pitch."""


def reading_of(name: str) -> str:
    """What a voice's texts are read as (`kokoro_text.READINGS`)."""
    match = _SEXED.match(name)
    return _READINGS[match[1]] if match else "en-us"


@dataclass(frozen=True, slots=True)
class VoiceFolder:
    """The voices of a folder: each one's file and its name in it, in alphabetical order but for the default, which stands first."""

    files: dict[str, tuple[Path, str]]
    own: OrderedDict[str, Style] = field(default_factory=OrderedDict)
    """The voices of the user's own that were added, the one that was asked for longest ago first."""

    def add(self, tensor: VoiceTensor) -> str:
        """The name of a voice of the user's own in this folder, which says what the voice speaks."""
        spoken = _SEXED.match(tensor.name.lower())
        name = f"{spoken[0] if spoken else ''}own-{tensor.sha256[:32]}"
        self.own[name] = tensor.style
        self.own.move_to_end(name)
        while len(self.own) > MAX_OWN:
            self.own.popitem(last=False)
        return name

    def names(self) -> tuple[str, ...]:
        return tuple(self.files)

    def languages(self) -> tuple[str, ...]:
        return tuple(sorted({primary_tag(reading_of(name)) for name in self.files}))

    def usual(self) -> str:
        """The voice that is spoken with where none is named; "" in an empty folder."""
        return next(iter(self.files), "")

    def shares(self, voice: str) -> dict[str, float]:
        """The share of each of the folder's voices in `voice`: one of theirs, one of OpenAI's names, or a mix.

        Raises `ValueError` with what is wrong.
        """
        shares: dict[str, float] = {}
        for name, share in voice_mix.parse(voice.strip().lower()).items():
            own = self._own(name)
            if own is None:
                raise ValueError(f"there is no voice {name!r}")
            shares[own] = shares.get(own, 0.0) + share
        return shares

    def _own(self, name: str) -> str | None:
        if name in self.files or name in self.own:
            return name
        stands_for = _OPENAI.get(name)
        if stands_for is None or stands_for in self.files:
            return stands_for
        return self._nearest(stands_for, "en") or self.usual() or None

    def resolve(self, voice: str, language: str, default: str) -> str | None:
        """The folder's own writing of `voice`, or None where it is unknown or does not speak `language`; "" stands for the default, or
        for the nearest voice that speaks `language`."""
        try:
            shares = self.shares(voice or default or self.usual())
        except ValueError:
            return None
        first = next(iter(shares))
        if language and primary_tag(language) != primary_tag(reading_of(first)):
            return None if voice else self._nearest(first, language)
        return voice_mix.written(shares)

    def voice_in(self, voice: str, language: str, default: str) -> str | None:
        """`voice` where it speaks `language`, else the first voice that does, of the same sex where there is one; None where none does."""
        if self.resolve(voice, language, default) is not None:
            return voice
        own = self.resolve(voice, "", default)
        return self._nearest(own or self.usual(), language)

    def describe(self, voice: str) -> VoiceDescription:
        """What the name of one of the folder's voices says; nothing of a mix."""
        match = _SEXED.match(voice) if voice in self.files else None
        return (
            VoiceDescription(reading_of(voice), "female" if match[2] == "f" else "male")
            if match
            else VoiceDescription()
        )

    def _nearest(self, voice: str, language: str) -> str | None:
        speak = [name for name in self.files if primary_tag(reading_of(name)) == primary_tag(language)]
        match = _SEXED.match(voice)
        same = [name for name in speak if match and (other := _SEXED.match(name)) and other[2] == match[2]]
        return next(iter([*same, *speak]), None)


def listed(folder: Path) -> VoiceFolder:
    """The voices in a folder, or in `voices/` in it. A file that is none is passed over with a warning."""
    found: dict[str, tuple[Path, str]] = {}
    for path in _files(folder):
        try:
            inside = kokoro_tensors.names(path)
        except (InvalidVoice, OSError) as error:
            log.warning("%s holds no voice of Kokoro: %s", path, error)
            continue
        for name in inside:
            key = name.lower()
            if _NAME.fullmatch(key) and not _UNREAD.match(key):
                found.setdefault(key, (path, name))
    order = sorted(found, key=lambda name: (name != DEFAULT, name))
    return VoiceFolder({name: found[name] for name in order})


def _files(folder: Path) -> Iterator[Path]:
    for place in (folder, folder / "voices"):
        if place.is_dir():
            yield from (path for path in sorted(place.iterdir()) if path.suffix.lower() in kokoro_tensors.SUFFIXES)


class Styles:
    """The styles of a folder's voices and mixes. Any thread may call."""

    def __init__(self, voices: VoiceFolder) -> None:
        self._voices = voices
        self._kept: OrderedDict[tuple[tuple[str, float], ...], Style] = OrderedDict()
        self._lock = threading.Lock()

    def style(self, voice: str) -> Style:
        """The style of a voice or mix that `VoiceFolder.resolve()` knows. Blocks for a file that was not read yet.

        Raises `EngineRefused` (`invalid_voice`) for a file that holds no voice.
        """
        shares = self._voices.shares(voice)
        key = tuple(sorted((name, round(share, 6)) for name, share in shares.items()))
        with self._lock:
            style = self._kept.get(key)
            if style is None:
                style = self._kept[key] = self._mixed(shares)
            self._kept.move_to_end(key)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return style

    def _mixed(self, shares: dict[str, float]) -> Style:
        styles = [(np.float32(share), self._read(name)) for name, share in shares.items()]
        if len(styles) == 1:
            return styles[0][1]
        mixed: Style = np.sum([share * style for share, style in styles], axis=0, dtype=np.float32)
        mixed.setflags(write=False)
        return mixed

    def _read(self, name: str) -> Style:
        if (own := self._voices.own.get(name)) is not None:
            return own
        if name not in self._voices.files:
            raise EngineRefused(f"The voice {name!r} is not kept any more.", "Ask again.", code="unknown_voice")
        path, inside = self._voices.files[name]
        try:
            return kokoro_tensors.read(path, inside)
        except (InvalidVoice, OSError) as error:
            raise EngineRefused(
                f"The voice {name!r} in {path} cannot be used: {error}",
                "A voice is a float32 tensor of the shape [510, 1, 256], as a .pt, .bin, .npy or .npz file.",
                code="invalid_voice",
            ) from error

    def __len__(self) -> int:
        return len(self._kept)
