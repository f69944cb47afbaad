"""Mimi's decoder, a frame at a time, for many voices at once: the same sound as of the whole, within float rounding.

Left context alone is not enough: the decoder's transformer looks back 10 s, and each transposed convolution reaches into the next frame.
So each row keeps, for every convolution, the inputs that it still reaches; for every transposed convolution, the overlap that belongs to
the next frame; for the transformer, the keys and values within its window.

Laws:
- Rows do not know each other: each call names the rows, and how many frames each has had.
- A row whose frame is 0 starts afresh. Nothing need be cleared.
- Nothing here waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from parley.engines.ports import EngineUnavailable
from parley.engines.tts.csm import layers, libraries

_STATELESS: Final = ("ELU", "Identity")
"""Layers whose output depends on nothing but the sample at hand."""


@dataclass(frozen=True, slots=True)
class _At:
    """`rows` int64 `[n]` of the state; `fresh` bool `[n]`: no frame came before."""

    torch: Any
    rows: Any
    fresh: Any

    def read(self, state: Any) -> Any:
        return self.torch.where(self.fresh[:, None, None], 0.0, state[self.rows])

    def write(self, state: Any, value: Any) -> None:
        state[self.rows] = value


class _Convolution:
    """A causal convolution of stride 1, and the inputs before it that it reaches."""

    def __init__(self, torch: Any, module: Any, rows: int) -> None:
        self._torch = torch
        self._conv = module.conv
        self._reach = (self._conv.kernel_size[0] - 1) * self._conv.dilation[0]
        self._past = torch.zeros(rows, self._conv.in_channels, self._reach, device=self._conv.weight.device)

    def __call__(self, sound: Any, at: _At) -> Any:
        if self._reach:
            sound = self._torch.cat((at.read(self._past), sound), -1)
            at.write(self._past, sound[..., -self._reach :])
        return self._conv(sound)


class _Transposed:
    """A transposed convolution, and the end of its output that overlaps with the next one. Its bias is added once, to what is finished."""

    def __init__(self, torch: Any, module: Any, rows: int) -> None:
        self._torch = torch
        self._conv = module.conv
        self._overlap = self._conv.kernel_size[0] - self._conv.stride[0]
        self._tail = torch.zeros(rows, self._conv.out_channels, self._overlap, device=self._conv.weight.device)

    def __call__(self, sound: Any, at: _At) -> Any:
        conv, overlap = self._conv, self._overlap
        made = self._torch.nn.functional.conv_transpose1d(sound, conv.weight, None, conv.stride, groups=conv.groups)
        made = self._torch.cat((made[..., :overlap] + at.read(self._tail), made[..., overlap:]), -1)
        finished = made.shape[-1] - overlap
        at.write(self._tail, made[..., finished:])
        made = made[..., :finished]
        return made if conv.bias is None else made + conv.bias[:, None]


class _Residual:
    """A residual block: its convolutions, and the way around them."""

    def __init__(self, block: list[_Layer], shortcut: _Layer) -> None:
        self._block = block
        self._shortcut = shortcut

    def __call__(self, sound: Any, at: _At) -> Any:
        around = self._shortcut(sound, at)
        for layer in self._block:
            sound = layer(sound, at)
        return around + sound


_Layer = Callable[[Any, _At], Any]


class MimiStream:
    """The decoder of a codec, with the state of `rows` voices. The codec is float32 and stays where it is."""

    def __init__(self, codec: Any, rows: int) -> None:
        """Raises `EngineUnavailable` (`wrong_architecture`) for a codec that cannot be decoded in frames."""
        self._torch = torch = libraries.torch()
        config = codec.config
        for name, needed in (("use_causal_conv", True), ("trim_right_ratio", 1.0), ("pad_mode", "constant")):
            if getattr(config, name) != needed:
                raise EngineUnavailable(
                    f"The codec's {name} is {getattr(config, name)!r}, and streams only with {needed!r}.",
                    "Use the Mimi that CSM was trained with.",
                    code="wrong_architecture",
                )
        self._codec = codec
        # transformers 5.24 has the decoder as a model in itself; before, its parts were the codec's own.
        half = codec.decoder if hasattr(codec.decoder, "decoder_seanet") else codec
        seanet = half.decoder_seanet if half is not codec else codec.decoder
        self._upsample = _Transposed(torch, half.upsample, rows)
        self._transformer = half.decoder_transformer
        self._steps = half.upsample.conv.stride[0]
        self._window = config.sliding_window
        self._kept = self._window + self._steps - 1
        size = (config.num_hidden_layers, rows, config.num_key_value_heads, self._kept, config.head_dim)
        device = half.upsample.conv.weight.device
        self._keys, self._values = torch.zeros(size, device=device), torch.zeros(size, device=device)
        self._layers = [self._layer(module, rows) for module in seanet.layers]

    def _layer(self, module: Any, rows: int) -> _Layer:
        kind = type(module).__name__
        if kind == "MimiConv1d":
            return _Convolution(self._torch, module, rows)
        if kind == "MimiConvTranspose1d":
            return _Transposed(self._torch, module, rows)
        if kind == "MimiResnetBlock":
            return _Residual([self._layer(part, rows) for part in module.block], self._layer(module.shortcut, rows))
        if kind not in _STATELESS:
            raise EngineUnavailable(
                f"The codec has a layer {kind}, and it is not known how it streams.",
                "Use a version of transformers that Parley was tested with: 5.20 to 5.24.",
                code="wrong_architecture",
            )
        return lambda sound, at: module(sound)

    def decode(self, codes: Any, rows: Any, frames: Any) -> Any:
        """The sound of one frame for each row, float32 `[n, 1920]`.

        `codes` int64 `[n, codebooks]`; `rows` int64 `[n]`, of the state; `frames` int64 `[n]`: how many came before, since the row began.
        """
        at = _At(self._torch, rows, frames == 0)
        latent = self._codec.quantizer.decode(codes[:, :, None])
        hidden = self._transformed(self._upsample(latent, at).transpose(1, 2), rows, frames)
        sound = hidden.transpose(1, 2)
        for layer in self._layers:
            sound = layer(sound, at)
        return sound[:, 0]

    def _transformed(self, hidden: Any, rows: Any, frames: Any) -> Any:
        """Keys and values lie in a ring: the step `p` at `p % kept`."""
        torch, kept = self._torch, self._kept
        positions = frames[:, None] * self._steps + torch.arange(self._steps, device=frames.device)
        places = positions % kept
        newest = positions[:, -1:]
        held = newest - (newest - torch.arange(kept, device=frames.device)) % kept
        back = positions[:, :, None] - held[:, None]
        seen = (held >= 0)[:, None] & (back >= 0) & (back < self._window)

        def remember(layer: int, keys: Any, values: Any) -> tuple[Any, Any]:
            self._keys[layer][rows[:, None], :, places] = keys.transpose(1, 2)
            self._values[layer][rows[:, None], :, places] = values.transpose(1, 2)
            return self._keys[layer][rows], self._values[layer][rows]

        return layers.run(torch, self._transformer, hidden, positions, seen, remember)
