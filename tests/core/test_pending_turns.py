"""Committed turns that wait for their transcripts: in order, each until its deadline."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley.core.regions.entry import Entry
from parley.core.regions.pending_turns import HeldTranscript, Pending, PendingTurns
from parley.core.regions.turn_taking import UserTurn
from parley.core.words.ids import FlushId, ItemId, TurnId
from parley.core.words.items import Message


def pending(
    number: int, *, samples: int = 0, deadline_ns: int = 0, reply: bool = False, silent: bool = False
) -> Pending:
    turn = UserTurn(TurnId(number), ItemId(f"i{number}"), 0, 0, 0)
    entry = Entry(Message(turn.item_id, "user", ()))
    return Pending(turn, entry, samples, deadline_ns, reply, silent_prompt=silent)


def waiting(*turns: Pending) -> PendingTurns:
    region = PendingTurns()
    for one in turns:
        region.add(one)
    return region


def test_turns_wait_in_the_order_of_their_commits() -> None:
    region = waiting(first := pending(2), second := pending(1))
    assert list(region) == [first, second]
    assert region.oldest is first
    assert (region.get(TurnId(1)), region.get(TurnId(9))) == (second, None)
    region.remove(TurnId(2))
    assert region.oldest is second


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**12)), max_size=8))
def test_all_pending_audio_is_counted_and_the_earliest_deadline_is_next(turns: list[tuple[int, int]]) -> None:
    region = waiting(*(pending(at, samples=one, deadline_ns=due) for at, (one, due) in enumerate(turns)))
    assert region.samples == sum(samples for samples, _ in turns)
    assert region.deadline_ns() == min((due for _, due in turns), default=None)


def test_a_reply_to_all_turns_leaves_no_turn_unanswered() -> None:
    region = waiting(pending(1), pending(2, reply=True), pending(3, reply=True, silent=True))
    before = region.reply_follows
    region.answered_by_reply()
    assert (before, region.reply_follows) == (True, False)
    assert not any(one.silent_prompt for one in region)


def test_the_transcript_requested_in_the_last_pause_serves_the_turn() -> None:
    region = waiting(one := pending(1), other := pending(2))
    one.answered_by(FlushId(7))
    assert [turn.flush for turn in region] == [7, None]
    assert other.flush is None


def test_closing_the_session_leaves_no_pending_turn() -> None:
    region = waiting(pending(1, samples=24, deadline_ns=5, reply=True))
    region.clear()
    assert (list(region), region.samples, region.reply_follows, region.deadline_ns()) == ([], 0, False, None)


def test_words_that_are_held_have_no_deadline() -> None:
    region = waiting(early := pending(1, deadline_ns=5), pending(2, deadline_ns=9))
    early.hold(HeldTranscript("words", "", "en"))
    assert region.deadline_ns() == 9
