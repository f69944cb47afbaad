"""How late one direction is, and what went wrong: an account that is told what happened, in seconds of one clock.

Laws:
- Pure; bounded: the last `KEPT` measurements count.
- *Pause to audio* is from the end of speech to the first translated audio at the loudspeaker that was made for it. Where the link says how
  much of the source a piece translates (`until_s`), that is the first piece which reaches to within `NEAR_S` of the pause, so that a
  direction that is behind charges no pause with another one's audio; elsewhere it is the first audio that begins after the pause. A
  translation that was at the loudspeaker before the speaker paused counts as 0.
- *Ear-voice span* is how long ago the first words of what a piece translates were said when the piece begins to be heard: where the piece
  before it ends in the source, or where the speaker began after a pause.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from parley.interpret.ports import DirectionFigures, PauseStages

KEPT: Final = 200
OPEN_PAUSES: Final = 20
"""Pauses that wait for their translation; a cough that is never translated must not wait for ever."""

FORGOTTEN_S: Final = 30.0
NEAR_S: Final = 0.8
"""A piece that translates up to so shortly before a pause translates up to the pause: servers count in frames of 0.2 s, and cut silence."""


LONGEST_S: Final = 30.0
"""A piece that translates more than so much speech says nothing of when its first words were said."""


@dataclass(slots=True)
class _Pause:
    at_s: float
    words_s: float | None = None
    text_s: float | None = None
    audio_s: float | None = None


class DirectionAccount:
    """Tell it what happens, in order; `figures()` sums it up."""

    def __init__(self) -> None:
        self._pauses: deque[_Pause] = deque(maxlen=OPEN_PAUSES)
        self._waits_ms: deque[float] = deque(maxlen=KEPT)
        self._spans_ms: deque[float] = deque(maxlen=KEPT)
        self._last: PauseStages | None = None
        self._begins: deque[float] = deque(maxlen=OPEN_PAUSES)
        """When the speaker began, after each of the last pauses."""
        self._heard_until_s = float("-inf")
        """How much of the source has been translated at the loudspeaker."""
        self._plays: deque[tuple[float, float | None]] = deque(maxlen=KEPT)
        """When the last pieces began to be heard, and up to where each translates: those that may answer a pause not known yet."""
        self._dropped_s = 0.0
        self._reconnects = 0
        self._drifts = 0
        self._clauses: int | None = None
        self._converted_s = 0.0
        self._converting_s = 0.0

    def speech_began(self, at_s: float) -> None:
        """The speaker speaks since `at_s`."""
        self._begins.append(at_s)

    def speech_ended(self, at_s: float) -> None:
        """The speaker has paused: the last voice was at `at_s`."""
        pause = _Pause(at_s)
        for played_s, until_s in self._plays:
            # A pause is known some tenths of a second late; its translation may have begun meanwhile.
            if _answers(pause, until_s) and (until_s is not None or played_s > at_s):
                early = 0.0 if played_s <= at_s else None
                self._measured(PauseStages(early, early, early, _after(at_s, played_s)))
                return
        self._pauses.append(pause)

    def source_text(self, at_s: float) -> None:
        """More words were understood."""
        for pause in self._pauses:
            if pause.text_s is None:
                pause.words_s = at_s

    def target_text(self, at_s: float) -> None:
        """More of the translation came as text."""
        for pause in self._pauses:
            if pause.text_s is None:
                pause.text_s = at_s
                return

    def target_audio(self, at_s: float, until_s: float | None) -> None:
        """More of the translation came as audio; see `played()`."""
        for pause in self._pauses:
            if pause.audio_s is None and _answers(pause, until_s):
                pause.audio_s = at_s

    def played(self, at_s: float, until_s: float | None) -> None:
        """A piece begins to be heard at `at_s`; the last source sample that it translates was recorded at `until_s` (None: not known)."""
        if until_s is not None:
            begun = [each for each in self._begins if each < until_s]
            began_s = max([self._heard_until_s, *begun[-1:]])
            if began_s > until_s - LONGEST_S:
                self._spans_ms.append(1000 * max(0.0, at_s - began_s))
            if until_s > self._heard_until_s:
                self._plays.append((at_s, until_s))
                self._heard_until_s = until_s
        while self._pauses and self._pauses[0].at_s < at_s - FORGOTTEN_S:
            self._pauses.popleft()
        while self._pauses and self._pauses[0].at_s <= at_s and _answers(self._pauses[0], until_s):
            pause = self._pauses.popleft()
            stages = (_after(pause.at_s, each) for each in (pause.words_s, pause.text_s, pause.audio_s))
            words_ms, text_ms, audio_ms = stages
            self._measured(PauseStages(words_ms, text_ms, audio_ms, 1000 * (at_s - pause.at_s)))
            if until_s is None:
                # It answers the oldest one; what it says of the others is not known.
                return
        if until_s is None:
            self._plays.append((at_s, None))

    def _measured(self, stages: PauseStages) -> None:
        self._last = stages
        if stages.played_ms is not None:
            self._waits_ms.append(stages.played_ms)

    def dropped(self, seconds: float) -> None:
        """Audio was left out, because it was too old."""
        self._dropped_s += seconds

    def unheard(self, seconds: float) -> None:
        """So much of the translation was not played. The pauses whose audio had come are not measured: what is played next may answer
        others."""
        self._dropped_s += seconds
        kept = [pause for pause in self._pauses if pause.audio_s is None]
        self._pauses.clear()
        self._pauses.extend(kept)

    def reconnected(self) -> None:
        """A lost session was replaced."""
        self._reconnects += 1

    def drifted(self) -> None:
        """Something was said that is no translation."""
        self._drifts += 1

    def clause(self) -> None:
        """A clause, or a sentence, was translated."""
        self._clauses = (self._clauses or 0) + 1

    def converted(self, audio_s: float, took_s: float) -> None:
        """So much audio went through the voice converter in so much time."""
        # Of the last minute or so.
        self._converted_s = self._converted_s * 0.98 + audio_s
        self._converting_s = self._converting_s * 0.98 + took_s

    def figures(self) -> DirectionFigures:
        """All of it so far; what the sound and the converter know themselves is left out."""
        return DirectionFigures(
            last=self._last,
            pause_p50_ms=_percentile(self._waits_ms, 50),
            pause_p95_ms=_percentile(self._waits_ms, 95),
            span_p50_ms=_percentile(self._spans_ms, 50),
            span_p90_ms=_percentile(self._spans_ms, 90),
            dropped_s=self._dropped_s,
            reconnects=self._reconnects,
            drifts=self._drifts,
            clauses=self._clauses,
            conversion_rtf=self._converting_s / self._converted_s if self._converted_s else None,
        )


def _answers(pause: _Pause, until_s: float | None) -> bool:
    return until_s is None or until_s >= pause.at_s - NEAR_S


def _after(begin_s: float, at_s: float | None) -> float | None:
    return None if at_s is None else max(0.0, 1000 * (at_s - begin_s))


def _percentile(values: Iterable[float], share: float) -> float | None:
    kept = list(values)
    return float(np.percentile(kept, share)) if kept else None
