"""The replaceable rules about the user's voice: where a turn begins, when it ends, what takes the floor.

Laws: a rule only answers; it is a pure function of its arguments, so that the same audio causes the same turns.
Implement one of the protocols and pass it to the session in `Rules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from parley.core.policy.endpointing import pause_needed_ms, prefix_ms
from parley.core.words.settings import TurnDetection

MAX_PRE_ROLL_MS = 2_000
"""The most audio kept from before a voice: no breath before a word is longer."""


@dataclass(frozen=True, slots=True)
class PauseSeen:
    """What is known about a pause.

    `pause_ms` of silence so far, after `turn_ms` of the turn (pre-roll included); `text`: the words so far, as well as
    they are known; `finished`: the probability in 0..1 that the turn is over, the higher one of the turn judge's and the recogniser's
    (`PartialTranscribed.end_of_turn`), None while neither has judged.
    """

    pause_ms: int
    turn_ms: int
    text: str
    finished: float | None


class Endpointing(Protocol):
    """Called in every pause, for each frame of 32 ms."""

    def pause_needed_ms(self, detection: TurnDetection, pause: PauseSeen) -> int:
        """Milliseconds of silence that end the turn."""
        ...


class PreRoll(Protocol):
    """Called once, when a voice begins."""

    def pre_roll_ms(self, detection: TurnDetection, before: tuple[float, ...]) -> int:
        """Milliseconds before the voice that belong to the turn; at most `MAX_PRE_ROLL_MS` are kept.

        `before` are the voice probabilities of the frames before it, the last one first.
        """
        ...


class FloorRule(Protocol):
    """Called during speech over a reply, for each frame and each new word."""

    def takes_floor(self, text: str, voice_ms: int) -> bool:
        """Shall the reply stop? `text`: the words so far; `voice_ms`: since when the voice is heard."""
        ...


class RuleTable:
    """The built-in endpointing and pre-roll: the settings', and a table of pauses for each eagerness."""

    def pause_needed_ms(self, detection: TurnDetection, pause: PauseSeen) -> int:
        return pause_needed_ms(detection, pause.finished)

    def pre_roll_ms(self, detection: TurnDetection, before: tuple[float, ...]) -> int:
        return prefix_ms(detection)


_TABLE = RuleTable()


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a session. `floor` None: `OwnerSettings.barge_in` decides."""

    endpointing: Endpointing = _TABLE
    pre_roll: PreRoll = _TABLE
    floor: FloorRule | None = None

    @property
    def settled_pre_roll(self) -> bool:
        """Whether the pre-roll comes from the settings, known before any voice."""
        return self.pre_roll is _TABLE
