"""The files of a Bergamot model, as Firefox ships them, in a folder: found and named by their endings. Knows nothing of translating."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from parley.engines.mt.pairs import Pair, tag
from parley.engines.ports import EngineUnavailable

_FOLDER = re.compile(r"^([a-z]{2,3}(?:[-_](?:hant|hans))?)-([a-z]{2,3}(?:[-_](?:hant|hans))?)$", re.IGNORECASE)
_MODEL = re.compile(r"^model\.([a-z]{2})([a-z]{2}(?:[-_](?:hant|hans))?)\.", re.IGNORECASE)

LAYOUT = "A folder of Firefox's models holds model.*.intgemm.alphas.bin, vocab.*.spm (or srcvocab.* and trgvocab.*) and lex.*.bin."


@dataclass(frozen=True, slots=True)
class BergamotFiles:
    """One model: its direction and its files. `shortlist` is None where there is none; it makes the model faster."""

    pair: Pair
    model: Path
    source_vocab: Path
    target_vocab: Path
    shortlist: Path | None


def models_in(folder: Path, pair: Pair | None = None) -> tuple[BergamotFiles, ...]:
    """The model in `folder`, or those in its folders, in the order of their names. `pair` is the direction where the names do not say.

    Blocks for reading folders. Raises `EngineUnavailable`: `missing_weights`, `unknown_language`.
    """
    if not folder.is_dir():
        raise EngineUnavailable(f"{folder} is no folder.", f"{LAYOUT}", code="missing_weights")
    if _matching(folder, "model*.bin"):
        return (_model(folder, pair),)
    inside = sorted(child for child in folder.iterdir() if child.is_dir() and _matching(child, "model*.bin"))
    if not inside:
        raise EngineUnavailable(f"{folder} holds no Bergamot model.", LAYOUT, code="missing_weights")
    if pair is not None and len(inside) > 1:
        raise EngineUnavailable(
            f"{folder} holds {len(inside)} models, and `from` and `to` name the direction of one.",
            "Name the folder of that model, or leave `from` and `to` out.",
            code="unknown_language",
        )
    return tuple(_model(child, pair) for child in inside)


def _model(folder: Path, pair: Pair | None) -> BergamotFiles:
    model = _one(folder, "model*.bin")
    shared = _matching(folder, "vocab*.spm")
    source = shared[0] if shared else _one(folder, "srcvocab*.spm")
    target = shared[0] if shared else _one(folder, "trgvocab*.spm")
    shortlists = _matching(folder, "lex*.bin")
    return BergamotFiles(pair or _pair(folder, model), model, source, target, shortlists[0] if shortlists else None)


def _pair(folder: Path, model: Path) -> Pair:
    """From `model.ptenk.…` nothing can be told; from the folder `pt-en` or `model.pten.…` the direction can."""
    match = _FOLDER.match(folder.name) or _MODEL.match(model.name)
    if match is None:
        raise EngineUnavailable(
            f"The names of {folder} and {model.name} do not say which languages the model translates.",
            "Call the folder FROM-TO (pt-en), or set the options `from` and `to`.",
            code="unknown_language",
        )
    return tag(match[1]), tag(match[2])


def _one(folder: Path, pattern: str) -> Path:
    found = _matching(folder, pattern)
    if not found:
        raise EngineUnavailable(f"{folder} has no {pattern}.", LAYOUT, code="missing_weights")
    return found[0]


def _matching(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file())
