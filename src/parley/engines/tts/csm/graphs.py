"""CUDA graphs: what a function does on inputs of one shape, recorded once and replayed in one launch.

A frame of CSM is some thousands of small kernels, which take longer to launch than to run. A function that is captured must not wait for
the device, and must read and write the same tensors each time.

Not run yet: no CUDA device was at hand when this was written. `benchmarks/csm.py` compares it with the eager calls, code by code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from parley.engines.tts.csm import libraries

_WARM_UP: Final = 3
"""Calls before the capture, in which libraries choose and allocate what must not be allocated while it runs."""

Key = tuple[str | int, ...]
"""The name of a function, and the sizes of its inputs."""


class Replays(Protocol):
    """Functions that are captured under a key, and then replayed on other inputs of the same shapes."""

    def capture(self, key: Key, function: Callable[..., Any], *inputs: Any) -> Any: ...

    def replay(self, key: Key, *inputs: Any) -> Any: ...


class Graphs:
    """`Replays` of CUDA. All share one pool of memory, because they run one after the other."""

    def __init__(self, device: Any) -> None:
        self._torch = libraries.torch()
        self._device = device
        self._pool = self._torch.cuda.graph_pool_handle()
        self._captured: dict[Key, tuple[Any, tuple[Any, ...], Any]] = {}

    def capture(self, key: Key, function: Callable[..., Any], *inputs: Any) -> Any:
        """Capture `function`, on copies of these inputs; what it does to other tensors happens several times. Its output, not yet a
        result."""
        torch = self._torch
        with torch.cuda.device(self._device):
            held = tuple(tensor.clone() for tensor in inputs)
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(_WARM_UP):
                    function(*held)
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                output = function(*held)
        self._captured[key] = (graph, held, output)
        return output

    def replay(self, key: Key, *inputs: Any) -> Any:
        """The output for these inputs, valid until the next replay under this key. Raises `KeyError` for what was not captured."""
        graph, held, output = self._captured[key]
        for kept, given in zip(held, inputs, strict=True):
            kept.copy_(given)
        with self._torch.cuda.device(self._device):
            graph.replay()
        return output
