"""The index of an RVC voice: features of its training speech, towards which the content of what is said is drawn.

Laws:
- Each frame is blended with the mean of its eight nearest features, weighted by (1 / squared distance)^2: `rate` of it and 1 - `rate` of
  the frame. Frames stay as they are where the index finds fewer than eight for one of them.
- A faiss index (`.index`, the one RVC calls `added_...`) is searched by faiss, a matrix (`.npy`, `[features, channels]`) by a graph of
  ours, exactly.
- A file that is damaged or belongs to another generation of voices is an `EngineUnavailable` that names it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from parley.engines.onnx_session import open_session
from parley.engines.ports import EngineUnavailable
from parley.engines.vc.mel import Frames
from parley.invocation import install

NEAREST: Final = 8
_LEAST_DISTANCE: Final = 1e-6
"""A frame that is one of the features has no distance from it."""

_WITHOUT: Final = "index_rate = 0 does without an index."


class FeatureIndex(Protocol):
    """Any thread may call; one call at a time."""

    def search(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Squared distances and numbers of the nearest features of each frame, `[frames, nearest]`; a number below 0 stands for none."""
        ...

    def features(self, numbers: NDArray[np.int64]) -> Frames:
        """The features of these numbers, `[..., channels]`."""
        ...


def blend(index: FeatureIndex, frames: Frames, rate: float) -> Frames:
    """The frames `[frames, channels]` drawn towards the index by `rate`, 0..1."""
    distances, numbers = index.search(frames)
    if not numbers.size or (numbers < 0).any():
        return frames
    weights = np.square(1 / np.maximum(distances, _LEAST_DISTANCE).astype(np.float64))
    weights /= weights.sum(axis=1, keepdims=True)
    drawn = (index.features(numbers) * weights[:, :, None]).sum(axis=1)
    blended: Frames = (rate * drawn + (1 - rate) * frames).astype(np.float32)
    return blended


def load_index(path: Path, channels: int, threads: int = 1) -> FeatureIndex:
    """Read an index for features of so many channels. Blocks. Raises `EngineUnavailable`."""
    index: FeatureIndex
    if path.suffix == ".npy":
        index, found = _matrix(path, threads)
    else:
        index, found = _faiss(path)
    if found != channels:
        raise EngineUnavailable(
            f"The index {path} has features of {found} channels, and the voice has {channels}: it belongs to another voice.",
            f"Name the index that was made with this voice as the option `index`; {_WITHOUT}",
            code="invalid_weights",
        )
    return index


class MatrixIndex:
    """A matrix of features `[features, channels]`, all of which are compared with each frame, by ONNX Runtime: its threads do not spin."""

    def __init__(self, matrix: Frames, threads: int) -> None:
        self._matrix = matrix
        self._squares = np.einsum("ij,ij->i", matrix, matrix)
        self._session = open_session(_nearest_graph(), threads)
        self._count = np.array([min(NEAREST, len(matrix))])

    def search(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        inputs = {"frames": frames, "matrix": self._matrix, "squares": self._squares, "count": self._count}
        nearest, numbers = self._session.run(["nearest", "numbers"], inputs)
        squares = np.einsum("ij,ij->i", frames, frames)
        return np.maximum(nearest + squares[:, None], 0), numbers

    def features(self, numbers: NDArray[np.int64]) -> Frames:
        return self._matrix[numbers]


def _nearest_graph() -> bytes:
    """Of each frame, the `count` least values of |feature|^2 - 2 frame * feature: its squared distances, but for its own square."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Gemm", ["frames", "matrix", "squares"], ["distances"], alpha=-2.0, transB=1),
        helper.make_node("TopK", ["distances", "count"], ["nearest", "numbers"], largest=0, axis=1),
    ]
    taken = [
        helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["q", "c"]),
        helper.make_tensor_value_info("matrix", TensorProto.FLOAT, ["n", "c"]),
        helper.make_tensor_value_info("squares", TensorProto.FLOAT, ["n"]),
        helper.make_tensor_value_info("count", TensorProto.INT64, [1]),
    ]
    given = [
        helper.make_tensor_value_info("nearest", TensorProto.FLOAT, ["q", "k"]),
        helper.make_tensor_value_info("numbers", TensorProto.INT64, ["q", "k"]),
    ]
    graph = helper.make_graph(nodes, "nearest", taken, given)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made: bytes = model.SerializeToString()
    return made


class FaissIndex:
    """An index that faiss wrote."""

    def __init__(self, index: Any, features: Frames) -> None:
        self._index = index
        self._features = features

    def search(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        distances, numbers = self._index.search(np.ascontiguousarray(frames, np.float32), NEAREST)
        return distances, numbers

    def features(self, numbers: NDArray[np.int64]) -> Frames:
        return self._features[numbers]


def _matrix(path: Path, threads: int) -> tuple[MatrixIndex, int]:
    try:
        matrix = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or not matrix.size or matrix.dtype.kind != "f":
        raise _damaged(path, "it is no matrix of floats [features, channels]")
    floats = matrix.astype(np.float32)
    if not np.isfinite(floats).all():
        raise _damaged(path, "it holds values that are no numbers")
    return MatrixIndex(floats, threads), floats.shape[1]


def _faiss(path: Path) -> tuple[FaissIndex, int]:
    try:
        import faiss
    except ImportError as error:
        raise EngineUnavailable(
            f"The index {path} is one of faiss, which cannot be imported: {error}.",
            f"Install it: {install('rvc')}; {_WITHOUT}",
            code="missing_package",
        ) from error
    try:
        index = faiss.read_index(str(path))
        features = index.reconstruct_n(0, index.ntotal)
    except (RuntimeError, OSError, AttributeError) as error:  # faiss raises RuntimeError for whatever is no index
        raise _damaged(
            path, str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        ) from error
    if not index.ntotal:
        raise _damaged(path, "it is empty; RVC's `trained_...` is, use the file that it calls `added_...`")
    return FaissIndex(index, features), int(index.d)


def _damaged(path: Path, why: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"The index {path} cannot be used: {why}.",
        f"Copy it again, or name another one as the option `index`; {_WITHOUT}",
        code="invalid_weights",
    )
