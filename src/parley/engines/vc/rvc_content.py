"""What is said, apart from the voice that says it: HuBERT or ContentVec as a graph, 50 frames of features a second.

Laws:
- Three layouts are told apart by their inputs: `source` `[1, 1, N]` (RVC's), `input_values` `[1, N]` with an optional `attention_mask`
  (transformers'), `audio` `[1, N]` with `units9` and `unit12` (vcclient's). Each takes 16 kHz audio.
- A voice of RVC v1 wants 256 features (the ninth layer, projected), one of v2 768 (the twelfth layer): the output with so many is used.
- The last frame is repeated once, as RVC does: so audio of T 10 ms frames has T features and more, each of which stands for two frames.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from parley.engines.ports import EngineUnavailable, Samples
from parley.engines.vc.mel import Frames
from parley.engines.vc.rvc_interface import GraphInterface, GraphValue

_MASK: Final = "attention_mask"
_LAYERS: Final = {256: "units9", 768: "unit12"}
"""Outputs of vcclient's export by their number of features, where their shape does not say it."""


def is_encoder(graph: GraphInterface) -> bool:
    """Whether a graph takes audio and gives features, as far as its shapes say."""
    audio = _audio(graph)
    return audio is not None and any(len(one.shape) == 3 and one.shape[2] in (256, 768, None) for one in graph.outputs)


def widths(graph: GraphInterface) -> frozenset[int | None]:
    """How many features its outputs have; None where one does not say it."""
    return frozenset(_width(one) for one in graph.outputs if len(one.shape) == 3)


class ContentEncoder:
    """A loaded encoder. Any thread may call; one call at a time."""

    def __init__(self, graph: GraphInterface, session: Any, channels: int) -> None:
        """Raises `EngineUnavailable` (`invalid_weights`) where it has no output of so many features."""
        audio = _audio(graph)
        output = next((one for width in (channels, None) for one in graph.outputs if _width(one) == width), None)
        if audio is None or output is None:
            raise wrong_width(graph, channels)
        self._graph = graph
        self._session = session
        self._audio = audio
        self._output = output.name
        self._masked = _MASK in graph.input_names
        self._channels = channels

    def features(self, audio: Samples) -> Frames:
        """The features of 16 kHz audio, `[frames, channels]`; the last one twice."""
        shape = (1, 1, len(audio)) if len(self._audio.shape) == 3 else (1, len(audio))
        inputs = {self._audio.name: audio.reshape(shape).astype(self._audio.type)}
        if self._masked:
            inputs[_MASK] = np.ones((1, len(audio)), np.int64)
        frames = self._session.run([self._output], inputs)[0]
        if frames.ndim != 3 or frames.shape[2] != self._channels:
            raise wrong_width(self._graph, self._channels)
        found: Frames = frames[0].astype(np.float32, copy=False)
        return np.concatenate([found, found[-1:]])


def wrong_width(graph: GraphInterface, channels: int) -> EngineUnavailable:
    """The error for an encoder of the other generation of voices."""
    generation, file = ("v1", "vec-256-layer-9") if channels == 256 else ("v2", "vec-768-layer-12")
    return EngineUnavailable(
        f"The content encoder {graph.path} has no output of {channels} features: {graph}.",
        f"The voice is one of RVC {generation}: name an encoder for it ({file}.onnx) as the option `content`.",
        code="invalid_weights",
    )


def _audio(graph: GraphInterface) -> GraphValue | None:
    """The input that takes audio, None where the graph has not exactly one, and a mask at most."""
    others = [one for one in graph.inputs if one.name != _MASK]
    if len(others) != 1 or others[0].type not in ("float32", "float16"):
        return None
    shape = others[0].shape
    fits = len(shape) == 2 or (len(shape) == 3 and shape[1] in (1, None))
    return others[0] if fits and shape[-1] is None else None


def _width(output: GraphValue) -> int | None:
    if len(output.shape) != 3:
        return -1
    named = next((width for width, name in _LAYERS.items() if output.name == name), None)
    return output.shape[2] or named
