"""Notices are immutable, and the dialects encode all of them."""

from __future__ import annotations

from typing import get_args

from parley.core.words import notices
from parley.core.words.notices import Notice, PartAt, RateLimit, ResponseError, ResponseView, Usage
from parley.core.words.shell_notices import KeypadPressed
from parley.core.words.translation_notices import (
    ClauseTranslated,
    TranslationClosed,
    TranslationPlaying,
    UnstableWordsChanged,
)
from parley.core.words.turn_measured import TurnMeasured
from parley.core.words.unstable_transcript import UnstableTranscript
from tests.core.values import can_change, values_of


def test_every_notice_of_the_module_is_encoded_by_the_dialects() -> None:
    parts = {Usage, ResponseError, ResponseView, PartAt, RateLimit}
    translation = {ClauseTranslated, TranslationPlaying, TranslationClosed, UnstableWordsChanged}
    elsewhere = {KeypadPressed, TurnMeasured, UnstableTranscript, *translation}
    assert (set(values_of(notices)) - parts) | elsewhere == set(get_args(Notice))


def test_notices_are_immutable() -> None:
    assert [kind for kind in values_of(notices) if can_change(kind)] == []


def test_a_response_without_usage_counts_zero() -> None:
    used = Usage()
    assert {used.input_text, used.input_audio, used.input_image, used.input_cached} == {0}
    assert {used.output_text, used.output_audio} == {0}
