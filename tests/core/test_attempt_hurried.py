"""Work that waits."""

from __future__ import annotations

from parley.core.regions.attempt import Plan
from parley.core.words.work import Utterance
from tests.core.interpreting import opened


def test_an_attempt_records_its_first_audio_and_its_hurry_once() -> None:
    scene = opened(language="en")
    scene.says("One.")
    from parley.core.regions.attempt import Attempt
    from parley.core.regions.context import Shown
    from parley.core.words.ids import AttemptId

    attempt = Attempt(AttemptId(1), Utterance("x"), Shown(()), 0, 0, 0, Plan(), {})
    attempt.begin(5)
    attempt.begin(9)
    attempt.hurry(3, 1.25)
    assert (attempt.began_ns, attempt.queued_ns, attempt.speed) == (5, 3, 1.25)
