"""What a client is told: values that cannot change, all of them known to whoever encodes them."""

from __future__ import annotations

from typing import get_args

from parley.core.words import notices
from parley.core.words.notices import Notice, PartAt, RateLimit, ResponseError, ResponseView, Usage
from parley.core.words.turn_measured import TurnMeasured
from tests.core.values import can_change, values_of


def test_every_notice_that_the_module_defines_is_one_that_a_dialect_is_typed_to_encode() -> None:
    parts = {Usage, ResponseError, ResponseView, PartAt, RateLimit}
    assert (set(values_of(notices)) - parts) | {TurnMeasured} == set(get_args(Notice))


def test_no_notice_can_be_changed_before_it_is_encoded() -> None:
    assert [kind for kind in values_of(notices) if can_change(kind)] == []


def test_a_response_that_used_nothing_counts_nothing() -> None:
    used = Usage()
    assert {used.input_text, used.input_audio, used.input_image, used.input_cached} == {0}
    assert {used.output_text, used.output_audio} == {0}
