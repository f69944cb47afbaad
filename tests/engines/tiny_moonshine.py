"""A folder in the layout of Moonshine's streaming models, with graphs of a few kilobytes in ONNX Runtime's own format: their matrices are
random, so they hear nothing, but the real library loads and streams through them, and every token depends on the sound of its 200 ms.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import parser

CHUNK, FRAME, BINS, BLOCK = 1280, 320, 16, 10
"""Samples that the library passes at once, samples of a frame, its features, frames of a token."""

PIECES = (
    "<unk>",
    "<s>",
    "</s>",
    *(f"{space}{onset}{vowel}" for space in ("▁", "") for onset in "bdfglmnprst" for vowel in "aeiou"),
)
"""The library leaves the first three out of texts: no word, the beginning, the end."""

BEGIN, END = 1, 2
ATTENTION = "cross_attentions.0"
"""A name that the parser of graphs does not take."""


def moonshine_folder(folder: Path, seed: int = 4, *, words: bool = True) -> Path:
    """Five graphs, `streaming_config.json`, `tokenizer.bin`, and with `words` the decoder that tells where it looks. Returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    size = len(PIECES)
    angles = 2 * np.pi * np.outer(np.arange(FRAME), 1 + 3 * np.arange(BINS)) / FRAME
    banks = {"cosines": np.cos(angles).astype(np.float32), "sines": np.sin(angles).astype(np.float32)}
    _graph(folder / "frontend.ort", _FRONTEND, {**banks, "floor": np.array(1, np.float32)})
    _graph(folder / "encoder.ort", _ENCODER, {"quarter": np.array(0.25, np.float32)})
    _graph(folder / "adapter.ort", _ADAPTER, {})
    _graph(folder / "cross_kv.ort", _CROSS, {})
    heads = rng.standard_normal((BINS, size)).astype(np.float32)
    heads[:, : END + 1] = 0
    end = np.full((1, 1, size), -100, np.float32)
    end[0, 0, END] = 100
    follows = (0.5 * rng.standard_normal((size, size))).astype(np.float32)
    follows[:, : END + 1] = -50
    constants = {
        "heads": heads,
        "end": end,
        "follows": follows,
        "keys": rng.standard_normal((size, BINS)).astype(np.float32),
    }
    decoder = _DECODER.replace("SIZE", str(size))
    _graph(folder / "decoder_kv.ort", decoder.replace("LOOKS", "").replace("SEES", ""), constants)
    if words:
        looks, sees = ", float[1, 1, T, M] looks", _LOOK
        _graph(
            folder / "decoder_kv_with_attention.ort", decoder.replace("LOOKS", looks).replace("SEES", sees), constants
        )
    config = {"encoder_dim": BINS, "decoder_dim": BINS, "depth": 1, "nheads": 1, "head_dim": BINS, "vocab_size": size}
    config |= {
        "bos_id": BEGIN,
        "eos_id": END,
        "frame_len": 80,
        "total_lookahead": 16,
        "d_model_frontend": BINS,
        "c1": BINS,
        "c2": BINS,
    }
    (folder / "streaming_config.json").write_text(json.dumps(config))
    write_tokenizer(folder / "tokenizer.bin")
    return folder


def write_tokenizer(path: Path) -> None:
    """`PIECES` as the library's `tokenizer.bin`."""
    encoded = (piece.encode() for piece in PIECES)
    path.write_bytes(b"".join(bytes([len(piece)]) + piece for piece in encoded))


_STATES = (
    ("float[1, 79]", "sample_buffer"),
    ("int64[1]", "sample_len"),
    (f"float[1, {BINS}, 4]", "conv1_buffer"),
    (f"float[1, {BINS}, 4]", "conv2_buffer"),
    ("int64[1]", "frame_count"),
)
"""What the library hands from chunk to chunk; these graphs need nothing of it."""
_STATE = ", ".join(f"{kind} {name}" for kind, name in _STATES)
_STATE_OUT = ", ".join(f"{kind} {name}_out" for kind, name in _STATES)
_FRONTEND = f"""
    frontend (float[1, S] audio_chunk, {_STATE}) => (float[1, N, {BINS}] features, {_STATE_OUT})
    {{
        shape = Constant <value: tensor = int64[3] {{1, -1, {FRAME}}}> ()
        frames = Reshape (audio_chunk, shape)
        real = MatMul (frames, cosines)
        imaginary = MatMul (frames, sines)
        real2 = Mul (real, real)
        imaginary2 = Mul (imaginary, imaginary)
        power = Add (real2, imaginary2)
        heard = Add (power, floor)
        features = Log (heard)
        sample_buffer_out = Identity (sample_buffer)
        sample_len_out = Identity (sample_len)
        conv1_buffer_out = Identity (conv1_buffer)
        conv2_buffer_out = Identity (conv2_buffer)
        frame_count_out = Identity (frame_count)
    }}
"""
_ENCODER = (
    f"encoder (float[1, N, {BINS}] features) => (float[1, N, {BINS}] encoded) {{ encoded = Mul (features, quarter) }}"
)
_ADAPTER = f"""
    adapter (float[1, N, {BINS}] encoded, int64[1] pos_offset) => (float[1, N, {BINS}] memory)
    {{
        same = Sub (pos_offset, pos_offset)
        nothing = Cast <to: int = 1> (same)
        memory = Add (encoded, nothing)
    }}
"""
_CROSS = f"""
    cross (float[1, M, {BINS}] memory) => (float[1, 1, 1, M, {BINS}] k_cross, float[1, 1, 1, M, {BINS}] v_cross)
    {{
        front = Constant <value: tensor = int64[2] {{0, 1}}> ()
        k_cross = Unsqueeze (memory, front)
        v_cross = Identity (k_cross)
    }}
"""
_DECODER = f"""
    decoder (int64[1, T] token, float[1, 1, 1, C, {BINS}] k_self, float[1, 1, 1, C, {BINS}] v_self,
             float[1, 1, 1, M, {BINS}] out_k_cross, float[1, 1, 1, M, {BINS}] out_v_cross)
        => (float[1, T, SIZE] logits, float[1, 1, 1, K, {BINS}] out_k_self, float[1, 1, 1, K, {BINS}] out_v_self LOOKS)
    {{
        front = Constant <value: tensor = int64[2] {{0, 1}}> ()
        said = Gather <axis: int = 0> (keys, token)
        saying = Unsqueeze (said, front)
        out_k_self = Concat <axis: int = 3> (k_self, saying)
        out_v_self = Concat <axis: int = 3> (v_self, saying)
        memory = Squeeze (out_k_cross, front)
        across = Transpose <perm: ints = [0, 2, 1]> (memory)
        pooled = AveragePool <kernel_shape: ints = [{BLOCK}], strides: ints = [{BLOCK}], ceil_mode: int = 1> (across)
        blocks = Transpose <perm: ints = [0, 2, 1]> (pooled)
        scores = MatMul (blocks, heads)
        rows = Concat <axis: int = 1> (scores, end)
        one = Constant <value_int: int = 1> ()
        before = Shape <start: int = 3, end: int = 4> (k_self)
        after = Shape <start: int = 3, end: int = 4> (out_k_self)
        first = Squeeze (before)
        last = Squeeze (after)
        places = Range (first, last, one)
        most = Shape <start: int = 1, end: int = 2> (blocks)
        at = Min (places, most)
        heard = Gather <axis: int = 1> (rows, at)
        expected = Gather <axis: int = 0> (follows, token)
        logits = Add (heard, expected)
        SEES
    }}
"""
_LOOK = f"""
        length = Shape <start: int = 1, end: int = 2> (memory)
        until = Squeeze (length)
        zero = Constant <value_int: int = 0> ()
        frames = Range (zero, until, one)
        wide = Constant <value_int: int = {BLOCK}> ()
        block = Div (frames, wide)
        column = Constant <value: tensor = int64[1] {{1}}> ()
        tall = Unsqueeze (at, column)
        same = Equal (tall, block)
        seen = Cast <to: int = 1> (same)
        looks = Unsqueeze (seen, front)
"""


def _graph(path: Path, text: str, constants: Mapping[str, NDArray[Any]]) -> None:
    """Write the graph whose text this is, with the constants that it names, in ONNX Runtime's format."""
    graph = parser.parse_graph(text)
    for named in (*graph.output, *graph.node):
        if isinstance(named, onnx.ValueInfoProto) and named.name == "looks":
            named.name = ATTENTION
        elif isinstance(named, onnx.NodeProto) and "looks" in named.output:
            named.output[0] = ATTENTION
    graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in constants.items())
    write_model(path, onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8))


def write_model(path: Path, model: onnx.ModelProto) -> None:
    """Write a model in ONNX Runtime's format."""
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
