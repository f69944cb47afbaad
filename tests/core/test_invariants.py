"""The invariants of a session: invalid states, built by hand, must fail the check."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from parley.core.invariants import check
from parley.core.regions.attempt import Held, Plan
from parley.core.regions.entry import Entry
from parley.core.regions.open_responses import AwaitingCalls, AwaitingInput
from parley.core.regions.pending_turns import Pending
from parley.core.regions.response import Response
from parley.core.regions.tool_servers import Listing, RunningCall
from parley.core.regions.turn_taking import Pausing, Quiet, UserTurn
from parley.core.regions.work_queue import PendingWork
from parley.core.state import State
from parley.core.words.errors import InvariantBroken
from parley.core.words.events import TimePassed
from parley.core.words.ids import ConversationId, ItemId, ListingId, ResponseId, ToolCallId, TurnId
from parley.core.words.items import McpCall, Message
from parley.core.words.limits import (
    MAX_BUFFERED_MS,
    MAX_HELD_BYTES,
    MAX_PENDING_TURNS,
    MAX_PENDING_WORK,
    MAX_RUNNING_CALLS,
    MAX_SIDE_RESPONSES,
    MAX_TOOL_SERVERS,
    MAX_WAITING_MS,
    SAMPLES_PER_MS,
)
from parley.core.words.notices import Usage
from parley.core.words.settings import AudioFormat, McpServer, OwnerSettings
from tests.core.scene import Scene

MAX_WAITING = MAX_WAITING_MS * SAMPLES_PER_MS
MAX_BUFFERED = MAX_BUFFERED_MS * SAMPLES_PER_MS


def scene() -> Scene:
    """A session that holds a speculative reply in a pause."""
    scene = Scene(owner=OwnerSettings(speculation=True, speculate_after_ms=200))
    scene.pauses("hello there")
    return scene


def speculating() -> State:
    return scene().session._st


def held(st: State) -> Held:
    assert st.attempts.held is not None
    return st.attempts.held


def quiet() -> State:
    """A new session."""
    return Scene().session._st


def closed() -> State:
    st = quiet()
    st.closed = True
    return st


def response(number: int = 1, *, done: bool = False, in_conversation: bool = False) -> Response:
    conversation = ConversationId("c") if in_conversation else None
    made = Response(ResponseId(f"r{number}"), conversation, "text", "", AudioFormat.PCM16, None, None)
    made.done = done
    return made


def waits(st: State, *samples: int) -> None:
    """Committed turns of these lengths in samples wait for their transcripts."""
    for number, count in enumerate(samples):
        turn = UserTurn(TurnId(number), ItemId(f"i{number}"), 0, 0, 0)
        st.pending.add(Pending(turn, Entry(Message(turn.item_id, "user", ())), count, 0, False))


def runs(st: State, count: int, of: Response | None = None) -> None:
    """This many tool calls run for the response."""
    for number in range(count):
        entry = Entry(McpCall(ItemId(f"c{number}"), "books", "find", "{}"))
        st.tools.begin(ToolCallId(number), RunningCall(entry, 0, 0, of.id if of else None))


def acts(st: State, waiting: Response) -> None:
    """The response waits for its calls."""
    st.responses.begin(waiting, AwaitingCalls(Plan(), Usage()))


def has_servers(st: State, count: int) -> None:
    for number in range(count):
        server = McpServer(f"s{number}", "https://books.example/mcp")
        st.tools.add(Listing(ListingId(number), server, Entry(Message(ItemId("s"), "user", ())), None))


def aside(st: State, count: int) -> None:
    """This many out-of-band responses run."""
    for number in range(count):
        st.responses.begin(response(number), AwaitingInput(Plan()))


def closed_with_an_attempt() -> State:
    st = speculating()
    st.closed = True
    return st


def closed_with_a_turn() -> State:
    waits(st := closed(), 1)
    return st


def closed_with_a_response() -> State:
    st = closed()
    st.responses.begin(response(in_conversation=True), AwaitingInput(Plan()))
    return st


def finished_main() -> State:
    st = quiet()
    st.responses.begin(response(in_conversation=True, done=True), AwaitingInput(Plan()))
    return st


def held_without_a_pause() -> State:
    st = speculating()
    st.turns.position = Quiet()
    return st


def held_that_feeds() -> State:
    st = speculating()
    held(st).attempt.response = response()
    return st


def held_that_is_not_made() -> State:
    st = speculating()
    st.attempts.forget(held(st).attempt.id)
    return st


def held_of(size: int) -> State:
    st = speculating()
    held(st).bytes = size
    return st


def works(count: int) -> State:
    """This much work is queued."""
    st = quiet()
    st.work.waiting = [PendingWork(not_before_ns=number) for number in range(count)]
    return st


def buffered(samples: int) -> State:
    st = quiet()
    st.input.received = st.input.begins + samples
    return st


def waiting(*samples: int) -> State:
    waits(st := quiet(), *samples)
    return st


def sides(count: int) -> State:
    aside(st := quiet(), count)
    return st


def calls(count: int) -> State:
    runs(st := quiet(), count)
    return st


def servers(count: int) -> State:
    has_servers(st := quiet(), count)
    return st


def acting_for(*, calls_of: Response | None, calls: int = 1) -> State:
    acts(st := quiet(), response())
    runs(st, calls, calls_of)
    return st


def finished_attempt() -> State:
    st = speculating()
    taken = st.attempts.take_held()
    assert taken is not None
    taken.attempt.response = response(done=True)
    return st


BROKEN: dict[str, tuple[Callable[[], State], str]] = {
    "an attempt after the end": (closed_with_an_attempt, "12"),
    "a turn after the end": (closed_with_a_turn, "12"),
    "a response after the end": (closed_with_a_response, "12"),
    "a finished response that is still open": (finished_main, "1"),
    "a held attempt outside a pause": (held_without_a_pause, "4"),
    "a held attempt that feeds a response": (held_that_feeds, "5"),
    "a held attempt that does not run": (held_that_is_not_made, "5"),
    "a held attempt over its limit": (lambda: held_of(MAX_HELD_BYTES + 1), "11"),
    "an input buffer over its limit": (lambda: buffered(MAX_BUFFERED + 1), "10"),
    "a negative input buffer": (lambda: buffered(-1), "10"),
    "too many turns": (lambda: waiting(*[0] * (MAX_PENDING_TURNS + 1)), "11"),
    "too many side responses": (lambda: sides(MAX_SIDE_RESPONSES + 1), "11"),
    "too much pending audio": (lambda: waiting(MAX_WAITING + 1, 0), "11"),
    "too much pending audio in several turns": (lambda: waiting(MAX_WAITING, 1, 0), "11"),
    "too much work": (lambda: works(MAX_PENDING_WORK + 2), "11"),
    "too many calls": (lambda: calls(MAX_RUNNING_CALLS + 1), "11"),
    "too many servers": (lambda: servers(MAX_TOOL_SERVERS + 1), "11"),
    "a response that waits for no calls": (lambda: acting_for(calls_of=None, calls=0), "2"),
    "a response that waits for calls without any": (lambda: acting_for(calls_of=None), "2"),
    "a response that waits for another one's calls": (lambda: acting_for(calls_of=response(2)), "2"),
    "a finished response with a running attempt": (finished_attempt, "8"),
}


@pytest.mark.parametrize(("broken", "number"), BROKEN.values(), ids=BROKEN)
def test_a_broken_state_is_detected_and_its_invariant_named(broken: Callable[[], State], number: str) -> None:
    with pytest.raises(InvariantBroken, match=f"^{number}: "):
        check(broken())


def held_that_has_ended() -> State:
    st = held_that_is_not_made()
    held(st).attempt.ended = True
    return st


def closed_after_calls() -> State:
    """Fields that a closed session no longer reads."""
    runs(st := closed(), MAX_RUNNING_CALLS + 1)
    return st


SOUND: dict[str, Callable[[], State]] = {
    "a new session": quiet,
    "closed": closed,
    "closed, over its limits": closed_after_calls,
    "a held attempt": speculating,
    "a held attempt that has finished": held_that_has_ended,
    "a held attempt at its limit": lambda: held_of(MAX_HELD_BYTES),
    "a full input buffer": lambda: buffered(MAX_BUFFERED),
    "the most pending turns": lambda: waiting(*[0] * MAX_PENDING_TURNS),
    "the most side responses": lambda: sides(MAX_SIDE_RESPONSES),
    "the most pending audio, before a long turn": lambda: waiting(MAX_WAITING - 1, 1, 2 * MAX_WAITING),
    "one long turn": lambda: waiting(2 * MAX_WAITING),
    "the most queued work, and a reply": lambda: works(MAX_PENDING_WORK + 1),
    "the most running calls": lambda: calls(MAX_RUNNING_CALLS),
    "the most servers": lambda: servers(MAX_TOOL_SERVERS),
    "a response that waits for one of the calls": lambda: acting_for(calls_of=response(), calls=2),
}


@pytest.mark.parametrize("sound", SOUND.values(), ids=SOUND)
def test_a_valid_state_passes_up_to_its_limits(sound: Callable[[], State]) -> None:
    check(sound())


def test_a_session_checks_itself_after_every_event() -> None:
    stage = scene()
    st = stage.session._st
    assert isinstance(st.turns.position, Pausing)
    stage.happens(TimePassed())
    held(st).bytes = MAX_HELD_BYTES + 1
    with pytest.raises(InvariantBroken):
        stage.happens(TimePassed())
