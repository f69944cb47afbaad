"""`parley.turn.metrics`: where the time of each turn went, for a client that asked for it.

Laws: off unless the session's `include` names it; a report follows the `response.done` that ends the turn's reply, or, in a transcription
session, the transcript. Renders the account of the turns; measures nothing itself.
"""

from __future__ import annotations

from parley.core.words.effects import CloseReason
from parley.core.words.notices import Notice, ResponseDone, SessionCreated, SessionUpdated, TranscriptionCompleted
from parley.core.words.settings import TURN_METRICS
from parley.runtime.listeners import Listener
from parley.runtime.turns import TurnAccount
from parley.runtime.waterfall import measured, measured_reply


class TurnReports:
    """A listener of one session; `client` takes the reports, and must stand before this one among the session's listeners."""

    def __init__(self, account: TurnAccount, client: Listener) -> None:
        self._account = account
        self._client = client
        self._wanted = False
        self._speaks = True

    def on_notice(self, notice: Notice) -> None:
        match notice:
            case SessionCreated(settings=settings) | SessionUpdated(settings=settings):
                self._wanted = TURN_METRICS in settings.include
                self._speaks = settings.kind == "realtime"
            case ResponseDone(response=response) if self._wanted:
                report = measured_reply(self._account, response.id)
                if report is not None:
                    self._client.on_notice(report)
            case TranscriptionCompleted(item_id=item_id) if self._wanted and not self._speaks:
                for report in measured(turn for turn in self._account.turns if turn.item == item_id):
                    self._client.on_notice(report)
            case _:
                pass

    def on_close(self, reason: CloseReason) -> None:
        """The client is a listener of its own, and is closed as one."""
