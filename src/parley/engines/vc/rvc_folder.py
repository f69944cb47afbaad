"""Which files of a folder are what: the voice, its content encoder, its pitch tracker and its index.

Laws:
- Graphs are told apart by what they take and give, never by their names.
- A content encoder and a pitch tracker may lie in the folder or in the one above it, which voices share; the nearer ones are preferred.
  The options `content`, `pitch_model` and `index` name a file: a path, or one of the folder.
- There is one of each, or the error lists those that there are. Without a pitch tracker SwiftF0 is used, without an index none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from parley.engines.ports import EngineUnavailable
from parley.engines.vc import rvc_content, rvc_generator, rvc_pitch
from parley.engines.vc.rvc_interface import GraphInterface, read_interface

MAX_FILES: Final = 64
"""Graphs that a folder may hold: more would be something else than a folder of a voice."""

_LAYOUT: Final = (
    "A voice is a folder with its generator (.onnx), a content encoder (.onnx; also in the folder above) and, if there are, "
    "a pitch tracker (.onnx) and an index (.index or .npy)."
)


@dataclass(frozen=True, slots=True)
class FileOptions:
    """Files that the user names; "" for none."""

    content: str = ""
    pitch: str = ""
    index: str = ""


@dataclass(frozen=True, slots=True)
class VoiceFiles:
    """`pitch` is None where the folder has no tracker, or the voice needs none; `index` where it has none. `channels` are features of a
    frame."""

    name: str
    generator: GraphInterface
    content: GraphInterface
    pitch: GraphInterface | None
    index: Path | None
    channels: int


def find_voice(model: str, options: FileOptions, *, indexed: bool) -> VoiceFiles:
    """The files of the voice that `model` names: a folder, or its generator's file. `indexed`: an index is wanted. Blocks.

    Raises `EngineUnavailable`: `missing_weights` for what is not there, `invalid_weights` for what cannot be used.
    """
    if not model:
        raise EngineUnavailable(
            "rvc needs the folder of a voice.", f"Name it: rvc:FOLDER. {_LAYOUT}", code="missing_weights"
        )
    path = Path(model).expanduser()
    if not path.exists():
        raise EngineUnavailable(
            f"There is no {model}.", f"Correct the path after rvc:. {_LAYOUT}", code="missing_weights"
        )
    folder = path.parent if path.is_file() else path
    named = {one.resolve() for one in (_named(folder, name) for name in (options.content, options.pitch)) if one}
    here = [read_interface(path)] if path.is_file() else []
    here += [read_interface(one) for one in _graphs(folder) if one.resolve() not in named | {path.resolve()}]
    generator = (
        here[0] if path.is_file() else _one("generator", folder, here, _is_generator, "Name it: rvc:FOLDER/FILE.onnx.")
    )
    assert generator is not None
    facts = rvc_generator.read_facts(generator)
    content = _content(folder, options.content, here, facts.channels)
    channels = facts.channels or next((width for width in (768, 256) if width in rvc_content.widths(content)), 768)
    pitch = _pitch(folder, options.pitch, here) if facts.pitched else None
    index = _index(folder, options.index) if indexed else None
    name = path.stem if path.is_file() else path.resolve().name
    return VoiceFiles(name, generator, content, pitch, index, channels)


def _content(folder: Path, named: str, here: Sequence[GraphInterface], channels: int) -> GraphInterface:
    if path := _named(folder, named):
        graph = read_interface(path)
        if not rvc_content.is_encoder(graph):
            raise EngineUnavailable(
                f"{path} is no content encoder: {graph}.",
                "Name HuBERT or ContentVec, exported for 16 kHz audio, as the option `content`.",
                code="invalid_weights",
            )
        return graph
    remedy = "Name it as the option `content`."
    for graphs in (here, _above(folder)):
        encoders = [graph for graph in graphs if rvc_content.is_encoder(graph)]
        fitting = [graph for graph in encoders if not channels or {channels, None} & rvc_content.widths(graph)]
        if found := _one(
            "content encoder", folder, fitting or encoders[:1], rvc_content.is_encoder, remedy, needed=False
        ):
            return found
    raise EngineUnavailable(
        f"There is no content encoder in {folder}, nor in the folder above it.",
        "Put one there (vec-768-layer-12.onnx for a voice of RVC v2, vec-256-layer-9.onnx for v1), or name it as the option `content`.",
        code="missing_weights",
    )


def _pitch(folder: Path, named: str, here: Sequence[GraphInterface]) -> GraphInterface | None:
    if path := _named(folder, named):
        return read_interface(path)
    for graphs in (here, _above(folder)):
        if found := _one(
            "pitch tracker", folder, graphs, rvc_pitch.is_tracker, "Name it as the option `pitch_model`.", needed=False
        ):
            return found
    return None


def _index(folder: Path, named: str) -> Path | None:
    if named:
        return _named(folder, named)
    files = [path for kind in ("index", "npy") for path in sorted(folder.glob(f"*.{kind}"))]
    added = [path for path in files if path.name.startswith("added")]
    choice = added or files
    if len(choice) > 1:
        listed = ", ".join(path.name for path in choice)
        raise EngineUnavailable(
            f"{folder} has more than one index: {listed}.", "Name one as the option `index`.", code="invalid_weights"
        )
    return choice[0] if choice else None


def _one(
    what: str,
    folder: Path,
    graphs: Sequence[GraphInterface],
    fits: Callable[[GraphInterface], bool],
    remedy: str,
    *,
    needed: bool = True,
) -> GraphInterface | None:
    found = [graph for graph in graphs if fits(graph)]
    if len(found) > 1:
        listed = ", ".join(str(graph.path) for graph in found)
        raise EngineUnavailable(
            f"There is more than one {what} for {folder}: {listed}.", remedy, code="invalid_weights"
        )
    if not found and needed:
        others = "; ".join(f"{graph.path.name}: {graph}" for graph in graphs[:4]) or "it has no .onnx file"
        raise EngineUnavailable(f"There is no {what} in {folder} ({others}).", _LAYOUT, code="missing_weights")
    return found[0] if found else None


def _is_generator(graph: GraphInterface) -> bool:
    return rvc_generator.dialect_of(graph) is not None


def _above(folder: Path) -> list[GraphInterface]:
    return [read_interface(path) for path in _graphs(folder.resolve().parent)]


def _graphs(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.onnx"))
    if len(found) > MAX_FILES:
        raise EngineUnavailable(
            f"{folder} has {len(found)} graphs, too many for the folder of a voice.", _LAYOUT, code="invalid_weights"
        )
    return found


def _named(folder: Path, name: str) -> Path | None:
    """The file that an option names: one of the folder, or a path."""
    if not name:
        return None
    for path in (folder / name, Path(name).expanduser()):
        if path.is_file():
            return path
    raise EngineUnavailable(
        f"There is no {name}, neither in {folder} nor as a path.",
        "Correct the option that names it.",
        code="missing_weights",
    )
