"""The account of the silence in which a reply is awaited."""

from __future__ import annotations

from typing import Literal

import pytest

from parley.core.regions.entry import Entry
from parley.core.regions.reply_wait import REMEMBERED, ReplyWait
from parley.core.regions.response import Response, new_call
from parley.core.words.events import ClauseStarted, SpeechGenerated
from parley.core.words.ids import AttemptId, CallId, ConversationId, ItemId, ResponseId
from parley.core.words.items import Message
from parley.core.words.limits import MAX_HELD_BYTES
from parley.core.words.settings import Settings

FILLER = AttemptId(1)


def response(status: Literal["completed", "incomplete"] | None = None) -> Response:
    """A response in the conversation; with a status, one that called a function and was closed so."""
    made = Response.begin(ResponseId("r"), ConversationId("c"), Settings())
    if status is not None:
        made.open(new_call(ItemId("call"), CallId("call_1"), "clock"), None, 0)
        made.close(made.outputs[0], status)
    return made


def test_the_wait_begins_with_the_silence_and_anew_after_a_sound() -> None:
    wait = ReplyWait()
    assert wait.silent(5) == 5
    assert wait.silent(9) == 5
    wait.heard()
    assert wait.silent(11) == 11
    wait.answered()
    assert wait.since_ns is None


def test_fillers_of_a_wait_and_of_the_session_are_counted() -> None:
    wait = ReplyWait()
    for _ in range(2):
        wait.make(FILLER, 3)
        wait.take()
    assert (wait.told, wait.said, wait.settings_version, wait.attempt) == (2, 2, 3, None)
    wait.answered()
    assert (wait.told, wait.said) == (0, 2)


def test_what_is_made_is_held_until_it_is_taken() -> None:
    wait = ReplyWait()
    wait.make(FILLER, 0)
    event = ClauseStarted(FILLER, "One moment.")
    wait.hold(event)
    assert wait.take() == [event]
    assert wait.take() == []


@pytest.mark.parametrize(("status", "calls"), [("completed", True), ("incomplete", False), (None, False)])
def test_functions_of_the_client_are_awaited_once_they_were_called(
    status: Literal["completed", "incomplete"] | None, calls: bool
) -> None:
    wait = ReplyWait()
    wait.watch(None)
    assert not wait.client_calls
    wait.watch(response(status))
    assert not wait.client_calls
    wait.watch(None)
    assert wait.client_calls is calls
    wait.watch(None)
    assert wait.client_calls is calls
    wait.leave_client()
    assert not wait.client_calls


def test_functions_behind_words_may_need_no_answer() -> None:
    wait, spoken = ReplyWait(), response("completed")
    spoken.audio_samples = 240
    wait.watch(spoken)
    wait.watch(None)
    assert not wait.client_calls


def test_a_filler_without_an_end_is_too_large() -> None:
    wait = ReplyWait()
    wait.make(FILLER, 0)
    wait.hold(SpeechGenerated(FILLER, bytes(MAX_HELD_BYTES)))
    assert wait.too_large is False
    wait.hold(SpeechGenerated(FILLER, bytes(2)))
    assert wait.bytes > MAX_HELD_BYTES
    wait.take()
    assert wait.bytes == 0


def test_a_new_response_ends_the_wait_for_functions() -> None:
    wait = ReplyWait()
    for main in (response("completed"), None, response()):
        wait.watch(main)
    assert not wait.client_calls


def test_only_the_last_fillers_are_known() -> None:
    wait = ReplyWait()
    entries = [Entry(Message(ItemId(str(number)), "assistant", ())) for number in range(REMEMBERED + 1)]
    for entry in entries:
        wait.sounds(entry)
    assert wait.entry(ItemId("0")) is None
    assert wait.entry(ItemId("1")) is entries[1]


def test_nothing_is_left_after_the_end() -> None:
    wait = ReplyWait()
    wait.watch(response())
    wait.silent(1)
    wait.make(FILLER, 0)
    wait.hold(ClauseStarted(FILLER, "One moment."))
    wait.clear()
    assert (wait.attempt, wait.output, wait.since_ns, wait.main) == (None, [], None, None)
