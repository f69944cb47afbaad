"""The responses that are not done: one in the conversation, others beside it, each in one position."""

from __future__ import annotations

import pytest

from parley.core.regions.attempt import Plan
from parley.core.regions.open_responses import AwaitingCalls, AwaitingInput, Generating, OpenResponses, Replaying
from parley.core.regions.response import Response
from parley.core.words.errors import InvariantBroken
from parley.core.words.ids import AttemptId, ConversationId, ResponseId
from parley.core.words.notices import Usage
from parley.core.words.settings import Settings

CONVERSATION = ConversationId("c")
MAKING, PLAN = Generating(AttemptId(1)), Plan()


def main(name: str = "main") -> Response:
    return Response.begin(ResponseId(name), CONVERSATION, Settings())


def aside(name: str) -> Response:
    return Response.begin(ResponseId(name), None, Settings())


def test_one_response_holds_the_conversation_and_others_run_beside_it() -> None:
    responses = OpenResponses()
    for one in (first := aside("a"), held := main(), second := aside("b")):
        responses.begin(one, MAKING)
    assert list(responses) == [held, first, second]
    assert responses.main is held
    assert [responses.get(ResponseId(name)) for name in ("a", "main", "b", "x")] == [first, held, second, None]


def test_a_second_response_in_the_conversation_is_a_bug_that_is_found_on_the_spot() -> None:
    responses = OpenResponses()
    responses.begin(main("first"), MAKING)
    with pytest.raises(InvariantBroken, match="second begins while first holds the conversation"):
        responses.begin(main("second"), MAKING)


def test_a_response_ends_with_the_position_it_was_in_and_frees_the_conversation() -> None:
    responses = OpenResponses()
    responses.begin(held := main(), AwaitingInput(PLAN))
    responses.begin(side := aside("a"), Replaying())
    responses.move(held, MAKING)
    assert responses.position(held) == MAKING
    assert responses.end(side) == Replaying()
    ended = [responses.any_ended]  # only a response in the conversation starts the wait for a prompt
    assert responses.end(held) == MAKING
    assert [*ended, responses.any_ended] == [False, True]
    assert (responses.main, list(responses), responses.positions) == (None, [], {})
    responses.begin(main("next"), MAKING)


def test_what_waits_for_its_input_is_found_in_the_order_in_which_it_began() -> None:
    responses = OpenResponses()
    responses.begin(first := aside("a"), AwaitingInput(PLAN))
    responses.begin(aside("b"), MAKING)
    responses.begin(last := main(), AwaitingInput(PLAN))
    assert responses.awaiting_input() == [(first, PLAN), (last, PLAN)]
    responses.move(first, MAKING)
    assert responses.awaiting_input() == [(last, PLAN)]


def test_what_waits_for_its_calls_is_told_apart_from_what_is_generated() -> None:
    responses = OpenResponses()
    responses.begin(held := main(), MAKING)
    assert responses.awaiting_calls() == []
    responses.move(held, AwaitingCalls(PLAN, Usage()))
    assert responses.awaiting_calls() == [held]


def test_after_the_end_of_the_session_no_response_is_open() -> None:
    responses = OpenResponses()
    responses.begin(main(), MAKING)
    responses.begin(aside("a"), MAKING)
    responses.clear()
    assert (responses.main, list(responses), responses.positions) == (None, [], {})
