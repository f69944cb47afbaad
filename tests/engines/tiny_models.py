"""Models of the real architectures and file formats, small enough to make in a test: the weights are random, so they hear nothing,
but the real libraries load them and run on them.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

Weights = NDArray[np.float32]
WIDTH, HEADS, LAYERS, MELS = 32, 2, 2, 80
TEXT_CONTEXT, AUDIO_CONTEXT = 448, 1500
PLAIN_TOKENS = 50257


def whisper_folder(folder: Path, seed: int = 7) -> Path:
    """A multilingual Whisper (d32, 2+2 layers, 14 MB) in CTranslate2's format, with a byte-level tokenizer. Returns `folder`."""
    import ctranslate2.specs as specs

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _tokenizer(folder)
    spec = specs.WhisperSpec(LAYERS, HEADS, LAYERS, HEADS)
    rng = np.random.default_rng(seed)
    _fill_encoder(spec.encoder, rng)
    _fill_decoder(spec.decoder, rng, len(vocabulary))
    spec.register_vocabulary(vocabulary)
    ids = {token: i for i, token in enumerate(vocabulary)}
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [ids["<|endoftext|>"]]
    spec.config.lang_ids = [ids[f"<|{language}|>"] for language in languages()]
    spec.config.alignment_heads = [[1, 0]]
    spec.validate()
    spec.save(str(folder))
    preprocessor = {"feature_size": MELS, "sampling_rate": 16000, "hop_length": 160, "chunk_length": 30, "n_fft": 400}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def _tokenizer(folder: Path) -> list[str]:
    """256 bytes, made-up words, then Whisper's special tokens in Whisper's order; writes tokenizer.json.

    CTranslate2 knows a multilingual Whisper by the empty word in its vocabulary.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{language}|>" for language in languages())]
    special += [
        "<|translate|>",
        "<|transcribe|>",
        "<|startoflm|>",
        "<|startofprev|>",
        "<|nospeech|>",
        "<|notimestamps|>",
    ]
    special += [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    words = ["\u0120" + "".join(letters) for letters in itertools.product("aeioubdfgklmnprst", repeat=4)]
    plain = [*alphabet, *words[: PLAIN_TOKENS - 1 - len(alphabet)], ""]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(plain)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"))
    return plain + special


def languages() -> list[str]:
    """The 99 of Whisper's second version."""
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    return [code for code in _LANGUAGE_CODES if code != "yue"]


def _weights(rng: np.random.Generator, *shape: int) -> Weights:
    weights: Weights = (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
    return weights


def _fill_linear(linear: Any, rng: np.random.Generator, out: int, into: int) -> None:
    linear.weight = _weights(rng, out, into)
    linear.bias = np.zeros(out, np.float32)


def _fill_norm(norm: Any, width: int = WIDTH) -> None:
    norm.gamma = np.ones(width, np.float32)
    norm.beta = np.zeros(width, np.float32)


def _fill_attention(attention: Any, rng: np.random.Generator, parts: tuple[int, ...], width: int = WIDTH) -> None:
    _fill_norm(attention.layer_norm, width)
    for linear, multiple in zip(attention.linear, parts, strict=True):
        _fill_linear(linear, rng, multiple * width, width)


def _fill_ffn(ffn: Any, rng: np.random.Generator, width: int = WIDTH) -> None:
    _fill_norm(ffn.layer_norm, width)
    _fill_linear(ffn.linear_0, rng, 4 * width, width)
    _fill_linear(ffn.linear_1, rng, width, 4 * width)


def _fill_encoder(encoder: Any, rng: np.random.Generator) -> None:
    for conv, into in ((encoder.conv1, MELS), (encoder.conv2, WIDTH)):
        conv.weight = (rng.standard_normal((WIDTH, into, 3)) / np.sqrt(3 * into)).astype(np.float32)
        conv.bias = np.zeros(WIDTH, np.float32)
    encoder.position_encodings.encodings = _weights(rng, AUDIO_CONTEXT, WIDTH)
    _fill_norm(encoder.layer_norm)
    for layer in encoder.layer:
        _fill_attention(layer.self_attention, rng, (3, 1))
        _fill_ffn(layer.ffn, rng)


def _fill_decoder(decoder: Any, rng: np.random.Generator, tokens: int) -> None:
    decoder.embeddings.weight = _weights(rng, tokens, WIDTH)
    # strong positions, or a random decoder says one word for ever
    decoder.position_encodings.encodings = 8 * _weights(rng, TEXT_CONTEXT, WIDTH)
    decoder.projection.weight = decoder.embeddings.weight
    _fill_norm(decoder.layer_norm)
    for layer in decoder.layer:
        _fill_attention(layer.self_attention, rng, (3, 1))
        _fill_attention(layer.attention, rng, (1, 2, 1))
        _fill_ffn(layer.ffn, rng)
