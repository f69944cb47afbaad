"""The input of a link that carries audio as media: PCM16 at 24 kHz becomes what the session takes.

Laws: a session whose input format is PCM gets the samples as they are; one that was set to G.711 gets them at 8 kHz, with the delay of the
filter, 3 ms. No sample is lost where the client changes the format.
"""

from __future__ import annotations

from typing import Final, Protocol

from parley.audio import g711, pcm
from parley.audio.short_resampling import ShortResampler
from parley.core.words.limits import SAMPLE_RATE
from parley.core.words.settings import AudioFormat

_ENCODE: Final = {AudioFormat.PCMU: g711.encode_mulaw, AudioFormat.PCMA: g711.encode_alaw}


class HearingSession(Protocol):
    """A session, as far as media goes into it."""

    @property
    def input_format(self) -> AudioFormat: ...

    def hear(self, audio: bytes) -> None: ...


class MediaInput:
    """What the link received goes to its session."""

    def __init__(self, session: HearingSession) -> None:
        self._session = session
        self._narrowing: ShortResampler | None = None

    def hear(self, audio: bytes) -> None:
        """The next audio: PCM16 at 24 kHz, whole samples."""
        form = self._session.input_format
        if form is AudioFormat.PCM16:
            self._narrowing = None
            self._session.hear(audio)
            return
        if self._narrowing is None:
            self._narrowing = ShortResampler(SAMPLE_RATE, form.rate)
        ints = pcm.to_int16(self._narrowing.push(pcm.to_float(audio)))
        self._session.hear(_ENCODE[form](ints).tobytes())
