"""The index of an RVC voice: features of its training speech, towards which the content of what is said is drawn.

Laws:
- Each frame is blended with the mean of its eight nearest features, weighted by (1 / squared distance)^2: `rate` of it and 1 - `rate` of
  the frame. Frames stay as they are where the index finds fewer than eight for one of them.
- A faiss index (`.index`, the one RVC calls `added_...`) is searched by faiss, a matrix (`.npy`, `[features, channels]`) by NumPy,
  exactly.
- A file that is damaged or belongs to another generation of voices is an `EngineUnavailable` that names it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

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


def load_index(path: Path, channels: int) -> FeatureIndex:
    """Read an index for features of so many channels. Blocks. Raises `EngineUnavailable`."""
    index: FeatureIndex
    if path.suffix == ".npy":
        index, found = _matrix(path)
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
    """A matrix of features `[features, channels]`, all of which are compared with each frame."""

    def __init__(self, matrix: Frames) -> None:
        self._matrix = matrix
        self._squares = np.einsum("ij,ij->i", matrix, matrix)

    def search(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        distances = self._squares - 2 * (frames @ self._matrix.T)
        count = min(NEAREST, len(self._matrix))
        numbers = np.argpartition(distances, count - 1, axis=1)[:, :count]
        squares = np.einsum("ij,ij->i", frames, frames)
        nearest = np.take_along_axis(distances, numbers, axis=1) + squares[:, None]
        return np.maximum(nearest, 0), numbers.astype(np.int64)

    def features(self, numbers: NDArray[np.int64]) -> Frames:
        return self._matrix[numbers]


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


def _matrix(path: Path) -> tuple[MatrixIndex, int]:
    try:
        matrix = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or not matrix.size or matrix.dtype.kind != "f":
        raise _damaged(path, "it is no matrix of floats [features, channels]")
    floats = matrix.astype(np.float32)
    if not np.isfinite(floats).all():
        raise _damaged(path, "it holds values that are no numbers")
    return MatrixIndex(floats), floats.shape[1]


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
