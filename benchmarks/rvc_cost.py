"""How long RVC takes on this machine: a content encoder and a voice of the published sizes, with random weights.

    python -m benchmarks.rvc_cost [--threads 2] [--context 2.5] [--generator-context 0.5]

The graphs have the layers of HuBERT base and of RVC v2 at 40 kHz, so they cost what those cost; what they say is noise. Pitch is
SwiftF0's. Every figure is measured through the engine itself: `RvcModel` and `LiveVoice`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from parley.engines.vc.rvc_block import CANDIDATES_MS, BlockTiming, p95
from parley.engines.vc.rvc_folder import FileOptions, find_voice
from parley.engines.vc.rvc_model import RvcModel, VoiceOptions
from parley.engines.vc.rvc_stream import LiveShape, LiveVoice

UPSAMPLING: Final = ((10, 16), (10, 16), (2, 4), (2, 4))
BLOCKS: Final = ((3, (1, 3, 5)), (7, (1, 3, 5)), (11, (1, 3, 5)))


class Layers:
    """A graph that grows layer by layer, with random weights."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, Any] = {}
        self._chance = np.random.default_rng(1)

    def do(self, kind: str, *inputs: str, **options: Any) -> str:
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **options))
        return output

    def const(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def weight(self, *shape: int) -> str:
        scale = 1 / np.sqrt(np.prod(shape[1:]) if len(shape) > 1 else 1e4)
        return self.const((self._chance.standard_normal(shape) * scale).astype(np.float32))

    def conv(
        self,
        x: str,
        taken: int,
        given: int,
        size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        same: bool = True,
    ) -> str:
        pad = (size - 1) * dilation // 2 if same else 0
        options = {"strides": [stride], "dilations": [dilation], "pads": [pad, pad], "group": groups}
        return self.do("Conv", x, self.weight(given, taken // groups, size), self.weight(given), **options)

    def linear(self, x: str, taken: int, given: int) -> str:
        return self.do("Add", self.do("MatMul", x, self.weight(taken, given)), self.weight(given))

    def norm(self, x: str, size: int) -> str:
        return self.do("LayerNormalization", x, self.const(np.ones(size, np.float32)), self.weight(size), axis=-1)

    def turned(self, x: str) -> str:
        return self.do("Transpose", x, perm=[0, 2, 1])

    def attention(self, x: str, size: int, heads: int) -> str:
        split = self.const(np.array([0, 0, heads, size // heads]))
        q, k, v = (
            self.do("Transpose", self.do("Reshape", self.linear(x, size, size), split), perm=[0, 2, 1, 3])
            for _ in range(3)
        )
        scores = self.do("MatMul", q, self.do("Transpose", k, perm=[0, 1, 3, 2]))
        scaled = self.do("Softmax", self.do("Mul", scores, self.const(np.float32((size // heads) ** -0.5))), axis=-1)
        mixed = self.do("Transpose", self.do("MatMul", scaled, v), perm=[0, 2, 1, 3])
        return self.linear(self.do("Reshape", mixed, self.const(np.array([0, 0, size]))), size, size)

    def gate(self, x: str) -> str:
        name = f"s{len(self.nodes)}"
        self.nodes.append(helper.make_node("Split", [x], [f"{name}a", f"{name}b"], axis=1, num_outputs=2))
        return self.do("Mul", self.do("Tanh", f"{name}a"), self.do("Sigmoid", f"{name}b"))

    def write(self, path: Path, inputs: list[Any], outputs: dict[str, tuple[str, list[Any]]]) -> None:
        for name, (value, _) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [name]))
        given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, (_, shape) in outputs.items()]
        held = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, path.stem, inputs, given, held)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())


def write_encoder(path: Path) -> None:
    """HuBERT base: seven convolutions, twelve layers of 768."""
    net = Layers()
    x = "source"
    for number, (size, stride) in enumerate(((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))):
        x = net.do("Gelu", net.conv(x, 512 if number else 1, 512, size, stride=stride, same=False))
    x = net.linear(net.norm(net.turned(x), 512), 512, 768)
    near = net.do("Gelu", net.conv(net.turned(x), 768, 768, 127, groups=16))
    x = net.norm(net.do("Add", x, net.turned(near)), 768)
    for _ in range(12):
        x = net.norm(net.do("Add", x, net.attention(x, 768, 12)), 768)
        x = net.norm(net.do("Add", x, net.linear(net.do("Gelu", net.linear(x, 768, 3072)), 3072, 768)), 768)
    net.write(
        path, [helper.make_tensor_value_info("source", TensorProto.FLOAT, [1, 1, "N"])], {"embed": (x, [1, "F", 768])}
    )


def write_generator(path: Path) -> None:
    """RVC v2 at 40 kHz: a text encoder of six layers, four couplings, and a HiFi-GAN with a sine as its source."""
    net = Layers()
    pitches = net.do("Gather", net.weight(256, 192), "pitch", axis=0)
    x = net.do("Add", net.linear("feats", 768, 192), pitches)
    for _ in range(6):
        x = net.norm(net.do("Add", x, net.attention(x, 192, 2)), 192)
        wide = net.do("Relu", net.conv(net.turned(x), 192, 768, 3))
        x = net.norm(net.do("Add", x, net.turned(net.conv(wide, 768, 192, 3))), 192)
    z = net.turned(x)
    for _ in range(4):
        hidden = net.conv(net.conv(z, 192, 96, 1), 96, 192, 1)
        for _ in range(3):
            hidden = net.do("Add", hidden, net.conv(net.gate(net.conv(hidden, 192, 384, 5)), 192, 192, 1))
        z = net.do("Add", z, net.conv(hidden, 192, 192, 1))
    source = _source(net)
    x, channels, left = net.conv(z, 192, 512, 7), 512, 400
    for rate, size in UPSAMPLING:
        half, left = channels // 2, left // rate
        options = {"strides": [rate], "pads": [(size - rate) // 2] * 2}
        x = net.do("ConvTranspose", net.do("LeakyRelu", x, alpha=0.1), net.weight(channels, half, size), **options)
        spread = {"strides": [left], "pads": [left // 2] * 2 if left > 1 else [0, 0]}
        heard = net.do("Conv", source, net.weight(half, 1, 2 * left if left > 1 else 1), **spread)
        x, channels = net.do("Add", x, heard), half
        x = net.do(
            "Mul", net.do("Sum", *(_residual(net, x, channels, *one) for one in BLOCKS)), net.const(np.float32(1 / 3))
        )
    audio = net.do("Tanh", net.conv(x, channels, 1, 7))
    kinds: dict[str, tuple[int, list[str | int | None]]]
    kinds = {"feats": (TensorProto.FLOAT, [1, "T", 768]), "p_len": (TensorProto.INT64, [1])}
    kinds |= {
        "pitch": (TensorProto.INT64, [1, "T"]),
        "pitchf": (TensorProto.FLOAT, [1, "T"]),
        "sid": (TensorProto.INT64, [1]),
    }
    net.write(
        path,
        [helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items()],
        {"audio": (audio, [1, 1, "S"])},
    )


def _source(net: Layers) -> str:
    column = net.do("Unsqueeze", "pitchf", net.const(np.array([2])))
    each = net.do("Reshape", net.do("Tile", column, net.const(np.array([1, 1, 400]))), net.const(np.array([1, 1, -1])))
    turns = net.do("CumSum", net.do("Mul", each, net.const(np.float32(2 * np.pi / 40_000))), net.const(np.array(2)))
    return net.do("Sin", turns)


def _residual(net: Layers, x: str, channels: int, size: int, dilations: tuple[int, ...]) -> str:
    for dilation in dilations:
        inner = net.conv(net.do("LeakyRelu", x, alpha=0.1), channels, channels, size, dilation=dilation)
        x = net.do("Add", x, net.conv(net.do("LeakyRelu", inner, alpha=0.1), channels, channels, size))
    return x


def timing(model: RvcModel, block_ms: int, context: int, spoken: int, repeats: int) -> BlockTiming:
    """Of one length of block, on noise; the first two are not counted."""
    voice = LiveVoice(model, LiveShape(block_ms // 10, 4, context, spoken, 1e-3), None)
    chance, times = np.random.default_rng(1), []
    for _ in range(repeats + 2):
        block = chance.uniform(-0.5, 0.5, block_ms // 10 * model.frame).astype(np.float32)
        at_s = time.perf_counter()
        voice.step(block)
        times.append(1_000 * (time.perf_counter() - at_s))
    return BlockTiming(block_ms, p95(times[2:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--context", type=float, default=2.5, help="seconds")
    parser.add_argument("--generator-context", type=float, default=0.5, help="seconds")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_encoder(Path(folder) / "content.onnx")
        write_generator(Path(folder) / "voice.onnx")
        files = find_voice(folder, FileOptions(), indexed=False)
        model = RvcModel(files, VoiceOptions(threads=options.threads, device=options.device))
        for block_ms in CANDIDATES_MS:
            found = timing(
                model, block_ms, round(100 * options.context), round(100 * options.generator_context), options.repeats
            )
            print(
                f"{block_ms:5d} ms: {found.p95_ms:6.0f} ms, real-time factor {found.rtf:.2f}{'' if found.live else ', too slow'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
