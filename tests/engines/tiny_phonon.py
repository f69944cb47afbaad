"""A checkpoint of Phonon's architecture and format in 1 MB: its weights are random, so it babbles, but the real library loads it, and what
it babbles depends on the text, the voice and the clip that a voice was cloned from.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers

Tensor = NDArray[np.float32]
WIDTH, LATENT, HEADS, FILTERS, RATIOS, PIECES = 64, 32, 2, 4, (6, 5, 4), 48
CLIP_SECONDS = 1.0
"""How long a clip must be that a voice is cloned from; the published models want ten seconds."""


def phonon_folder(
    folder: Path,
    seed: int = 5,
    *,
    clones: bool = True,
    voices: Sequence[str] = ("anna", "ben"),
    languages: Sequence[str] = ("en", "de"),
) -> Path:
    """`model.safetensors`, `config.json`, `tokenizer.json`, and a file for each voice. Returns `folder`."""
    (folder / "voices").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    shapes = {**dict(_language_model()), **dict(_codec("decoder")), **(dict(_codec("encoder")) if clones else {})}
    write_tensors(folder / "model.safetensors", {name: _filled(name, shape, rng) for name, shape in shapes.items()})
    for voice in voices:
        write_tensors(
            folder / "voices" / f"{voice}.safetensors", {"emb": rng.standard_normal((1, 12, WIDTH)).astype(np.float32)}
        )
    (folder / "config.json").write_text(json.dumps(_config(languages)))
    characters = "▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?'äöüß"[: PIECES - 1]
    tokenizer = Tokenizer(
        models.Unigram([("<unk>", 0.0), *((one, -3.0) for one in characters)], unk_id=0, byte_fallback=False)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file: the length of a header, the header in JSON, the bytes."""
    header: dict[str, object] = {}
    end = 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [end, end + tensor.nbytes]}
        end += tensor.nbytes
    head = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + b"".join(tensor.tobytes() for tensor in tensors.values()))


def _config(languages: Sequence[str]) -> dict[str, object]:
    transformer = {
        "d_model": WIDTH,
        "num_heads": HEADS,
        "num_layers": 1,
        "dim_feedforward": WIDTH,
        "max_period": 10_000,
    }
    flow = {"n_bins": PIECES, "lut_dim": WIDTH, "flow_dim": WIDTH, "flow_depth": 1, "ldim": LATENT, "dim": WIDTH}
    codec: dict[str, object] = {f"transformer_{name}": value for name, value in transformer.items()}
    codec |= {"transformer_layer_scale": 0.01, "transformer_context": 250}
    codec |= {"channels": 1, "sample_rate": 24_000, "frame_rate": 12.5, "dimension": WIDTH, "decoder_dimension": WIDTH}
    codec |= {
        "quantizer_dimension": LATENT,
        "quantizer_output_dimension": WIDTH,
        "inner_dim": LATENT,
        "outer_dim": WIDTH,
    }
    codec |= {"n_filters": FILTERS, "n_residual_layers": 1, "ratios": list(RATIOS), "compress": 2, "dilation_base": 2}
    codec |= {"kernel_size": 7, "residual_kernel_size": 3, "last_kernel_size": 3}
    codec |= {"downsample_channel_wise": False, "upsample_channel_wise": False}
    return {
        "flow_lm": transformer | flow,
        "mimi": codec,
        "lsd_decode_steps": 1,
        "eos_threshold": 0.8,
        "audio_prompt_min_duration": CLIP_SECONDS,
        "languages": list(languages),
    }


Shapes = Iterator[tuple[str, tuple[int, ...]]]


def _language_model() -> Shapes:
    yield "flow_lm.bos_emb", (LATENT,)
    yield "flow_lm.conditioner.embed.weight", (PIECES + 1, WIDTH)
    for index in range(2):
        start = f"flow_lm.flow_net.time_embed.{index}"
        yield from _linear(f"{start}.mlp.0", WIDTH, 256)
        yield from _linear(f"{start}.mlp.2", WIDTH, WIDTH)
        yield f"{start}.mlp.3.alpha", (WIDTH,)
        yield f"{start}.freqs", (128,)
    yield from _linear("flow_lm.flow_net.cond_embed", WIDTH, WIDTH)
    yield from _linear("flow_lm.flow_net.input_proj", WIDTH, LATENT)
    block = "flow_lm.flow_net.res_blocks.0"
    yield from _norm(f"{block}.in_ln")
    yield from _linear(f"{block}.mlp.0", WIDTH, WIDTH)
    yield from _linear(f"{block}.mlp.2", WIDTH, WIDTH)
    yield from _linear(f"{block}.adaLN_modulation.1", 3 * WIDTH, WIDTH)
    yield from _linear("flow_lm.flow_net.final_layer.linear", LATENT, WIDTH)
    yield from _linear("flow_lm.flow_net.final_layer.adaLN_modulation.1", 2 * WIDTH, WIDTH)
    yield from _transformer("flow_lm.transformer")
    yield "flow_lm.emb_std", (LATENT,)
    yield "flow_lm.emb_mean", (LATENT,)
    yield "flow_lm.input_linear.weight", (WIDTH, LATENT)
    yield from _norm("flow_lm.out_norm")
    yield from _linear("flow_lm.out_eos", 1, WIDTH)
    yield "flow_lm.speaker_proj_weight", (WIDTH, WIDTH)


def _codec(half: str) -> Shapes:
    """Mimi's decoder or encoder, without its quantizer's tables: Phonon's latents are continuous."""
    widths = [FILTERS * 2**index for index in range(len(RATIOS) + 1)]
    model, decodes = f"mimi.{half}.model", half == "decoder"
    place = 1
    yield from _conv(f"{model}.0.conv", widths[-1] if decodes else FILTERS, WIDTH if decodes else 1, 7)
    for ratio, narrow, wide in (
        zip(RATIOS, widths[::-1][1:], widths[::-1], strict=False)
        if decodes
        else zip(RATIOS[::-1], widths, widths[1:], strict=False)
    ):
        if decodes:
            yield f"{model}.{place + 1}.convtr.weight", (wide, narrow, 2 * ratio)
            yield f"{model}.{place + 1}.convtr.bias", (narrow,)
        block = f"{model}.{place + 2 if decodes else place}.block"
        yield from _conv(f"{block}.1.conv", narrow // 2, narrow, 3)
        yield from _conv(f"{block}.3.conv", narrow, narrow // 2, 1)
        if not decodes:
            yield from _conv(f"{model}.{place + 2}.conv", wide, narrow, 2 * ratio)
        place += 3
    yield from _conv(f"{model}.{place + 1}.conv", 1 if decodes else WIDTH, FILTERS if decodes else widths[-1], 3)
    yield from _transformer(f"mimi.{half}_transformer.transformer", scaled=True)
    if decodes:
        yield "mimi.quantizer.output_proj.weight", (WIDTH, LATENT, 1)
        yield "mimi.upsample.convtr.convtr.weight", (WIDTH, 1, 32)
    else:
        yield "mimi.downsample.conv.conv.weight", (WIDTH, WIDTH, 32)


def _transformer(start: str, *, scaled: bool = False) -> Shapes:
    layer = f"{start}.layers.0"
    yield f"{layer}.self_attn.in_proj.weight", (3 * WIDTH, WIDTH)
    yield f"{layer}.self_attn.out_proj.weight", (WIDTH, WIDTH)
    yield from _norm(f"{layer}.norm1")
    yield from _norm(f"{layer}.norm2")
    yield f"{layer}.linear1.weight", (WIDTH, WIDTH)
    yield f"{layer}.linear2.weight", (WIDTH, WIDTH)
    if scaled:
        yield f"{layer}.layer_scale_1.scale", (WIDTH,)
        yield f"{layer}.layer_scale_2.scale", (WIDTH,)


def _linear(name: str, out: int, into: int) -> Shapes:
    yield f"{name}.weight", (out, into)
    yield f"{name}.bias", (out,)


def _norm(name: str) -> Shapes:
    yield f"{name}.weight", (WIDTH,)
    yield f"{name}.bias", (WIDTH,)


def _conv(name: str, out: int, into: int, kernel: int) -> Shapes:
    yield f"{name}.weight", (out, into, kernel)
    yield f"{name}.bias", (out,)


def _filled(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Random matrices that keep the size of what passes through; the rest changes nothing."""
    if name.endswith((".bias", "emb_mean")):
        return np.zeros(shape, np.float32)
    if name.endswith((".alpha", ".scale", "emb_std")) or (("norm" in name or "_ln" in name) and len(shape) == 1):
        return np.ones(shape, np.float32)
    values = rng.standard_normal(shape)
    if name.endswith("freqs"):
        values = np.exp(-np.log(10_000) * np.arange(shape[0]) / shape[0])
    elif "convtr" in name:
        values /= np.sqrt(shape[0])
    elif len(shape) > 1 and not name.endswith(".embed.weight"):
        values /= np.sqrt(np.prod(shape[1:]))
    loud = name == f"mimi.decoder.model.{3 * len(RATIOS) + 2}.conv.weight"  # the last: samples in [-1, 1]
    return (values * (0.1 if loud else 1.0)).astype(np.float32)
