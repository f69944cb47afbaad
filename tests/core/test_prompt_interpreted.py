"""What the speaker is repeated in."""

from __future__ import annotations

from parley.core.words.effects import StartGeneration
from parley.core.words.work import Utterance
from tests.core.interpreting import opened


def test_words_that_are_repeated_are_spoken_in_their_language() -> None:
    scene = opened(same="repeat", language="pt")
    scene.says("Está bem.")
    started = scene.last(StartGeneration)
    assert (started.work.text if isinstance(started.work, Utterance) else "", started.language) == ("Está bem.", "pt")
