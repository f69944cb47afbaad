"""What is known of one turn of a conversation: its pieces of text and codes, and what lies before the model of one that was cut.

Laws: a turn is encoded, or made, once. Where the listener heard less of it, its codes are cut in whole frames, and its text in whole words.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Final

from parley.engines.ports import SpokenTurn
from parley.engines.tts.csm.context_plan import heard_frames
from parley.engines.tts.csm.model import FRAME_SAMPLES, SAMPLE_RATE, Codes
from parley.engines.tts.csm.spoken_text import first_words, plain_text

_serials: Final = itertools.count()


@dataclass(frozen=True, slots=True)
class TurnEntry:
    """A turn, or a piece of one, as it is to lie in a sequence. Equal keys lie there alike."""

    key: Hashable
    speaker: int
    text: str
    codes: Codes = field(repr=False)


@dataclass(slots=True)
class KnownTurn:
    """`pieces` are texts with their codes; `samples` (24 kHz) is what came out of them, or went in. `own`: the engine made it itself,
    in the `voice` of that digest.

    `heard` is how many frames of it the latest context had; None before the first one.
    """

    own: bool
    voice: str = ""
    samples: int = 0
    pieces: list[tuple[str, Codes]] = field(default_factory=list)
    heard: int | None = None
    serial: int = field(default_factory=lambda: next(_serials))

    @property
    def frames(self) -> int:
        return sum(len(codes) for _, codes in self.pieces)

    def add(self, text: str, codes: Codes, speed: float = 1.0) -> None:
        """A further piece has been spoken, `speed` times as fast as it was made."""
        self.pieces.append((text, codes))
        self.heard = None
        self.samples = round(self.frames * FRAME_SAMPLES / min(4.0, max(0.25, speed)))

    def hears(self, turn: SpokenTurn) -> bool:
        """Take what a context says of the turn. False where its audio is longer than what is known: it is another one."""
        samples = samples_of(turn)
        if samples > self.samples + FRAME_SAMPLES and not self.own:
            return False
        if samples:
            self.heard = heard_frames(samples, self.samples, self.frames)
        return True

    def entries(self, speaker: int, heard_text: str = "") -> Iterator[TurnEntry]:
        """What of the turn is to lie in a sequence. `heard_text` is what the context says was said, or heard of it."""
        left = self.frames if self.heard is None else self.heard
        words_before = 0
        for index, (text, codes) in enumerate(self.pieces):
            frames = min(left, len(codes))
            left -= frames
            said = text if self.own and frames == len(codes) else self._cut(index, frames, heard_text, words_before)
            if not frames or not said:
                return
            yield TurnEntry((self.serial, index, speaker, said, frames), speaker, said, codes[:frames])
            words_before += len(text.split())

    def latest(self, speaker: int) -> TurnEntry:
        """The piece that was added last, whole."""
        text, codes = self.pieces[-1]
        return TurnEntry((self.serial, len(self.pieces) - 1, speaker, text, len(codes)), speaker, text, codes)

    def _cut(self, index: int, frames: int, heard_text: str, words_before: int) -> str:
        """The text of a piece of which `frames` were heard, by what the context says, else in proportion."""
        text, codes = self.pieces[index]
        given = plain_text(" ".join(plain_text(heard_text).split()[words_before:]))
        if not self.own or (given and len(given) < len(text)):
            return given
        return first_words(text, frames / max(1, len(codes)))


def samples_of(turn: SpokenTurn) -> int:
    """The length of the turn's audio at 24 kHz."""
    return round(len(turn.audio) * SAMPLE_RATE / turn.sample_rate) if len(turn.audio) else 0


def frames_of(turn: SpokenTurn) -> int:
    """How many frames its codes will have."""
    return -(-samples_of(turn) // FRAME_SAMPLES)
