"""Translations that are late become one request."""

from __future__ import annotations

from parley.core.regions.attempt import Plan
from parley.core.regions.work_queue import PendingWork, WorkQueue
from parley.core.words.limits import MAX_MERGED_TEXT, MAX_PENDING_WORK, MERGE_AFTER_NS
from parley.core.words.work import Translation, Utterance


def translation(text: str, to: str = "pt", queued_ns: int = 0) -> PendingWork:
    return PendingWork(Plan(given=Translation(text, "en", to, clause=1)), queued_ns=queued_ns)


def taken(queue: WorkQueue, now: int) -> str:
    given = queue.take_late(queue.waiting[0], now).plan.given
    assert isinstance(given, Translation)
    return given.text


def test_late_ones_of_one_kind_are_merged_and_others_are_not() -> None:
    queue = WorkQueue()
    for work in (
        translation("One."),
        translation("Two."),
        translation("Drei.", "de"),
        PendingWork(Plan(given=Utterance("x"))),
    ):
        assert queue.add(work)
    assert taken(queue, MERGE_AFTER_NS) == "One. Two."
    assert taken(queue, MERGE_AFTER_NS) == "Drei."
    assert len(queue.waiting) == 1


def test_one_in_time_is_taken_alone_and_no_request_is_too_long() -> None:
    queue = WorkQueue()
    for text in ("One.", "x" * MAX_MERGED_TEXT, "Three."):
        queue.add(translation(text))
    assert taken(queue, 0) == "One."
    assert taken(queue, MERGE_AFTER_NS) == "x" * MAX_MERGED_TEXT


def test_a_full_queue_takes_a_translation_by_merging_it_into_the_last() -> None:
    queue = WorkQueue()
    for number in range(MAX_PENDING_WORK):
        assert queue.add(translation(f"{number}."))
    assert queue.add(translation("last."))
    assert len(queue.waiting) == MAX_PENDING_WORK
    assert not queue.add(translation("x" * MAX_MERGED_TEXT))
    assert not queue.add(PendingWork(Plan(given=Utterance("x"))))
