"""A checkpoint of CSM's architecture and format in 1 MB: its weights are random, its codebooks too, so it babbles, but transformers
loads it, and what it babbles depends on every token and code before it.

Codec: the real frames (1920 samples at 24 kHz), a window of 8 frames. Language model: 8 codebooks of 32 codes, 512 positions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, models

from parley.engines.tts.csm import libraries

CODEBOOKS, CODES, POSITIONS = 8, 32, 512
MARKS = ("<|begin_of_text|>", "<|end_of_text|>", "<|AUDIO|>", "<|audio_eos|>")
BEGIN, END, AUDIO, AUDIO_EOS = range(4)
CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,!?'-[]<|>_"


def csm_folder(folder: Path, seed: int = 1, *, ends: bool = False, shard_size: str = "1GB") -> Path:
    """`config.json`, `model.safetensors` (several files where `shard_size` is small) and `tokenizer.json`. Returns `folder`.

    `ends`: every code but the first is 0, so that a frame ends the speech where its first code is 0.
    """
    network = tiny_network(seed)
    if ends:
        network.depth_decoder.codebooks_head.weight.data.zero_()
    network.save_pretrained(folder, max_shard_size=shard_size)
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def tiny_network(seed: int = 1) -> Any:
    libraries.torch().manual_seed(seed)
    network = libraries.transformers().CsmForConditionalGeneration(config()).eval()
    fill_codebooks(network.codec_model, seed)
    # The vocabulary's last entries are padding, which the codec cannot play: never the likeliest.
    network.lm_head.weight.data[CODES:] = 0
    network.depth_decoder.codebooks_head.weight.data[:, :, CODES:] = 0
    return network


def fill_codebooks(codec: Any, seed: int) -> None:
    """transformers leaves codebooks at zero, with which the sound does not depend on the codes."""
    torch = libraries.torch()
    chance = torch.Generator().manual_seed(seed)
    for name, buffer in codec.named_buffers():
        if name.endswith("embed_sum"):
            buffer.copy_(torch.randn(buffer.shape, generator=chance))
        elif name.endswith("cluster_usage"):
            buffer.copy_(torch.rand(buffer.shape, generator=chance) + 0.5)


def config() -> Any:
    return libraries.transformers().CsmConfig(
        num_codebooks=CODEBOOKS,
        vocab_size=CODES + 3,
        text_vocab_size=len(MARKS) + len(CHARACTERS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=POSITIONS,
        initializer_range=0.3,
        pad_token_id=AUDIO,
        codebook_pad_token_id=CODES + 2,
        codebook_eos_token_id=0,
        bos_token_id=BEGIN,
        audio_token_id=AUDIO,
        audio_eos_token_id=AUDIO_EOS,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 32.0,
            "high_freq_factor": 0.5,
            "low_freq_factor": 0.125,
            "original_max_position_embeddings": 256,
        },
        depth_decoder_config={
            "num_codebooks": CODEBOOKS,
            "backbone_hidden_size": 32,
            "vocab_size": CODES + 3,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": CODEBOOKS + 1,
            "initializer_range": 0.3,
        },
        codec_config={
            "model_type": "mimi",
            "hidden_size": 32,
            "num_filters": 4,
            "codebook_size": CODES,
            "codebook_dim": 16,
            "num_quantizers": CODEBOOKS,
            "vector_quantization_hidden_dimension": 16,
            "upsample_groups": 32,
            "num_hidden_layers": 2,
            "intermediate_size": 64,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "sliding_window": 16,
            "layer_scale_initial_scale": 0.5,
            "initializer_range": 0.3,
        },
    )


def tokenizer() -> Tokenizer:
    """A token for each character; no text may hold another one."""
    vocabulary = {token: number for number, token in enumerate((*MARKS, *CHARACTERS))}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.add_special_tokens([AddedToken(mark, special=True) for mark in MARKS])
    return made
