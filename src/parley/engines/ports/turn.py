"""End of turn: the probability, in a pause, that the speaker has finished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from parley.engines.ports.engine import Engine, Samples


@dataclass(frozen=True, slots=True)
class PauseContext:
    """What a turn judge may look at: the transcript so far and the turn's last seconds of audio (16 kHz), up to the pause.

    `language` is a BCP-47 tag, "" where it is unknown. `confidence` is the recogniser's in `text` (0..1), None where it gives none.
    """

    text: str
    audio: Samples
    language: str = ""
    confidence: float | None = None


@runtime_checkable
class TurnJudge(Engine, Protocol):
    """Judges, in a pause, whether the speaker has finished."""

    async def judge(self, pause: PauseContext) -> float:
        """Probability in 0..1 that the turn is over."""
        ...
