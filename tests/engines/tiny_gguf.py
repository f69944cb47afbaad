"""A language model of the llama architecture in GGUF, made in a test: 0.4 MB, random weights, a vocabulary of bytes and words, a chat
template with tools. llama.cpp loads it and runs on it.

Source: the specification of GGUF (ggml/docs/gguf.md), version 3.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

WIDTH, HEADS, LAYERS, HIDDEN = 64, 4, 2, 128
ALIGNMENT: Final = 32

TEMPLATE: Final = (
    "{%- if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif -%}"
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content or '' }}"
    "{%- for call in message.tool_calls or [] %}<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>{% endfor -%}'
    "<|im_end|>\n{% endfor -%}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif -%}"
)
"""ChatML, with tools as Hermes and Qwen write them."""

_SPECIAL: Final = ("<unk>", "<|im_start|>", "<|im_end|>")
_WORDS: Final = ("<tool_call>\n", *(f"\u2581{first}{second}" for first in "bdfglmnprst" for second in "aeiou"))
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = range(4, 10)
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6

_KINDS: Final = {bool: _BOOL, int: _UINT32, float: _FLOAT32, str: _STRING}

Value = int | float | str | list[int] | list[float] | list[str]


def tiny_gguf(
    path: Path, *, seed: int = 7, context: int = 1024, template: str = TEMPLATE, epsilon: float = 1e-5
) -> Path:
    """Write the model to `path`, and return it. `template` "": a model without a chat template."""
    facts: dict[str, Value] = {
        "general.architecture": "llama",
        "general.name": "tiny",
        "llama.context_length": context,
        "llama.embedding_length": WIDTH,
        "llama.block_count": LAYERS,
        "llama.feed_forward_length": HIDDEN,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": HEADS,
        "llama.attention.layer_norm_rms_epsilon": epsilon,
        "llama.rope.dimension_count": WIDTH // HEADS,
        **_vocabulary(),
    }
    if template:
        facts["tokenizer.chat_template"] = template
    path.write_bytes(gguf(facts, _weights(np.random.default_rng(seed))))
    return path


def _vocabulary() -> dict[str, Value]:
    tokens = [*_SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *_WORDS]
    types = [_UNKNOWN, _CONTROL, _CONTROL, *[_BYTE] * 256, *[_NORMAL] * len(_WORDS)]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * len(tokens),
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.add_space_prefix": False,
    }


def _weights(rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    size = len(_SPECIAL) + 256 + len(_WORDS)

    def matrix(rows: int, columns: int) -> NDArray[np.float32]:
        values = rng.standard_normal((rows, columns)) / np.sqrt(columns)
        weights: NDArray[np.float32] = values.astype(np.float32)
        return weights

    ones = np.ones(WIDTH, np.float32)
    output = matrix(size, WIDTH) * 4
    output[3:259] = 0  # it writes words, or ends
    for token in (
        len(_SPECIAL) + ord('"'),
        len(_SPECIAL) + 256,
    ):  # a string that it begins ends; so does what comes before a call
        output[token] = matrix(1, WIDTH) * 12
    tensors = {"token_embd.weight": matrix(size, WIDTH) * 8, "output_norm.weight": ones, "output.weight": output}
    for layer in range(LAYERS):
        tensors |= {
            f"blk.{layer}.attn_norm.weight": ones,
            f"blk.{layer}.ffn_norm.weight": ones,
            f"blk.{layer}.ffn_gate.weight": matrix(HIDDEN, WIDTH),
            f"blk.{layer}.ffn_up.weight": matrix(HIDDEN, WIDTH),
            f"blk.{layer}.ffn_down.weight": matrix(WIDTH, HIDDEN),
        }
        for name in ("q", "k", "v", "output"):
            tensors[f"blk.{layer}.attn_{name}.weight"] = matrix(WIDTH, WIDTH) * 3  # what was said long ago matters
    return tensors


def gguf(facts: Mapping[str, Value], tensors: Mapping[str, NDArray[np.float32]]) -> bytes:
    """The bytes of a file with these facts and float32 tensors."""
    head = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts)))
    for key, value in facts.items():
        head += _text(key) + _value(value)
    data = bytearray()
    for name, tensor in tensors.items():
        dimensions = tensor.shape[::-1]
        head += _text(name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        head += struct.pack("<IQ", 0, len(data))
        data += _padded(tensor.tobytes())
    return bytes(_padded(bytes(head)) + data)


def _value(value: Value) -> bytes:
    if isinstance(value, list):
        kind = {int: _INT32, float: _FLOAT32, str: _STRING}[type(value[0])]
        return struct.pack("<IIQ", _ARRAY, kind, len(value)) + b"".join(_item(kind, item) for item in value)
    return struct.pack("<I", _KINDS[type(value)]) + _item(_KINDS[type(value)], value)


def _item(kind: int, value: int | float | str) -> bytes:
    if isinstance(value, str):
        return _text(value)
    return struct.pack({_UINT32: "<I", _FLOAT32: "<f", _INT32: "<i", _BOOL: "<?"}[kind], value)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % ALIGNMENT)
