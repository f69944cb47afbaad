"""The figures of one turn, as a notice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parley.core.words.ids import ItemId, ResponseId


@dataclass(frozen=True, slots=True)
class TurnMeasured:
    """Where the time of one turn went, in milliseconds from its end; `*_at_ms` are positions in the input audio, None: it did not happen.

    The shell makes it from its account of the turn, for a client that asked for it; the core never does.
    """

    ending: Literal["voice", "commit", "request"]
    item_id: ItemId | None
    response_id: ResponseId | None
    voice_end_at_ms: float | None
    turn_end_at_ms: float | None
    transcript_ms: float | None
    requested_ms: float | None
    first_token_ms: float | None
    first_audio_ms: float | None
    sent_ms: float | None
    speculation: Literal["none", "won", "lost"]
    speculations_lost: int
