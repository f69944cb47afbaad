"""Ids, and the minter that makes them.

Laws: an id is opaque; the core never reads one. All ids of a session come from its one `Minter`, whose output
depends only on the seed and the number of calls, so that a replayed trace has the same ids.
"""

from __future__ import annotations

import hashlib
from typing import NewType

SessionId = NewType("SessionId", str)
ConversationId = NewType("ConversationId", str)
ItemId = NewType("ItemId", str)
ResponseId = NewType("ResponseId", str)
CallId = NewType("CallId", str)
ClientEventId = NewType("ClientEventId", str)

TurnId = NewType("TurnId", int)
AttemptId = NewType("AttemptId", int)
NO_ATTEMPT = AttemptId(0)
"""Of audio that no engine generated."""
FlushId = NewType("FlushId", int)
JudgementId = NewType("JudgementId", int)
ListingId = NewType("ListingId", int)
ToolCallId = NewType("ToolCallId", int)
SummaryId = NewType("SummaryId", int)

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_LETTER_OF_BYTE = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in range(256)).encode()
_LENGTH = 21


class Minter:
    """Makes ids: public ones look like OpenAI's (`item_` and 21 letters or digits), inner ones are small integers.

    `seed` is the session's own; give every session another one.
    """

    __slots__ = ("_count", "_inner", "_seed")

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._count = 0
        self._inner = 0

    def _public(self, prefix: str) -> str:
        self._count += 1
        digest = hashlib.blake2b(self._count.to_bytes(8, "big"), key=self._seed[:64], digest_size=32).digest()
        return prefix + digest[:_LENGTH].translate(_LETTER_OF_BYTE).decode("ascii")

    def session(self) -> SessionId:
        return SessionId(self._public("sess_"))

    def conversation(self) -> ConversationId:
        return ConversationId(self._public("conv_"))

    def item(self) -> ItemId:
        return ItemId(self._public("item_"))

    def response(self) -> ResponseId:
        return ResponseId(self._public("resp_"))

    def call(self) -> CallId:
        return CallId(self._public("call_"))

    def turn(self) -> TurnId:
        return TurnId(self._next())

    def attempt(self) -> AttemptId:
        return AttemptId(self._next())

    def flush(self) -> FlushId:
        return FlushId(self._next())

    def judgement(self) -> JudgementId:
        return JudgementId(self._next())

    def listing(self) -> ListingId:
        return ListingId(self._next())

    def tool_call(self) -> ToolCallId:
        return ToolCallId(self._next())

    def summary(self) -> SummaryId:
        return SummaryId(self._next())

    def _next(self) -> int:
        self._inner += 1
        return self._inner
