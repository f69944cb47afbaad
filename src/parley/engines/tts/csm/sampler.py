"""The choice of a code: temperature, the likeliest few, and chance that is computed from the seed and the place.

Laws:
- Chance is a function of the seed, the position in the sequence, the codebook and the code. It is the same in any batch, on any device,
  in eager calls and in replayed graphs, which cannot hold the state of a generator for each row.
- Nothing here waits for the device.

Sources: the Gumbel-max trick (the largest of score + temperature * noise is a sample of softmax(score / temperature)); the integer hash
is Chris Wellons' lowbias32 (public domain).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

MAX_TOP_K: Final = 256
"""Of 2048 codes. More are all of them (0), in effect."""

_BITS: Final = 0xFFFFFFFF
_GOLDEN: Final = 0x9E3779B9


@dataclass(frozen=True, slots=True)
class Draw:
    """How each row chooses: `temperature`, `eos_bias` float32 `[rows]`; `top_k`, `seed` (32 bits), `position` int64 `[rows]`."""

    temperature: Any
    eos_bias: Any
    top_k: Any
    seed: Any
    position: Any


def choose(torch: Any, logits: Any, draw: Draw, codebook: int) -> Any:
    """A code for each row, int64 `[rows]`, from logits `[rows, codes]` of any float type."""
    scores = logits.float()
    if codebook == 0:
        scores = torch.cat((scores[:, :1] + draw.eos_bias[:, None], scores[:, 1:]), -1)
    best = scores.topk(min(MAX_TOP_K, scores.shape[-1])).values
    least = best.gather(-1, (draw.top_k - 1).clamp(0, best.shape[-1] - 1)[:, None])
    left_out = (draw.top_k > 0)[:, None] & (scores < least)
    noise = _gumbel(torch, draw, codebook, scores.shape[-1])
    return (scores + draw.temperature[:, None] * noise).masked_fill(left_out, float("-inf")).argmax(-1)


def _gumbel(torch: Any, draw: Draw, codebook: int, codes: int) -> Any:
    """Noise `[rows, codes]` of the standard Gumbel distribution."""
    place = _hashed(draw.seed ^ _hashed(draw.position * 64 + codebook))
    each = torch.arange(codes, device=place.device) * _GOLDEN
    bits = _hashed((place[:, None] + each) & _BITS) >> 9
    # Of 23 bits, so that float32 holds each exactly and neither 0 nor 1 is among them.
    uniform = (bits.float() + 0.5) * 2**-23
    return -(-uniform.log()).log()


def _hashed(value: Any) -> Any:
    """32 bits from 32 bits, in int64: products wrap, and their lower halves are right."""
    value = value ^ (value >> 16)
    value = (value * 0x7FEB352D) & _BITS
    value = value ^ (value >> 15)
    value = (value * 0x846CA68B) & _BITS
    return value ^ (value >> 16)
