"""The layers of a transformer of transformers, run on keys and values that the caller keeps: CSM's backbone, its depth decoder, Mimi's
decoder.

Their modules and weights are used as they are. Only the order of the calls is ours, because their caches hold one conversation, grow, or
cannot be cut per row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Remember = Callable[[int, Any, Any], tuple[Any, Any]]
"""(layer, keys, values `[rows, heads, steps, dim]` of these steps) -> the keys and values that these steps look at, their own included."""


def run(torch: Any, stack: Any, hidden: Any, positions: Any, seen: Any, remember: Remember) -> Any:
    """The output of a stack (`layers`, `rotary_emb`, and `norm` where it has one) `[rows, steps, size]`, as `hidden` is.

    `positions` are int64 `[rows, steps]`, `seen` is bool `[rows, steps, keys]`: True where a step looks.
    """
    cos, sin = (part[:, None] for part in stack.rotary_emb(hidden, positions))
    for index, layer in enumerate(stack.layers):
        normed = layer.input_layernorm(hidden)
        hidden = hidden + _scaled(
            layer, "self_attn", _attention(torch, layer, index, normed, (cos, sin), seen, remember)
        )
        hidden = hidden + _scaled(layer, "mlp", layer.mlp(layer.post_attention_layernorm(hidden)))
    return stack.norm(hidden) if hasattr(stack, "norm") else hidden


def _attention(
    torch: Any, layer: Any, index: int, hidden: Any, turn: tuple[Any, Any], seen: Any, remember: Remember
) -> Any:
    attention = layer.self_attn
    split = (*hidden.shape[:2], -1, attention.head_dim)
    queries, keys, values = (
        project(hidden).view(split).transpose(1, 2)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    queries, keys = _rotated(torch, queries, *turn), _rotated(torch, keys, *turn)
    keys, values = remember(index, keys, values)
    return attention.o_proj(attended(queries, keys, values, seen, attention.scaling))


def attended(queries: Any, keys: Any, values: Any, seen: Any, scaling: float) -> Any:
    """Attention of `[rows, heads, steps, dim]` to `[rows, groups, keys, dim]`: `[rows, steps, heads * dim]`.

    The queries of the heads that share keys are multiplied with them at once: keys and values are not repeated.
    """
    rows, heads, steps, dim = queries.shape
    groups, length = keys.shape[1], keys.shape[2]
    together = (rows, groups, heads // groups * steps)
    scores = (queries.reshape(*together, dim) @ keys.transpose(-1, -2)).float() * scaling
    scores = scores.view(rows, groups, heads // groups, steps, length).masked_fill(~seen[:, None, None], float("-inf"))
    weights = scores.softmax(-1).to(queries.dtype).view(*together, length)
    return (weights @ values).view(rows, heads, steps, dim).transpose(1, 2).reshape(rows, steps, heads * dim)


def _rotated(torch: Any, states: Any, cos: Any, sin: Any) -> Any:
    """With rotary position embeddings, as transformers has them: the halves of each head are turned against each other."""
    first, second = states.chunk(2, -1)
    return states * cos + torch.cat((-second, first), -1) * sin


def _scaled(layer: Any, part: str, output: Any) -> Any:
    """Mimi's layers scale what they add; CSM's do not."""
    scale = getattr(layer, f"{part}_layer_scale", None)
    return output if scale is None else scale(output)
