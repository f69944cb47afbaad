"""The input of a link that carries audio as media: what the link received becomes what the session takes.

Laws: where the session's input format has the same bytes as the link's, they go in as they are; else they are resampled with a delay of
3 ms at the most. Frames may split a sample anywhere. No sample is lost where the client changes the session's format.
"""

from __future__ import annotations

from typing import Protocol

from parley.audio.short_resampling import ShortResampler
from parley.core.words.settings import AudioFormat
from parley.server.links.media_format import NATIVE_FORMATS, MediaFormat


class HearingSession(Protocol):
    """A session, as far as media goes into it."""

    @property
    def input_format(self) -> AudioFormat: ...

    def hear(self, audio: bytes) -> None: ...


class MediaInput:
    """What the link received, in `form`, goes to its session."""

    def __init__(self, session: HearingSession, form: MediaFormat = NATIVE_FORMATS[AudioFormat.PCM16]) -> None:
        self._session = session
        self._form = form
        self._native = form.native
        self._whole = form.sample_bytes
        self._split = b""
        """The begin of a sample, the rest of which comes with the next audio."""
        self._resampler: tuple[AudioFormat, ShortResampler] | None = None

    def hear(self, audio: bytes) -> None:
        """The next audio, of any length."""
        if self._split or len(audio) % self._whole:
            audio = self._split + audio
            whole = len(audio) - len(audio) % self._whole
            audio, self._split = audio[:whole], audio[whole:]
        if not audio:
            return
        into = self._session.input_format
        if into is self._native:
            self._resampler = None
            self._session.hear(audio)
            return
        if self._resampler is None or self._resampler[0] is not into:
            self._resampler = into, ShortResampler(self._form.rate, into.rate)
        made = self._resampler[1].push(self._form.decode(audio))
        if len(made):
            self._session.hear(NATIVE_FORMATS[into].encode(made))
