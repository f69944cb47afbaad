"""Which sentences a conversation session asks for, when, and how often; time is an argument here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from parley.interpret.routes.response_output import SOURCE_WAIT_S
from parley.interpret.routes.sentences import TRANSCRIPT_WAIT_S
from parley.interpret.routes.translating_session import ConversationOptions
from parley.interpret.updates import TargetAudio
from tests.interpret.realtime_double import CHAT, HEARD, IN_SPANISH, SAID, WITHOUT_FACTS, Script
from tests.interpret.rules_table import RulesTable

WHOLE = ConversationOptions(hold="whole")


# --- whether the server keeps requests apart --------------------------------------------------------------------------------


def test_the_first_response_out_of_band_must_begin_before_the_next_commit() -> None:
    table = RulesTable()
    table.said(1)
    table.begin_response(1)  # it is announced, and nothing of its output has come
    table.said(2)
    table.settle(work=False)
    assert table.server.committed == [[1]]
    table.begin_response(1)
    assert table.server.committed == [[1], [2]]


def test_after_a_complete_response_out_of_band_commits_do_not_wait() -> None:
    table = RulesTable()
    table.said(1)
    table.settle()
    table.said(2)
    table.settle(work=False)
    table.said(3)
    table.settle(work=False)
    assert table.server.committed == [[1], [2], [3]]


@pytest.mark.parametrize(
    "script",
    [
        lambda: Script(fails={1: 2}),
        lambda: Script(fails_midway={1}),
        lambda: Script(chats={1: [CHAT, IN_SPANISH]}),
        lambda: Script(forgets={1}),
    ],
    ids=["it failed", "it broke off", "it was cancelled", "it was refused"],
)
def test_a_response_out_of_band_that_did_not_complete_shows_nothing_of_the_server(script: Callable[[], Script]) -> None:
    table = RulesTable(script())
    table.said(1)
    table.settle()
    assert table.server.answered == []
    table.said(2)
    table.settle(work=False)
    table.said(3)
    table.settle(work=False)
    assert table.server.committed == [[1], [2]], "the next response has not begun"
    table.settle()
    assert table.server.answered == [[2], [3]]


# --- the second request after a drift ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("later", "asked"), [((3, 4), [[3], [4]]), ((3, 4, 5, 6), [[3, 4, 5, 6]])])
def test_out_of_band_a_strict_request_is_for_its_sentence_alone_and_the_later_ones_follow_in_order(
    later: tuple[int, ...], asked: list[list[int]]
) -> None:
    table = RulesTable(Script(chats={2: [CHAT]}))
    table.said(1)
    table.settle()
    table.said(2)
    table.begin_response(2)
    for mark in later:
        table.said(mark)
        table.settle(work=False)
    table.settle()
    assert table.server.asked == [[1], [2], [2], *asked]
    assert [drift.source for drift in table.drifts] == [HEARD[2]]
    assert table.text == [" ".join(SAID[mark] for mark in marks) for marks in ([1], [2], *asked)]
    assert table.source == [HEARD[mark] for mark in (1, 2, *later)]
    assert table.server.items == {}


ScriptOf = Callable[[dict[int, list[str]]], Script]

KEEPS_ALL: dict[str, ScriptOf] = {
    "beta": lambda chats: Script("beta", chats=chats),
    "out of band ignored": lambda chats: Script(chats=chats, out_of_band="ignores"),
    "out of band refused": lambda chats: Script(chats=chats, out_of_band="refuses"),
}
"""Servers whose responses see the whole conversation."""
SEES_ALL: dict[str, ScriptOf] = {**KEEPS_ALL, "first response": lambda chats: Script(chats=chats)}
"""The same, and one whose responses may do so, as it has completed none."""

keeps_all = pytest.mark.parametrize("script", KEEPS_ALL.values(), ids=KEEPS_ALL)
sees_all = pytest.mark.parametrize("script", SEES_ALL.values(), ids=SEES_ALL)


@sees_all
def test_where_the_conversation_is_seen_a_strict_request_takes_the_later_sentences_along_in_order(
    script: ScriptOf,
) -> None:
    table = RulesTable(script({1: [CHAT, CHAT]}))
    table.said(1)
    table.begin_response(2)
    for mark in (2, 3):
        table.said(mark)
        table.settle(work=False)
    assert table.server.committed == [[1], [2], [3]]
    table.settle()
    assert table.server.asked == [[1], [1, 2, 3]]
    assert table.server.requests()[-1]["metadata"]["sentence"] == "1-3"
    assert [drift.source for drift in table.drifts] == [HEARD[1], " ".join((HEARD[1], HEARD[2], HEARD[3]))]
    table.said(4)
    table.settle()
    assert table.text == [SAID[4]]
    assert table.server.items == {}
    assert table.server.faults == []


@sees_all
def test_where_the_conversation_is_seen_the_translation_of_a_strict_request_reaches_to_the_last_sentence(
    script: ScriptOf,
) -> None:
    table = RulesTable(script({1: [CHAT]}))
    table.said(1)  # 200 ms of silence, 700 ms of speech
    table.begin_response(2)
    table.said(2)
    table.settle()
    assert table.text == [f"{SAID[1]} {SAID[2]}"]
    assert {update.until_ms for update in table.of(TargetAudio)} == {1800.0}


# --- commits that the server has not acknowledged ---------------------------------------------------------------------------


def receive_until(table: RulesTable, kind: str) -> None:
    """The server's messages reach the client, up to and with the first of this type."""
    while f'"type": "{kind}"' not in table.server.out[0]:
        table.receive(1)
    table.receive(1)


@sees_all
def test_where_the_conversation_is_seen_a_second_request_waits_for_the_item_of_each_commit(script: ScriptOf) -> None:
    table = RulesTable(script({1: [CHAT]}))
    table.said(1)
    table.begin_response(2)
    while table.server.work():
        pass
    table.said(2)
    table.send()
    assert table.server.committed == [[1], [2]], "the commit is on its way back"
    asked = len(table.server.requests())
    receive_until(table, "response.done")
    table.send()
    assert len(table.server.requests()) == asked
    due_s = table.rules.deadline()
    assert due_s is None or due_s > table.now_s, "what is waited for is the server"
    receive_until(table, "input_audio_buffer.committed")
    table.send()
    assert len(table.server.requests()) == asked + 1
    table.settle()
    assert table.server.asked == [[1], [1, 2]]
    assert table.text == [f"{SAID[1]} {SAID[2]}"]
    assert table.source == [HEARD[1], HEARD[2]]


@keeps_all
def test_where_the_conversation_is_seen_the_next_request_waits_for_the_item_of_each_commit(script: ScriptOf) -> None:
    table = RulesTable(script({}))
    table.said(1)
    table.begin_response(2)
    while table.server.work():
        pass
    for mark in (2, 3):
        table.said(mark)
        table.send()
    asked = len(table.server.requests())
    receive_until(table, "response.done")
    receive_until(table, "input_audio_buffer.committed")
    table.send()
    assert len(table.server.requests()) == asked
    receive_until(table, "input_audio_buffer.committed")
    table.send()
    assert len(table.server.requests()) == asked + 1
    table.settle()
    assert table.server.asked == [[1], [2, 3]]
    assert table.text == [SAID[1], f"{SAID[2]} {SAID[3]}"]


# --- numbers and names that an output lacks ----------------------------------------------------------------------------------


def test_an_output_without_the_numbers_and_names_that_were_said_is_reported_and_asked_for_once_more() -> None:
    table = RulesTable(Script(chats={10: [WITHOUT_FACTS]}), WHOLE)
    table.said(10)
    table.settle()
    (drift,) = table.drifts
    assert (drift.source, drift.output, drift.again) == (HEARD[10], WITHOUT_FACTS, True)
    assert all(fact in drift.why for fact in ("4711", "9:35", "Zaragoza"))
    assert "was rejected" in table.server.instructions[1]
    assert table.text == [SAID[10]]


def test_a_second_output_without_numbers_and_names_is_played_and_is_no_drift() -> None:
    table = RulesTable(Script(chats={10: [WITHOUT_FACTS, WITHOUT_FACTS]}), WHOLE)
    table.said(10)
    table.settle()
    assert table.server.asked == [[10], [10]]
    assert table.text == [WITHOUT_FACTS]
    assert table.played == [10]
    assert [drift.again for drift in table.drifts] == [True]
    assert table.rules.drifts == 1


def test_an_output_without_numbers_and_names_that_was_played_is_no_drift_and_is_not_asked_for_again() -> None:
    table = RulesTable(Script(chats={10: [WITHOUT_FACTS]}))
    table.said(10)
    table.settle()
    assert table.server.asked == [[10]]
    assert table.text == [WITHOUT_FACTS]
    assert table.drifts == []
    assert table.notes == []


def test_an_output_with_some_of_the_numbers_and_names_is_played() -> None:
    some = "The train with the number 4711 leaves in the morning."
    table = RulesTable(Script(chats={10: [some]}), WHOLE)
    table.said(10)
    table.settle()
    assert table.text == [some]
    assert table.drifts == []


# --- words that come late ----------------------------------------------------------------------------------------------------


def late_words(script: Script) -> RulesTable:
    """Two sentences have been translated in band, the item of the first is deleted, and the words of neither have come."""
    table = RulesTable(script)
    table.said(1)
    table.begin_response(2)
    table.said(2)
    table.settle(work=False)
    while table.server.running:
        table.server.work()
    table.settle(work=False)
    table.now_s += SOURCE_WAIT_S + 0.1
    table.take(table.rules.tick(table.now_s))
    table.settle(work=False)
    assert table.server.asked == [[1], [2]]
    assert "item_1" in table.server.deleted
    while table.server.running:
        table.server.work()
    return table


def test_words_that_come_after_the_deletion_of_their_item_are_shown_in_the_order_of_the_speech() -> None:
    table = late_words(Script("beta", transcribes="late"))
    assert table.source == []
    table.settle()
    assert table.source == [HEARD[1], HEARD[2]]
    assert table.text == [SAID[1], SAID[2]]
    table.wait(TRANSCRIPT_WAIT_S)
    assert table.source == [HEARD[1], HEARD[2]]
    assert table.server.items == {}


def test_words_that_come_after_their_time_are_not_shown() -> None:
    table = late_words(Script("beta", transcribes="late"))
    table.now_s += TRANSCRIPT_WAIT_S
    table.take(table.rules.tick(table.now_s))
    table.settle()
    assert table.source == []
    table.said(3)
    table.settle()
    assert table.source == [HEARD[3]]
