"""Folders in the layouts that the package `onnx-asr` reads, with graphs of a few kilobytes: their matrices are random, so they hear
nothing, but the real library loads them, and every token depends on the sound of its frame.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import parser

MELS, PIECE = 80, 8
SYLLABLES = tuple(f"{space}{onset}{vowel}" for space in ("▁", "") for onset in "bdfglmnprst" for vowel in "aeiou")
"""Beginnings and endings of made-up words."""


def ctc_folder(folder: Path, seed: int = 3) -> Path:
    """NeMo's CTC layout: `model.onnx`, `vocab.txt`, `config.json`. Returns `folder`."""
    vocabulary = [*SYLLABLES, "<blk>"]
    _graph(
        folder / "model.onnx",
        f"""
        model (float[B, {MELS}, T] audio_signal, int64[B] length) => (float[B, N, {len(vocabulary)}] logprobs)
        {{
            {_POOL}
            scores = MatMul (frames, heads)
            sharp = Mul (scores, sharpness)
            logprobs = LogSoftmax <axis: int = -1> (sharp)
        }}
        """,
        _heads(len(vocabulary), seed),
    )
    return _finished(
        folder, vocabulary, {"model_type": "nemo-conformer-ctc", "features_size": MELS, "subsampling_factor": PIECE}
    )


def tdt_folder(folder: Path, seed: int = 3) -> Path:
    """NeMo's TDT layout (Parakeet v2 and v3): an encoder, and a decoder whose state is the last token. Returns `folder`."""
    vocabulary = [*SYLLABLES, "<blk>"]
    size, durations = len(vocabulary), 3
    _graph(
        folder / "encoder-model.onnx",
        f"""
        encoder (float[B, {MELS}, T] audio_signal, int64[B] length) => (float[B, {size}, N] outputs, int64[B] encoded_lengths)
        {{
            {_POOL}
            scores = MatMul (frames, heads)
            outputs = Transpose <perm: ints = [0, 2, 1]> (scores)
            steps = Constant <value: tensor = int64[1] {{{PIECE}}}> ()
            encoded_lengths = Div (length, steps)
        }}
        """,
        _heads(size, seed),
    )
    rng = np.random.default_rng(seed)
    after = rng.standard_normal((size, size + durations)).astype(np.float32)
    after[:, size:] = [0, 1, 0.5]
    _graph(
        folder / "decoder_joint-model.onnx",
        f"""
        joint (float[1, {size}, 1] encoder_outputs, int32[1, 1] targets, int32[1] target_length,
               float[1, 1, 1] input_states_1, float[1, 1, 1] input_states_2)
            => (float[1, 1, 1, {size + durations}] outputs, float[1, 1, 1] output_states_1, float[1, 1, 1] output_states_2)
        {{
            heard = Transpose <perm: ints = [0, 2, 1]> (encoder_outputs)
            none = Constant <value: tensor = float[1, 1, {durations}] {{0, 0, 0}}> ()
            wide = Concat <axis: int = 2> (heard, none)
            expected = Gather <axis: int = 0> (after, targets)
            sum = Add (wide, expected)
            first = Constant <value: tensor = int64[1] {{0}}> ()
            outputs = Unsqueeze (sum, first)
            output_states_1 = Identity (input_states_1)
            output_states_2 = Identity (input_states_2)
        }}
        """,
        {"after": after},
    )
    return _finished(
        folder, vocabulary, {"model_type": "nemo-conformer-tdt", "features_size": MELS, "subsampling_factor": PIECE}
    )


def aed_folder(folder: Path, seed: int = 3, tongues: Sequence[str] = ("de", "en", "fr")) -> Path:
    """NeMo's encoder and decoder with prompts (Canary): a token for each frame, which also depends on the language. Returns `folder`."""
    special = [
        "<|endoftext|>",
        "<|startofcontext|>",
        "<|startoftranscript|>",
        "<|emo:undefined|>",
        "<|pnc|>",
        "<|nopnc|>",
        "<|noitn|>",
    ]
    special += ["<|notimestamp|>", "<|nodiarize|>", *(f"<|{tongue}|>" for tongue in tongues)]
    vocabulary = [*SYLLABLES, "▁", *special]
    size, rng = len(vocabulary), np.random.default_rng(seed)
    heads = _heads(size, seed)
    heads["heads"][:, len(SYLLABLES) :] = 0
    _graph(
        folder / "encoder-model.onnx",
        f"""
        encoder (float[B, {MELS}, T] audio_signal, int64[B] length) => (float[B, N, {size}] encoder_embeddings, int64[B, N] encoder_mask)
        {{
            {_POOL}
            encoder_embeddings = MatMul (frames, heads)
            some = ReduceMax <keepdims: int = 0> (encoder_embeddings, last)
            same = Sub (some, some)
            zeros = Cast <to: int = 7> (same)
            one = Constant <value: tensor = int64[1] {{1}}> ()
            encoder_mask = Add (zeros, one)
        }}
        """,
        {**heads, "last": np.array([-1], np.int64)},
    )
    spoken = np.zeros((size, size), np.float32)
    spoken[:, : len(SYLLABLES)] = rng.standard_normal((size, len(SYLLABLES)))
    end = np.zeros((1, 1, size), np.float32)
    end[0, 0, vocabulary.index("<|endoftext|>")] = 100
    _graph(
        folder / "decoder-model.onnx",
        f"""
        decoder (int64[B, P] input_ids, float[B, N, {size}] encoder_embeddings, int64[B, N] encoder_mask,
                 float[1, B, M, {size}] decoder_mems)
            => (float[B, 1, {size}] logits, float[1, B, K, {size}] decoder_hidden_states)
        {{
            known = Gather <axis: int = 0> (spoken, input_ids)
            first = Constant <value: tensor = int64[1] {{0}}> ()
            layer = Unsqueeze (known, first)
            decoder_hidden_states = Concat <axis: int = 2> (decoder_mems, layer)
            third = Constant <value: tensor = int64[1] {{4}}> ()
            language = Gather <axis: int = 2> (decoder_hidden_states, third)
            tongue = Squeeze (language, first)
            count = Shape <start: int = 2, end: int = 3> (decoder_hidden_states)
            prompt = Constant <value: tensor = int64[1] {{10}}> ()
            place = Sub (count, prompt)
            frames = Concat <axis: int = 1> (encoder_embeddings, end)
            most = Shape <start: int = 1, end: int = 2> (encoder_embeddings)
            at = Min (place, most)
            frame = Gather <axis: int = 1> (frames, at)
            logits = Add (frame, tongue)
        }}
        """,
        {"spoken": spoken, "end": end},
    )
    return _finished(
        folder, vocabulary, {"model_type": "nemo-conformer-aed", "features_size": MELS, "max_sequence_length": 512}
    )


def whisper_ort_folder(folder: Path, seed: int = 3, tongues: Sequence[str] = ("de", "en", "fr")) -> Path:
    """ONNX Runtime's export of Whisper, one graph with its search: a token for each of the first ten half seconds, which also depends on
    the prompt. Returns `folder`."""
    pieces = ["\u0120" + one[1:] if one.startswith("▁") else one for one in SYLLABLES]
    special = [
        "<|endoftext|>",
        "<|startoftranscript|>",
        "<|transcribe|>",
        "<|notimestamps|>",
        *(f"<|{one}|>" for one in tongues),
    ]
    size = len(pieces) + len(special)
    rng = np.random.default_rng(seed)
    _graph(
        folder / "whisper-tiny_beamsearch.onnx",
        f"""
        whisper (float[B, {MELS}, 3000] input_features, int32[1] max_length, int32[1] min_length, int32[1] num_beams,
                 int32[1] num_return_sequences, float[1] length_penalty, float[1] repetition_penalty, int32[B, P] decoder_input_ids)
            => (int32[B, 1, S] sequences)
        {{
            middle = Constant <value: tensor = int64[1] {{1}}> ()
            pooled = AveragePool <kernel_shape: ints = [50], strides: ints = [50]> (input_features)
            frames = Transpose <perm: ints = [0, 2, 1]> (pooled)
            tenth = Constant <value: tensor = int64[1] {{10}}> ()
            last = Constant <value: tensor = int64[1] {{59}}> ()
            start = Constant <value: tensor = int64[1] {{0}}> ()
            spoken = Slice (frames, start, tenth, middle)
            silence = Gather <axis: int = 1> (frames, last)
            sound = Sub (spoken, silence)
            heard = MatMul (sound, heads)
            known = Gather <axis: int = 0> (prompts, decoder_input_ids)
            asked = ReduceSum <keepdims: int = 1> (known, middle)
            scores = Add (heard, asked)
            best = ArgMax <axis: int = -1, keepdims: int = 0> (scores)
            said = Cast <to: int = 6> (best)
            all = Concat <axis: int = 1> (decoder_input_ids, said)
            sequences = Unsqueeze (all, middle)
        }}
        """,
        {
            "heads": _heads(len(pieces), seed)["heads"],
            "prompts": rng.standard_normal((size, len(pieces))).astype(np.float32),
        },
    )
    ids = {token: index for index, token in enumerate([*pieces, *special])}
    (folder / "vocab.json").write_text(json.dumps({token: ids[token] for token in pieces}), encoding="utf-8")
    (folder / "added_tokens.json").write_text(json.dumps({token: ids[token] for token in special}), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "whisper-ort", "features_size": MELS}))
    return folder


_POOL = f"""
            pooled = AveragePool <kernel_shape: ints = [{PIECE}], strides: ints = [{PIECE}], ceil_mode: int = 1> (audio_signal)
            frames = Transpose <perm: ints = [0, 2, 1]> (pooled)
"""
"""The mean of each eight frames of features."""


def _heads(size: int, seed: int) -> dict[str, NDArray[Any]]:
    heads = np.random.default_rng(seed).standard_normal((MELS, size)).astype(np.float32)
    return {"heads": heads, "sharpness": np.array(2.0, np.float32)}


def _graph(path: Path, text: str, constants: Mapping[str, NDArray[Any]]) -> None:
    """Write the graph whose text this is, and the constants that it names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    graph = parser.parse_graph(text)
    graph.initializer.extend(
        onnx.numpy_helper.from_array(value, name)
        for name, value in constants.items()
        if f"{name})" in text or f"{name}," in text
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _finished(folder: Path, vocabulary: Sequence[str], config: Mapping[str, object]) -> Path:
    lines = (f"{token} {index}\n" for index, token in enumerate(vocabulary))
    (folder / "vocab.txt").write_text("".join(lines), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config))
    return folder
