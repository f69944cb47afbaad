"""CSM's two transformers: the backbone over a cache with a slot for each sequence, and the depth decoder that finishes each frame.

Laws:
- A slot's keys and values up to a position depend on what stands there and before only. What lies behind is never looked at.
- Rows of a step are of any slots and lengths.
- Nothing here waits for the device.
"""

from __future__ import annotations

from typing import Any

from parley.engines.tts.csm import layers, libraries
from parley.engines.tts.csm.sampler import Draw, choose


class SpeechLoop:
    """The language model of a loaded `CsmForConditionalGeneration`, and keys and values of `rows` slots with `max_context` positions
    each."""

    def __init__(self, model: Any, rows: int, max_context: int) -> None:
        self._torch = torch = libraries.torch()
        self._model = model
        self._backbone = model.backbone_model
        self._depth = model.depth_decoder
        self._codes = model.config.codec_config.codebook_size
        """The vocabulary has more: padding, which is no sound."""
        config = model.config
        self.codebooks: int = config.num_codebooks
        size = (config.num_hidden_layers, rows, config.num_key_value_heads, max_context, config.head_dim)
        weight = model.lm_head.weight
        self._keys = torch.zeros(size, device=weight.device, dtype=weight.dtype)
        self._values = torch.zeros(size, device=weight.device, dtype=weight.dtype)

    def prefill(self, inputs: Any, texts: Any, slot: int, start: int) -> None:
        """Compute positions `start...` of a slot. `inputs` int64 `[steps, codebooks]`, `texts` bool `[steps]`: see `step`."""
        torch = self._torch
        end = start + len(inputs)
        positions = torch.arange(start, end, device=inputs.device)
        seen = torch.arange(end, device=inputs.device) <= positions[:, None]

        def remember(layer: int, keys: Any, values: Any) -> tuple[Any, Any]:
            self._keys[layer, slot, :, start:end] = keys[0]
            self._values[layer, slot, :, start:end] = values[0]
            return self._keys[layer, slot : slot + 1, :, :end], self._values[layer, slot : slot + 1, :, :end]

        embedded = self._embedded(inputs[None], texts[None])
        layers.run(torch, self._backbone, embedded, positions[None], seen[None], remember)

    def step(self, inputs: Any, texts: Any, slots: Any, positions: Any, context: int) -> Any:
        """One position of each row: the hidden state `[rows, size]` that the next frame comes from.

        `inputs` int64 `[rows, codebooks]` are the codes of a frame, or a token in the first column where `texts` (bool `[rows]`) says so;
        `slots` and `positions` int64 `[rows]`; `context` positions are looked at, more than any row's own.
        """
        torch = self._torch
        seen = torch.arange(context, device=inputs.device) <= positions[:, None]

        def remember(layer: int, keys: Any, values: Any) -> tuple[Any, Any]:
            self._keys[layer][slots, :, positions] = keys[:, :, 0]
            self._values[layer][slots, :, positions] = values[:, :, 0]
            return self._keys[layer][slots, :, :context], self._values[layer][slots, :, :context]

        embedded = self._embedded(inputs[:, None], texts[:, None])
        return layers.run(torch, self._backbone, embedded, positions[:, None], seen[:, None], remember)[:, 0]

    def _embedded(self, inputs: Any, texts: Any) -> Any:
        """`[rows, steps, size]` of inputs `[rows, steps, codebooks]`."""
        torch = self._torch
        frames = self._backbone.embed_tokens(torch.where(texts[..., None], 0, inputs))
        words = self._model.embed_text_tokens(torch.where(texts, inputs[..., 0], 0))
        return torch.where(texts[..., None], words, frames)

    def frame(self, hidden: Any, draw: Draw) -> Any:
        """The codes of a frame, int64 `[rows, codebooks]`: the first from the backbone, each other one from those before it."""
        torch, depth = self._torch, self._depth
        vocabulary = depth.config.vocab_size
        codes = [choose(torch, self._model.lm_head(hidden)[:, : self._codes], draw, 0)]
        kept: list[tuple[Any, Any]] = []

        def remember(layer: int, keys: Any, values: Any) -> tuple[Any, Any]:
            if layer == len(kept):
                kept.append((keys, values))
            else:
                kept[layer] = torch.cat((kept[layer][0], keys), 2), torch.cat((kept[layer][1], values), 2)
            return kept[layer]

        # The backbone's state stands before the first code.
        embedded = torch.stack((hidden, depth.model.embed_tokens(codes[0])), 1)
        for codebook in range(1, self.codebooks):
            positions = torch.arange(codebook + 1 - embedded.shape[1], codebook + 1, device=hidden.device)
            seen = (torch.arange(codebook + 1, device=hidden.device) <= positions[:, None])[None]
            projected = depth.model.inputs_embeds_projector(embedded)
            made = layers.run(torch, depth.model, projected, positions[None], seen, remember)
            logits = made[:, -1] @ depth.codebooks_head.weight[codebook - 1]
            codes.append(choose(torch, logits[:, : self._codes], draw, codebook))
            embedded = depth.model.embed_tokens(codes[-1] + codebook * vocabulary)[:, None]
        return torch.stack(codes, 1)
