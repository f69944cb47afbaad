"""A folder of models: which file plays which part, and what their metadata says.

Laws: of two precisions of one part, the chosen one is taken, int8 unless told otherwise. Two files that could both be one part are never
chosen between. Nothing is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from parley.engines import weights
from parley.engines.ports import EngineUnavailable
from parley.engines.sherpa.metadata import read_metadata
from parley.models import store
from parley.models.catalogue import ModelEntry

PRECISIONS: Final = ("int8", "fp16", "fp32")

_GRAPHS: Final = (".onnx", ".ort")
_PRECISION: Final = re.compile(r"[._-](int8|fp16|fp32)$")
_LICENCES: Final = ("MODEL_CARD", "LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE")
_NAMED_LICENCE: Final = re.compile(r"^[\s*#|-]*licen[cs]e[\s*]*[:|]\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class ModelFolder:
    """The files of one folder. `graphs` are its networks by part, `metadata` theirs; other files are asked for by name."""

    path: Path
    graphs: Mapping[str, Path]
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def file(self, *patterns: str) -> Path | None:
        """The first file of the folder that matches one of the patterns, in their order; None where none does."""
        return next((path for pattern in patterns for path in sorted(self.path.glob(pattern)) if path.exists()), None)

    def files(self, pattern: str) -> list[Path]:
        return sorted(self.path.glob(pattern))

    def told(self, key: str) -> str:
        """The first value of `key` in the metadata of the graphs, "" where none has it."""
        return next((told[key] for told in self.metadata.values() if told.get(key)), "")

    @property
    def licence(self) -> str:
        """What the folder's model card or licence names, in a few words; "" where it says nothing."""
        path = self.file(*_LICENCES)
        if path is None:
            return ""
        text = path.read_text(encoding="utf-8", errors="replace")[:20_000]
        named = _NAMED_LICENCE.search(text)
        first = next((line.strip() for line in text.splitlines() if line.strip()), "")
        return (named[1] if named else first if path.name != "MODEL_CARD" else "")[:80]


def entry(model: str, stage: str) -> ModelEntry | None:
    """What the catalogue says of the model `sherpa:model` for this stage, `stt` or `tts`; None for a path, and for a name that is none."""
    found = weights.entry("sherpa", model)
    return found if found is not None and found.use.startswith(f"{stage} ") else None


def missing(model: str, stage: str) -> tuple[str, ...]:
    """The catalogue's name of this model where it is not on this machine; empty where it is, for a path, and for a name that is none."""
    return weights.missing("sherpa", model) if entry(model, stage) is not None else ()


def find(model: str, stage: str) -> Path:
    """The folder that `model` names: a path, or a model of the catalogue that is here. Raises `EngineUnavailable`."""
    path = Path(model).expanduser()
    if model and path.is_dir():
        return path
    if entry(model, stage) is not None:
        return weights.locate("sherpa", model)
    names = ", ".join(name for name in store.known("sherpa") if entry(name.partition(":")[2], stage) is not None)
    raise EngineUnavailable(
        f"There is no {model} for sherpa-onnx as {stage}." if model else f"sherpa-onnx needs a model as {stage}.",
        f"Name a folder of model files, or one of the catalogue: {names}. docs/sherpa.md says where to get others.",
        code="missing_weights",
    )


def read(path: Path, parts: Sequence[tuple[str, str]], precision: str) -> ModelFolder:
    """What is in a folder. `parts` are (part, pattern): a graph plays the first part whose pattern is found in its name.

    Raises `EngineUnavailable` for a file that is no ONNX model, and for several that could be one part.
    """
    candidates: dict[str, list[Path]] = {}
    for file in sorted(path.iterdir()):
        if file.suffix in _GRAPHS and file.is_file():
            part = next((part for part, pattern in parts if re.search(pattern, file.stem.lower())), "")
            candidates.setdefault(part, []).append(file)
    candidates.pop("", None)
    graphs = {part: _chosen(path, part, files, precision) for part, files in candidates.items()}
    try:
        metadata = {part: read_metadata(file) for part, file in graphs.items()}
    except (OSError, ValueError) as error:
        raise EngineUnavailable(
            f"A model in {path} cannot be read: {error}.", "Download the model again.", code="load_failed"
        ) from error
    return ModelFolder(path, graphs, metadata)


def _chosen(folder: Path, part: str, files: list[Path], precision: str) -> Path:
    order = dict.fromkeys([precision, *PRECISIONS])
    by_precision = {wanted: [file for file in files if precision_of(file) == wanted] for wanted in order}
    best = next(found for found in by_precision.values() if found)
    if len(best) > 1:
        names = ", ".join(file.name for file in best)
        raise EngineUnavailable(
            f"{folder} holds several files that could be the {part.replace('_', ' ')}: {names}.",
            "Keep one of them in the folder.",
            code="ambiguous_model",
        )
    return best[0]


def precision_of(file: Path) -> str:
    """`int8` or `fp16` where the name says so, else `fp32`."""
    named = _PRECISION.search(file.stem.lower())
    return named[1] if named else "fp32"
