"""The text of an answer beside its audio, where a server sends both and does not say which words are in which audio.

Laws: pure. The text comes out in its order, in whole words, not before its audio as far as can be known: servers send it ahead. How
long a character takes is measured on the answers before.
"""

from __future__ import annotations

from typing import Final

USUAL_MS: Final = 65.0
"""Speech takes so long for a character, until an answer was measured."""

MIN_MEASURED_CHARS: Final = 40
"""A shorter answer is mostly its beginning and its end."""

MIN_MS, MAX_MS = 20.0, 400.0
"""Measured paces outside of these are no speech in letters."""


class TextAlongAudio:
    """One answer: `write()` its text, `with_audio()` for each piece of audio gives the text that begins in it, `rest()` at the end."""

    def __init__(self, ms_per_character: float = USUAL_MS) -> None:
        self._ms_per_character = ms_per_character
        self._text = ""
        self._given = 0
        self._audio_ms = 0.0

    @property
    def written(self) -> bool:
        """Whether there was any text."""
        return bool(self._text)

    def write(self, text: str) -> None:
        self._text += text

    def with_audio(self, audio_ms: float) -> str:
        """The text for the next `audio_ms` of audio."""
        self._audio_ms += audio_ms
        return self._to(min(len(self._text), int(self._audio_ms / self._ms_per_character)))

    def rest(self) -> str:
        """What was not given so far."""
        given, self._given = self._given, len(self._text)
        return self._text[given:]

    def pace(self) -> float:
        """How long a character took, in ms; where the answer was too short to tell, as was thought before."""
        if len(self._text) < MIN_MEASURED_CHARS or not self._audio_ms:
            return self._ms_per_character
        return min(MAX_MS, max(MIN_MS, self._audio_ms / len(self._text)))

    def _to(self, end: int) -> str:
        """The text up to the end of the word at `end`, as far as it is whole."""
        while end < len(self._text) and not self._text[end].isspace():
            end += 1
        if end == len(self._text):
            while end > self._given and self._text[end - 1].isalnum():
                end -= 1
        if end <= self._given:
            return ""
        given, self._given = self._given, end
        return self._text[given:end]
