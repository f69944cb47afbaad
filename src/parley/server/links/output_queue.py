"""The loudspeaker of a link that plays the output itself: the audio on its way to the listener, taken at the link's own pace.

Laws:
- What comes out is PCM16 at 24 kHz, in the order in which it came, whatever output format the session has; a sample in is a sample out.
- The queue holds what the core has let out, which is bounded (`core/words/limits.py`).
- `take` says how many of its samples are speech. The link reports them to its session (`RealtimeSession.played`) once they have left:
  an interruption cuts the reply to what was reported.

Does not know: clocks, the link's codec, or when anything is taken.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from parley.audio import pcm
from parley.audio.short_resampling import ShortResampler
from parley.core.words.effects import Play
from parley.core.words.ids import ResponseId
from parley.core.words.limits import SAMPLE_RATE
from parley.core.words.settings import AudioFormat
from parley.runtime.sound import PCM_SCALE, decode

_SAMPLE_BYTES = 2


class OutputQueue:
    """A `Loudspeaker`. `len()` is the samples that wait."""

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()
        self._samples = 0
        self._widened: _Widened | None = None

    def __len__(self) -> int:
        return self._samples

    def play(self, effect: Play) -> None:
        """More audio of a response."""
        audio = effect.audio
        if effect.format is not AudioFormat.PCM16:
            if self._widened is None or not self._widened.continues(effect):
                self._widened = _Widened(effect.response, effect.format)
            audio = self._widened.push(audio)
        if audio:
            self._pieces.append(memoryview(audio))
            self._samples += len(audio) // _SAMPLE_BYTES

    def stop(self) -> None:
        """Drop what waits."""
        self._pieces.clear()
        self._samples = 0
        self._widened = None

    def take(self, samples: int) -> tuple[bytes, int]:
        """The next `samples` of PCM16 at 24 kHz, filled up with silence, and how many of them are speech."""
        speech = min(samples, self._samples)
        self._samples -= speech
        taken, left = bytearray(), speech * _SAMPLE_BYTES
        while left:
            piece = self._pieces.popleft()
            if len(piece) > left:
                self._pieces.appendleft(piece[left:])
                piece = piece[:left]
            taken += piece
            left -= len(piece)
        return bytes(taken) + bytes((samples - speech) * _SAMPLE_BYTES), speech


class _Widened:
    """The G.711 audio of one response, at 24 kHz: three samples for each byte. The filter's delay, a millisecond, goes before it."""

    def __init__(self, response: ResponseId, format: AudioFormat) -> None:
        self._response = response
        self._format = format
        self._resampler = ShortResampler(format.rate, SAMPLE_RATE)
        self._lacking = 0
        """Samples that the filter still holds."""

    def continues(self, effect: Play) -> bool:
        return (effect.response, effect.format) == (self._response, self._format)

    def push(self, audio: bytes) -> bytes:
        made = self._resampler.push(decode(audio, self._format) * PCM_SCALE)
        due = self._format.samples(len(audio)) + self._lacking
        self._lacking = 0
        missing = due - len(made)
        return pcm.to_bytes(np.concatenate([np.zeros(missing, np.float32), made]))
