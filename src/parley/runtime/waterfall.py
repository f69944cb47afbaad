"""Where the time of each turn went, for whoever looks at one session: the page's waterfall.

Laws: watches, never takes part; the last `TURNS_KEPT` turns of sessions that are open, nothing of sessions that are over;
no words, only ids and times. Does not know when the listener heard anything: that is the client's to add.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal, TypedDict

from parley.core.words.ids import ItemId, ResponseId

TURNS_KEPT = 32
"""Per session: more than a screen shows, some 4 KiB."""

Ending = Literal["voice", "commit", "request"]
"""What ended the user's turn: the detector of turns, the client's commit, or a bare request for a response."""


class TurnTold(TypedDict):
    """A turn for JSON: times in milliseconds from its end, `*_at_ms` positions in the input audio."""

    ending: Ending
    item_id: str | None
    response_id: str | None
    voice_end_at_ms: float | None
    turn_end_at_ms: float | None
    transcript_ms: float | None
    requested_ms: float | None
    first_token_ms: float | None
    first_audio_ms: float | None
    sent_ms: float | None
    speculation: Literal["none", "won", "lost"]
    guesses_lost: int


@dataclass(slots=True)
class TurnFigures:
    """One turn and its reply. Times are monotonic ns, `*_ms` positions in the session's input audio; None: it did not happen.

    `first_token_ns` and `first_audio_ns` lie before `ended_ns` where a guess was right. `lost` counts the guesses that were not.
    """

    ending: Ending
    ended_ns: int
    item: ItemId | None = None
    voice_end_ms: float | None = None
    turn_end_ms: float | None = None
    transcript_ns: int | None = None
    response: ResponseId | None = None
    requested_ns: int | None = None
    first_token_ns: int | None = None
    first_audio_ns: int | None = None
    sent_ns: int | None = None
    won: bool = False
    lost: int = 0

    def told(self) -> TurnTold:
        return {
            "ending": self.ending,
            "item_id": self.item,
            "response_id": self.response,
            "voice_end_at_ms": _rounded(self.voice_end_ms),
            "turn_end_at_ms": _rounded(self.turn_end_ms),
            "transcript_ms": self._after(self.transcript_ns),
            "requested_ms": self._after(self.requested_ns),
            "first_token_ms": self._after(self.first_token_ns),
            "first_audio_ms": self._after(self.first_audio_ns),
            "sent_ms": self._after(self.sent_ns),
            "speculation": "won" if self.won else "lost" if self.lost else "none",
            "guesses_lost": self.lost,
        }

    def _after(self, time_ns: int | None) -> float | None:
        return None if time_ns is None else _rounded((time_ns - self.ended_ns) / 1e6)


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)


class SessionTurns:
    """The last turns of one session. Whoever watches the session calls these in the order of what happens."""

    __slots__ = ("_lost", "_turns")

    def __init__(self) -> None:
        self._turns: deque[TurnFigures] = deque(maxlen=TURNS_KEPT)
        self._lost = 0

    def told(self) -> list[TurnTold]:
        """Oldest first."""
        return [turn.told() for turn in self._turns]

    def voice_ended(self, item: ItemId, turn_end_ms: float, voice_end_ms: float, now_ns: int) -> None:
        """The detector of turns has ended one."""
        self._turns.append(TurnFigures("voice", now_ns, item, voice_end_ms, turn_end_ms))

    def committed(self, item: ItemId, now_ns: int) -> None:
        """The input became an item; after `voice_ended` of the same item this says nothing new."""
        if not self._turns or self._turns[-1].item != item:
            self._turns.append(TurnFigures("commit", now_ns, item))

    def transcribed(self, item: ItemId, now_ns: int) -> None:
        for turn in reversed(self._turns):
            if turn.item == item:
                turn.transcript_ns = now_ns
                return

    def guess_lost(self) -> None:
        """A reply begun in a pause was dropped; it counts for the turn that is answered next."""
        self._lost += 1

    def response_created(self, response: ResponseId, now_ns: int) -> TurnFigures:
        """The reply to the last turn, or, where that has one, to a request of its own. Fill in what the caller knows of it."""
        turn = self._turns[-1] if self._turns else None
        if turn is None or turn.response is not None:
            turn = TurnFigures("request", now_ns)
            self._turns.append(turn)
        turn.response = response
        turn.lost, self._lost = self._lost, 0
        return turn
