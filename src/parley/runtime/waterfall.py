"""Where the time of each turn went, for a client that looks at its session: the page's waterfall and `parley.turn.metrics`.

Laws: pure; renders the account of the turns (`runtime/turns.py`); no words, only ids and times. Does not know when the listener heard
anything: that is the client's to add.
"""

from __future__ import annotations

from collections.abc import Iterable

from parley.core.words.ids import ResponseId
from parley.core.words.turn_measured import TurnMeasured
from parley.runtime.turn_records import ReplyRecord, TurnRecord
from parley.runtime.turns import TurnAccount


def measured(turns: Iterable[TurnRecord]) -> list[TurnMeasured]:
    """A row for each turn and, where it has several replies, for each further reply; oldest first."""
    return [row for turn in turns for row in _rows(turn)]


def measured_reply(account: TurnAccount, response: ResponseId) -> TurnMeasured | None:
    """The row of the turn that this response answers; None for a response outside of the conversation."""
    found = account.reply(response)
    if found is None:
        return None
    turn, reply = found
    return _rows(turn)[turn.replies.index(reply)]


def _rows(turn: TurnRecord) -> list[TurnMeasured]:
    first = turn.replies[0] if turn.replies else None
    later = [_row(TurnRecord(turn.number, "request", ended_ns=reply.began_ns), reply) for reply in turn.replies[1:]]
    return [_row(turn, first), *later]


def _row(turn: TurnRecord, reply: ReplyRecord | None) -> TurnMeasured:
    attempt = reply.attempt if reply is not None else None
    lost = reply.speculations_lost if reply is not None else 0
    end_ms, pause_ms = turn.turn_end_ms, turn.pause_ms

    def after(time_ns: int | None) -> float | None:
        return None if time_ns is None else round((time_ns - turn.ended_ns) / 1e6, 1)

    return TurnMeasured(
        ending=turn.ending or "request",
        item_id=turn.item,
        response_id=reply.response if reply is not None else None,
        voice_end_at_ms=None if end_ms is None or pause_ms is None else round(end_ms - pause_ms, 1),
        turn_end_at_ms=end_ms,
        transcript_ms=after(turn.transcript_ns if turn.item is not None else None),
        requested_ms=after(attempt.requested_ns if attempt is not None else None),
        first_token_ms=after(attempt.first_token_ns if attempt is not None else None),
        first_audio_ms=after(attempt.first_audio_ns if attempt is not None else None),
        sent_ms=after(reply.sent_ns if reply is not None else None),
        speculation="won" if reply is not None and reply.won else "lost" if lost else "none",
        speculations_lost=lost,
    )
