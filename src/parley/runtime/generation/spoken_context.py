"""What a conversational synthesizer is given of the conversation: the turns of one session as float32, each under a lasting id.

Laws:
- Of two sounds under one id, one is the beginning of the other: a clause that was cut, or is still being made. So an engine may key
  what it computed on the id.
- A user's turn keeps the sound with which it first came. A speculative reply is given it before it is over: the silence behind it, which
  comes later, is left out.
- Only the turns of the last context are remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from parley.audio.pcm import to_float
from parley.core.words.ids import AttemptId
from parley.core.words.settings import AudioFormat
from parley.core.words.work import HeardTurn
from parley.engines.ports import SpeechChunk, SpokenTurn
from parley.runtime.generation.prompt_mapping import pcm16

TRAILING_S: Final = 1.5
"""A user's turn that is longer than before by at most so much is the same turn: what came is the silence that ended it."""


class SpokenContext:
    """The turns of one session."""

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns: dict[str, tuple[HeardTurn, SpokenTurn]] = {}

    def turns(self, heard: Sequence[HeardTurn]) -> tuple[SpokenTurn, ...]:
        """The same turns for the engine."""
        now = [self._turn(turn) for turn in heard]
        self._turns = {spoken.id: (first, spoken) for first, spoken in now}
        return tuple(
            _beginning(turn, spoken) if turn.speaker == "assistant" else replace(spoken, text=turn.text)
            for turn, (_, spoken) in zip(heard, now, strict=True)
        )

    def _turn(self, turn: HeardTurn) -> tuple[HeardTurn, SpokenTurn]:
        """The turn as it first came, and what it is for the engine."""
        if turn.speaker == "user":
            for first, spoken in self._turns.values():
                if first.speaker == "user" and _continues(turn, first):
                    return first, spoken
        elif (known := self._turns.get(turn.id)) is not None and turn.audio == known[0].audio[: len(turn.audio)]:
            return known
        audio = to_float(pcm16(turn.audio, turn.format))
        audio.setflags(write=False)
        return turn, SpokenTurn(turn.id, turn.speaker, turn.text, audio, turn.format.rate)


def _continues(turn: HeardTurn, first: HeardTurn) -> bool:
    """Whether `first` is the beginning of the turn, but for the silence behind it."""
    more = len(turn.audio) - len(first.audio)
    trailing = first.format.size(round(TRAILING_S * 24_000))
    return turn.format is first.format and 0 <= more <= trailing and turn.audio.startswith(first.audio)


def _beginning(turn: HeardTurn, spoken: SpokenTurn) -> SpokenTurn:
    """The clause as far as it was heard now."""
    count = len(turn.audio) // 2 if turn.format is AudioFormat.PCM16 else len(turn.audio)
    return replace(spoken, text=turn.text, audio=spoken.audio[:count])


class ClauseContext:
    """The clauses of one attempt, as the later ones are given them: `begin()` each, `add()` its audio, `end()` it.

    `turns` are what comes before them, None for a synthesizer that is not conversational: its clauses have no names.
    """

    __slots__ = ("_attempt", "_chunks", "_count", "_turns")

    def __init__(self, attempt: AttemptId, turns: tuple[SpokenTurn, ...] | None) -> None:
        self._attempt = attempt
        self._turns = turns
        self._count = 0
        self._chunks: list[SpeechChunk] = []

    @property
    def turns(self) -> tuple[SpokenTurn, ...]:
        """What was said before the clause last begun."""
        return self._turns or ()

    def begin(self) -> None:
        """The next clause."""
        self._count += 1
        self._chunks.clear()

    @property
    def name(self) -> str:
        """The name of the clause last begun."""
        return "" if self._turns is None else f"{self._attempt}/{self._count}"

    def add(self, chunk: SpeechChunk) -> None:
        """Audio of the clause."""
        if self._turns is not None:
            self._chunks.append(chunk)

    def end(self, text: str) -> None:
        """The clause is spoken."""
        if self._turns is None or not self._chunks:
            return
        audio = np.concatenate([chunk.audio for chunk in self._chunks])
        audio.setflags(write=False)
        self._turns += (SpokenTurn(self.name, "assistant", text, audio, self._chunks[0].sample_rate),)
