"""The audio of a link that plays the output itself, on its way to the listener: taken at the link's own pace.

Laws:
- What comes out is in one format, in the order in which it came, whatever output format the session has; audio that came in that format
  comes out as it is. A sample in is a sample out, counted at 24 kHz as everywhere; of G.711, whole bytes.
- The queue holds what the core has let out, which is bounded (`core/words/limits.py`).
- `take` says how many of its samples are speech; what lies under it (`play_over`) is not. The link reports them to its session
  (`RealtimeSession.played`) once they have left: an interruption cuts the reply to what was reported.

Does not know: clocks, the link's codec, or when anything is taken.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from parley.audio.even_resampling import EvenResampler
from parley.core.words.effects import Play
from parley.core.words.ids import ResponseId
from parley.core.words.settings import AudioFormat
from parley.runtime.original_bed import OriginalBed
from parley.runtime.sound import PCM_SCALE, decode
from parley.server.links.media_format import NATIVE_FORMATS

_SILENCE: Final = {AudioFormat.PCM16: b"\0", AudioFormat.PCMU: b"\xff", AudioFormat.PCMA: b"\xd5"}


class OutputQueue:
    """A `Loudspeaker`, and one that mixes where what comes out is PCM16. `len()` is the samples that wait, at 24 kHz."""

    def __init__(self, form: AudioFormat = AudioFormat.PCM16) -> None:
        self._form = form
        self._pieces: deque[memoryview] = deque()
        self._bytes = 0
        self._converted: _Converted | None = None
        self._bed: OriginalBed | None = None

    def play_over(self, bed: OriginalBed) -> None:
        """From now on `bed` lies under all that is taken. Raises `ValueError` where what comes out is not PCM16."""
        if self._form is not AudioFormat.PCM16:
            raise ValueError(f"the original is mixed under PCM16, not {self._form.value}")
        self._bed = bed

    def __len__(self) -> int:
        return self._form.samples(self._bytes)

    def play(self, effect: Play) -> None:
        """More audio of a response."""
        audio = effect.audio
        if effect.format is not self._form:
            if self._converted is None or not self._converted.continues(effect):
                self._converted = _Converted(effect.response, effect.format, self._form)
            audio = self._converted.push(audio)
        if audio:
            self._pieces.append(memoryview(audio))
            self._bytes += len(audio)

    def stop(self) -> None:
        """Drop what waits."""
        self._pieces.clear()
        self._bytes = 0
        self._converted = None

    def take(self, samples: int) -> tuple[bytes, int]:
        """The next `samples`, filled up with silence, and how many of them, the first, are speech."""
        size = self._form.size(samples)
        speech = left = min(size, self._bytes)
        self._bytes -= speech
        taken = bytearray()
        while left:
            piece = self._pieces.popleft()
            if len(piece) > left:
                self._pieces.appendleft(piece[left:])
                piece = piece[:left]
            taken += piece
            left -= len(piece)
        audio, spoken = bytes(taken) + _SILENCE[self._form] * (size - speech), self._form.samples(speech)
        return (audio if self._bed is None else self._bed.lie_under(audio, spoken)), spoken


class _Converted:
    """The audio of one response in another format, as long as it was."""

    def __init__(self, response: ResponseId, format: AudioFormat, into: AudioFormat) -> None:
        self._response = response
        self._format = format
        self._into = into
        self._resampler = EvenResampler(format.rate, into.rate)

    def continues(self, effect: Play) -> bool:
        return (effect.response, effect.format) == (self._response, self._format)

    def push(self, audio: bytes) -> bytes:
        made = self._resampler.push(decode(audio, self._format) * PCM_SCALE)
        return NATIVE_FORMATS[self._into].encode(made)
