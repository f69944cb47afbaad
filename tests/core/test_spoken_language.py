"""A language is believed with evidence: a confident recogniser, or a turn that is long enough."""

from __future__ import annotations

import pytest

from parley.core.policy.spoken_language import CONFIDENT, LONG_TURN_MS, believed_language

SHORT = LONG_TURN_MS - 1


@pytest.mark.parametrize(
    ("reported", "confidence", "turn_ms", "expected", "believed"),
    [
        ("cy", 0.3, SHORT, "en", "en"),
        ("cy", None, SHORT, "en", "en"),
        ("cy", None, SHORT, "", ""),
        ("de", CONFIDENT, SHORT, "en", "de"),
        ("de", CONFIDENT, SHORT, "", "de"),
        ("de", 0.3, LONG_TURN_MS, "en", "de"),
        ("de", None, LONG_TURN_MS, "en", "de"),
        ("en-GB", 0.1, SHORT, "en-US", "en-GB"),
        ("", None, SHORT, "en", ""),
    ],
    ids=[
        "a doubtful one on a short turn",
        "one without a confidence on a short turn",
        "a doubtful one where none is known",
        "a confident one",
        "a confident one where none is known",
        "a long turn",
        "a long turn without a confidence",
        "another region",
        "no language",
    ],
)
def test_a_language_is_believed_with_evidence(
    reported: str, confidence: float | None, turn_ms: int, expected: str, believed: str
) -> None:
    assert believed_language(reported, confidence, turn_ms, expected) == believed
