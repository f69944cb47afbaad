"""Which directions an Apertium installation translates, and the commands of each: read from its folder `modes/`.

Laws:
- Nothing of a mode file is run by a shell: it is split into words, and a file that needs more than a pipeline is left out.
- Every stage flushes at a NUL (`-z`); unknown words come through without a mark (`-n` for the generator).
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from parley.engines.mt.language_codes import short_tag
from parley.engines.mt.pairs import Pair, tag
from parley.text.language_tags import primary_tag

DIRECTORY: Final = "/usr/share/apertium"

_MODE: Final = re.compile(r"^([a-z]{2,3})(?:_([A-Za-z]{2,8}))?-([a-z]{2,3})(?:_([A-Za-z]{2,8}))?$")
_SHELL: Final = re.compile(r"[;&`<>\n(){}]|\$\(|\|\|")


@dataclass(frozen=True, slots=True)
class ApertiumMode:
    """One direction: `name` as Apertium calls it (`es-pt_BR`), and its commands with their arguments."""

    name: str
    pair: Pair
    stages: tuple[tuple[str, ...], ...]


def modes(directory: Path) -> tuple[ApertiumMode, ...]:
    """The directions of the installation in `directory`, by name; of two for one pair the first. Blocks for reading small files."""
    found: dict[Pair, ApertiumMode] = {}
    for path in sorted((directory / "modes").glob("*.mode"), key=lambda path: (len(path.stem), path.stem)):
        match = _MODE.match(path.stem)
        if match is None:
            continue
        pair = _language(match[1], match[2]), _language(match[3], match[4])
        stages = _stages(path)
        if stages and primary_tag(pair[0]) != primary_tag(pair[1]):
            found.setdefault(pair, ApertiumMode(path.stem, pair, stages))
    return tuple(sorted(found.values(), key=lambda mode: mode.name))


def _language(code: str, variant: str | None) -> str:
    language = short_tag(code)
    if not variant:
        return language
    return (
        tag(f"{language}-{variant}")
        if re.fullmatch(r"[A-Z]{2}|[A-Z][a-z]{3}", variant)
        else f"{language}-x-{variant.lower()[:8]}"
    )


def _stages(path: Path) -> tuple[tuple[str, ...], ...]:
    """The commands of a mode file; () for one that is no plain pipeline."""
    try:
        text = path.read_text(encoding="utf-8").strip()
        if _SHELL.search(text):
            return ()
        words = [shlex.split(stage) for stage in text.split("|")]
    except (OSError, ValueError):
        return ()
    if not all(words):
        return ()
    return tuple(_null_flushed(stage) for stage in words)


def _null_flushed(words: list[str]) -> tuple[str, ...]:
    """`$1` is the generator's option, `$2` the tagger's (none)."""
    program, *arguments = words
    given = ["-n" if word == "$1" else word for word in arguments if word != "$2"]
    return (program, *(() if "-z" in given else ("-z",)), *given)
