"""A folder in the layout of Moonshine's first generation, which does not stream: two small graphs in ONNX Runtime's own format.

Their matrices are random, so they hear nothing, but the real library decodes through them, and every token depends on the sound of its
200 ms. The library has two sizes of this generation, told apart by the decoder's layers and by the width of their heads.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from tests.engines.tiny_moonshine import BINS, BLOCK, END, FRAME, PIECES, write_model, write_tokenizer

TINY, BASE = (6, 36), (8, 52)
"""Layers, and the width of a head."""

HEADS = 8


def whole_moonshine_folder(folder: Path, seed: int = 4, size: tuple[int, int] = TINY) -> Path:
    """Both graphs and `tokenizer.bin`. Returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder / "encoder_model.ort", _encoder())
    write_model(folder / "decoder_model_merged.ort", _decoder(np.random.default_rng(seed), *size))
    write_tokenizer(folder / "tokenizer.bin")
    return folder


def _encoder() -> ModelProto:
    """Samples `[1, N]` -> the logarithm of the power of `BINS` frequencies in each frame `[1, F, BINS]`."""
    angles = 2 * np.pi * np.outer(1 + 3 * np.arange(BINS), np.arange(FRAME)) / FRAME
    nodes = [
        helper.make_node("Unsqueeze", ["input_values", "channel"], ["wave"]),
        helper.make_node("Conv", ["wave", "cosines"], ["real"], strides=[FRAME]),
        helper.make_node("Conv", ["wave", "sines"], ["imaginary"], strides=[FRAME]),
        helper.make_node("Mul", ["real", "real"], ["real2"]),
        helper.make_node("Mul", ["imaginary", "imaginary"], ["imaginary2"]),
        helper.make_node("Add", ["real2", "imaginary2"], ["power"]),
        helper.make_node("Add", ["power", "floor"], ["heard"]),
        helper.make_node("Log", ["heard"], ["loud"]),
        helper.make_node("Transpose", ["loud"], ["last_hidden_state"], perm=[0, 2, 1]),
    ]
    constants = {
        "channel": np.array([1]),
        "cosines": np.cos(angles)[:, None].astype(np.float32),
        "sines": np.sin(angles)[:, None].astype(np.float32),
        "floor": np.array(1, np.float32),
    }
    inputs = [_tensor("input_values", [1, "N"]), _tensor("attention_mask", [1, "N"], TensorProto.INT64)]
    return _model(nodes, inputs, [_tensor("last_hidden_state", [1, "F", BINS])], constants)


def _decoder(rng: np.random.Generator, layers: int, width: int) -> ModelProto:
    """The token after the last one: what the frames of its place sound like, and the end behind the last of them."""
    count = len(PIECES)
    heads = (rng.standard_normal((BINS, count)) / 4).astype(np.float32)
    heads[:, : END + 1] = 0
    end = np.full((1, 1, count), -100, np.float32)
    end[0, 0, END] = 100
    follows = (0.5 * rng.standard_normal((count, count))).astype(np.float32)
    follows[:, : END + 1] = -50
    nodes = [
        helper.make_node("Transpose", ["encoder_hidden_states"], ["across"], perm=[0, 2, 1]),
        helper.make_node("AveragePool", ["across"], ["pooled"], kernel_shape=[BLOCK], strides=[BLOCK], ceil_mode=1),
        helper.make_node("Transpose", ["pooled"], ["blocks"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["blocks", "heads"], ["scores"]),
        helper.make_node("Concat", ["scores", "end"], ["rows"], axis=1),
        helper.make_node("Shape", ["past_key_values.0.decoder.key"], ["before"], start=2, end=3),
        helper.make_node("Squeeze", ["before"], ["first"]),
        helper.make_node("Shape", ["present.0.decoder.key"], ["after"], start=2, end=3),
        helper.make_node("Squeeze", ["after"], ["last"]),
        helper.make_node("Range", ["first", "last", "one"], ["places"]),
        helper.make_node("Shape", ["blocks"], ["most"], start=1, end=2),
        helper.make_node("Min", ["places", "most"], ["at"]),
        helper.make_node("Gather", ["rows", "at"], ["sounds"], axis=1),
        helper.make_node("Gather", ["follows", "input_ids"], ["expected"], axis=0),
        helper.make_node("Add", ["sounds", "expected"], ["logits"]),
    ]
    growing = [
        helper.make_node("Shape", ["input_ids"], ["tokens"], start=1, end=2),
        helper.make_node("Concat", ["outer", "tokens", "inner"], ["grown"], axis=0),
        helper.make_node("ConstantOfShape", ["grown"], ["said"]),
    ]
    inputs = [
        _tensor("encoder_attention_mask", [1, "M"], TensorProto.INT64),
        _tensor("input_ids", [1, "T"], TensorProto.INT64),
        _tensor("encoder_hidden_states", [1, "M", BINS]),
    ]
    outputs = [_tensor("logits", [1, "T", count])]
    for layer in range(layers):
        for side, length in (("decoder", "P"), ("encoder", "E")):
            for kind in ("key", "value"):
                past, present = (f"{when}.{layer}.{side}.{kind}" for when in ("past_key_values", "present"))
                inputs.append(_tensor(past, [1, HEADS, length, width]))
                outputs.append(_tensor(present, [1, HEADS, f"{length}2", width]))
                if side == "decoder":
                    growing.append(helper.make_node("Concat", [past, "said"], [present], axis=2))
                else:
                    growing.append(helper.make_node("Identity", [past], [present]))
    inputs.append(_tensor("use_cache_branch", [1], TensorProto.BOOL))
    constants = {
        "heads": heads,
        "end": end,
        "follows": follows,
        "one": np.array(1),
        "outer": np.array([1, HEADS]),
        "inner": np.array([width]),
    }
    return _model([*growing, *nodes], inputs, outputs, constants)


def _tensor(name: str, shape: list[int | str], kind: int = TensorProto.FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(
    nodes: list[NodeProto],
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
    constants: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]],
) -> ModelProto:
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "moonshine", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
