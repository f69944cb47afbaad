"""What must always be true of a session, looked at from inside after every event.

The numbers are those of the architecture. (2, 3, 6, 8, 13 and 14 are about what is told over time; a checker
outside watches them, and `Response.finish` refuses a second terminal on the spot.)
"""

from __future__ import annotations

from parley.core.regions.turn_taking import Pausing
from parley.core.state import State
from parley.core.words.errors import InvariantBroken
from parley.core.words.limits import (
    MAX_BUFFERED_MS,
    MAX_HELD_BYTES,
    MAX_MCP_SERVERS,
    MAX_PENDING_TURNS,
    MAX_RUNNING_CALLS,
    MAX_SIDE_RESPONSES,
    MAX_WAITING_MS,
    SAMPLES_PER_MS,
)


def check(st: State) -> None:
    """Raises `InvariantBroken`, naming the invariant, if the state contradicts itself."""
    if st.closed:
        if st.attempts or st.pending or st.main is not None:
            raise InvariantBroken("12: something lives on after the end")
        return
    if st.main is not None and st.main.done:
        raise InvariantBroken("1: a finished response still holds the conversation")
    guess = st.guess
    if guess is not None:
        if not isinstance(st.turns.position, Pausing):
            raise InvariantBroken("4: a reply is held although nobody pauses")
        if guess.response is not None or (guess.id not in st.attempts and not guess.ended):
            raise InvariantBroken("5: a held reply is not held")
        if guess.held_bytes > MAX_HELD_BYTES:
            raise InvariantBroken("11: the held reply is over its limit")
    if st.input.buffered > MAX_BUFFERED_MS * SAMPLES_PER_MS or st.input.buffered < 0:
        raise InvariantBroken("10: the input buffer is out of its bounds")
    if len(st.pending) > MAX_PENDING_TURNS or len(st.sides) > MAX_SIDE_RESPONSES:
        raise InvariantBroken("11: too many turns or responses wait")
    if len(st.pending) > 1:
        before_the_last = list(st.pending.values())[:-1]
        if sum(pending.samples for pending in before_the_last) > MAX_WAITING_MS * SAMPLES_PER_MS:
            raise InvariantBroken("11: too much audio waits for its words")
    if len(st.calls) > MAX_RUNNING_CALLS or len(st.servers) > MAX_MCP_SERVERS:
        raise InvariantBroken("11: too many calls of tools, or MCP servers")
    for response_id in st.acting:
        if not any(call.response is not None and call.response.id == response_id for call in st.calls.values()):
            raise InvariantBroken("2: a response waits for calls that are over")
    for attempt in st.attempts.values():
        if attempt.response is not None and attempt.response.done:
            raise InvariantBroken("8: a finished response is still being generated")
