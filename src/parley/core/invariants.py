"""The invariants of a session's state, checked after every event.

The numbers are those of the architecture. (2, 3, 6, 8, 13 and 14 are about sequences of events; `parley.testing.checker`
checks them from outside, and `Response.finish` rejects a second terminal at once.)
"""

from __future__ import annotations

from parley.core.regions.turn_taking import Pausing
from parley.core.state import State
from parley.core.words.errors import InvariantBroken
from parley.core.words.limits import (
    MAX_BUFFERED_MS,
    MAX_PENDING_TURNS,
    MAX_PENDING_WORK,
    MAX_RUNNING_CALLS,
    MAX_SIDE_RESPONSES,
    MAX_TOOL_SERVERS,
    MAX_WAITING_MS,
    SAMPLES_PER_MS,
)


def check(st: State) -> None:
    """Raises `InvariantBroken`, naming the invariant, if the state contradicts itself."""
    main, held = st.responses.main, st.attempts.held
    if st.closed:
        if st.attempts.alive or st.pending.turns or main is not None:
            raise InvariantBroken("12: something lives on after the end")
        return
    if main is not None and main.done:
        raise InvariantBroken("1: a finished response still holds the conversation")
    if held is not None:
        if not isinstance(st.turns.position, Pausing):
            raise InvariantBroken("4: a reply is held outside a pause")
        if held.attempt.response is not None or (held.attempt.id not in st.attempts and not held.attempt.ended):
            raise InvariantBroken("5: a held reply is not held")
        if held.too_large:
            raise InvariantBroken("11: the held reply is over its limit")
    if not 0 <= st.input.buffered <= MAX_BUFFERED_MS * SAMPLES_PER_MS:
        raise InvariantBroken("10: the input buffer is out of its bounds")
    if st.pending.turns:
        _check_pending(st)
    if st.responses.positions:
        _check_responses(st)
    if len(st.tools.calls) > MAX_RUNNING_CALLS or len(st.tools.listings) > MAX_TOOL_SERVERS:
        raise InvariantBroken("11: too many calls or servers of tools")
    if len(st.work.waiting) > MAX_PENDING_WORK + 1:
        raise InvariantBroken("11: too much work waits")
    if st.attempts.alive:
        for attempt in st.attempts:
            if attempt.response is not None and attempt.response.done:
                raise InvariantBroken("8: a finished response is still being generated")


def _check_responses(st: State) -> None:
    if len(st.responses.sides) > MAX_SIDE_RESPONSES:
        raise InvariantBroken("11: too many responses wait")
    for response in st.responses.awaiting_calls():
        if not st.tools.runs_for(response.id):
            raise InvariantBroken("2: a response waits for calls that are over")


def _check_pending(st: State) -> None:
    if len(st.pending.turns) > MAX_PENDING_TURNS:
        raise InvariantBroken("11: too many turns wait")
    if len(st.pending.turns) > 1:
        before_the_last = st.pending.samples - tuple(st.pending)[-1].samples
        if before_the_last > MAX_WAITING_MS * SAMPLES_PER_MS:
            raise InvariantBroken("11: too much audio waits for its words")
