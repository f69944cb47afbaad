"""The summary of a session's older items: for how long it stands, and how often it is delayed."""

from __future__ import annotations

from dataclasses import replace

from parley.core.regions.entry import Entry
from parley.core.regions.summaries import RunningSummary, Summaries, Summary
from parley.core.words.ids import ItemId, SummaryId
from parley.core.words.items import InputText, Message
from parley.core.words.limits import MAX_SUMMARY_DELAYS

ITEM = ItemId("a")
HELLO = Message(ITEM, "user", (InputText("hello"),))
SUMMARY = Summary("They said hello.", {ITEM: HELLO})


def running(number: int = 1) -> RunningSummary:
    return RunningSummary(SummaryId(number), SUMMARY.covered, 400, 90)


def test_a_summary_stands_while_its_items_are_unchanged() -> None:
    summaries, entries = Summaries(), {ITEM: Entry(HELLO)}
    assert summaries.current(entries.get) is None
    summaries.keep(SUMMARY)
    assert summaries.current(entries.get) is SUMMARY
    entries[ITEM].become(replace(HELLO, content=(InputText("hell"),)))
    assert summaries.current(entries.get) is None
    entries[ITEM].become(HELLO)
    assert summaries.current(entries.get) is None, "it was forgotten for good"


def test_a_summary_of_a_deleted_item_is_forgotten() -> None:
    summaries = Summaries()
    summaries.keep(SUMMARY)
    assert summaries.current(lambda _: None) is None


def test_only_the_summary_that_is_written_ends() -> None:
    summaries = Summaries()
    assert summaries.end(SummaryId(1)) is None
    assert summaries.deadline_ns() is None
    summaries.begin(one := running())
    assert summaries.deadline_ns() == 90
    assert summaries.end(SummaryId(2)) is None
    assert summaries.running is one
    assert summaries.end(SummaryId(1)) is one
    assert summaries.running is None


def test_a_summary_is_delayed_a_few_times_and_then_goes_on() -> None:
    summaries = Summaries()
    assert summaries.delay() is None
    for number in range(MAX_SUMMARY_DELAYS):
        summaries.consider(7)
        summaries.begin(one := running(number))
        assert summaries.delay() is one
        assert (summaries.running, summaries.considered) == (None, None)
    summaries.begin(last := running(9))
    assert summaries.delay() is None
    assert summaries.running is last
    summaries.end(last.id)
    summaries.begin(running(10))
    assert summaries.delay() is not None, "the count starts again after one that ended"


def test_nothing_is_left_when_the_session_ends() -> None:
    summaries = Summaries()
    summaries.keep(SUMMARY)
    summaries.begin(running())
    summaries.clear()
    assert summaries.running is None
    assert summaries.current({ITEM: Entry(HELLO)}.get) is None
