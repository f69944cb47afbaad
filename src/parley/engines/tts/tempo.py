"""Makes speech faster or slower without changing its pitch, for synthesizers that have one speed.

FFmpeg's filter `atempo` does it (through PyAV, which reads audio files here anyway): WSOLA, which overlaps waves where they fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from parley.audio.types import Samples


class Tempo:
    """One utterance at `speed` (0.25..4, not 1). `feed()` its audio, then `end()` it; each gives what is ready."""

    def __init__(self, sample_rate: int, speed: float) -> None:
        import av
        from av.filter import Graph

        self._av = av
        self._rate = sample_rate
        self._fed = 0
        graph = Graph()
        self._in = graph.add_abuffer(sample_rate=sample_rate, format="flt", layout="mono", time_base=None)
        self._out = graph.add("abuffersink")
        before: Any = self._in
        factor = max(0.5, speed)
        for step in (
            (factor, speed / factor) if factor != speed else (speed,)
        ):  # one filter slows down to a half at most
            stage = graph.add("atempo", f"{step:.6f}")
            before.link_to(stage)
            before = stage
        before.link_to(self._out)
        graph.configure()
        self._graph = graph

    def feed(self, audio: Samples) -> Samples:
        if audio.size:
            frame = self._av.AudioFrame.from_ndarray(
                np.ascontiguousarray(audio, np.float32).reshape(1, -1), "flt", "mono"
            )
            frame.sample_rate = self._rate
            frame.pts = self._fed
            self._fed += audio.size
            self._in.push(frame)
        return self._pulled()

    def end(self) -> Samples:
        self._in.push(None)
        return self._pulled()

    def _pulled(self) -> Samples:
        parts: list[Samples] = [np.zeros(0, np.float32)]
        while True:
            try:
                frame: Any = self._out.pull()
                parts.append(frame.to_ndarray()[0])
            except (self._av.error.BlockingIOError, self._av.error.EOFError):
                return np.concatenate(parts).astype(np.float32, copy=False)
