"""The output of one response, held until its beginning has been judged, and judged again when it is whole.

Laws:
- Pure: time (seconds of the caller's monotonic clock) is an argument; nothing is given out of order, and nothing twice.
- What is held is bounded: by the first words or the first audio, whichever the server sends first, and by `SOURCE_WAIT_S` for the words
  that were said. Where the server sends audio first, it is given without having been judged.
- The judgement is the translators' own (`engines/mt/drift.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from parley.audio.types import Int16
from parley.engines.mt import language_guess
from parley.engines.mt.drift import Drift, Guess, drift_at_start, drift_of, longest
from parley.interpret.routes.speech_input import SAMPLES_PER_MS
from parley.interpret.updates import RouteUpdate, TargetAudio, TargetText

HELD_WORDS: Final = 5
"""So many words say what language they are in, and how a refusal begins."""

HELD_AUDIO_MS: Final = 300

SOURCE_WAIT_S: Final = 0.6
"""An output waits for so long for the transcript of what was said, which most servers send before or with it."""

MOST_HELD_MS: Final = 60_000
"""Audio that is held at most where the whole output is."""

Hold = Literal["start", "whole"]
"""What is judged before it is played: the start of an output, or all of it, which costs its whole length in time."""


@dataclass(frozen=True, slots=True)
class LanguagePair:
    """From and into which language an output is to translate; BCP 47 tags, `source` "" is unknown."""

    source: str
    target: str


class ResponseOutput:
    """Add what comes; `release()` after each addition and at `deadline()` gives what may be played and shown now."""

    def __init__(
        self, pair: LanguagePair, until_ms: float, *, hold: Hold = "start", guess: Guess = language_guess.guess
    ) -> None:
        self.pair, self._until_ms, self._hold, self._guess = pair, until_ms, hold, guess
        self._held: list[RouteUpdate] = []
        self._held_ms = 0.0
        self._first_s: float | None = None
        self.text = ""
        self.released = False
        self.played_ms = 0.0

    def add_text(self, delta: str, now_s: float) -> None:
        if delta:
            self.text += delta
            self._add(TargetText(delta), now_s)

    def add_audio(self, audio: Int16, now_s: float) -> None:
        if len(audio):
            self._held_ms += len(audio) / SAMPLES_PER_MS
            self._add(TargetAudio(audio, self._until_ms), now_s)

    def _add(self, update: RouteUpdate, now_s: float) -> None:
        if self._first_s is None:
            self._first_s = now_s
        self._held.append(update)

    @property
    def begun(self) -> bool:
        """Whether anything has come."""
        return self._first_s is not None

    def deadline(self, *, heard: bool) -> float | None:
        """When the output no longer waits for the words that were said; None: it does not wait for them."""
        waits = not (self.released or heard) and self._hold == "start" and self._enough
        return self._first_s + SOURCE_WAIT_S if waits and self._first_s is not None else None

    def drift(self, source: str | None, *, heard: bool, now_s: float) -> Drift | None:
        """What is wrong with the output so far; None also where it is too early to say. `source` are the words that were said, None where
        they are not known; `heard`: that will not change."""
        if self.released:
            return self._too_long(source)
        if not self._judgeable(heard, now_s):
            return None
        return drift_at_start(source, self.text, self.pair.source, self.pair.target, self._guess)

    def whole_drift(self, source: str | None) -> Drift | None:
        """What is wrong with the output, now that it is whole."""
        if source is None:
            return drift_at_start(None, self.text, self.pair.source, self.pair.target, self._guess)
        return drift_of(source, self.text, self.pair.source, self.pair.target, self._guess)

    def release(self, *, heard: bool, now_s: float) -> list[RouteUpdate]:
        """What may be played and shown now. Call `drift()` before: what is given has been judged as far as it can be."""
        may = self._hold == "start" and self._judgeable(heard, now_s)
        return self.release_all() if self.released or may or self._held_ms > MOST_HELD_MS else []

    def release_all(self) -> list[RouteUpdate]:
        """All that is held."""
        self.released = self.released or bool(self._held)
        given, self._held = self._held, []
        self.played_ms += self._held_ms
        self._held_ms = 0.0
        return given

    @property
    def _enough(self) -> bool:
        return len(self.text.split()) > HELD_WORDS or self._held_ms >= HELD_AUDIO_MS

    def _judgeable(self, heard: bool, now_s: float) -> bool:
        """Whether enough has come, and the words that were said are known or late."""
        late = self._first_s is not None and now_s >= self._first_s + SOURCE_WAIT_S
        return self._enough and (heard or late)

    def _too_long(self, source: str | None) -> Drift | None:
        if source is not None and len(self.text) > longest(source):
            return drift_at_start(source, self.text, self.pair.source, self.pair.target, self._guess)
        return None
