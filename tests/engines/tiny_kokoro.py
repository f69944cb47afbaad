"""A Kokoro of the real interface, small enough to make in a test, and voices in the real file formats.

The graph has the inputs and the durations of the published export: each token lasts a rounded number of steps that depends on the token
and on the speed, and sounds as a tone whose height depends on the token and the style.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

ROWS, WIDTH, STEP = 510, 256, 600
VOICES = ("af_heart", "af_bella", "am_echo", "bf_emma", "ef_dora", "ff_siwis")


def graph(tokens: str = "tokens", durations: str = "inside", **types: int) -> bytes:
    """The graph's bytes. `durations`: "inside" as in kokoro-v1.0, "output" as in newer exports, "none"; `types`: other input types."""
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, Any] = {
        "one": np.float32(1), "three": np.float32(3), "seven": np.int64(7), "zero": np.int64(0), "step": np.int64(STEP),
        "least": np.float32(1), "rate": np.float32(24000), "turn": np.float32(2 * np.pi), "base": np.float32(200),
        "each": np.float32(3), "half": np.float32(0.5), "unit": np.int64(1), "last": np.array([-1], np.int64),
        "flat": np.array([-1], np.int64),
        "steps_shape": np.array([-1, 1], np.int64), "axis": np.int64(0),
    }  # fmt: skip

    def add(operation: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operation, inputs, [output], name=output, **attributes))
        return output

    add("Reshape", [tokens, "flat"], "ids")
    add("Cast", [add("Mod", ["ids", "seven"], "rest")], "rest_float", to=TensorProto.FLOAT)
    add("Div", [add("Add", ["rest_float", "three"], "slow"), "speed"], "exact")
    if durations == "none":
        add("Floor", ["exact"], "rounded")
    else:
        add("Round", ["exact"], "rounded")
    add("Cast", [add("Clip", ["rounded", "least"], "clipped")], "steps", to=TensorProto.INT64)
    add("CumSum", ["steps", "axis"], "ends")
    add("Mul", [add("Gather", ["ends", "last"], "all_steps"), "step"], "length")
    add("Range", ["zero", add("Squeeze", ["length"], "length_scalar"), "unit"], "samples")
    # which token each sample belongs to: how many ends lie at or before it
    add("Unsqueeze", [add("Mul", ["ends", "step"], "end_samples"), "axis_one"], "columns")
    constants["axis_one"] = np.array([1], np.int64)
    add("Unsqueeze", ["samples", "axis_zero"], "row")
    constants["axis_zero"] = np.array([0], np.int64)
    add("Cast", [add("LessOrEqual", ["columns", "row"], "passed")], "passed_int", to=TensorProto.INT64)
    add("ReduceSum", ["passed_int", "axis_zero"], "token_of", keepdims=0)
    add("Cast", [add("Gather", ["ids", "token_of"], "id_of")], "id_float", to=TensorProto.FLOAT)
    add("ReduceMean", ["style"], "mean", keepdims=0)
    add(
        "Mul",
        [add("Add", [add("Mul", ["id_float", "each"], "by_id"), "base"], "low"), add("Add", ["mean", "one"], "raise")],
        "height",
    )
    add(
        "Mul",
        [add("Div", [add("Cast", ["samples"], "float_samples", to=TensorProto.FLOAT), "rate"], "seconds"), "turn"],
        "phase_unit",
    )
    add("Mul", [add("Sin", [add("Mul", ["phase_unit", "height"], "phase")], "sine"), "half"], "loud")
    add("Cast", [add("Greater", ["id_of", "zero"], "sounds")], "gate", to=TensorProto.FLOAT)
    add("Mul", ["loud", "gate"], "audio")
    outputs = [helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["n"])]
    if durations == "output":
        add("Identity", ["steps"], "duration")
        outputs.append(helper.make_tensor_value_info("duration", TensorProto.INT64, ["t"]))
    inputs = [
        helper.make_tensor_value_info(tokens, types.get("tokens", TensorProto.INT64), [1, "t"]),
        helper.make_tensor_value_info("style", types.get("style", TensorProto.FLOAT), [1, WIDTH]),
        helper.make_tensor_value_info("speed", types.get("speed", TensorProto.FLOAT), [1]),
    ]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "kokoro", inputs, outputs, initializers)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def style(seed: int, rank: int = 3) -> NDArray[np.float32]:
    """A voice: `[510, 1, 256]`, or `[510, 256]` with `rank` 2; its rows differ."""
    made = np.random.default_rng(seed).normal(0.02 * seed, 0.3, (ROWS, WIDTH)).astype(np.float32)
    made += np.linspace(0, 0.2, ROWS, dtype=np.float32)[:, None]
    return made.reshape(ROWS, 1, WIDTH) if rank == 3 else made


def folder(path: Path, voices: tuple[str, ...] = VOICES, **options: Any) -> Path:
    """A folder as `parley models pull kokoro:v1.0` leaves it: the graph, and each voice as raw numbers."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "kokoro.onnx").write_bytes(graph(**options))
    for seed, name in enumerate(voices, 1):
        (path / f"{name}.bin").write_bytes(style(seed).tobytes())
    return path


def torch_pickle(shape: tuple[int, ...] = (ROWS, 1, WIDTH), kind: str = "FloatStorage") -> bytes:
    """`data.pkl` as `torch.save(tensor, path)` writes it for a contiguous tensor, operation by operation."""
    count = int(np.prod(shape))
    strides = tuple(count // int(np.prod(shape[: at + 1])) for at in range(len(shape)))
    return b"".join((
        pickle.PROTO + b"\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00((",
        _text("storage") + b"q\x01ctorch\n" + kind.encode() + b"\nq\x02" + _text("0") + b"q\x03" + _text("cpu") + b"q\x04",
        _number(count) + b"tq\x05Q" + _number(0),
        _numbers(shape) + b"q\x06" + _numbers(strides) + b"q\x07",
        pickle.NEWFALSE + b"ccollections\nOrderedDict\nq\x08)Rq\ttq\nRq\x0b.",
    ))  # fmt: skip


def _text(text: str) -> bytes:
    return pickle.BINUNICODE + struct.pack("<I", len(text)) + text.encode()


def _number(number: int) -> bytes:
    return pickle.BININT + struct.pack("<i", number)


def _numbers(numbers: tuple[int, ...]) -> bytes:
    inside = b"".join(map(_number, numbers))
    return inside + (b"", b"\x85", b"\x86", b"\x87")[len(numbers)] if len(numbers) <= 3 else b"(" + inside + b"t"


def torch_file(path: Path, data_pkl: bytes, data: bytes, name: str = "archive") -> Path:
    """A file of torch's zip format with this pickle and these numbers."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/data.pkl", data_pkl)
        archive.writestr(f"{name}/byteorder", "little")
        archive.writestr(f"{name}/data/0", data)
        archive.writestr(f"{name}/version", "3\n")
    return path


def torch_voice(path: Path, values: NDArray[np.float32]) -> Path:
    return torch_file(path, torch_pickle(values.shape), values.tobytes(), path.stem)
