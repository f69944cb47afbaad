"""Voice activity of one speaker of a call.

Laws: one stream of a model that the directions share; a score takes tenths of a millisecond, on the event loop.
"""

from __future__ import annotations

import numpy as np

from parley.audio import pcm
from parley.audio.short_resampling import ShortResampler
from parley.audio.types import Int16, Samples
from parley.engines.ports import VoiceActivityModel
from parley.interpret.ports import WIRE_RATE
from parley.interpret.speech_gate import SpeechEdge, SpeechGate


class SpeechListener:
    """The speaker's pauses: `push()` audio at 24 kHz, and get the edges in it; `close()` at the end."""

    def __init__(self, vad: VoiceActivityModel) -> None:
        self._vad = vad
        self._slot = vad.allocate()
        self._rate = vad.info.sample_rate
        self._resampler = ShortResampler(WIRE_RATE, self._rate)
        self._held: Samples = np.zeros(0, np.float32)
        self._gate = SpeechGate(1000 * vad.frame_samples / self._rate)

    @property
    def speaking(self) -> bool:
        """Whether somebody speaks."""
        return self._gate.speaking

    @property
    def pause_s(self) -> float:
        """How late an end is told."""
        return self._gate.pause_ms / 1000

    @property
    def late_s(self) -> float:
        """How late a beginning is told."""
        return self._gate.begin_ms / 1000

    def push(self, audio: Int16) -> list[SpeechEdge]:
        """More of the speaker, int16 `[n]`."""
        self._held = np.concatenate([self._held, self._resampler.push(pcm.to_float(audio))])
        edges: list[SpeechEdge] = []
        frame = self._vad.frame_samples
        while len(self._held) >= frame:
            score = self._vad.score([self._slot], self._held[None, :frame])
            self._held = self._held[frame:]
            if (edge := self._gate.push(float(score[0]))) is not None:
                edges.append(edge)
        return edges

    def close(self) -> None:
        """Give the model's stream back."""
        self._vad.release(self._slot)
