"""The open responses: at most one in the conversation, others out of band, each in one position."""

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


def test_one_response_runs_in_the_conversation_and_others_beside_it() -> None:
    responses = OpenResponses()
    for one in (first := aside("a"), held := main(), second := aside("b")):
        responses.begin(one, MAKING)
    assert list(responses) == [held, first, second]
    assert responses.main is held
    assert [responses.get(ResponseId(name)) for name in ("a", "main", "b", "x")] == [first, held, second, None]


def test_a_second_response_in_the_conversation_is_detected_as_a_bug() -> None:
    responses = OpenResponses()
    responses.begin(main("first"), MAKING)
    with pytest.raises(InvariantBroken, match="second begins while first holds the conversation"):
        responses.begin(main("second"), MAKING)


def test_an_ended_response_gives_its_last_position_and_frees_the_conversation() -> None:
    responses = OpenResponses()
    responses.begin(held := main(), AwaitingInput(PLAN))
    responses.begin(side := aside("a"), Replaying())
    responses.move(held, MAKING)
    assert responses.position(held) == MAKING
    assert responses.end(side) == Replaying()
    ended = [responses.any_ended]  # only a response in the conversation starts the idle timeout
    assert responses.end(held) == MAKING
    assert [*ended, responses.any_ended] == [False, True]
    assert (responses.main, list(responses), responses.positions) == (None, [], {})
    responses.begin(main("next"), MAKING)


def test_responses_waiting_for_their_input_are_found_in_the_order_of_creation() -> None:
    responses = OpenResponses()
    responses.begin(first := aside("a"), AwaitingInput(PLAN))
    responses.begin(aside("b"), MAKING)
    responses.begin(last := main(), AwaitingInput(PLAN))
    assert responses.awaiting_input() == [(first, PLAN), (last, PLAN)]
    responses.move(first, MAKING)
    assert responses.awaiting_input() == [(last, PLAN)]


def test_responses_waiting_for_calls_are_distinguished_from_running_ones() -> None:
    responses = OpenResponses()
    responses.begin(held := main(), MAKING)
    assert responses.awaiting_calls() == []
    responses.move(held, AwaitingCalls(PLAN, Usage()))
    assert responses.awaiting_calls() == [held]


def test_closing_the_session_leaves_no_open_response() -> None:
    responses = OpenResponses()
    responses.begin(main(), MAKING)
    responses.begin(aside("a"), MAKING)
    responses.clear()
    assert (responses.main, list(responses), responses.positions) == (None, [], {})
