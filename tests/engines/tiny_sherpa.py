"""Models in the formats that sherpa-onnx reads, small enough to make in a test.

Their weights are random, but not what surrounds them: silence is the blank token, a frame that sounds like the one before it gives no new
token, and the words depend on the sound. So they hear nothing that was said, and behave as recognisers do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

FEATURES, WIDTH, STEP = 80, 24, 8
"""Log-mel bins; width of the encoder; frames of 10 ms in each of its steps."""

WINDOW = 32
"""Frames in a chunk of the streaming model."""

PIECES = [f"{start}{consonant}{vowel}" for consonant in "kmpt" for vowel in "aio" for start in ("▁", "")]
PHONEMES = ["_", "^", "$", " ", *".,;:!?", *"abdefhijklmnoprstuvwzæðŋɐɑɔəɚɛɜɡɪɹɾʃʊʌʒθᵻˈˌː"]
SILENCE = -9.0
"""Log-mel energy below which there is no sound."""

Shape = Sequence[int | str]
Value = tuple[str, int, Shape]
PROMPTS = {"auto": 0, "en-US": 1, "de-DE": 2}


def streaming_folder(folder: Path, *, multilingual: bool = False, seed: int = 1, suffix: str = ".int8") -> Path:
    """A streaming NeMo transducer, as Nemotron's export is; `multilingual` takes `prompt_index`. Returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    cache = {"cache_last_channel": (1, 1, 1), "cache_last_time": (1, 1, 1)}
    told = {
        "vocab_size": len(PIECES),
        "window_size": WINDOW,
        "chunk_shift": WINDOW,
        "subsampling_factor": STEP,
        "normalize_type": "NA",
        "pred_rnn_layers": 1,
        "pred_hidden": 1,
        "model_type": "EncDecHybridRNNTCTCBPEModel",
        **{f"{name}_dim{number}": size for name, shape in cache.items() for number, size in enumerate(shape, 1)},
    }
    if multilingual:
        told["prompt_dictionary"] = json.dumps(PROMPTS)
    nodes, weights = _encoder(seed, multilingual)
    inputs: list[Value] = [
        ("audio_signal", TensorProto.FLOAT, ("n", FEATURES, "t")),
        ("length", TensorProto.INT64, ("n",)),
    ]
    states: list[Value] = [(name, TensorProto.FLOAT, ("n", *shape)) for name, shape in cache.items()]
    states.append(("cache_last_channel_len", TensorProto.INT64, ("n",)))
    prompt: list[Value] = [("prompt_index", TensorProto.INT64, ("n",))] if multilingual else []
    outputs: list[Value] = [
        ("outputs", TensorProto.FLOAT, ("n", WIDTH, "s")),
        ("encoded_lengths", TensorProto.INT64, ("n",)),
    ]
    for name, kind, shape in states:
        nodes.append(helper.make_node("Identity", [name], [f"{name}_next"]))
        outputs.append((f"{name}_next", kind, shape))
    _save(folder / f"encoder{suffix}.onnx", nodes, inputs + states + prompt, outputs, weights, told)
    _decoder(folder / f"decoder{suffix}.onnx")
    _joiner(folder / f"joiner{suffix}.onnx", seed, durations=False)
    return _tokens(folder)


def offline_folder(folder: Path, *, seed: int = 1) -> Path:
    """An offline token-and-duration transducer, as Parakeet TDT's export is. Returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "vocab_size": len(PIECES),
        "subsampling_factor": STEP,
        "normalize_type": "NA",
        "pred_rnn_layers": 1,
        "pred_hidden": 1,
        "feat_dim": FEATURES,
        "url": "a tiny tdt",
        "model_type": "EncDecRNNTBPEModel",
    }
    nodes, weights = _encoder(seed, multilingual=False)
    inputs: list[Value] = [
        ("audio_signal", TensorProto.FLOAT, ("n", FEATURES, "t")),
        ("length", TensorProto.INT64, ("n",)),
    ]
    outputs: list[Value] = [
        ("outputs", TensorProto.FLOAT, ("n", WIDTH, "s")),
        ("encoded_lengths", TensorProto.INT64, ("n",)),
    ]
    _save(folder / "encoder.int8.onnx", nodes, inputs, outputs, weights, told)
    _decoder(folder / "decoder.int8.onnx")
    _joiner(folder / "joiner.int8.onnx", seed, durations=True)
    return _tokens(folder)


def voice_folder(folder: Path, *, speakers: int = 2, rate: int = 16_000) -> Path:
    """A VITS voice as sherpa-onnx's export of Piper is: each phoneme is a tone of its own, which lasts as long as it is told. Returns
    `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {"model_type": "vits", "comment": "piper", "language": "English", "voice": "en-us", "has_espeak": 1}
    _vits(folder / "en_US-tiny.onnx", speakers, rate, {**told, "n_speakers": speakers, "sample_rate": rate})
    lines = [f"{symbol} {number}" for number, symbol in enumerate(PHONEMES)]
    (folder / "tokens.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "MODEL_CARD").write_text("# Model card for tiny\n\n* License: CC0\n", encoding="utf-8")
    return folder


def piper_folder(folder: Path) -> Path:
    """The same voice as Piper publishes it, without metadata. Returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    _vits(folder / "en_US-tiny.onnx", 1, 16_000, {})
    told = {
        "audio": {"sample_rate": 16_000},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_id_map": {symbol: [number] for number, symbol in enumerate(PHONEMES)},
        "num_speakers": 1,
        "speaker_id_map": {},
        "language": {"name_english": "English"},
        "dataset": "tiny",
    }
    (folder / "en_US-tiny.onnx.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def _vits(path: Path, speakers: int, rate: int, told: Mapping[str, object]) -> None:
    rng = np.random.default_rng(5)
    sounds = np.asarray([symbol.isalpha() for symbol in PHONEMES], np.float32)
    pitch = rng.uniform(0.02, 0.2, len(PHONEMES)).astype(np.float32)
    weights: dict[str, NDArray[Any]] = {
        "loudness": 0.3 * sounds[:, None],
        "pitch": pitch[:, None],
        "first": np.asarray([1], np.int64),
        "second": np.asarray([2], np.int64),
        "samples": np.asarray([rate * 0.03], np.float32),
        "zero": np.asarray(0, np.float32),
        "one": np.asarray(1, np.float32),
        "flat": np.asarray([1, 1, -1], np.int64),
        "scalar": np.asarray([], np.int64),
        "speakers": np.linspace(1, 1.5, speakers).astype(np.float32),
    }
    nodes = [
        helper.make_node("Slice", ["scales", "first", "second"], ["slowness"]),
        helper.make_node("Mul", ["slowness", "samples"], ["length"]),
        helper.make_node("Reshape", ["length", "scalar"], ["end"]),
        helper.make_node("Range", ["zero", "end", "one"], ["time"]),
        helper.make_node("Gather", ["pitch", "input"], ["pitches"]),
        helper.make_node("Gather", ["speakers", "sid"], ["speaker"]),
        helper.make_node("Mul", ["pitches", "speaker"], ["tones"]),
        helper.make_node("Mul", ["tones", "time"], ["phase"]),
        helper.make_node("Sin", ["phase"], ["wave"]),
        helper.make_node("Gather", ["loudness", "input"], ["loud"]),
        helper.make_node("Mul", ["wave", "loud"], ["heard"]),
        helper.make_node("Reshape", ["heard", "flat"], ["output"]),
    ]
    inputs: list[Value] = [
        ("input", TensorProto.INT64, (1, "t")),
        ("input_lengths", TensorProto.INT64, (1,)),
        ("scales", TensorProto.FLOAT, (3,)),
        ("sid", TensorProto.INT64, (1,)),
    ]
    if speakers == 1:
        del inputs[3]
        nodes[5] = helper.make_node("Identity", ["one"], ["speaker"])
    _save(path, nodes, inputs, [("output", TensorProto.FLOAT, (1, 1, "s"))], weights, told)


def _encoder(seed: int, multilingual: bool) -> tuple[list[Any], dict[str, NDArray[Any]]]:
    """Mean of each eight frames, above the level of silence, times random weights (and those of the language)."""
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[Any]] = {
        "silence": np.asarray(-SILENCE, np.float32),
        "weights": (rng.standard_normal((WIDTH, FEATURES)) / np.sqrt(FEATURES)).astype(np.float32),
        "step": np.asarray(STEP, np.int64),
    }
    last = "hidden" if multilingual else "outputs"
    nodes = [
        helper.make_node("AveragePool", ["audio_signal"], ["pooled"], kernel_shape=[STEP], strides=[STEP]),
        helper.make_node("Add", ["pooled", "silence"], ["raised"]),
        helper.make_node("Relu", ["raised"], ["sound"]),
        helper.make_node("MatMul", ["weights", "sound"], [last]),
        helper.make_node("Div", ["length", "step"], ["encoded_lengths"]),
    ]
    if multilingual:
        weights["prompts"] = rng.standard_normal((len(PROMPTS), WIDTH, 1)).astype(np.float32)
        nodes += [
            helper.make_node("Gather", ["prompts", "prompt_index"], ["prompt"]),
            helper.make_node("Mul", ["hidden", "prompt"], ["outputs"]),
        ]
    return nodes, weights


def _decoder(path: Path) -> None:
    """The last token, and two states that go through."""
    size = len(PIECES) + 1
    weights: dict[str, NDArray[Any]] = {
        "size": np.asarray([size], np.int64),
        "off_on": np.asarray([0, 1], np.float32),
        "shape": np.asarray([-1, size, 1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["targets"], ["token"], to=TensorProto.INT64),
        helper.make_node("OneHot", ["token", "size", "off_on"], ["chosen"], axis=-1),
        helper.make_node("Reshape", ["chosen", "shape"], ["outputs"]),
        helper.make_node("Identity", ["target_length"], ["prednet_lengths"]),
        helper.make_node("Identity", ["states.1"], ["states"]),
        helper.make_node("Identity", ["onnx::Slice_3"], ["162"]),
    ]
    state = (1, "n", 1)
    inputs: list[Value] = [
        ("targets", TensorProto.INT32, ("n", 1)),
        ("target_length", TensorProto.INT32, ("n",)),
        ("states.1", TensorProto.FLOAT, state),
        ("onnx::Slice_3", TensorProto.FLOAT, state),
    ]
    outputs: list[Value] = [
        ("outputs", TensorProto.FLOAT, ("n", size, 1)),
        ("prednet_lengths", TensorProto.INT32, ("n",)),
        ("states", TensorProto.FLOAT, state),
        ("162", TensorProto.FLOAT, state),
    ]
    _save(path, nodes, inputs, outputs, weights, {"vocab_size": len(PIECES)})


def _joiner(path: Path, seed: int, *, durations: bool) -> None:
    """Random weights on the encoder's output; the blank token wins in silence, and where the best token is the last one already."""
    count = len(PIECES)
    rng = np.random.default_rng(seed + 100)
    weights: dict[str, NDArray[Any]] = {
        "weights": rng.standard_normal((count, WIDTH)).astype(np.float32),
        "begin": np.asarray([0], np.int64),
        "end": np.asarray([count], np.int64),
        "one": np.asarray([1], np.int64),
        "bias": np.asarray([[[0.5]]], np.float32),
        "much": np.asarray(1000, np.float32),
        "out": np.asarray([-1, 1, 1, count + (6 if durations else 1)], np.int64),
        "durations": np.asarray([[[0], [9], [0], [0], [0]]], np.float32),
    }
    joined = ["scores", "blank", "durations"] if durations else ["scores", "blank"]
    nodes = [
        helper.make_node("MatMul", ["weights", "encoder_outputs"], ["scores"]),
        helper.make_node("Hardmax", ["scores"], ["best"], axis=1),
        helper.make_node("Slice", ["decoder_outputs", "begin", "end", "one"], ["last"]),
        helper.make_node("Mul", ["best", "last"], ["both"]),
        helper.make_node("ReduceSum", ["both", "one"], ["again"], keepdims=1),
        helper.make_node("Mul", ["again", "much"], ["surely"]),
        helper.make_node("Add", ["surely", "bias"], ["blank"]),
        helper.make_node("Concat", joined, ["logits"], axis=1),
        helper.make_node("Reshape", ["logits", "out"], ["outputs"]),
    ]
    inputs: list[Value] = [
        ("encoder_outputs", TensorProto.FLOAT, ("n", WIDTH, 1)),
        ("decoder_outputs", TensorProto.FLOAT, ("n", count + 1, 1)),
    ]
    size = count + 1 + (5 if durations else 0)
    _save(path, nodes, inputs, [("outputs", TensorProto.FLOAT, ("n", 1, 1, size))], weights, {})


def _tokens(folder: Path) -> Path:
    lines = [f"{token} {number}" for number, token in enumerate([*PIECES, "<blk>"])]
    (folder / "tokens.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _save(
    path: Path,
    nodes: list[Any],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    weights: Mapping[str, NDArray[Any]],
    told: Mapping[str, object],
) -> None:
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {key: str(value) for key, value in told.items()})
    onnx.save(model, str(path))
