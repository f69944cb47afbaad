"""The calls that run: sessions that others may reach by the call's id, to attach to them or to hang up.

Laws:
- An id is unpredictable, and is never used twice.
- Only who could have made a call may reach it: the same key, or the very client secret with which it was opened. Everyone else is told that
  there is no such call.
- A call of the telephone is found by the id that the telephone system gave it, too; of several with one such id, the first is.
- A call is here from the moment its id is given out until its session is over. Its session has begun before (`RealtimeSession.opened`): who
  is quick to attach is told of the session as soon as its client is.
"""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from typing import Final, Protocol

from parley.server.access.access import Grant
from parley.server.realtime_session import RealtimeSession
from parley.server.refusals import Refusal

PREFIX: Final = "rtc_"
_LETTERS: Final = string.ascii_letters + string.digits
ID_LENGTH: Final = 21
"""As OpenAI's."""


class MediaLink(Protocol):
    """The link of a call."""

    def hang_up(self) -> None:
        """End the call and its session."""


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A session that is reached by an id, and the link that carries its audio."""

    id: str
    session: RealtimeSession
    link: MediaLink
    other_id: str = ""
    """The telephone system's; "": there is none."""


class Calls:
    """`enter` a call once it has an answer, `leave` when its session is over; `find` it for a request."""

    def __init__(self) -> None:
        self._calls: dict[str, OpenCall] = {}
        self._ids: dict[str, str] = {}
        """The id of each call that has another one, by that."""

    def __len__(self) -> int:
        return len(self._calls)

    def new_id(self) -> str:
        """An id that nobody has."""
        return PREFIX + "".join(secrets.choice(_LETTERS) for _ in range(ID_LENGTH))

    def enter(self, call: OpenCall) -> None:
        """Raises `ValueError` for a session that sends its audio as messages: who attaches to it would be sent all of it."""
        if not call.session.paced:
            raise ValueError("a session without a loudspeaker is no call")
        self._calls[call.id] = call
        if call.other_id:
            self._ids.setdefault(call.other_id, call.id)

    def leave(self, call_id: str) -> None:
        """Nothing happens where it has left."""
        call = self._calls.pop(call_id, None)
        if call is not None and self._ids.get(call.other_id) == call_id:
            del self._ids[call.other_id]

    def find(self, call_id: str, grant: Grant) -> OpenCall | Refusal:
        """The call with this id, for the holder of `grant`."""
        call = self._calls.get(call_id) or self._calls.get(self._ids.get(call_id, ""))
        if call is None or not _may_reach(grant, call.session.grant):
            return Refusal(404, "call_id_not_found", f"There is no call {call_id[:64]!r}; it may be over.", "call_id")
        return call


def _may_reach(grant: Grant, made_with: Grant) -> bool:
    if grant.secret is not None:
        return made_with.secret is not None and grant.secret.id == made_with.secret.id
    return grant.key.id == made_with.key.id
