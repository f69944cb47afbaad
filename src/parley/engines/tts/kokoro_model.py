"""Kokoro's graph: audio from phonemes, a style and a speed.

The graph takes `tokens` or `input_ids` (int64 `[1, n]`), `style` (float32 `[1, 256]`) and `speed` (float32 `[1]`), and gives 24 kHz audio.
How many steps each token lasts is an output of some exports (`duration`), and a value inside the others: the rounded durations of which
the running sum is taken. It is made an output here, so that words have exact times.

Laws: the same phonemes, style and speed give the same audio. A graph of another interface is refused when it is opened; one without
durations speaks without word times.

Source: hexgrad/kokoro, `model.py`, and the ONNX exports kokoro-v1.0 (thewh1teagle) and onnx-community/Kokoro-82M-v1.0-ONNX.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np

from parley.engines.onnx_session import open_session
from parley.engines.ports import EngineUnavailable, Samples, Word
from parley.engines.tts.kokoro_tensors import WIDTH, Style
from parley.engines.tts.kokoro_text import VOCABULARY
from parley.engines.tts.phoneme_pieces import Piece, known_ids, silent, timed, untimed
from parley.invocation import command

MIN_SPEED: Final = 0.5
MAX_SPEED: Final = 2.0
"""Beyond these the published voices become hard to follow."""

MAX_GRAPH_BYTES: Final = 1 << 30
_PASSED_THROUGH: Final = ("Clip", "Cast", "Gather", "Squeeze", "Reshape", "Identity", "Max", "Unsqueeze")
"""What stands between the rounded durations and their running sum."""


class KokoroModel:
    """A loaded graph; any thread may call. Blocks while it loads. Raises `EngineUnavailable` where it cannot be loaded."""

    def __init__(self, path: Path, threads: int) -> None:
        try:
            if path.stat().st_size > MAX_GRAPH_BYTES:
                raise _unlike(path, "it is larger than any export")
            graph, durations = _with_durations(path.read_bytes())
            self._session = open_session(graph, threads)
        except EngineUnavailable:
            raise
        except Exception as error:  # the libraries raise errors of their own for a file that is no graph
            raise _unlike(path, f"it cannot be loaded ({type(error).__name__})") from error
        inputs = {one.name: one.type for one in self._session.get_inputs()}
        self._tokens = next((name for name in ("tokens", "input_ids") if name in inputs), "")
        kinds = {self._tokens: "tensor(int64)", "style": "tensor(float)", "speed": "tensor(float)"}
        if inputs != kinds:
            raise _unlike(path, f"its inputs are {inputs}")
        self._outputs = [self._session.get_outputs()[0].name, *([durations] if durations else [])]
        self.times_words = bool(durations)
        """Whether words have times."""

    def speak(self, piece: Piece, style: Style, speed: float, start_ms: float) -> tuple[Samples, tuple[Word, ...]]:
        """A piece's audio (24 kHz) and its words, which begin `start_ms` after those of the text."""
        known = known_ids(piece, VOCABULARY)
        ids = [one for one in known if one is not None]
        if not ids:
            return silent(piece, start_ms) if self.times_words else (np.zeros(0, np.float32), ())
        inputs = {
            self._tokens: np.asarray([[0, *ids, 0]], np.int64),
            "style": style[len(ids) - 1].reshape(1, WIDTH),
            "speed": np.asarray([min(MAX_SPEED, max(MIN_SPEED, speed))], np.float32),
        }
        audio, *steps = self._session.run(self._outputs, inputs)
        audio = np.clip(np.nan_to_num(np.ravel(audio)), -1.0, 1.0).astype(np.float32, copy=False)
        if not steps:
            return untimed(piece, audio), ()
        return timed(piece, known, audio, steps[0], start_ms)


def _with_durations(data: bytes) -> tuple[bytes, str]:
    """The graph with the steps of each token as an output, and that output's name; "" where there are none."""
    import onnx

    model = onnx.load_from_string(data)
    if any(output.name == "duration" for output in model.graph.output):
        return data, "duration"
    summed = _summed_durations(model.graph.node)
    if not summed:
        return data, ""
    # A message may be written in parts, and repeated fields of the parts are joined: the weights are not written again.
    more = onnx.ModelProto()
    more.graph.output.append(onnx.helper.make_tensor_value_info(summed, onnx.TensorProto.INT64, None))
    return data + more.SerializeToString(), summed


def _summed_durations(nodes: Iterable[Any]) -> str:
    """The value that is rounded and of which a running sum is taken; "" where there is no such value, or more than one."""
    makers = {output: node for node in nodes for output in node.output}
    found = set()
    for node in makers.values():
        if node.op_type != "CumSum":
            continue
        maker = makers.get(node.input[0])
        while maker is not None and maker.op_type in _PASSED_THROUGH:
            maker = makers.get(maker.input[0])
        if maker is not None and maker.op_type == "Round":
            found.add(node.input[0])
    return found.pop() if len(found) == 1 else ""


def _unlike(path: Path, why: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"{path} is not a graph of Kokoro: {why}.",
        "Use an ONNX export of Kokoro-82M with the inputs tokens or input_ids, style and speed, or: "
        + command("models", "pull", "kokoro:v1.0"),
        code="invalid_model",
    )
