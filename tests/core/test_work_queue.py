"""The queued work: in order, limited, with at most one reply."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley.core.regions.attempt import Plan
from parley.core.regions.work_queue import PendingWork, WorkQueue
from parley.core.words.limits import MAX_PENDING_WORK
from parley.core.words.work import Utterance


def say(text: str, not_before_ns: int = 0) -> PendingWork:
    return PendingWork(Plan(given=Utterance(text)), not_before_ns)


def is_reply(work: PendingWork) -> bool:
    return work.plan.given is None


def test_a_newer_reply_replaces_a_waiting_one_and_other_work_keeps_its_place() -> None:
    queue = WorkQueue()
    old, new, yes = PendingWork(not_before_ns=1), PendingWork(not_before_ns=2), say("Yes.", 3)
    assert queue.add(old)
    assert queue.add(yes)
    assert queue.add(new)
    assert queue.waiting == [yes, new]
    assert (queue.ready(1), queue.ready(2), queue.ready(3)) == (None, new, yes)
    assert (queue.deadline_ns(1), queue.deadline_ns(2), queue.deadline_ns(3)) == (2, 3, None)
    queue.drop_reply()
    assert queue.waiting == [yes]
    queue.take(yes)
    assert queue.waiting == []
    assert queue.deadline_ns(0) is None


def test_a_full_queue_accepts_a_reply_and_no_more_texts() -> None:
    queue = WorkQueue()
    assert all(queue.add(say(str(number))) for number in range(MAX_PENDING_WORK))
    assert not queue.add(say("one more"))
    assert len(queue.waiting) == MAX_PENDING_WORK
    assert queue.add(PendingWork())
    assert queue.waiting[-1] == PendingWork()


def test_closing_the_session_leaves_no_queued_work() -> None:
    queue = WorkQueue()
    queue.add(say("Yes."))
    queue.clear()
    assert (queue.waiting, queue.ready(0), queue.deadline_ns(0)) == ([], None, None)


@given(st.lists(st.one_of(st.just("reply"), st.just("say"), st.just("drop"), st.just("take")), max_size=150))
def test_the_queue_keeps_its_order_and_bounds_and_holds_at_most_one_reply(steps: list[str]) -> None:
    queue, expected = WorkQueue(), list[PendingWork]()
    for number, step in enumerate(steps):
        match step:
            case "say":
                if queue.add(say(str(number))):
                    expected.append(say(str(number)))
            case "reply":
                reply = PendingWork(follows=bool(number % 2))
                queue.add(reply)
                expected = [*(work for work in expected if not is_reply(work)), reply]
            case "drop":
                queue.drop_reply()
                expected = [work for work in expected if not is_reply(work)]
            case _:
                if (first := queue.ready(0)) is not None:
                    queue.take(first)
                    assert first == expected.pop(0)
        assert queue.waiting == expected
        assert sum(map(is_reply, queue.waiting)) <= 1
        assert len(queue.waiting) <= MAX_PENDING_WORK + 1
