"""Which voices espeak-ng has, read from its data files: languages, variants, and how a requested name becomes one of them.

Laws: pure look-ups over an immutable catalogue; never loads the library, so that engines can be listed without it.

A voice is `LANGUAGE` or `LANGUAGE+VARIANT` (`en-gb`, `de+f2`): a language decides the pronunciation, a variant the pitch and
timbre. OpenAI's voice names stand for one variant each, in whatever language is spoken.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

from parley.engines.ports import VoiceDescription
from parley.text.language_tags import primary_tag

DEFAULT_LANGUAGE: Final = "en-us"

OPENAI_VARIANTS: Final = {
    "alloy": "f2",
    "ash": "m3",
    "ballad": "m8",
    "cedar": "m1",
    "coral": "f5",
    "echo": "m4",
    "fable": "m7",
    "marin": "f3",
    "nova": "Annie",
    "onyx": "m2",
    "sage": "f1",
    "shimmer": "f4",
    "verse": "m6",
}
"""OpenAI's names in espeak-ng's variants: thirteen that sound different, lower ones for the names that sound lower there."""

_NUMBERED: Final = re.compile(r"([fm])\d")
_SEXES: Final[dict[str, Literal["female", "male"]]] = {"f": "female", "m": "male"}

_LANGUAGE_ALIASES: Final = {
    "en": "en-us",
    "in": "id",
    "iw": "he",
    "no": "nb",
    "nn": "nb",
    "zh-hk": "yue",
    "zh-yue": "yue",
}
"""Tags that the data files do not know by themselves; a bare `en` is American, as OpenAI's voices are."""

_SCRIPTS: Final = (
    (0x3040, 0x30FF, "ja"),
    (0xAC00, 0xD7AF, "ko"),
    (0x1100, 0x11FF, "ko"),
    (0x4E00, 0x9FFF, "cmn"),
    (0x3400, 0x4DBF, "cmn"),
    (0x0370, 0x03FF, "el"),
    (0x0400, 0x04FF, "ru"),
    (0x0530, 0x058F, "hy"),
    (0x0590, 0x05FF, "he"),
    (0x0600, 0x06FF, "ar"),
    (0x0900, 0x097F, "hi"),
    (0x0980, 0x09FF, "bn"),
    (0x0A00, 0x0A7F, "pa"),
    (0x0A80, 0x0AFF, "gu"),
    (0x0B80, 0x0BFF, "ta"),
    (0x0C00, 0x0C7F, "te"),
    (0x0C80, 0x0CFF, "kn"),
    (0x0D00, 0x0D7F, "ml"),
    (0x0E00, 0x0E7F, "th"),
    (0x1000, 0x109F, "my"),
    (0x10A0, 0x10FF, "ka"),
    (0x1200, 0x137F, "am"),
)
"""Unicode blocks and the most spoken language that is written in each."""


@dataclass(frozen=True, slots=True)
class VoiceCatalogue:
    """`languages` maps each tag (lower case) to espeak's identifier (`gmw/en-US`); `names` lists one main tag for each voice."""

    languages: dict[str, str]
    names: tuple[str, ...]
    variants: dict[str, str]

    def language_tag(self, language: str) -> str | None:
        """The catalogue's tag for a BCP-47 tag: exact, else an alias, else its primary tag; None when it cannot be spoken."""
        tag = language.strip().lower().replace("_", "-")
        while tag:
            for candidate in (_LANGUAGE_ALIASES.get(tag, tag), tag):
                if candidate in self.languages:
                    return candidate
            tag = tag.rpartition("-")[0]
        return None

    def resolve(self, voice: str, language: str = "", default: str = "") -> str | None:
        """`LANGUAGE` or `LANGUAGE+VARIANT` for a requested voice (see the module's docstring), or None if there is none such.

        A voice that names a language keeps it; every other speaks `language`, else the default voice's.
        """
        name, variant = _language_and_variant(voice)
        default_name, default_variant = _language_and_variant(default)
        if not voice.strip():
            variant = default_variant
        tag = self.language_tag(name or language or default_name or DEFAULT_LANGUAGE)
        if tag is None or not variant:
            return tag
        known = self.variants.get(variant.lower())
        return f"{tag}+{known}" if known else None

    def voice_in(self, voice: str, language: str, default: str = "") -> str | None:
        """`voice` where it speaks `language` or takes any, else its variant in `language`; None where that cannot be spoken."""
        tag = self.language_tag(language)
        name, variant = _language_and_variant(voice if voice.strip() else default)
        own = self.language_tag(name)
        if tag is None or own is None or primary_tag(own) == primary_tag(tag):
            return None if tag is None else voice
        return f"{tag}+{variant}" if variant else tag

    def describe(self, voice: str) -> VoiceDescription:
        """What is known of `LANGUAGE` or `LANGUAGE+VARIANT`: variants are numbered by sex (`f2`, `m3`)."""
        name, variant = _language_and_variant(voice)
        if not name or self.language_tag(name) is None:
            return VoiceDescription()
        numbered = _NUMBERED.fullmatch(variant)
        sex = _SEXES[numbered[1]] if numbered else ""
        return VoiceDescription(name, sex, "robotic")

    def identifier(self, resolved: str) -> str:
        """What `espeak_SetVoiceByName` takes for a resolved voice."""
        tag, plus, variant = resolved.partition("+")
        return f"{self.languages[tag]}{plus}{variant}"


def _language_and_variant(voice: str) -> tuple[str, str]:
    name, _, variant = voice.strip().partition("+")
    openai = OPENAI_VARIANTS.get(name.lower())
    return ("", variant or openai) if openai else (name, variant)


def names_language(catalogue: VoiceCatalogue, voice: str) -> bool:
    """Whether a voice's name pins the language it speaks (`de+f2`), rather than only a timbre (`alloy`, `+f2`)."""
    name = voice.partition("+")[0].strip()
    return bool(name) and name.lower() not in OPENAI_VARIANTS and catalogue.language_tag(name) is not None


def language_of_script(text: str) -> str:
    """The language suggested by the script that most letters of the text are written in; "" for Latin or nothing telling."""
    counts: dict[str, int] = {}
    for character in text:
        code = ord(character)
        if code < 0x0250:
            language = "" if character.isalpha() else None
        else:
            language = next((tag for first, last, tag in _SCRIPTS if first <= code <= last), None)
        if language is not None:
            counts[language] = counts.get(language, 0) + 1
    if not counts:
        return ""
    if "ja" in counts and "cmn" in counts:  # kana beside Han is Japanese
        counts["ja"] += counts.pop("cmn")
    return max(counts, key=lambda tag: counts[tag])


def data_path() -> Path | None:
    """The folder of espeak-ng's data in the `espeakng_loader` wheel, found without importing it; None where it is absent."""
    spec = importlib.util.find_spec("espeakng_loader")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "espeak-ng-data"
    return path if path.is_dir() else None


@cache
def catalogue() -> VoiceCatalogue:
    """All voices of the installed data files; an empty catalogue where there are none.

    A language whose dictionary the package lacks is left out: its voice says nothing at all.
    """
    root = data_path()
    if root is None:
        return VoiceCatalogue({}, (), {})
    languages: dict[str, tuple[int, str]] = {}
    names = []
    for path in sorted((root / "lang").rglob("*")):
        if not path.is_file() or not _has_dictionary(root, path):
            continue
        identifier = path.relative_to(root / "lang").as_posix()
        tags = _language_tags(path)
        if tags:
            names.append(tags[0][0])
        for tag, priority in tags:
            if tag not in languages or priority < languages[tag][0]:
                languages[tag] = (priority, identifier)
    for name in sorted(names):  # a language that has regional voices only (chr-US) is spoken by the first of them
        languages.setdefault(primary_tag(name), languages[name])
    variants = {path.name.lower(): path.name for path in sorted((root / "voices" / "!v").iterdir()) if path.is_file()}
    return VoiceCatalogue({tag: entry[1] for tag, entry in languages.items()}, tuple(sorted(set(names))), variants)


def _has_dictionary(root: Path, path: Path) -> bool:
    """Whether the dictionary is there that a voice file names; without a name it is that of the file's first language."""
    lines = [line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    named = [line[1] for line in lines if len(line) >= 2 and line[0] == "dictionary"]
    language = next((line[1].lower() for line in lines if len(line) >= 2 and line[0] == "language"), "")
    candidates = named or [language, language.partition("-")[0]]
    return any((root / f"{name}_dict").is_file() for name in candidates)


def _language_tags(path: Path) -> list[tuple[str, int]]:
    """The `language TAG [PRIORITY]` lines of a voice file (lower number: better; 5 when not said)."""
    tags = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "language":
            tags.append((words[1].lower(), int(words[2]) if len(words) > 2 and words[2].isdigit() else 5))
    return tags
