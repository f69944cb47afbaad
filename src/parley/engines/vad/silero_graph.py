"""Silero's network written anew for many streams at once: the published weights, each layer as one matrix product over all rows.

Laws:
- The weights are read from the published file and used as they are; only the order of the sums differs from its own graph.
- A row's result does not depend on the rows beside it, nor on how many there are.

The published graph convolves each stream by itself, in products four columns wide, and walks its LSTM along the first axis as the
frames of one stream. Here the rows are streams and the LSTM takes one step for each: 10 us a frame where that takes 39.

Source: Silero VAD v6 (https://github.com/snakers4/silero-vad), 16 kHz. A frame of 512 samples behind 64 of the one before, and 64
mirrored after it, makes four windows of 256; their spectrum goes through four convolutions, an LSTM and one linear layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import ModelProto

INPUT = 576
HOP = 128
STEPS = 4
BINS = 129
STATE = 128

_LAYERS = {
    "encoder.feature_extractor.forward_basis_buffer": (2 * BINS, 1, 2 * HOP),
    "encoder.conv_layers.0.weight": (128, BINS, 3),
    "encoder.conv_layers.1.weight": (64, 128, 3),
    "encoder.conv_layers.2.weight": (64, 64, 3),
    "encoder.conv_layers.3.weight": (128, 64, 3),
    "decoder.conv1d.weight": (1, STATE, 1),
}
_LSTM = ((1, 4 * STATE, STATE), (1, 4 * STATE, STATE), (1, 8 * STATE))
"""Input weights, recurrent weights, biases."""


def batched_graph(weights: Path) -> bytes:
    """The graph as ONNX: input `[B, 576]`, h and c `[1, B, 128]` -> speech_probs `[B]`, hn, cn.

    Raises `ValueError` if the file does not hold the layers this was worked out for, and whatever `onnx` raises for one
    that is no graph.
    """
    import onnx

    published = onnx.load(str(weights))
    return _Graph(_layers(published)).model(published)


def _layers(published: ModelProto) -> dict[str, NDArray[np.float32]]:
    from onnx import numpy_helper

    found = {each.name: numpy_helper.to_array(each) for each in published.graph.initializer}
    lstm = [list(node.input[1:4]) for node in published.graph.node if node.op_type == "LSTM"]
    if len(lstm) != 1 or any(name not in found for name in (*_LAYERS, *lstm[0])):
        raise ValueError("its layers are not those of Silero v6")
    layers = {name: found[name] for name in found if name.startswith(("encoder.", "decoder."))}
    layers.update(zip(("lstm.input", "lstm.recurrent", "lstm.bias"), (found[name] for name in lstm[0]), strict=True))
    shapes = {**_LAYERS, **dict(zip(("lstm.input", "lstm.recurrent", "lstm.bias"), _LSTM, strict=True))}
    for name, shape in shapes.items():
        if layers[name].shape != shape:
            raise ValueError(f"its layer {name} has the shape {layers[name].shape}, not {shape}")
    return layers


class _Graph:
    """Nodes and constants, in the order they are used. A value is the name of what a node puts out."""

    def __init__(self, layers: Mapping[str, NDArray[np.float32]]) -> None:
        self._layers = layers
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        spectrum = self._spectrum("input")
        # A step's row holds it and its neighbours, so that a convolution of three taps is one product.
        first = self._layer(0, self._windows(self._pad(spectrum, BINS, BINS), BINS, range(STEPS)), [0, 1, 2])
        second = self._layer(
            1, self._windows(self._pad(self._rows(first, STEPS * 128), 128, 0), 128, (0, 2)), [0, 1, 2]
        )
        # Two steps are left, then one: the outer taps meet only the padding.
        third = self._layer(2, self._rows(second, 2 * 64), [1, 2])
        self._decode(self._layer(3, third, [1]))

    def model(self, published: ModelProto) -> bytes:
        from onnx import TensorProto, helper

        def value(name: str, *shape: int | str) -> Any:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        states = [value(name, 1, "batch", STATE) for name in ("h", "c", "hn", "cn")]
        graph = helper.make_graph(
            self._nodes,
            "silero",
            [value("input", "batch", INPUT), *states[:2]],
            [value("speech_probs", "batch"), *states[2:]],
            list(self._constants.values()),
        )
        model = helper.make_model(graph, opset_imports=published.opset_import, ir_version=published.ir_version)
        serialized: bytes = model.SerializeToString()
        return serialized

    # --- the layers ---

    def _spectrum(self, samples: str) -> str:
        """Magnitudes `[B, 4 * 129]` of four windows."""
        mirrored = self._node("Pad", samples, self._ints(0, 0, 0, 64), mode="reflect")
        windows = self._windows(mirrored, HOP, range(STEPS), width=2)
        basis = self._layers["encoder.feature_extractor.forward_basis_buffer"][:, 0].T
        squares = []
        for name, part in (("real", basis[:, :BINS]), ("imaginary", basis[:, BINS:])):
            component = self._node("MatMul", windows, self._constant(name, part))
            squares.append(self._node("Mul", component, component))
        return self._rows(self._node("Sqrt", self._node("Add", *squares)), STEPS * BINS)

    def _layer(self, index: int, rows: str, taps: list[int]) -> str:
        """One convolution over rows that already hold what each of its `taps` sees, and its rectifier."""
        weight = self._layers[f"encoder.conv_layers.{index}.weight"]
        matrix = self._constant(f"w{index}", weight.transpose(2, 1, 0)[taps].reshape(-1, weight.shape[0]))
        bias = self._constant(f"b{index}", self._layers[f"encoder.conv_layers.{index}.bias"])
        return self._node("Relu", self._node("Gemm", rows, matrix, bias))

    def _decode(self, features: str) -> None:
        first = self._ints(0)
        names = ("lstm.input", "lstm.recurrent", "lstm.bias")
        sequence = self._node("Unsqueeze", features, first)
        inputs = [sequence, *(self._constant(name, self._layers[name]) for name in names), "", "h", "c"]
        self._node("LSTM", *inputs, to=("every_h", "hn", "cn"), hidden_size=STATE)
        state = self._node("Relu", self._node("Squeeze", "hn", first))
        matrix = self._constant("w", self._layers["decoder.conv1d.weight"][0])
        bias = self._constant("b", self._layers["decoder.conv1d.bias"])
        voice = self._node("Sigmoid", self._node("Gemm", state, matrix, bias))
        self._node("Reshape", voice, self._ints(-1), to=("speech_probs",))

    # --- the pieces ---

    def _windows(self, rows: str, step: int, at: range | tuple[int, ...], width: int = 3) -> str:
        """`[B, n]` -> `[B * len(at), width * step]`: for each number in `at`, the `width` steps from there on."""
        axis = self._ints(1)
        cuts = [
            self._node("Slice", rows, self._ints(first * step), self._ints((first + width) * step), axis)
            for first in at
        ]
        return self._rows(self._node("Concat", *cuts, axis=1), width * step)

    def _pad(self, rows: str, before: int, after: int) -> str:
        return self._node("Pad", rows, self._ints(0, before, 0, after))

    def _rows(self, value: str, width: int) -> str:
        return self._node("Reshape", value, self._ints(-1, width))

    def _ints(self, *values: int) -> str:
        return self._constant("ints" + "_".join(map(str, values)), np.array(values, np.int64))

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def _node(self, kind: str, *inputs: str, to: tuple[str, ...] = (), **attributes: Any) -> str:
        from onnx import helper

        to = to or (f"v{len(self._nodes)}",)
        self._nodes.append(helper.make_node(kind, inputs, to, **attributes))
        return to[0]
