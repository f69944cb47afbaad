"""What an error of a Realtime server means, as servers word it."""

from __future__ import annotations

from typing import Any

import pytest

from parley.interpret.routes.server_errors import MAX_RATE_WAIT_S, RATE_WAITS_S, ErrorMeaning, meaning_of, rate_wait_s


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        ({"code": "unknown_parameter", "param": "response.conversation"}, ErrorMeaning.OUT_OF_BAND),
        ({"code": "invalid_value", "param": "response.input[0].type"}, ErrorMeaning.OUT_OF_BAND),
        ({"code": "invalid_value", "param": "input"}, ErrorMeaning.OUT_OF_BAND),
        ({"message": "Unknown field 'conversation' in response"}, ErrorMeaning.OUT_OF_BAND),
        ({"message": "Unsupported item type: item_reference"}, ErrorMeaning.OUT_OF_BAND),
        ({"param": "response.input_audio_format"}, ErrorMeaning.OTHER),
        ({"param": "response.instructions", "message": "The 'input' is fine."}, ErrorMeaning.OTHER),
        (
            {"code": "invalid_value", "message": "Item with item_id 'i' not found", "param": "response.input[0].id"},
            ErrorMeaning.GONE,
        ),
        ({"code": "invalid_item_reference"}, ErrorMeaning.GONE),
        ({"message": "The item with id 'item_1' does not exist."}, ErrorMeaning.GONE),
        ({"code": "rate_limit_exceeded"}, ErrorMeaning.RATE),
        ({"type": "rate_limit_error", "code": "slow_down"}, ErrorMeaning.RATE),
        ({"type": "insufficient_quota", "code": "rate_limit_exceeded"}, ErrorMeaning.FINAL),
        ({"code": "beta_api_shape_disabled"}, ErrorMeaning.FINAL),
        ({"code": "session_expired"}, ErrorMeaning.EXPIRED),
        ({"code": "input_audio_buffer_commit_empty"}, ErrorMeaning.EMPTY),
        ({"code": "conversation_already_has_active_response"}, ErrorMeaning.BUSY),
        ({"code": None, "message": 7}, ErrorMeaning.OTHER),
        ({}, ErrorMeaning.OTHER),
    ],
)
def test_an_error_is_understood(error: dict[str, Any], meaning: ErrorMeaning) -> None:
    assert meaning_of(error) is meaning


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please try again in 1.5s.", 1.5),
        ("try again in 250ms", 0.25),
        ("Please try again in 0ms", 0.1),
        ("Please try again in 6000s", MAX_RATE_WAIT_S),
        ("Slow down.", RATE_WAITS_S[0]),
    ],
)
def test_the_servers_own_figure_is_waited_for(message: str, seconds: float) -> None:
    assert rate_wait_s({"message": message}, 0) == seconds


def test_waits_grow_and_end() -> None:
    waits = [rate_wait_s({}, refusals) for refusals in range(len(RATE_WAITS_S) + 1)]
    assert waits == [*RATE_WAITS_S, None]
