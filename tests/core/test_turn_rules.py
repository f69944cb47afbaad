"""The replaceable rules about the voice, as the session calls them."""

from __future__ import annotations

from parley.core.policy.endpointing import pause_needed_ms, prefix_ms
from parley.core.policy.turn_rules import PauseSeen, Rules, RuleTable
from parley.core.regions.turn_taking import Began, TurnTaking
from parley.core.words.settings import SemanticVad, ServerVad

PAUSE = PauseSeen(pause_ms=100, turn_ms=900, text="", finished=0.9)


def test_the_built_in_rules_follow_the_settings_and_the_word_table() -> None:
    table = RuleTable()
    for detection in (ServerVad(silence_duration_ms=321, prefix_padding_ms=123), SemanticVad("high")):
        assert table.pause_needed_ms(detection, PAUSE) == pause_needed_ms(detection, 0.9)
        assert table.pre_roll_ms(detection, ()) == prefix_ms(detection)
    assert Rules().settled_pre_roll
    assert not Rules(pre_roll=table).settled_pre_roll


def test_scores_before_a_voice_come_latest_first_and_only_since_the_last_turn() -> None:
    turns = TurnTaking()
    probabilities = [0.1, 0.2, 0.3, 0.9, 0.95]
    changes = [turns.heard(768 * (index + 1), p, 0.5) for index, p in enumerate(probabilities)]
    assert isinstance(changes[-1], Began)
    assert turns.before == (0.3, 0.2, 0.1)


def test_only_two_seconds_before_a_voice_are_remembered() -> None:
    turns = TurnTaking()
    for index in range(500):
        turns.heard(768 * (index + 1), 0.1, 0.5)
    turns.heard(768 * 501, 0.9, 0.5)
    turns.heard(768 * 502, 0.9, 0.5)
    assert len(turns.before) == 62
