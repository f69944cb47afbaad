"""The notice of words that may still change."""

from __future__ import annotations

from typing import get_args

from parley.core.words import unstable_transcript
from parley.core.words.notices import Notice
from parley.core.words.unstable_transcript import UnstableTranscript
from tests.core.values import can_change, values_of


def test_it_is_an_immutable_notice() -> None:
    assert values_of(unstable_transcript) == [UnstableTranscript]
    assert UnstableTranscript in get_args(Notice)
    assert not can_change(UnstableTranscript)
