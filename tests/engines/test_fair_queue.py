"""Whose work is next, and whose has to be refused: what one greedy session must not take from the others."""

from __future__ import annotations

from parley.engines.fair_queue import MAX_REMEMBERED, Backlog, FairQueue


def order(queue: FairQueue[str]) -> list[str]:
    taken = []
    while (job := queue.take()) is not None:
        taken.append(job)
    return taken


def test_owners_take_turns_and_each_keeps_its_own_order() -> None:
    queue: FairQueue[str] = FairQueue()
    for job in ("a1", "a2", "a3", "a4"):
        queue.put(job, "a")
    queue.put("b1", "b")
    queue.put("c1", "c")
    queue.put("b2", "b")
    assert order(queue) == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]
    assert len(queue) == 0


def test_an_owner_that_comes_back_waits_for_its_turn() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.put("a1", "a")
    queue.put("b1", "b")
    assert queue.take() == "a1"
    queue.put("a2", "a")
    assert order(queue) == ["b1", "a2"]


def test_a_newcomer_is_next_after_what_is_being_done() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(1, 4):
        queue.put(f"a{number}", "a")
        queue.put(f"b{number}", "b")
    assert [queue.take(), queue.take()] == ["a1", "b1"]
    queue.put("newcomer", "c")
    assert order(queue) == ["newcomer", "a2", "b2", "a3", "b3"]


def test_an_owner_that_asks_one_thing_at_a_time_shuts_no_one_out() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(1, 5):
        queue.put(f"a{number}", "a")
    taken = []
    for number in range(1, 4):
        queue.put(f"b{number}", "b")
        taken += [queue.take(), queue.take()]
    assert taken == ["a1", "b1", "a2", "b2", "a3", "b3"]


def test_owners_of_long_ago_are_forgotten() -> None:
    queue: FairQueue[int] = FairQueue()
    for number in range(3 * MAX_REMEMBERED):
        queue.put(number, number)
        assert queue.take() == number
    assert len(queue._served) <= MAX_REMEMBERED


def test_live_work_comes_first_however_long_other_work_has_waited() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.put("item", "a", live=False)
    queue.put("turn", "b")
    queue.put("item 2", "b", live=False)
    assert queue.any_live()
    assert order(queue) == ["turn", "item", "item 2"]


def test_one_class_can_be_asked_for() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.put("turn", "a")
    assert queue.take(live=False) is None
    queue.put("item", "a", live=False)
    assert queue.take(live=False) == "item"
    assert queue.take(live=True) == "turn"
    assert not queue.any_live()


def test_work_that_cannot_be_done_now_keeps_its_place_and_blocks_no_one() -> None:
    queue: FairQueue[str] = FairQueue()
    for job, share in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        queue.put(job, share)
    assert queue.take(lambda job: job != "a1") == "a2"
    assert queue.take(lambda job: job != "a1") == "b1"
    assert order(queue) == ["a1"]


def test_a_job_waits_once_however_often_it_is_wanted() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(3):
        queue.put("a1", "a")
    queue.put("b1", "b")
    assert order(queue) == ["a1", "b1"]


def test_what_has_to_be_done_again_is_its_owners_next() -> None:
    queue: FairQueue[str] = FairQueue()
    for job, share in (("a1", "a"), ("b1", "b"), ("b2", "b")):
        queue.put(job, share)
    queue.put_first("b0", "b")
    assert queue.waiting("b") == 3
    assert order(queue) == ["a1", "b0", "b1", "b2"]


def test_work_that_is_over_is_forgotten() -> None:
    queue: FairQueue[str] = FairQueue()
    for job in ("a1", "a2"):
        queue.put(job, "a", live=False)
    queue.discard("a1", "a")
    queue.discard("a1", "a")
    queue.discard("never queued", "b")
    assert queue.drain() == ["a2"]
    assert order(queue) == []


def test_no_owner_holds_more_than_its_bound() -> None:
    backlog = Backlog(per_share=10, total=100)
    backlog.add("a", 10)
    assert not backlog.takes("a", 1)
    assert backlog.takes("b", 10)
    backlog.remove("a", 4)
    assert backlog.takes("a", 4)


def test_the_owner_that_fills_the_whole_is_refused_and_the_others_are_not() -> None:
    backlog = Backlog(per_share=100, total=100)
    backlog.add("greedy", 90)
    backlog.add("b", 10)
    assert not backlog.takes("greedy", 1)
    assert backlog.takes("b", 5)
    assert backlog.takes("newcomer", 20)
    assert not backlog.takes("newcomer", 40)


def test_what_is_done_makes_place() -> None:
    backlog = Backlog(per_share=100, total=100)
    backlog.add("a", 100)
    backlog.remove("a", 100)
    assert (backlog.waiting, backlog.of("a")) == (0, 0)
    assert backlog.takes("a", 100)
