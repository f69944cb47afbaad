"""The log of refusals: every one counts, and none of them makes the log grow without bound."""

from __future__ import annotations

import logging

import pytest

from parley.server.refusal_log import LINE_EVERY_S, MAX_ADDRESSES, MAX_REASON, RefusalLog
from parley.server.refusals import Refusal

BUSY = Refusal(503, "too_many_calls", "Try again.")
WRONG = Refusal(401, "invalid_api_key", "It is wrong.")


def test_a_reason_has_a_line_a_minute_which_counts_what_was_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "parley.server")
    counted: list[str] = []
    now_s = 100.0
    refusals = RefusalLog(counted.append, lambda: now_s)
    for number in range(1_000):
        refusals.note(BUSY, f"192.0.2.1:{number}")
    refusals.note(WRONG, "192.0.2.2:1")
    now_s += LINE_EVERY_S - 0.1
    refusals.note(BUSY, "192.0.2.3:1")
    now_s += 0.1
    refusals.note(BUSY, "192.0.2.4:1")
    now_s += LINE_EVERY_S
    refusals.note(BUSY, "192.0.2.5:1")
    assert [record.getMessage() for record in caplog.records] == [
        "192.0.2.1:0 is refused: 503 too_many_calls",
        "192.0.2.2:1 is refused: 401 invalid_api_key",
        "192.0.2.4:1 is refused: 503 too_many_calls (and 1000 more with this code since its last line, 999 of them from 192.0.2.1)",
        "192.0.2.5:1 is refused: 503 too_many_calls",
    ]
    assert (counted.count("too_many_calls"), counted.count("invalid_api_key")) == (1_003, 1)


def test_the_addresses_of_a_flood_are_bounded_and_the_one_that_sends_most_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "parley.server")
    now_s = 0.0
    refusals = RefusalLog(lambda _: None, lambda: now_s)
    refusals.note(WRONG, "192.0.2.1:1")
    for number in range(MAX_ADDRESSES - 1):
        refusals.note(WRONG, f"198.51.100.{number}:1")
    for number in range(40):
        refusals.note(WRONG, f"[2001:db8::1]:{number}")
        refusals.note(WRONG, f"203.0.113.{number}:1")
    now_s += LINE_EVERY_S
    refusals.note(WRONG, "192.0.2.9:1")
    assert (
        caplog.records[-1]
        .getMessage()
        .endswith("(and 143 more with this code since its last line, 40 of them from [2001:db8::1])")
    )


def test_a_reason_is_one_line_of_bounded_length(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "parley.server")
    RefusalLog(lambda _: None).note(WRONG, "the call CA1", "No voice 'x\nERROR all is lost'." + "y" * 9_000)
    [record] = caplog.records
    assert "\n" not in record.getMessage()
    assert "No voice 'x ERROR" in record.getMessage()
    assert len(record.getMessage()) < MAX_REASON + 60
