from __future__ import annotations

import pytest

from parley.core.regions.turn_taking import (
    FRAME,
    Began,
    Change,
    Paused,
    Pausing,
    Quiet,
    Resumed,
    Speaking,
    Turn,
    TurnTaking,
)
from parley.core.words.ids import ItemId, TurnId

TURN = Turn(TurnId(1), ItemId("i"), 0, 0, 0)


def region(position: Quiet | Speaking | Pausing) -> TurnTaking:
    return TurnTaking(position, 10 * FRAME)


@pytest.mark.parametrize(
    ("position", "probability", "change"),
    [
        (Quiet(), 0.2, None),
        (Quiet(), 0.9, None),  # one voiced frame is a click
        (Quiet(1, 9 * FRAME), 0.9, Began(9 * FRAME)),
        (Quiet(1, 9 * FRAME), 0.2, None),
        (Speaking(TURN), 0.9, None),
        (Speaking(TURN), 0.4, None),  # still voiced: above the lower threshold
        (Speaking(TURN), 0.2, Paused(TURN, 10 * FRAME)),
        (Pausing(TURN, 10 * FRAME), 0.2, None),
        (Pausing(TURN, 10 * FRAME), 0.4, None),  # not voiced again: below the upper threshold
        (Pausing(TURN, 10 * FRAME), 0.9, Resumed(TURN)),
    ],
)
def test_each_position_meets_each_score(
    position: Quiet | Speaking | Pausing, probability: float, change: Change
) -> None:
    assert region(position).heard(11 * FRAME, probability, 0.5) == change


def test_a_click_is_forgotten() -> None:
    turns = region(Quiet(1, 9 * FRAME))
    turns.heard(11 * FRAME, 0.1, 0.5)
    assert turns.position == Quiet()
    assert turns.turn is None


@pytest.mark.parametrize(
    ("position", "probability", "change"),
    [
        (Quiet(1, 9 * FRAME), 0.5, Began(9 * FRAME)),
        (Speaking(TURN), 0.35, None),
        (Speaking(TURN), 0.34, Paused(TURN, 10 * FRAME)),
        (Pausing(TURN, 10 * FRAME), 0.5, Resumed(TURN)),
        (Pausing(TURN, 10 * FRAME), 0.49, None),
    ],
)
def test_a_score_at_the_threshold_is_voice(
    position: Quiet | Speaking | Pausing, probability: float, change: Change
) -> None:
    assert region(position).heard(11 * FRAME, probability, 0.5) == change


def test_speech_begins_with_the_first_of_the_voiced_frames_in_a_row() -> None:
    turns = region(Quiet())
    scores = (0.9, 0.1, 0.2, 0.8, 0.9)
    changes = [turns.heard((11 + index) * FRAME, score, 0.5) for index, score in enumerate(scores)]
    assert changes == [None, None, None, None, Began(13 * FRAME)]
    assert turns.scored_to == 15 * FRAME
    assert turns.before == (0.2, 0.1, 0.9), "the voiced frames themselves are left out"


def test_a_turn_is_open_while_its_user_speaks_or_pauses() -> None:
    turns = region(Quiet())
    turns.heard(11 * FRAME, 0.9, 0.5)
    assert (turns.position, turns.turn) == (Quiet(1, 10 * FRAME), None), "one voiced frame is no turn"
    turns.speak(TURN)
    assert (turns.position, turns.turn, turns.before) == (Speaking(TURN), TURN, ())
    turns.pause(TURN, 12 * FRAME)
    assert (turns.position, turns.turn) == (Pausing(TURN, 12 * FRAME), TURN)
    turns.rest()
    assert (turns.position, turns.turn) == (Quiet(), None)
