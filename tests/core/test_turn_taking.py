from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.core.regions.turn_taking import (
    FRAME,
    Began,
    Change,
    Paused,
    Pausing,
    Quiet,
    Resumed,
    Speaking,
    TurnTaking,
    UserTurn,
)
from parley.core.words.errors import Fault
from parley.core.words.ids import FlushId, ItemId, JudgementId, TurnId

TURN = UserTurn(TurnId(1), ItemId("i"), 0, 0, 0)


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
def test_every_phase_handles_every_score(
    position: Quiet | Speaking | Pausing, probability: float, change: Change
) -> None:
    assert region(position).heard(11 * FRAME, probability, 0.5) == change


def test_a_click_starts_no_turn() -> None:
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


def test_speech_begins_with_the_first_of_consecutive_voiced_frames() -> None:
    turns = region(Quiet())
    scores = (0.9, 0.1, 0.2, 0.8, 0.9)
    changes = [turns.heard((11 + index) * FRAME, score, 0.5) for index, score in enumerate(scores)]
    assert changes == [None, None, None, None, Began(13 * FRAME)]
    assert turns.scored_to == 15 * FRAME
    assert turns.before == (0.2, 0.1, 0.9), "without the voiced frames"


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


# --- a turn --------------------------------------------------------------------------------------------------------------------


def turn() -> UserTurn:
    return UserTurn(TurnId(1), ItemId("i"), 0, 0, 0, provisional=True)


def test_stable_words_are_never_taken_back() -> None:
    one = turn()
    one.hear("how are", "how")
    one.hear("who are", "who")
    assert (one.text, one.stable) == ("who are", "how"), "stable words stay"
    one.hear("how are you", "how are")
    one.hear("how are you")
    assert (one.text, one.stable) == ("how are you", "how are")


def test_each_stable_word_is_sent_once_and_considered_once() -> None:
    one = turn()
    sent, considered = [one.tell_stable()], [one.consider_stable()]
    for stable in ("how", "how", "how are you"):
        one.hear(stable, stable)
        sent.append(one.tell_stable())
        considered.append(one.consider_stable())
    assert sent == ["", "how", "", " are you"]
    assert considered == [False, True, False, True]
    assert one.sent == one.stable


@given(st.lists(st.integers(0, 50)))
def test_work_is_decided_for_each_word_once_and_in_order(ends: list[int]) -> None:
    one, words = turn(), "so it goes on and on, word by word, until the end"
    pieces = [one.decide(words, min(end, len(words)), 768) for end in ends]
    assert "".join(pieces) == words[: min(max(ends, default=0), len(words))]


def test_a_final_that_differs_from_the_stable_words_goes_on_behind_as_many_words() -> None:
    one = turn()
    one.hear("the cat sat", "the cat sat")
    one.decide("the cat sat", len("the cat"), 768)
    assert one.undecided_from("the cat sat on") == len("the cat")
    assert "The hat sat on"[one.undecided_from("The hat sat on") :] == " sat on"


def test_words_wait_from_when_they_became_stable_and_are_asked_about_in_steps() -> None:
    one = turn()
    one.wait(768)
    assert one.waiting_since is None, "there are no words"
    one.hear("so it goes", "so it")
    one.wait(2_400)
    assert [one.due(2_400 + later) for later in (4_799, 4_800, 4_801)] == [False, True, False]
    one.wait(9_000)
    one.decide("so it", 5, 9_000)
    assert not one.due(90_000)


def test_audio_is_passed_on_once() -> None:
    one = turn()
    begin, end = one.passes(9_600)
    assert (begin, end) == (one.start_sample, 9_600)
    assert [one.passes(9_600), one.passes(12_000)] == [(9_600, 9_600), (9_600, 12_000)]


def test_a_turn_takes_the_floor_is_fed_and_can_fail() -> None:
    one, fault = turn(), Fault("engine_error", "It broke.")
    one.claim()
    one.feed(768)
    one.fail(fault)
    assert (one.provisional, one.fed_to, one.fault) == (False, 768, fault)


# --- phases and pauses ---------------------------------------------------------------------------------------------------------


def test_results_of_a_pause_are_kept_until_speech_continues() -> None:
    turns, one = TurnTaking(), turn()
    turns.speak(one)
    turns.pause(one, 10 * FRAME)
    pausing = Pausing(one, 10 * FRAME)
    pausing = turns.flush(pausing, FlushId(2))
    pausing = turns.judge(pausing, JudgementId(3), "how are")
    pausing = turns.judged(pausing, 0.7)
    pausing = turns.transcribed(pausing, "how are you", "[]", "en")
    positions = [turns.position]
    assert pausing == Pausing(
        one, 10 * FRAME, FlushId(2), "how are you", "[]", "en", JudgementId(3), judged_text="how are", finished=0.7
    )
    assert one.text == "how are you"
    turns.speak(one)
    positions.append(turns.position)
    assert positions == [pausing, Speaking(one)], "no result of the pause is outdated"


def test_the_recognisers_judgement_counts_in_its_own_pause_only() -> None:
    turns, one, other = TurnTaking(), turn(), UserTurn(TurnId(2), ItemId("j"), 0, 0, 0)
    turns.speak(one)
    turns.ending(one, 0.9)
    positions = [turns.position]
    turns.pause(one, 10 * FRAME)
    turns.ending(other, 0.9)
    positions.append(turns.position)
    turns.ending(one, 0.8)
    positions.append(turns.position)
    pausing = Pausing(one, 10 * FRAME)
    assert positions == [Speaking(one), pausing, Pausing(one, 10 * FRAME, end_of_turn=0.8)]


@pytest.mark.parametrize(
    ("judged", "heard", "verdict"),
    [(None, None, None), (0.3, None, 0.3), (None, 0.2, 0.2), (0.3, 0.8, 0.8), (0.7, 0.0, 0.7), (None, 0.0, 0.0)],
)
def test_the_higher_judgement_of_a_pause_counts(
    judged: float | None, heard: float | None, verdict: float | None
) -> None:
    assert Pausing(turn(), 0, finished=judged, end_of_turn=heard).verdict == verdict


def test_every_uncommitted_turn_is_open_until_it_ends() -> None:
    turns, mine, spoken = TurnTaking(), turn(), UserTurn(TurnId(2), ItemId("j"), 0, 0, 0)
    turns.begin_manual(mine)
    turns.speak(spoken)
    found = [turns.open()]
    turns.end_manual()
    found.append(turns.open())
    turns.rest()
    found.append(turns.open())
    assert found == [[mine, spoken], [spoken], []]
    assert turns.position == Quiet()


def test_a_language_is_kept_until_another_is_heard() -> None:
    one = turn()
    one.hear("bom", "", "pt", 0.9)
    one.hear("bom dia", "")
    assert (one.language, one.language_confidence) == ("pt", 0.9)


def test_unstable_words_are_shown_where_they_changed_and_end_with_sent_ones() -> None:
    one = turn()
    one.hear("tell me", "")
    assert [one.show("tell me"), one.show("tell me"), one.show("tell me a")] == [True, False, True]
    one.hear("tell me a", "tell")
    assert one.tell_stable() == "tell"
    assert not one.show(""), "the sent words have ended them already"
