"""What of a microphone's audio goes into the server's input buffer."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from parley.interpret.routes.speech_input import MIN_COMMIT_MS, PRE_ROLL_MS, SpeechInput

STEPS = st.lists(st.one_of(st.integers(1, 30_000), st.sampled_from(["begin", "end", "commit"])), max_size=40)


@given(STEPS)
def test_speech_is_committed_once_and_in_order_and_each_commit_has_the_length_that_it_says(
    steps: list[int | str],
) -> None:
    """Each sample is its own number, counted around 16 bits."""
    speech = SpeechInput()
    position = 0
    buffer: list[int] = []
    committed: list[int] = []
    spoken: list[int] = []
    pending: list[int] = []
    for step in [*steps, "end", "commit"]:
        if step == "begin":
            buffer += np.frombuffer(speech.began(), "<i2").tolist()
        elif step == "end":
            speech.ended()
        elif step == "commit":
            stray = speech.stray
            piece = speech.commit()
            assert stray == (piece is None and bool(buffer))
            if piece is not None:
                assert piece.length_ms == len(buffer) / 24
                assert piece.length_ms >= MIN_COMMIT_MS
                assert np.array(round(piece.end_ms * 24)).astype(np.int16) == np.array(buffer[-1] + 1).astype(np.int16)
                committed += buffer
                spoken += pending
            else:
                assert len(buffer) < MIN_COMMIT_MS * 24
            buffer, pending = [], []
        else:
            assert isinstance(step, int)
            samples = np.arange(position, position + step).astype(np.int16)
            position += step
            if speech.speaking:
                pending += samples.tolist()
            buffer += np.frombuffer(speech.push(samples), "<i2").tolist()
    assert np.all(np.diff(np.array(committed)) % 65_536 > 0), "in order, none twice"
    assert not spoken or set(spoken) <= set(committed), "nothing that was spoken is missing"


def test_before_speech_stands_what_was_heard_just_before_and_no_more() -> None:
    speech = SpeechInput()
    for second in range(100):
        assert speech.push(np.full(24_000, second, np.int16)) == b""
    assert len(speech.began()) == PRE_ROLL_MS * 48
    assert speech.buffered_ms == PRE_ROLL_MS
    assert speech.began() == b"", "it has begun already"


def test_what_was_committed_is_not_in_front_of_the_next_speech() -> None:
    speech = SpeechInput()
    speech.began()
    speech.push(np.full(24_000, 1, np.int16))
    speech.ended()
    speech.commit()
    speech.push(np.full(2_400, 2, np.int16))
    assert set(np.frombuffer(speech.began(), "<i2").tolist()) == {2}
