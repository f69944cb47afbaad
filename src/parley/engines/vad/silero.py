"""Silero voice activity detection on ONNX Runtime, the frames of many streams scored in one call.

Laws:
- A stream's scores are bit-identical whichever streams are scored beside it: batching changes the cost, never the result. They are those of
  the published graph to five digits (`silero_graph.py` says what differs).
- The weights (MIT) are the file that the installed faster-whisper distribution carries; that package is not imported.
- One thread, no spinning: a call costs its own microseconds and burns nothing between calls.

Source: Silero VAD v6 (https://github.com/snakers4/silero-vad).
"""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parley.engines.onnx_session import open_session
from parley.engines.options import OptionReader
from parley.engines.ports import EngineError, EngineInfo, EngineUnavailable
from parley.engines.vad.silero_graph import batched_graph

FRAME_SAMPLES = 512
"""32 ms at 16 kHz: the only frame length the weights were trained for."""

CONTEXT_SAMPLES = 64
"""The last samples of the frame before, which the graph wants in front of each frame."""

STATE = 128
"""Width of the LSTM's state."""

FIRST_SLOTS = 64
"""Slots to begin with; doubled whenever they run out."""

MAX_SLOTS = 8192
"""Streams at most: seven times what one core can score in real time, and 10 MB of state."""

BATCH = 64
"""Streams per call worth combining: 64 take 0.7 ms, beyond which nothing is gained."""

_WEIGHTS_FILE = "silero_vad_v6.onnx"


class SileroVad:
    """The `VoiceActivityModel` port. Call `open()`, then `allocate()` a slot for each stream. One owner calls it."""

    frame_samples = FRAME_SAMPLES

    def __init__(self, weights: Path | None = None) -> None:
        self._weights = weights
        self._session: Any = None
        self._free: list[int] = []
        self._live: set[int] = set()
        self._context = np.zeros((0, CONTEXT_SAMPLES), dtype=np.float32)
        self._h = np.zeros((0, STATE), dtype=np.float32)
        self._c = np.zeros((0, STATE), dtype=np.float32)
        self._input = np.zeros((BATCH, CONTEXT_SAMPLES + FRAME_SAMPLES), dtype=np.float32)

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="vad",
            name="silero",
            summary="Silero v6 voice activity detection on ONNX Runtime, all sessions scored as one batch",
            needs=("onnxruntime", "onnx", "faster-whisper (for the weights it carries, 1.3 MB)"),
            sample_rate=16000,
            batch=BATCH,
            licence="MIT",
            deterministic=True,
        )

    async def open(self) -> None:
        if self._session is None:
            self._session = await asyncio.to_thread(_load, self._weights)
            self._grow(FIRST_SLOTS)
            slot = self.allocate()
            self.score([slot], np.zeros((1, FRAME_SAMPLES), dtype=np.float32))
            self.release(slot)

    async def close(self) -> None:
        self._session = None

    def allocate(self) -> int:
        if not self._free:
            if len(self._live) >= MAX_SLOTS:
                raise EngineError(
                    f"All {MAX_SLOTS} voice activity streams are taken.",
                    code="too_many_streams",
                    remedy="Lower the server's session limit or run another server.",
                )
            self._grow(min(MAX_SLOTS, 2 * max(FIRST_SLOTS, len(self._live))))
        slot = self._free.pop()
        self._live.add(slot)
        self.reset(slot)
        return slot

    def release(self, slot: int) -> None:
        self._live.remove(slot)
        self._free.append(slot)

    def reset(self, slot: int) -> None:
        self._context[slot] = 0.0
        self._h[slot] = 0.0
        self._c[slot] = 0.0

    def score(self, slots: Sequence[int], frames: NDArray[np.float32]) -> NDArray[np.float32]:
        count = len(slots)
        if count == 0:
            return np.empty(0, dtype=np.float32)
        if len(set(slots)) != count:
            raise ValueError("a stream may appear only once in a batch: its frames depend on each other")
        if count > self._input.shape[0]:
            self._input = np.zeros((2 * count, CONTEXT_SAMPLES + FRAME_SAMPLES), dtype=np.float32)
        rows = np.fromiter(slots, dtype=np.intp, count=count)
        batch = self._input[:count]
        batch[:, :CONTEXT_SAMPLES] = self._context[rows]
        batch[:, CONTEXT_SAMPLES:] = frames
        feed = {"input": batch, "h": self._h[rows][None], "c": self._c[rows][None]}
        scores, h, c = self._session.run(None, feed)
        self._context[rows] = frames[:, -CONTEXT_SAMPLES:]
        self._h[rows] = h[0]
        self._c[rows] = c[0]
        probabilities: NDArray[np.float32] = scores
        return probabilities

    def _grow(self, slots: int) -> None:
        have = self._context.shape[0]
        extra = slots - have
        self._context = np.concatenate([self._context, np.zeros((extra, CONTEXT_SAMPLES), dtype=np.float32)])
        self._h = np.concatenate([self._h, np.zeros((extra, STATE), dtype=np.float32)])
        self._c = np.concatenate([self._c, np.zeros((extra, STATE), dtype=np.float32)])
        self._free.extend(range(slots - 1, have - 1, -1))


def find_weights() -> Path:
    """Where the installed faster-whisper distribution keeps the Silero graph. Raises `EngineUnavailable`."""
    remedy = "Reinstall it: pip install --force-reinstall faster-whisper"
    try:
        files = importlib.metadata.files("faster-whisper") or []
    except importlib.metadata.PackageNotFoundError:
        raise EngineUnavailable(
            "The voice activity weights are missing: faster-whisper, which carries them, is not installed.",
            code="missing_weights",
            remedy="Install it: pip install faster-whisper",
        ) from None
    for file in files:
        if file.name == _WEIGHTS_FILE and (path := Path(str(file.locate()))).is_file():
            return path
    raise EngineUnavailable(
        f"The installed faster-whisper carries no {_WEIGHTS_FILE}.", code="missing_weights", remedy=remedy
    )


def _load(weights: Path | None) -> Any:
    path = weights or find_weights()
    try:
        graph = batched_graph(path)
    except Exception as error:
        raise _wrong_weights(path, str(error)) from error
    return open_session(graph)


def _wrong_weights(path: Path, why: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"{path} cannot be used for voice activity detection: {why}.",
        code="bad_weights",
        remedy="Reinstall the weights: pip install --force-reinstall faster-whisper",
    )


def create(model: str, options: Mapping[str, object]) -> SileroVad:
    """Entry point `vad.silero`. Option `weights`: path of another copy of the Silero v6 graph."""
    if model:
        raise ValueError(f"silero has one model; leave out {model!r}")
    given = OptionReader("vad silero", options)
    weights = given.text("weights")
    given.close()
    return SileroVad(Path(weights).expanduser() if weights else None)
