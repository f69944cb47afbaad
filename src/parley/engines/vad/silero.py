"""Silero voice activity detection on ONNX Runtime, the frames of many streams scored in one call.

Laws:
- Scores are bit-identical to the original graph run over each stream alone: batching changes the cost, never the result.
- The weights (MIT) are the file that the installed faster-whisper distribution carries; that package is not imported.
- One thread, no spinning: a call costs its own microseconds and burns nothing between calls.

Source: Silero VAD v6 (https://github.com/snakers4/silero-vad). The published graph scores a sequence of frames of one stream: its
LSTM walks along the first axis. Two transposes decide which axis that is; permuted, the same weights walk one step for each row.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parley.engines.options import OptionReader
from parley.engines.ports import EngineError, EngineInfo, EngineUnavailable

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
"""Streams per call worth combining: 64 take about 2 ms, beyond which an event loop would stutter and nothing is gained."""

_WEIGHTS_FILE = "silero_vad_v6.onnx"
_TRANSPOSES = {"/Transpose": [2, 0, 1], "/decoder/Transpose": [1, 2, 0]}


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
                    mend="Lower the server's session limit or run another server.",
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
    mend = "Reinstall it: pip install --force-reinstall faster-whisper"
    try:
        files = importlib.metadata.files("faster-whisper") or []
    except importlib.metadata.PackageNotFoundError:
        raise EngineUnavailable(
            "The voice activity weights are missing: faster-whisper, which carries them, is not installed.",
            code="missing_weights",
            mend="Install it: pip install faster-whisper",
        ) from None
    for file in files:
        if file.name == _WEIGHTS_FILE and (path := Path(str(file.locate()))).is_file():
            return path
    raise EngineUnavailable(
        f"The installed faster-whisper carries no {_WEIGHTS_FILE}.", code="missing_weights", mend=mend
    )


def _load(weights: Path | None) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineUnavailable(
            f"ONNX Runtime cannot be imported: {error}.",
            code="missing_package",
            mend="Install it: pip install onnxruntime",
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    graph = batched_graph(weights or find_weights())
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def batched_graph(weights: Path) -> bytes:
    """The Silero graph with its sequence axis turned into a batch axis: input `[B, 576]`, h and c `[1, B, 128]` -> `[B]`.

    Raises `EngineUnavailable` if the file is not the graph this was worked out for.
    """
    import onnx

    try:
        model = onnx.load(str(weights))
    except Exception as error:
        raise _wrong_weights(weights, str(error)) from error
    permuted = 0
    for node in model.graph.node:
        if node.op_type == "Transpose" and node.name in _TRANSPOSES:
            (axes,) = (attribute for attribute in node.attribute if attribute.name == "perm")
            axes.ints[:] = _TRANSPOSES[node.name]
            permuted += 1
    states = [v for v in (*model.graph.input, *model.graph.output) if v.name in ("h", "c", "hn", "cn")]
    if permuted != len(_TRANSPOSES) or len(states) != 4:
        raise _wrong_weights(weights, "its layout is not that of Silero v6")
    for value in states:
        value.type.tensor_type.shape.dim[1].dim_param = "batch"
    graph: bytes = model.SerializeToString()
    return graph


def _wrong_weights(path: Path, why: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"{path} cannot be used for voice activity detection: {why}.",
        code="bad_weights",
        mend="Reinstall the weights: pip install --force-reinstall faster-whisper",
    )


def create(model: str, options: Mapping[str, object]) -> SileroVad:
    """Entry point `vad.silero`. Option `weights`: path of another copy of the Silero v6 graph."""
    if model:
        raise ValueError(f"silero has one model; leave out {model!r}")
    given = OptionReader("vad silero", options)
    weights = given.text("weights")
    given.close()
    return SileroVad(Path(weights).expanduser() if weights else None)
